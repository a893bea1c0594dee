"""Members of replies that came, go, or hang on a setting."""

from __future__ import annotations

import pytest

from airflow_sentinelhub.simulator import Simulator
from tests.statistical.fields import body, put_fields

from .conftest import Api


@pytest.mark.parametrize("base", ["/batch/v2/process", "/statistics/batch/v1"])
def test_a_request_names_its_workspace_project_and_account(api: Api, sim: Simulator, base: str) -> None:
    """``projectId`` and ``workspaceId`` are new, ``domainAccountId`` is deprecated: it may be missing one day."""
    put_fields(sim.bucket_dir)
    reply = api.post(base, json=body() if "statistics" in base else api.v2_body())
    assert reply.status_code == 201, reply.text
    names = ("workspaceId", "projectId", "domainAccountId")
    made = {name: reply.json()[name] for name in names}
    assert len(set(made.values())) == 3
    path = f"{base}/{reply.json()['id']}"
    assert made.items() <= api.get(path).json().items()
    assert made.items() <= api.get(base).json()["data"][0].items()
    sim.settings(domain_account_id=False)
    assert [name in api.get(path).json() for name in names] == [True, True, False]


def test_search_of_v2_works_as_in_the_older_contract_where_a_setting_asks_for_it(api: Api, sim: Simulator) -> None:
    wanted = api.create("v2", description="rice in Italy").rsplit("/", 1)[1]
    api.create("v2", description="maize in France")

    def found(**query: str) -> list[str]:
        return [item["id"] for item in api.get("/batch/v2/process", params=query).json()["data"]]

    assert len(found(search="rice")) == 2
    sim.settings(search_tasks=True)
    assert found(search="rice") == [wanted]
    assert found(search="rice & france") == []
    assert len(found(search="rice | maize")) == 2
    assert len(found()) == 2
