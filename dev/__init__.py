"""Tools of this checkout: environments, a real Airflow for tests, the demo. Standard library only."""
