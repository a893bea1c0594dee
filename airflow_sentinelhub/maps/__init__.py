"""Maps of a job as files."""
