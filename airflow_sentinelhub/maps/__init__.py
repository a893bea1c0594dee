"""Maps of a job: SVG and characters (pure: nothing is read or sent), and pages as files."""
