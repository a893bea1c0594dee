"""Which deployment of the service offers what."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import httpx
import pytest

from airflow_sentinelhub.simulator import Simulator
from airflow_sentinelhub.simulator.__main__ import main
from tests import plain_http

from .conftest import Api

MAIN, CDSE = "/auth/realms/main/protocol/openid-connect/token", "/auth/realms/CDSE/protocol/openid-connect/token"
KEYS = {"accessKey": "AKIA", "secretAccessKey": "hush"}
ROLE = {"iamRoleARN": "arn:aws:iam::123456789012:role/maps"}
GRIDS = {
    "v1": "/api/v1/batch/tilinggrids",
    "v2": "/batch/v2/tilinggrids",
    "statistical": "/statistics/batch/v1",
}


def token(api: Api, path: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": api.simulator.client_id,
        "client_secret": api.simulator.client_secret,
    }
    return plain_http.post(f"{api.simulator.url}{path}", data=form)


@pytest.mark.parametrize(
    ("deployment", "statuses"),
    [
        ("aws-eu", {MAIN: 200, CDSE: 404, "/oauth/token": 200}),
        ("aws-us-west-2", {MAIN: 200, CDSE: 404, "/oauth/token": 200}),
        ("cdse", {MAIN: 404, CDSE: 200, "/oauth/token": 404}),
    ],
)
def test_copernicus_data_space_has_a_token_path_of_its_own(
    api: Api, sim: Simulator, deployment: str, statuses: dict[str, int]
) -> None:
    sim.settings(deployment=deployment)
    assert {path: token(api, path).status_code for path in statuses} == statuses
    assert statuses[sim.auth_url.removeprefix(sim.url)] == 200


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"deployment": "aws-eu"}, set()),
        ({"deployment": "cdse"}, set()),
        ({"deployment": "aws-us-west-2"}, {"statistical"}),
        ({"v1_answers": False}, {"v1"}),
    ],
)
def test_batch_statistical_is_not_offered_in_us_west_2_and_v1_may_be_gone(
    api: Api, sim: Simulator, settings: dict[str, Any], missing: set[str]
) -> None:
    sim.settings(**settings)
    assert {name for name, path in GRIDS.items() if api.get(path).status_code == 404} == missing


@pytest.mark.parametrize(
    ("delivery", "refused_on_cdse"),
    [
        ({"s3": {"url": "s3://maps/a", **KEYS}}, None),
        ({"s3": {"url": "s3://maps/a", **ROLE}}, "iamRoleARN is not supported by this deployment."),
        ({"gs": {"url": "gs://maps/a", "credentials": "e30="}}, "s3 must be given."),
        ({"pl:destinations": {"url": "s3://maps/a", "ref": "pl:destinations/maps-1"}}, "s3 must be given."),
    ],
    ids=["keys", "role", "google", "destination"],
)
def test_roles_google_and_destinations_are_for_deployments_on_aws(
    api: Api, sim: Simulator, delivery: dict[str, Any], refused_on_cdse: str | None
) -> None:
    body = api.v2_body(output={"type": "raster", "delivery": delivery})
    for deployment in ("aws-eu", "aws-us-west-2"):
        sim.settings(deployment=deployment)
        assert api.post("/batch/v2/process", json=body).status_code == 201
    sim.settings(deployment="cdse")
    reply = api.post("/batch/v2/process", json=body)
    assert reply.status_code == (400 if refused_on_cdse else 201)
    if refused_on_cdse:
        assert refused_on_cdse in reply.json()["error"]["message"]


def test_a_delivery_to_a_destination_kept_at_the_vendor_needs_no_keys(api: Api, sim: Simulator) -> None:
    """``pl:destinations`` holds a URL, and the keys are the vendor's matter."""
    destination = {"pl:destinations": {"url": "s3://maps/kept", "ref": "pl:destinations/maps-1"}}
    path = api.create("v2", output={"type": "raster", "delivery": destination})
    number = path.rsplit("/", 1)[1]
    task = api.get(path).json()
    assert task["request"]["output"]["delivery"] == destination
    assert (sim.bucket_dir / f"maps/kept/{number}/request-{number}.json").is_file()
    api.post(f"{path}/start")
    sim.step(3000)
    assert api.state(path) == ("DONE", "START")
    assert (sim.bucket_dir / f"maps/kept/{number}/execution-{number}.sqlite").is_file()

    for wrong in ({"ref": "pl:destinations/maps-1"}, {"url": "ftp://maps"}):
        body = api.v2_body(output={"type": "raster", "delivery": {"pl:destinations": wrong}})
        reply = api.post("/batch/v2/process", json=body)
        assert reply.status_code == 400
        assert "output->delivery->pl:destinations->url" in reply.text
    both = {**copy.deepcopy(destination), "s3": {"url": "s3://maps/a", **KEYS}}
    reply = api.post("/batch/v2/process", json=api.v2_body(output={"type": "raster", "delivery": both}))
    assert "Exactly one of s3, gs, pl:destinations must be given." in reply.text


@pytest.mark.parametrize("base", ["/api/v1/batch/process", "/batch/v2/process", "/statistics/batch/v1"])
def test_an_account_of_another_type_cannot_create_and_its_token_says_so(api: Api, sim: Simulator, base: str) -> None:
    sim.settings(batch_account=False)
    reply = api.post(base, json={})
    assert reply.status_code == 403
    assert reply.json()["error"]["message"] == "You are not authorized to perform this action."
    assert reply.json()["error"]["code"] == "COMMON_INSUFFICIENT_PERMISSIONS"
    assert api.get(base).status_code == 200
    assert _kind(token(api, MAIN)) < 14000
    sim.settings(batch_account=True)
    assert _kind(token(api, MAIN)) >= 14000


def _kind(reply: httpx.Response) -> int:
    claims = reply.json()["access_token"].split(".")[1]
    found: int = json.loads(base64.urlsafe_b64decode(claims + "=="))["d"]["1"]["t"]
    return found


def test_a_deployment_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--set", "deployment=mars"]) == 2
    sentence = "The setting deployment is one of aws-eu, aws-us-west-2, cdse, not 'mars'."
    assert capsys.readouterr().err.strip() == sentence
    with pytest.raises(SystemExit):
        main(["--deployment", "mars"])
    assert "--deployment: invalid choice: 'mars'" in capsys.readouterr().err


def test_a_simulator_of_copernicus_data_space_gives_its_own_auth_url() -> None:
    with Simulator(speed=0, deployment="cdse") as simulator:
        assert simulator.auth_url == f"{simulator.url}{CDSE}"
        assert "CDSE" in simulator.airflow_connection_uri
        client = Api(simulator)
        assert client.get("/batch/v2/process").status_code == 200
        client.http.close()
