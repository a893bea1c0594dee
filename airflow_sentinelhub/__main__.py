"""``python -m airflow_sentinelhub``: the command line."""

from __future__ import annotations

import sys

from airflow_sentinelhub.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
