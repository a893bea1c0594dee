"""The command line: `python -m airflow_sentinelhub`, and `airflow sentinelhub` from Airflow 3.2 on.

One file a command; `commands.py` lists them. A command is a value that names its arguments and a function.
"""
