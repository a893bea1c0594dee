"""The docs as a site: `make docs` writes it to `build/docs`; a warning is an error there."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_extensions")]

from airflow_sentinelhub import __version__  # noqa: E402

project = "Sentinel Hub for Apache Airflow"
author = "the maintainers of airflow-sentinelhub"
copyright = "the maintainers of airflow-sentinelhub, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "docstrings"]
exclude_patterns = ["_extensions", "snippets"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_title = f"{project} {version}"
html_logo = "integration-logos/sentinelhub.svg"
html_favicon = "integration-logos/sentinelhub.svg"
# All that a page needs lies beside it: a site that is read without a network looks the same.
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
