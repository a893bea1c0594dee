"""A test that runs a DAG whole: dags/sentinelhub_first_job.py, with `PYTHONPATH=dags pytest`."""

from sentinelhub_first_job import dag


def test_the_month_is_published(sentinelhub_simulator, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SENTINELHUB_DEFAULT", sentinelhub_simulator.airflow_connection_uri)
    monkeypatch.setenv("AIRFLOW_CONN_MY_BUCKET", "aws://any-key-id:any-secret-key@")
    sentinelhub_simulator.speed(600)  # without it the clock stands, and the job never ends

    run = dag.test()

    assert run.state == "success"
    assert [call["effect"] for call in sentinelhub_simulator.journal()].count("billed_start") == 1
