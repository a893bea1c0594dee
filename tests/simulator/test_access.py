"""Who may use the control plane: this machine, and whoever calls it by a name that the user has given."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_sentinelhub.simulator import ControlPlane, Simulator, SimulatorError
from airflow_sentinelhub.simulator.__main__ import main
from airflow_sentinelhub.simulator.access import Access, host_name, is_loopback

ROOT = Path(__file__).resolve().parents[2]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def known() -> Iterator[Simulator]:
    """One that listens on all addresses, for a container that knows it by a name."""
    with Simulator(host="0.0.0.0", speed=0, allow_hosts=["Simulator", "192.168.7.7:80"]) as simulator:
        yield simulator


def call(
    simulator: Simulator, method: str, path: str, body: str | None = None, **headers: str | None
) -> tuple[int, dict[str, Any]]:
    """``host="a"`` sends the header Host; None leaves out what is sent otherwise."""
    sent: dict[str, str | None] = {"Host": f"127.0.0.1:{simulator.port}", **(JSON if body is not None else {})}
    sent.update({name.replace("_", "-").title(): value for name, value in headers.items()})
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(None if body is None else body.encode())
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read() or b"{}")
    finally:
        connection.close()


LOOPBACK = [
    "127.0.0.1",
    "127.0.0.1:1",
    "127.1.2.3:80",
    "localhost",
    "LocalHost:99",
    "localhost.",
    "a.localhost",
    "[::1]:80",
]
FOREIGN = [
    "evil.example",
    "evil.example:80",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "10.1.2.3",
    "[fe80::1]",
]
NONE = ["", "[", "a b", "127.0.0.1@evil.example", "localhost/", "localhost:80:80", "localhost:x", "[::1", "::1"]


class TestHosts:
    @pytest.mark.parametrize("host", LOOPBACK)
    def test_loopback_by_any_name_and_port(self, host: str, sim: Simulator) -> None:
        assert call(sim, "GET", "/_simulator/clock", host=host)[0] == 200
        assert call(sim, "POST", "/_simulator/clock", '{"step": 1}', host=host)[0] == 200

    @pytest.mark.parametrize("host", [*FOREIGN, *NONE])
    @pytest.mark.parametrize(("method", "path", "body"), [("GET", "/journal", None), ("POST", "/clock", '{"step": 1}')])
    def test_every_other_one_is_refused(
        self, method: str, path: str, body: str | None, host: str, sim: Simulator
    ) -> None:
        before = sim.clock()
        status, told = call(sim, method, f"/_simulator{path}", body, host=host)
        assert status == 403
        assert "--allow-host" in told["error"]
        assert sim.clock() == before

    def test_before_the_body_is_read(self, sim: Simulator) -> None:
        assert call(sim, "POST", "/_simulator/clock", "x" * 5_000_000, host="evil.example")[0] == 403

    @pytest.mark.parametrize(
        "host", ["simulator", "SIMULATOR:8080", "192.168.7.7", "0.0.0.0", "0.0.0.0:5", "localhost"]
    )
    def test_names_that_the_user_allows(self, host: str, known: Simulator) -> None:
        assert call(known, "POST", "/_simulator/reset", host=host)[0] == 200

    @pytest.mark.parametrize("host", ["evil.example", "simulator.evil.example", "192.168.7.8"])
    def test_and_no_others(self, host: str, known: Simulator) -> None:
        assert call(known, "POST", "/_simulator/reset", host=host)[0] == 403

    def test_the_address_that_the_call_came_to(self) -> None:
        """A server on all addresses listens on this one as well; a name for it could be anybody's."""
        access = Access("0.0.0.0")
        assert access.refusal("GET", {"host": "10.1.2.3:80"}, "10.1.2.3") is None
        assert access.refusal("GET", {"host": "10.1.2.4:80"}, "10.1.2.3") is not None
        assert access.refusal("GET", {"host": "[2001:DB8::1]"}, "2001:db8:0::1") is None

    def test_the_name_that_it_listens_on(self) -> None:
        access = Access("my-machine.example")
        assert access.refusal("GET", {"host": "My-Machine.example:8080"}, None) is None
        assert access.refusal("GET", {"host": "other.example"}, None) is not None

    def test_the_service_answers_by_any_name(self, sim: Simulator) -> None:
        """It asks for a token, and its clients know it by names of their own."""
        status, told = call(sim, "GET", "/batch/v2/process", host="services.sentinel-hub.com")
        assert (status, told["error"]["code"]) == (401, "COMMON_UNAUTHORIZED")

    def test_what_is_no_name_is_one_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("http://simulator", "a b", ""):
            with pytest.raises(SimulatorError, match="is no name or address of a host"):
                Simulator(allow_hosts=[name]).start()
            assert main(["--allow-host", name]) == 2
            assert len(capsys.readouterr().err.splitlines()) == 1

    def test_one_name_alone_is_not_taken_for_letters(self) -> None:
        access = Access("127.0.0.1", "simulator")
        assert access.refusal("GET", {"host": "simulator"}, None) is None
        assert access.refusal("GET", {"host": "s"}, None) is not None

    def test_names_in_one_form(self) -> None:
        assert host_name("[::FFFF:127.0.0.1]:8080") == host_name("[::ffff:7f00:1]")
        assert [is_loopback(name) for name in ("::ffff:127.0.0.1", "::1", "127.9.9.9", "0.0.0.0", "::", "x")] == [
            *(True, True, True, False, False, False)
        ]


class TestWebPages:
    @pytest.mark.parametrize(
        "origin", ["http://evil.example", "null", "", "file://", "http://localhost:1", "http://127.0.0.1"]
    )
    def test_of_other_sites_are_refused(self, origin: str, sim: Simulator) -> None:
        before = sim.clock()
        assert call(sim, "POST", "/_simulator/clock", '{"step": 1}', origin=origin)[0] == 403
        assert call(sim, "POST", "/_simulator/reset", origin=origin)[0] == 403
        assert sim.clock() == before

    def test_its_own_would_not_be(self, sim: Simulator) -> None:
        own = f"http://localhost:{sim.port}"
        headers = {"host": f"localhost:{sim.port}", "origin": own, "sec_fetch_site": "same-origin"}
        assert call(sim, "POST", "/_simulator/clock", '{"step": 1}', **headers)[0] == 200

    @pytest.mark.parametrize(("site", "status"), [("cross-site", 403), ("same-site", 403), ("x", 403), ("none", 200)])
    def test_what_the_browser_says_of_the_site(self, site: str, status: int, sim: Simulator) -> None:
        assert call(sim, "GET", "/_simulator/clock", sec_fetch_site=site)[0] == status
        assert call(sim, "POST", "/_simulator/clock", '{"step": 1}', sec_fetch_site=site)[0] == status

    @pytest.mark.parametrize(
        "kind",
        [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"],
    )
    def test_what_a_form_can_send_is_refused(self, kind: str | None, sim: Simulator) -> None:
        before = sim.clock()
        status, told = call(sim, "POST", "/_simulator/clock", '{"step": 1}', content_type=kind)
        assert (status, told["error"]) == (
            *(415, "The control plane takes JSON: send the header Content-Type: application/json."),
        )
        assert sim.clock() == before
        if kind is not None:
            # An empty form too.
            assert call(sim, "POST", "/_simulator/reset", "", content_type=kind)[0] == 415

    def test_json_in_its_forms(self, sim: Simulator) -> None:
        for kind in ("application/json", "Application/JSON; charset=utf-8"):
            assert call(sim, "POST", "/_simulator/clock", '{"step": 1}', content_type=kind)[0] == 200


class TestOurOwnClients:
    def test_by_the_address_it_listens_on(self, known: Simulator) -> None:
        assert known.url == f"http://0.0.0.0:{known.port}"
        known.step(1)
        known.reset()
        plane = ControlPlane(f"http://localhost:{known.port}")
        plane.step(1)
        assert plane.fault("html", "/x$")
        plane.clear_faults()

    def test_a_refusal_of_the_edge_is_one_sentence(self, sim: Simulator) -> None:
        with pytest.raises(SimulatorError, match=r"^The request body is larger than 4 MiB\.$"):
            sim.fault("status", body="x" * 5_000_000)

    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        try:
            simulator = Simulator(host="::1", speed=0).start()
        except SimulatorError:
            pytest.skip("This machine has no IPv6.")
        try:
            simulator.step(1)
            assert simulator.url == f"http://[::1]:{simulator.port}"
            assert f"@[::1]:{simulator.port}/http" in simulator.airflow_connection_uri
        finally:
            simulator.stop()


class TestWarning:
    def test_of_an_address_that_others_reach(self, capfd: pytest.CaptureFixture[str]) -> None:
        with Simulator(host="0.0.0.0", speed=0):
            pass
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("The simulator listens on 0.0.0.0, not only on this machine")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_not_of_loopback(self, host: str, capfd: pytest.CaptureFixture[str]) -> None:
        with Simulator(host=host, speed=0):
            pass
        assert capfd.readouterr().err == ""

    @pytest.mark.thorough
    def test_on_the_command_line(self) -> None:
        command = [sys.executable, "-m", "airflow_sentinelhub.simulator", "--port", "0", "--output", "json"]
        process = subprocess.Popen(
            [*command, "--host", "0.0.0.0", "--allow-host", "simulator", "--allow-host", "host.docker.internal"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            for name, status in (("host.docker.internal:1", 200), ("evil.example", 403)):
                connection.request("GET", "/_simulator/clock", headers={"Host": name})
                reply = connection.getresponse()
                reply.read()
                assert reply.status == status
            connection.close()
            process.terminate()
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert errors.count("\n") == 1
        assert "not only on this machine" in errors
