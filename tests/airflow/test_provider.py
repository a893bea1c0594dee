"""What Airflow's provider discovery learns, on every version."""

from __future__ import annotations

import inspect
import json
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

from airflow_sentinelhub import __version__
from airflow_sentinelhub._compat import BaseEventTrigger, BaseHook, BaseOperatorLink, BaseTrigger
from airflow_sentinelhub.provider import get_provider_info
from airflow_sentinelhub.transport.settings import EXTRAS, settings_from

try:
    from airflow.sdk._shared.module_loading import import_string
except ImportError:  # 2.11, 3.0
    from airflow.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def info() -> dict[str, Any]:
    return get_provider_info()


def test_airflow_accepts_it(info: dict[str, Any]) -> None:
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())

    jsonschema.validate(info, schema)

    assert json.loads(json.dumps(info)) == info
    assert info["versions"] == [__version__]


def test_it_is_an_entry_point_of_the_distribution(info: dict[str, Any]) -> None:
    found = [
        point
        for point in entry_points(group="apache_airflow_provider")
        if point.value.startswith("airflow_sentinelhub")
    ]
    if not found:
        pytest.skip("the package runs from its folder, without being installed")
    assert found[0].load()() == info


def test_what_it_names_can_be_imported(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    hook = import_string(connection["hook-class-name"])
    assert issubclass(hook, BaseHook)
    assert (hook.conn_type, hook.hook_name) == (connection["connection-type"], connection["hook-name"])
    assert {"test_connection", "get_conn"} <= set(dir(hook))
    for path in info["extra-links"]:
        assert issubclass(import_string(path), BaseOperatorLink)
    for group in info["triggers"]:
        for name in group["python-modules"]:
            if not offered(name):
                continue
            classes = [item for item in vars(import_module(name)).values() if inspect.isclass(item)]
            # Python 3.10 takes an imported `Generator[...]` for a class, which `issubclass` then refuses.
            assert any(item.__module__ == name and issubclass(item, BaseTrigger) for item in classes)


@pytest.mark.parametrize("kind", ["operators", "sensors", "hooks", "triggers"])
def test_the_modules_of_each_kind_are_named(info: dict[str, Any], kind: str) -> None:
    """All public modules from which users take a class of the kind, and no others."""
    names = {"operators": "Operator", "sensors": "Sensor", "hooks": "Hook", "triggers": "Trigger"}
    files = (ROOT / "airflow_sentinelhub" / kind).glob("[a-z]*.py")
    modules = [name for file in files if offered(name := f"airflow_sentinelhub.{kind}.{file.stem}")]
    public = {name for name in modules if classes_of(name, names[kind])}
    (group,) = info[kind]
    (integration,) = info["integrations"]
    named = set(filter(offered, group["python-modules"]))
    assert group["integration-name"] == integration["integration-name"]
    assert named <= public
    # The others hold parts, which a named module exports.
    classes = {item for name in public for item in classes_of(name, names[kind])}
    assert classes == {item for name in named for item in classes_of(name, names[kind])}


def offered(module: str) -> bool:
    """Whether this Airflow has a use for a module: 2.11 has no watchers, and theirs say so when they are imported."""
    if BaseEventTrigger is not None or not module.endswith(("triggers.watchers", "triggers.imagery")):
        return True
    with pytest.raises(ImportError, match=r"Watchers need Airflow 3\.0 or later"):
        import_module(module)
    return False


def classes_of(module: str, ending: str) -> set[type]:
    return {
        item
        for name, item in vars(import_module(module)).items()
        if inspect.isclass(item) and name.startswith("SentinelHub") and name.endswith(ending)
    }


def test_guides_and_logo_are_files_of_the_source(info: dict[str, Any]) -> None:
    (integration,) = info["integrations"]
    for path in [*integration["how-to-guide"], integration["logo"]]:
        assert path.startswith("/docs/")
        assert (ROOT / path.lstrip("/")).is_file()


def test_every_link_and_trigger_of_the_package_is_named(info: dict[str, Any], operator_classes: list[type]) -> None:
    """Airflow 2.11 drops all links of a task that has one which no provider names."""
    links = {type(link) for cls in operator_classes for link in cls.operator_extra_links}
    assert links
    assert {f"{link.__module__}.{link.__qualname__}" for link in links} == set(info["extra-links"])


def test_the_form_of_new_airflow_asks_for_what_a_connection_can_hold(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    fields = connection["conn-fields"]
    assert tuple(fields) == EXTRAS
    for name, field in fields.items():
        assert set(field) == {"label", "description", "schema"}, name
        assert "null" in field["schema"]["type"], "every extra field is optional"
    assert fields["batch_api"]["schema"]["enum"] == ["v2", "v1"]
    offered = {name: field["schema"].get("default") for name, field in fields.items()}
    plain = {"conn_id": "x", "login": "id", "password": "secret", "host": None}
    assert settings_from(**plain, extra=offered) == settings_from(**plain), "a form saved as it is changes nothing"
    behaviour = connection["ui-field-behaviour"]
    assert not {"login", "password", "host", "port", "extra"} & set(behaviour["hidden-fields"]), "all these are read"
    assert set(behaviour["placeholders"]) == {"host", "port"}, "without one of port the button Test of 3.3 refuses"
    assert behaviour["relabeling"] == {"login": "Client id", "password": "Client secret", "host": "Deployment"}


def test_the_form_of_older_airflow_says_the_same(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    hook = import_string(connection["hook-class-name"])
    behaviour = hook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert behaviour["relabeling"] == connection["ui-field-behaviour"]["relabeling"]


@pytest.mark.skipif(find_spec("flask_appbuilder") is None, reason="Airflow 3 has no flask_appbuilder of its own")
def test_the_widgets_of_older_airflow(info: dict[str, Any]) -> None:
    (connection,) = info["connection-types"]
    assert set(import_string(connection["hook-class-name"]).get_connection_form_widgets()) == set(EXTRAS)


def test_configuration_has_a_default_and_a_description(info: dict[str, Any]) -> None:
    for section in info["config"].values():
        for name, option in section["options"].items():
            assert {"description", "version_added", "type", "example", "default"} <= set(option), name
