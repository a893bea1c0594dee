"""From an Airflow connection to settings, and the button that tests it."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from airflow_sentinelhub._compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_1_PLUS, AirflowFailException, masking
from airflow_sentinelhub._compat.supervisor import aside, whole_answer
from airflow_sentinelhub.api.call import Patience, exchange
from airflow_sentinelhub.api.service.generations import V2
from airflow_sentinelhub.exceptions import SettingsError, UnreachableError
from airflow_sentinelhub.hooks import _masking, connection, storage
from airflow_sentinelhub.hooks._masking import mask_passwords
from airflow_sentinelhub.hooks.sentinelhub import SentinelHubHook
from airflow_sentinelhub.operators.batch import SentinelHubCancelBatchOperator
from airflow_sentinelhub.sensors.batch import SentinelHubBatchSensor
from airflow_sentinelhub.transport.process import PROCESS
from airflow_sentinelhub.transport.settings import settings_from
from airflow_sentinelhub.triggers.batch import SentinelHubBatchTrigger
from tests.airflow.conftest import AWS

NEAR = {"auth_url": "http://127.0.0.1/t"}
MAIN = "https://services.sentinel-hub.com/auth/realms/main/protocol/openid-connect/token"
CDSE = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
GOOD: dict[str, Any] = {"conn_type": "sentinelhub", "login": "an-id", "password": "a-secret"}
REQUEST = "5f2a4c1e-0f5f-4c37-9a55-0d9a3a7f6b10"


once = pytest.mark.parametrize("generation", ["v2"], indirect=True)


def one_sentence(message: str) -> None:
    assert "\n" not in message
    assert "Traceback" not in message
    assert message.endswith(".")
    assert 20 < len(message) < 600


@once
@pytest.mark.parametrize(
    ("members", "base", "token"),
    [
        ({}, "https://services.sentinel-hub.com", MAIN),
        ({"host": "aws-eu"}, "https://services.sentinel-hub.com", MAIN),
        ({"host": "aws-eu", "port": 443}, "https://services.sentinel-hub.com", MAIN),
        ({"host": "https://services.sentinel-hub.com", "port": 443}, "https://services.sentinel-hub.com", MAIN),
        ({"host": "cdse", "port": 0}, "https://sh.dataspace.copernicus.eu", CDSE),
        ({"host": "AWS-US-WEST-2"}, "https://services-uswest2.sentinel-hub.com", MAIN),
        ({"host": "cdse"}, "https://sh.dataspace.copernicus.eu", CDSE),
        ({"host": "creodias"}, "https://creodias.sentinel-hub.com", MAIN),
        ({"host": "https://sh.dataspace.copernicus.eu/"}, "https://sh.dataspace.copernicus.eu", CDSE),
        ({"host": "sh.dataspace.copernicus.eu"}, "https://sh.dataspace.copernicus.eu", CDSE),
        (
            {"host": "maps.example.org", "extra": {"token_url": "https://id.example.org/t"}},
            "https://maps.example.org",
            "https://id.example.org/t",
        ),
        ({"host": "http://127.0.0.1:8765", "extra": NEAR}, "http://127.0.0.1:8765", NEAR["auth_url"]),
        (
            {"host": "127.0.0.1", "port": 8765, "schema": "http", "extra": NEAR},
            "http://127.0.0.1:8765",
            NEAR["auth_url"],
        ),
        (
            {"host": "localhost", "port": 8765, "schema": "http", "extra": {"token_url": "https://[::1]/t"}},
            "http://localhost:8765",
            "https://[::1]/t",
        ),
    ],
)
def test_deployments(bench: Any, members: dict[str, Any], base: str, token: str) -> None:
    bench.connection("sh", **GOOD, **members)
    settings = SentinelHubHook("sh").settings
    assert (settings.base_url, settings.token_url) == (base, token)
    assert (settings.client_id, settings.client_secret) == ("an-id", "a-secret")


@once
def test_the_uri_of_the_simulator(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SH", bench.sim.airflow_connection_uri)
    settings = SentinelHubHook("sh").settings
    assert (settings.base_url, settings.token_url) == (bench.sim.url, bench.sim.auth_url)
    assert SentinelHubHook("sh").test_connection()[0] is True


@once
def test_extras(bench: Any) -> None:
    bench.connection(
        "sh",
        **GOOD,
        extra={"batch_api": "v1", "path_form": "service-first", "timeout": "12.5", "bucket_mount": "/buckets"},
    )
    settings = SentinelHubHook("sh").settings
    assert (settings.batch_api, settings.timeout, settings.bucket_mount) == ("v1", 12.5, "/buckets")
    assert settings.url("/api/v2/batch/process").endswith(".com/batch/v2/process")
    assert settings.url("/api/v1/batch/process").endswith(".com/api/v1/batch/process")


@once
@pytest.mark.parametrize("extra", [{}, {"batch_api": None, "path_form": "", "timeout": None, "token_url": ""}])
def test_extras_left_empty_in_the_form(bench: Any, extra: dict[str, Any]) -> None:
    bench.connection("sh", **GOOD, extra=extra)
    settings = SentinelHubHook("sh").settings
    assert (settings.batch_api, settings.path_form, settings.timeout) == ("v2", "version-first", 60)


KNOWN_AS_NONE = pytest.mark.skipif(
    AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_1_PLUS, reason="Airflow 3.0 says that there is no such connection"
)
BAD = [
    ({"login": None}, "client id (login)"),
    ({"password": None}, "client secret (password)"),
    ({"login": "", "password": ""}, "client id (login)"),
    ({"host": "aws-mars"}, "'aws-mars'"),
    ({"host": "ftp://example.org"}, "'ftp://example.org'"),
    ({"host": "https://"}, "host"),
    ({"extra": {"batch_api": "v3"}}, "'v3'"),
    ({"extra": {"path_form": "sideways"}}, "'sideways'"),
    ({"extra": {"timeout": "soon"}}, "'soon'"),
    ({"extra": {"timeout": -1}}, "timeout"),
    ({"extra": {"token_url": "id.example.org/token"}}, "auth_url"),
    ({"extra": {"auth_url": "id.example.org/token"}}, "auth_url"),
    ({"host": "http://127.0.0.1:8765"}, "plain http"),
    ({"host": "https://127.0.0.1:8765"}, "no auth_url"),
    ({"host": "maps.example.org"}, "no auth_url"),
    ({"host": "maps.example.org", "extra": {"auth_url": " ", "token_url": None}}, "no auth_url"),
    ({"host": "services.sentinel-hub.com.example.org"}, "no auth_url"),
    ({"host": "localhost", "port": 8765, "schema": "http"}, "no auth_url"),
    ({"host": "services.sentinel-hub.comm"}, "the client secret goes to nobody else"),
    ({"extra": {"verify": "/no/such/ca.pem"}}, "CA file"),
    ({"host": "https://me:hush@sh.example.org"}, "user name or a password"),
    ({"host": "http://sh.example.org", "extra": {"auth_url": "https://id.example.org/t"}}, "plain http"),
    ({"host": "https://sh.example.org", "extra": {"auth_url": "http://127.0.0.1/t"}}, "plain http"),
    ({"host": "example.org:port"}, "host"),
    ({"host": "https://[::1"}, "host"),
    ({"host": "https://example.org:port", "port": 443}, "host"),
    ({"host": "sh.example.org/?a=b"}, "query"),
    ({"host": "sh example.org"}, "host"),
    ({"host": "me:12/hush@sh.example.org"}, "user name or a password"),
    ({"host": "https:///me:hush@sh.example.org"}, "user name or a password"),
    ({"host": "hush@aws-eu"}, "user name or a password"),
    ({"extra": {"auth_url": "https://me:hu/sh@id.example.org"}}, "user name or a password"),
    ({"extra": {"auth_url": 5}}, "auth_url"),
    ({"extra": {"bucket_mount": {"hush": 1}}}, "bucket_mount"),
    ({"extra": {"proxy": ["http://me:hush@p"]}}, "proxy"),
    ({"extra": {"verify": 0}}, "verify"),
    pytest.param({"extra": "batch_api=hush"}, "extra is no JSON", marks=KNOWN_AS_NONE),
    pytest.param({"extra": "[5]"}, "extra is of type list", marks=KNOWN_AS_NONE),
    ({"extra": {"timeout": True}}, "timeout"),
]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("timeuot", "'timeuot', which is not read; most likely timeout is meant."),
        ("Auth-URL", "'Auth-URL', which is not read; most likely auth_url is meant."),
        ("batchapi", "'batchapi', which is not read; most likely batch_api is meant."),
        ("region", "'region', which is not read; it may have auth_url, batch_api, path_form, timeout, verify, proxy, "),
    ],
)
def test_a_member_of_extra_that_nobody_reads_is_told(bench: Any, name: str, told: str) -> None:
    """It is misspelt: without a word a job would be of the other generation, or certificates be checked otherwise."""
    assert bench.hook.settings.warnings == ()
    bench.connect("sh", **{name: "hush"})
    (warning,) = SentinelHubHook("sh").settings.warnings
    assert warning.startswith(f"Connection 'sh': extra has {told}")
    assert "hush" not in warning
    good, said = SentinelHubHook("sh").test_connection()
    assert good is True
    assert said.endswith(warning)
    assert warning in PROCESS.warned


@once
@pytest.mark.parametrize(("members", "said"), BAD)
def test_a_bad_connection_gets_one_sentence(bench: Any, members: dict[str, Any], said: str) -> None:
    bench.connection("sh", **{**GOOD, **members})

    with pytest.raises(SettingsError) as caught:
        _ = SentinelHubHook("sh").settings

    one_sentence(str(caught.value))
    assert "'sh'" in str(caught.value)
    assert said in str(caught.value)
    assert "hush" not in str(caught.value)
    assert SentinelHubHook("sh").test_connection() == (False, str(caught.value))


@once
def test_the_password_of_a_proxy_is_masked(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow_sentinelhub.hooks._masking.mask_secret", masked.append)
    bench.connection("sh", **GOOD, extra={"proxy": "http://me:proxyword@proxy.example.org:3128"})
    settings = SentinelHubHook("sh").settings
    assert settings.proxy == "http://me:proxyword@proxy.example.org:3128"
    assert "proxyword" in masked
    assert "proxyword" not in repr(settings)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_a_line_break_at_the_end_of_the_secret_is_left_out_and_told(end: str) -> None:
    """As it is pasted, or read from a file. Whatever else is in a secret is part of it."""
    given = settings_from(conn_id="sh", login="an-id", password=f" a secret {end}", host=None)
    assert given.client_secret == " a secret "
    warning, _ = given.warnings
    assert warning.startswith("Connection 'sh': the client secret ends in a line break, which was left out")
    assert settings_from(conn_id="sh", login="an-id", password="a secret", host=None).warnings == ()


@pytest.mark.parametrize("secret", [" a-secret", "a-secret ", "\ta-secret"])
def test_a_blank_around_the_secret_is_sent_and_told(secret: str) -> None:
    given = settings_from(conn_id="sh", login="an-id", password=secret, host=None)
    assert given.client_secret == secret
    (warning,) = given.warnings
    assert warning.startswith("Connection 'sh': the client secret begins or ends with a blank")
    assert "a-secret" not in warning
    with pytest.raises(SettingsError, match="has no client secret"):
        settings_from(conn_id="sh", login="an-id", password=" \t", host=None)


@pytest.mark.parametrize(
    "host",
    ["HTTPS://SH.dataspace.copernicus.eu:443//", "sh.dataspace.copernicus.eu", "https://sh.dataspace.copernicus.eu/"],
)
def test_a_deployment_is_the_same_place_however_its_host_is_written(host: str) -> None:
    given = settings_from(conn_id="sh", login="id", password="secret", host=host)
    assert given == settings_from(conn_id="sh", login="id", password="secret", host="cdse")
    assert given.deployment == "cdse"


@pytest.mark.parametrize("path", ["/api/v1", "/batch/v2/"])
def test_a_path_after_the_host_of_a_deployment_is_refused(path: str) -> None:
    """Each call was answered with a 404, which says that there is no such request."""
    with pytest.raises(SettingsError, match="has a path; the deployment is https:"):
        settings_from(conn_id="sh", login="id", password="secret", host=f"https://services.sentinel-hub.com{path}")


@pytest.mark.parametrize("port", [99_999, -1])
@pytest.mark.parametrize("host", ["services.sentinel-hub.com", "sh.example.org"])
def test_a_port_that_is_none_is_told_with_the_connection(host: str, port: int) -> None:
    with pytest.raises(SettingsError, match=f"Connection 'sh': host 'https://{host}:{port}' is not an http"):
        settings_from(conn_id="sh", login="id", password="secret", host=host, port=port)


@pytest.mark.parametrize("member", ["login", "password", "host", "schema", "extra"])
@pytest.mark.parametrize("value", [5, True, ["hush"], b"hush"])
def test_members_of_a_connection_that_are_no_text(member: str, value: Any) -> None:
    """Airflow takes them from JSON in the environment, and from a secrets backend, as they are."""
    members = {"login": "id", "password": "secret", "host": "sh.example.org", member: value}
    with pytest.raises(SettingsError, match=f"Connection 'sh': {member} is of type {type(value).__name__}") as caught:
        settings_from(conn_id="sh", **members)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxy", "password"),
    [
        ("me:proxyword@proxy:3128", "proxyword"),
        ("http://me:p@ssword@proxy:3128", "p@ssword"),
        ("http://me:pass/word@proxy:3128", "pass/word"),
        ("me:pass word@proxy:3128", "pass word"),
        ("http://proxy:3128", ""),
    ],
)
def test_passwords_of_proxies_in_other_forms_are_masked(
    monkeypatch: pytest.MonkeyPatch, proxy: str, password: str
) -> None:
    masked: list[str] = []
    monkeypatch.setattr("airflow_sentinelhub.hooks._masking.mask_secret", masked.append)
    mask_passwords(proxy)
    assert (password in masked) == bool(password)


@once
@pytest.mark.parametrize(
    ("given", "verify"), [(True, True), ("true", True), (None, True), ("", True), (False, False), ("False", False)]
)
def test_certificates_are_checked_unless_that_is_switched_off(bench: Any, given: Any, verify: bool) -> None:
    bench.connection("sh", **GOOD, extra={"verify": given})
    assert SentinelHubHook("sh").settings.verify is verify


@once
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_task_with_a_bad_connection_fails_for_good(bench: Any, deferrable: bool) -> None:
    """Another try cannot end differently."""
    bench.connection("sh", **{**GOOD, "host": "aws-mars"})
    for make in (
        lambda: SentinelHubCancelBatchOperator(task_id="t", request_id=REQUEST, sentinelhub_conn_id="sh"),
        lambda: SentinelHubBatchSensor(
            task_id="t", request_id=REQUEST, sentinelhub_conn_id="sh", deferrable=deferrable
        ),
    ):
        with pytest.raises(AirflowFailException, match="aws-mars"):
            bench.run(make)


def test_a_good_connection_says_where_it_leads(bench: Any) -> None:
    good, said = bench.hook.test_connection()
    assert good is True
    one_sentence(said)
    assert f"a deployment of your own ({bench.sim.url})" in said
    assert f"batch {bench.api}" in said
    assert "6 tiling grids" in said
    assert f"Access tokens come from {bench.sim.auth_url} and are valid for 60 minutes" in said


@once
@pytest.mark.parametrize("members", [{"password": "wrong"}, {"login": "nobody"}])
def test_wrong_credentials(bench: Any, members: dict[str, str]) -> None:
    right = {"login": bench.sim.client_id, "password": bench.sim.client_secret}
    extra = {"token_url": bench.sim.auth_url}
    bench.connection("sh", conn_type="sentinelhub", host=bench.sim.url, extra=extra, **{**right, **members})

    good, said = SentinelHubHook("sh").test_connection()

    assert good is False
    one_sentence(said)
    assert "refused the credentials of connection 'sh'" in said
    assert bench.sim.auth_url in said
    assert "Invalid client" in said


@once
def test_an_unreachable_host(bench: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        bench.connection("sh", **GOOD, host=nobody, extra={"token_url": bench.sim.auth_url})
        bench.connection(
            "id",
            conn_type="sentinelhub",
            host=bench.sim.url,
            extra={"token_url": f"{nobody}/token"},
            login="a",
            password="b",
        )
        for conn_id in ("sh", "id"):
            good, said = SentinelHubHook(conn_id).test_connection()
            assert good is False
            one_sentence(said)
            if conn_id == "id":
                assert f"{nobody}/token cannot be reached" in said


@once
def test_a_host_that_does_not_exist(bench: Any) -> None:
    extra = {"token_url": "http://no-such-host.invalid/token"}
    bench.connection("sh", **GOOD, host="http://no-such-host.invalid", extra=extra)
    good, said = SentinelHubHook("sh").test_connection()
    assert good is False
    one_sentence(said)
    assert "no-such-host.invalid" in said


def test_an_account_that_may_not_use_batch(bench: Any) -> None:
    bench.sim.fault("status", "/tilinggrids", status=403, message="Forbidden", times=None)
    good, said = bench.hook.test_connection()
    assert good is False
    assert "403" in said
    assert "entitled" in said


@once
@pytest.mark.parametrize(
    ("host", "named"), [(None, "deployment aws-eu (https://"), ("cdse", "deployment cdse (https://")]
)
def test_a_deployment_is_named(bench: Any, host: str | None, named: str) -> None:
    bench.connection("sh", **GOOD, host=host)
    assert named in SentinelHubHook("sh")._where()


@once
@pytest.mark.parametrize(("lifetime", "told"), [(90, "90 seconds"), (7200, "120 minutes")])
def test_the_button_tells_how_long_tokens_are_valid(bench: Any, lifetime: float, told: str) -> None:
    bench.sim.settings(token_lifetime=lifetime)
    PROCESS.tokens.clear()
    good, said = bench.hook.test_connection()
    assert good is True
    assert f"are valid for {told}." in said


@once
def test_an_unknown_connection(bench: Any) -> None:
    with pytest.raises(Exception, match="nowhere"):
        _ = SentinelHubHook("nowhere").settings


def test_a_task_overrides_the_generation_of_its_connection(bench: Any) -> None:
    hook = bench.hook
    assert hook.generation().name == bench.api
    assert {hook.generation("v1").name, hook.generation("v2").name} == {"v1", "v2"}
    for wrong in ("v3", "{{ x }}"):
        with pytest.raises(AirflowFailException, match="batch_api must be one of v1, v2"):
            bench.run(
                lambda wrong=wrong: SentinelHubCancelBatchOperator(task_id="t", request_id=REQUEST, batch_api=wrong)
            )


@once
def test_triggers_that_start_together_look_up_the_connection_of_the_bucket_once(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, asked = replace(bench.hook.settings, bucket_mount=None), list[str]()
    masked = list[str]()

    async def look_up(conn_id: str) -> Any:
        asked.append(conn_id)
        await asyncio.sleep(0)
        return bench.hook.get_connection(conn_id)

    async def some(number: int, **other: Any) -> list[Any]:
        wanted = (storage.bucket_reader_in_triggerer("my_bucket", replace(settings, **other)) for _ in range(number))
        return await asyncio.gather(*wanted)

    async def all_of_them() -> None:
        readers = await some(100)
        assert asked == ["my_bucket"]
        assert len(masked) == len(set(masked)), "each secret once"
        assert len({id(reader.fetched) for reader in readers}) == 100
        assert {(reader._keys, reader._shared) for reader in readers} == {(readers[0]._keys, readers[0]._shared)}
        await some(2, verify=False)
        assert len(asked) == 2, "other settings of the connection to Sentinel Hub are another way to the bucket"
        bench.connection("other_bucket", **{**AWS, "password": "of another"})
        other = await storage.bucket_reader_in_triggerer("other_bucket", settings)
        assert "of another" in other._keys
        assert other._shared is not readers[0]._shared
        bench.connection("my_bucket", **{**AWS, "password": "corrected"})
        monkeypatch.setattr(storage, "TOGETHER", 0.0)
        (reader,) = await some(1)
        assert "corrected" in reader._keys
        assert reader._shared is not readers[0]._shared
        bench.connection("my_bucket", **AWS)
        (reader,) = await some(1)
        assert reader._shared is readers[0]._shared, "also of waits that begin later"

    monkeypatch.setattr(storage, "connection_in_loop", look_up)
    monkeypatch.setattr(storage, "mask_forms", masked.append)
    asyncio.run(all_of_them())


def test_a_trigger_never_asks_the_supervisor_from_its_event_loop(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Airflow 3.3 masking asks the triggerer's supervisor by `async_to_sync`, which raises in the event loop."""
    request_id = bench.ended()
    told: list[str] = []

    async def supervisor(secret: str) -> None:
        told.append(secret)

    def mask(secret: str) -> None:
        async_to_sync(supervisor)(secret)

    for module in (masking, connection, _masking):
        monkeypatch.setattr(module, "mask_secret", mask)
    PROCESS.tokens.clear()
    trigger = SentinelHubBatchTrigger(
        sentinelhub_conn_id="sentinelhub_default", batch_api=bench.api, request_id=request_id
    )

    assert bench.fire(trigger)["outcome"] == "reached"

    asyncio.run(storage.bucket_reader_in_triggerer("my_bucket", replace(bench.hook.settings, bucket_mount=None)))
    token = PROCESS.tokens_of(bench.hook.settings)._token
    assert token is not None
    keys = bench.hook.get_connection("my_bucket")
    assert {bench.sim.client_secret, token.value, keys.login, keys.password} <= set(told)


@pytest.mark.parametrize("how", ["a message", "in a thread"])
def test_what_airflow_is_asked_is_asked_to_its_end_although_the_asker_is_cancelled(how: str) -> None:
    """Else whoever asks next gets that answer."""

    async def one() -> bool:
        begun, goes_on, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def ask() -> None:
            begun.set()
            await goes_on.wait()
            answered.set()

        asker = asyncio.ensure_future(whole_answer(ask()) if how == "a message" else aside(async_to_sync(ask)))
        await begun.wait()
        asker.cancel()
        await asyncio.wait({asker})
        goes_on.set()
        await asyncio.wait_for(answered.wait(), 5)
        return asker.cancelled()

    assert asyncio.run(one())


@once
@pytest.mark.parametrize("edit", [{"password": ""}, {"host": "aws-mars"}, {"extra": {"timeout": "soon"}}])
def test_a_connection_that_is_half_edited_is_not_taken_for_an_error_of_the_wait(
    bench: Any, edit: dict[str, Any]
) -> None:
    """The secret was refused; whoever enters a new one has not ended. The wait goes on by what it knows."""
    bench.connection("sh", **GOOD)
    hook, loop_hook = SentinelHubHook("sh"), SentinelHubHook("sh")
    before = hook.settings
    assert asyncio.run(loop_hook.async_settings()) == before
    bench.connection("sh", **{**GOOD, **edit})
    assert hook._read_again() == before
    assert asyncio.run(loop_hook._read_again_in_loop()) == before
    for host in (None, "aws-us-west-2"):
        bench.connection("sh", **{**GOOD, "password": f"new-{host}", "host": host})
        for read in (hook._read_again(), asyncio.run(loop_hook._read_again_in_loop())):
            assert read.client_secret == f"new-{host}"
            assert read.place() == before.place(), "what is waited for is where it was"


@once
def test_after_a_refusal_a_connection_is_looked_up_anew_though_it_was_just_now(bench: Any) -> None:
    async def edited() -> str:
        hook = SentinelHubHook("sh")
        await hook.async_settings()
        bench.connection("sh", **{**GOOD, "password": "corrected"})
        return (await hook._read_again_in_loop()).client_secret

    bench.connection("sh", **GOOD)
    assert asyncio.run(edited()) == "corrected"


@once
def test_a_hook_that_was_used_makes_no_calls_there_for_a_request_of_another_deployment(bench: Any) -> None:
    """A 404 there would be taken for a request that was deleted, and another job be paid."""
    hook = bench.hook
    hook.run(exchange(V2.list()))
    elsewhere = hook._at({**hook.settings.place(), "base_url": "http://127.0.0.1:9"})
    with pytest.raises(UnreachableError):
        elsewhere.run(exchange(V2.list(), Patience(backoff=())))
    hook.run(exchange(V2.list()))


@once
@pytest.mark.parametrize("edit", [{"password": ""}, {"host": "aws-mars"}])
def test_a_look_up_that_failed_is_not_kept_for_the_waits_that_begin_after_that(
    bench: Any, edit: dict[str, Any]
) -> None:
    """What is found is kept for a minute: whoever mends the connection meanwhile must not meet its fault again."""

    async def triggerer() -> str:
        bench.connection("sh", **{**GOOD, **edit})
        with pytest.raises(SettingsError):
            await SentinelHubHook("sh").async_settings()
        bench.connection("sh", **GOOD)
        return (await SentinelHubHook("sh").async_settings()).client_secret

    assert asyncio.run(triggerer()) == "a-secret"


@pytest.mark.parametrize("turn", [1, 2])
def test_what_was_masked_in_one_test_is_not_masked_in_the_next(turn: int) -> None:
    assert masking.masked("a blue sea") == "a blue sea"
    for secret in ("b", "blue sea"):
        masking.mask_secret(secret)
    assert masking.masked("a blue sea") != "a blue sea"


def test_a_secret_is_blanked_as_it_stands_in_an_address_too() -> None:
    masking.mask_secret("sl/sh + pl%s")
    for form in ("sl/sh + pl%s", "sl%2Fsh%20%2B%20pl%25s"):
        assert masking.masked(f"before {form} behind") == "before *** behind"


@pytest.mark.parametrize("conn_type", ["aws", "http", "generic", "google_cloud_platform"])
def test_a_connection_of_another_type_is_refused_before_its_secret_is_sent(bench: Any, conn_type: str) -> None:
    bench.connection(
        "sentinelhub_default",
        conn_type=conn_type,
        login=bench.sim.client_id,
        password=bench.sim.client_secret,
        host=bench.sim.url,
        extra={"token_url": bench.sim.auth_url},
    )
    with pytest.raises(SettingsError, match=f"is of type '{conn_type}', not 'sentinelhub'; nothing of it") as caught:
        bench.hook.batch.get_latest_request()
    one_sentence(str(caught.value).replace(". Name", "; name"))
    assert bench.sim.client_secret not in str(caught.value)
    tested, why = bench.hook.test_connection()
    assert not tested
    assert "not 'sentinelhub'" in why
    assert bench.sim.journal() == []


@once
def test_the_button_waits_for_seconds_where_a_task_would_wait_for_minutes(bench: Any) -> None:
    bench.sim.fault("status", "/batch/", status=503, times=None)
    began = bench.clock.now
    good, said = bench.hook.test_connection()
    assert not good
    one_sentence(said)
    assert bench.clock.now - began < 10
