"""Maps of tiles, as text: SVG for files and pages, characters for a terminal. Pure: nothing is read or sent."""
