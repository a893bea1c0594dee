"""Decisions as pure functions of what was read, each tested as a table."""
