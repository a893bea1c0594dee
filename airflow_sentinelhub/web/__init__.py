"""Pages in Airflow's own web page (3.1 and later): the job of a task instance, and all jobs of this Airflow."""
