"""What Sentinel Hub is, without I/O: calls as values, flows as generators, verdicts as pure functions."""
