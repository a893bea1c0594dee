"""The shape of the code: imports go one way, nothing imports itself by a detour, nothing exists twice."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from airflow_sentinelhub.api.service.generations import NAMES
from airflow_sentinelhub.api.statuses import BatchRequestStatus, BatchTileStatus, BatchUserAction

PACKAGE = Path(__file__).resolve().parent.parent / "airflow_sentinelhub"
FILES = sorted(PACKAGE.rglob("*.py"))
OURS = "airflow_sentinelhub"

# Layer -> what it may import of the package, besides its own folder. Type-checking imports count like all others.
LAYERS: dict[str, set[str]] = {
    # The reading of the user's evalscript, for the simulator's price and for the provider's: knows no service.
    "evalscripts": set(),
    # The tiling grids as facts, for the simulator and for the preview of a job: knows no other code of ours.
    "grids": set(),
    "simulator": {"evalscripts", "grids"},
    "redaction": set(),
    "exceptions": {"redaction"},
    "provider": {"_version"},
    "_compat": set(),
    "_types": {"_compat"},
    "api": {
        "evalscripts",
        "exceptions",
        "redaction",
        "shapes",
    },  # shapes: only in functions that run with a task, and loads its libraries there
    "api.decide": {"exceptions", "api", "api.estimate"},
    "api.service": {"exceptions", "api"},
    "api.estimate": {"exceptions", "api", "api.service"},
    "api.flows": {"exceptions", "api", "api.decide", "api.service", "api.estimate"},
    "_version": set(),
    "shapes": {"exceptions"},
    "preview": {"exceptions", "redaction", "api", "evalscripts", "grids", "maps", "results", "shapes"},
    "results": {"exceptions", "api"},
    "transport": {"exceptions", "api", "_version"},
    "hooks": {
        "preview",
        "exceptions",
        "redaction",
        "api",
        "transport",
        "results",
        "provider",
        "maps",
        "_compat",
        "_identity",
        "_types",
        "evalscripts",
    },
    "maps": {"exceptions", "api"},
    "links": {"_compat"},
    "assets": {"_compat"},
    "lineage": {"_compat"},
    "cancel": {"exceptions", "api", "transport", "hooks", "_compat"},
    "_identity": {"api", "_compat", "exceptions"},
    "kept_progress": {"api", "_compat", "transport"},
    "_deadline": set(),
    "_task_arguments": {"exceptions", "api", "_compat", "_types"},
    "_task": {"exceptions", "api", "hooks", "links", "_compat", "_identity", "_task_arguments", "kept_progress"},
    "triggers": {
        "_types",
        "exceptions",
        "api",
        "hooks",
        "results",
        "_compat",
        "_identity",
        "cancel",
        "kept_progress",
        "transport",
    },
    "operators": {
        "preview",
        "redaction",
        "exceptions",
        "api",
        "hooks",
        "results",
        "assets",
        "lineage",
        "links",
        "triggers",
        "_compat",
        "cancel",
        "_task",
        "_task_arguments",
        "_deadline",
        "_identity",
        "_types",
    },
    "sensors": {
        "operators",
        "exceptions",
        "api",
        "hooks",
        "results",
        "links",
        "triggers",
        "_compat",
        "_task",
        "_task_arguments",
        "_deadline",
        "_identity",
        "_types",
    },
    "groups": {"exceptions", "operators", "_compat", "_types"},
    "cli": {
        "_version",
        "exceptions",
        "redaction",
        "api",
        "hooks",
        "operators",
        "preview",
        "results",
        "simulator",
        "grids",
        "_compat",
        "_identity",
    },
    "__main__": {"cli"},
    "web": {
        "exceptions",
        "redaction",
        "api",
        "hooks",
        "results",
        "transport",
        "_compat",
        "_task",
        "_version",
        "kept_progress",
    },
    "": {"_version", "api", "exceptions", "hooks", "groups"},
}
# Libraries beside the standard one and the package itself.
LIBRARIES: dict[str, set[str]] = {
    "grids": {"pyproj", "shapely", "numpy"},  # of the extras `areas` and `simulator`
    "simulator": {"starlette", "uvicorn", "pyproj", "shapely", "numpy", "boto3", "botocore", "pytest"},
    "evalscripts": {"quickjs"},  # of the extra `simulator`: an installation may lack it
    "transport": {"oauthlib", "httpx", "certifi"},
    "shapes": {"shapely", "pyogrio", "pyarrow"},  # of the extra `areas`: an installation may lack them
    "preview": {"pyproj", "shapely"},  # of the extra `preview`; loaded when it runs
    "results": {"boto3", "botocore", "fsspec"},
    "maps": {"resvg_py"},  # of the extra `png`: an installation may lack it
    "hooks": {"dataclasses_json", "flask_appbuilder", "wtforms"},
    "_compat": {"airflow", "asgiref", "pendulum"},
    "_types": {"typing_extensions"},  # on Python 3.10, whose typing lacks a word
    "web": {"fastapi", "starlette"},
    "lineage": {"attrs"},  # of the OpenLineage provider, whose listener alone needs it
}


@cache
def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file, which all tests share: none changes it."""
    return ast.parse(file.read_text())


@cache
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


def layer_of(name: str) -> str:
    """The layer of a module by its name within the package: its first part; in `api` the folder."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "api" and ".".join(parts[:2]) in LAYERS else parts[0]


def allowed_for(layer: str) -> set[str]:
    """The layers that this one may import; whoever may use `api` may use all of it."""
    allowed = LAYERS[layer] | {layer}
    if "api" in allowed and not layer.startswith("api"):
        allowed |= {other for other in LAYERS if other.startswith("api.")}
    return allowed


def module_of(file: Path) -> str:
    parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(package: str, name: str) -> bool:
    """Whether `from package import name` imports a module of this package."""
    folder = PACKAGE.joinpath(*package.split(".")[1:])
    return package.startswith(OURS) and ((folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file())


def imports(file: Path) -> Iterator[tuple[str, int]]:
    """The modules that a file imports anywhere in it, absolute, with the line."""
    package = module_of(file).split(".") if file.name == "__init__.py" else module_of(file).split(".")[:-1]
    for node in nodes_of(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = ".".join([OURS, *package[: len(package) - node.level + 1]])
                members = [node.module] if node.module else [alias.name for alias in node.names]
                yield from ((f"{base}.{name}", node.lineno) for name in members)
            elif node.module == OURS:
                names = {alias.name for alias in node.names}
                yield from ((f"{OURS}.{name}" if name != "__version__" else OURS, node.lineno) for name in names)
            elif node.module:
                yield from (
                    (f"{node.module}.{alias.name}" if is_module(node.module, alias.name) else node.module, node.lineno)
                    for alias in node.names
                )


def test_imports_go_one_way() -> None:
    wrong = [
        f"{module_of(file)}, line {line}: {name}"
        for file in FILES
        for name, line in imports(file)
        if (name == OURS or name.startswith(f"{OURS}."))
        and layer_of(name[len(OURS) + 1 :]) not in allowed_for(layer_of(module_of(file)))
    ]
    assert not wrong
    assert {layer_of(module_of(file)) for file in FILES} <= set(LAYERS)


def test_libraries_stay_in_their_layer() -> None:
    wrong = []
    for file in FILES:
        known = set(sys.stdlib_module_names) | {OURS, "__future__"} | LIBRARIES.get(layer_of(module_of(file)), set())
        found = [(name, line) for name, line in imports(file) if name.split(".")[0] not in known]
        wrong += [f"{module_of(file)}, line {line}: {name}" for name, line in found]
    assert not wrong


def test_the_http_library_is_imported_once() -> None:
    """Worker and triggerer are one client."""
    users = {
        library: sorted(
            module_of(file) for file in FILES if any(name.split(".")[0] == library for name, _ in imports(file))
        )
        for library in ("requests", "httpx")
    }
    assert users == {"requests": [], "httpx": ["transport.client"]}


COMPAT = "airflow.providers.common.compat"
SINCE_THE_OLDEST = (COMPAT, f"{COMPAT}.version_compat")
"""Of the common-compat provider, what 1.7 has, which the official constraints of Airflow 3.0 pin."""


def unguarded(node: ast.AST) -> Iterator[tuple[str, int]]:
    """What is imported of common-compat where no ImportError is caught, for type checkers or newer versions alone."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(COMPAT):
        yield from ((node.module or "", node.lineno) for _ in node.names)
    elif isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names if alias.name.startswith(COMPAT))
    caught = isinstance(node, ast.Try) and any(
        "ImportError" in ast.unparse(each.type or node) for each in node.handlers
    )
    typing = isinstance(node, ast.If) and ast.unparse(node.test).startswith("TYPE_CHECKING")
    passed_over = node.body if isinstance(node, (ast.Try, ast.If)) and (caught or typing) else []
    for child in ast.iter_child_nodes(node):
        if child not in passed_over:
            yield from unguarded(child)


def test_common_compat_may_be_an_old_one() -> None:
    """Neither the package nor an example asks for a name that Airflow 3.0's official constraints do not bring."""
    root = PACKAGE.parent
    texts = {str(file.relative_to(root)): file.read_text() for file in [*FILES, *root.glob("example_dags/*.py")]}
    texts |= {str(file.relative_to(root)): file.read_text() for file in root.glob("docs/snippets/*.py")}
    for page in (root / "README.md", *root.glob("docs/**/*.md")):
        assert COMPAT not in page.read_text(), f"{page}: its DAGs could not be read there"
    wrong = [
        f"{name}, line {line}: {module}"
        for name, text in texts.items()
        for module, line in unguarded(ast.parse(text))
        if module not in SINCE_THE_OLDEST
    ]
    assert not wrong


def test_the_test_of_common_compat_can_fail() -> None:
    line = f"from {COMPAT}.sdk import DAG"
    guarded = f"try:\n    {line}\nexcept ImportError:\n    pass\nif TYPE_CHECKING:\n    {line}\n"
    wrong = f"def dags():\n    {line}\ntry:\n    {line}\nexcept KeyError:\n    pass\nelse:\n    import {COMPAT}.sdk\n"
    assert [number for _, number in unguarded(ast.parse(guarded))] == []
    assert [number for _, number in unguarded(ast.parse(wrong))] == [2, 4, 8]


PRIVATE_OF_AIRFLOW = ("_link_", "__fail__", "SUPERVISOR_COMMS", "_orig_start_date", "secrets_masker")


def test_each_private_name_of_airflow_stands_in_one_file() -> None:
    found = {
        (module_of(file), name)
        for file in FILES
        if any(name in file.read_text() for name in PRIVATE_OF_AIRFLOW)
        for code in [ast.unparse(tree_of(file))]  # without comments
        for name in PRIVATE_OF_AIRFLOW
        if name in code
    }
    assert {layer_of(module) for module, _ in found} == {"_compat"}
    assert sorted(name for _, name in found) == sorted(PRIVATE_OF_AIRFLOW)


def own_names(tree: ast.AST) -> Iterator[str]:
    """The names that a file defines. An annotation alone, which is how a mixin declares what others have, is none."""
    declared = {
        node.target
        for cls in nodes_of(tree)
        if isinstance(cls, ast.ClassDef) and not cls.decorator_list
        for node in cls.body
        if isinstance(node, ast.AnnAssign) and node.value is None
    }
    for node in nodes_of(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node not in declared:
            yield node.id


def private_of_others(trees: dict[str, ast.AST]) -> set[tuple[str, str]]:
    """Private members that are used and that none of the files defines; of enums, `_value_` is public."""
    ours = {name for tree in trees.values() for name in own_names(tree)}
    return {
        (module, node.attr)
        for module, tree in trees.items()
        for node in nodes_of(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_")
        if node.attr not in ours
    }


SHARED = {("_compat.tasks", "_test_runs")}
"""What a process shares beside `transport.process.PROCESS`: `_compat` may not import it, and only 2.11 needs this."""
CHANGES = ("add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "setdefault", "update")


def changed_globals(tree: ast.Module) -> set[str]:
    """The names of a module that its functions bind anew, or whose content they change."""
    own = {
        target.id
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    changed: set[str] = set()
    for function in (node for node in nodes_of(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
        local = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Global):
                changed |= set(node.names)
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                changed |= {node.value.id} - local if isinstance(node.value, ast.Name) else set()
            elif isinstance(node, ast.Attribute) and node.attr in CHANGES and isinstance(node.value, ast.Name):
                changed |= {node.value.id} - local
    return changed & own


def test_what_a_process_shares_stands_in_one_object() -> None:
    """What is remembered elsewhere outlives a closed event loop, a rotated secret and a fork without a word on it."""
    found = {
        (module_of(file), name)
        for file in FILES
        if layer_of(module_of(file)) != "simulator"
        for name in changed_globals(tree_of(file))
    }
    assert found == SHARED


def test_the_test_of_shared_things_can_fail() -> None:
    begin = "a = {}\nb: set = set()\nc = 0\nd = {}\ndef f(k):\n"
    code = "    global c\n    a[k] = 1\n    b.add(k)\n    e = []\n    e.append(a)\n    return d[k]\n"
    assert changed_globals(ast.parse(begin + code)) == {"a", "b", "c"}


def test_no_private_member_of_airflow_is_used_elsewhere() -> None:
    trees: dict[str, ast.AST] = {module_of(file): tree_of(file) for file in FILES}
    assert {(module, name) for module, name in private_of_others(trees) if layer_of(module) != "_compat"} == set()


def test_the_test_of_private_members_can_fail() -> None:
    mixin = "class Mixin:\n    _theirs: int\n    def ours(self):\n        self._ours = self._theirs\n"
    assert private_of_others({"a": ast.parse(mixin), "b": ast.parse("task._ours")}) == {("a", "_theirs")}


def compared(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The words that a file compares something with, and the lines."""
    for node in nodes_of(tree):
        if isinstance(node, (ast.Compare, ast.MatchValue)):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, part.lineno


def test_what_a_generation_is_called_decides_nothing_outside_its_description() -> None:
    wrong = [
        f"{module_of(file)}, line {line}: {word}"
        for file in FILES
        if layer_of(module_of(file)) not in ("simulator", "api.service")
        for word, line in compared(tree_of(file))
        if word in NAMES
    ]
    assert wrong == []


def asked_for(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that a file calls `generation` with, and the lines."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "generation":
            subscripts = [each for part in ast.walk(node) if isinstance(part, ast.Subscript) for each in ast.walk(part)]
            for part in (part for given in node.args for part in ast.walk(given) if part not in subscripts):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value, part.lineno


def test_no_kind_of_job_is_asked_for_by_its_name_outside_its_description() -> None:
    """It comes from the request, the specification, the operator or the connection."""
    wrong = [
        f"{module_of(file)}, line {line}: {word}"
        for file in FILES
        if layer_of(module_of(file)) not in ("simulator", "api.service")
        for word, line in asked_for(tree_of(file))
    ]
    assert wrong == []


def test_the_test_of_asked_names_can_fail() -> None:
    code = "hook.generation('statistical' if features else batch_api), generation('v1'), generation(state['batch_api'])"
    assert [word for word, _ in asked_for(ast.parse(code))] == ["statistical", "v1"]


def listed(tree: ast.AST) -> Iterator[tuple[set[str], int]]:
    """The words of each tuple, list or set of words, and the lines."""
    for node in nodes_of(tree):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            yield {item.value for item in node.elts if isinstance(item, ast.Constant) and item.value}, node.lineno


def test_generations_are_listed_in_their_description_alone() -> None:
    """A list of them elsewhere would be one of yesterday once there is another kind of job."""
    wrong = [
        f"{module_of(file)}, line {line}"
        for file in FILES
        if layer_of(module_of(file)) not in ("simulator", "api.service")
        for words, line in listed(tree_of(file))
        if words.issuperset(NAMES)
    ]
    assert wrong == []


def test_the_test_of_listed_words_can_fail() -> None:
    assert list(listed(ast.parse("choices = ['v1', 'v2', 3]"))) == [({"v1", "v2", 3}, 1)]


def test_operators_sensors_and_triggers_decide_nothing_by_a_status() -> None:
    """Flows may act on a status, and then name it by its member, which whoever looks for the status finds."""
    words = {status.value for kind in (BatchRequestStatus, BatchTileStatus, BatchUserAction) for status in kind} - {
        "NONE"
    }
    wrong = [
        f"{module_of(file)}, line {line}: {word}"
        for file in FILES
        if layer_of(module_of(file)) in ("operators", "sensors", "triggers", "groups", "cancel", "_task", "api.flows")
        for word, line in compared(tree_of(file))
        if word in words
    ]
    assert wrong == []


STATUSES = "airflow_sentinelhub.api.statuses"


def members_of_statuses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The members of statuses that a file names, such as `BatchRequestStatus.DONE` or `S.DONE`, and the lines."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == STATUSES]
    kinds = {alias.asname or alias.name for node in imports for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in kinds:
            yield node.attr, node.lineno


def test_operators_sensors_and_triggers_name_no_status_by_its_member_either() -> None:
    wrong = [
        f"{module_of(file)}, line {line}: {word}"
        for file in FILES
        if layer_of(module_of(file)) in ("operators", "sensors", "triggers", "groups", "cancel", "_task")
        for word, line in members_of_statuses(tree_of(file))
        if word in BatchRequestStatus.__members__
    ]
    assert wrong == []


def test_the_test_of_members_can_fail() -> None:
    code = f"from {STATUSES} import BatchRequestStatus as S\nover = job.status == S.DONE"
    assert [word for word, _ in members_of_statuses(ast.parse(code))] == ["DONE"]


def test_the_test_of_compared_words_can_fail() -> None:
    code = "if job.status in ('DONE', 'PARTIAL') or api.name == 'v1': pass"
    assert sorted(word for word, _ in compared(ast.parse(code))) == ["DONE", "PARTIAL", "v1"]


def public_names(file: Path) -> Iterator[str]:
    """Functions, classes and methods that users can see."""
    for node in nodes_of(tree_of(file)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name


def plain(name: str) -> str | None:
    """The name that this one would be the asynchronous twin of, None if it is none."""
    for prefix in ("async_", "a_", "Async"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    for suffix in ("_async", "Async"):
        if name.endswith(suffix):
            return name[: -len(suffix)]
    return name[1:] if name.startswith("a") else None


SAME_NAMES = {"Json", "Point", "Ring", "Sizes", "RequestSpec"}
"""Types that mean the same wherever they stand; `RequestSpec` is what each client takes for a request."""


def class_names(tree: ast.AST) -> set[str]:
    """The classes of a file, and the types that it gives a name."""
    classes = {node.name for node in nodes_of(tree) if isinstance(node, ast.ClassDef)}
    assigned = {
        target.id
        for node in ast.iter_child_nodes(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.BinOp, ast.Subscript))
        for target in node.targets
        if isinstance(target, ast.Name) and re.fullmatch("[A-Z][a-z][A-Za-z]*", target.id)
    }
    return classes | assigned


def test_a_class_has_a_name_of_its_own() -> None:
    """Two of one name are two meanings of one word. The simulator is another program, with its own words."""
    homes: dict[str, list[str]] = {}
    for file in FILES:
        if layer_of(module_of(file)) != "simulator":
            for name in class_names(tree_of(file)):
                homes.setdefault(name, []).append(module_of(file))
    assert {name: modules for name, modules in homes.items() if len(modules) > 1 and name not in SAME_NAMES} == {}


def test_the_test_of_class_names_can_fail() -> None:
    code = "class A:\n    pass\nStep = A | int\nMany = list[A]\nNUMBER = 3 | 4\n"
    assert class_names(ast.parse(code)) == {"A", "Step", "Many"}


def test_nothing_public_exists_in_a_sync_and_an_async_form() -> None:
    """But the drivers (`SyncDriver`, `AsyncDriver`) and how the hook hands them out."""
    allowed = {("async_driver", "driver"), ("async_settings", "settings")}
    names = {name for file in FILES if layer_of(module_of(file)) != "simulator" for name in public_names(file)}
    twins = {(name, other) for name in names if (other := plain(name)) and other in names}
    assert twins <= allowed


def test_the_twin_test_can_fail() -> None:
    assert [plain(name) for name in ("get_run_async", "aget_run", "a_get_run", "async_driver", "HookAsync")] == [
        "get_run",
        "get_run",
        "get_run",
        "driver",
        "Hook",
    ]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The modules that import each other, directly or by way of others."""
    reach = {name: set(after) for name, after in graph.items()}
    for middle in reach:
        for name in reach:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    groups = {frozenset(other for other in reach if other in reach[name] and name in reach[other]) for name in reach}
    return sorted(sorted(group) for group in groups if group)


def test_no_modules_import_each_other() -> None:
    """Imports inside functions and for type checking count: a reader follows them too."""
    modules = {module_of(file): file for file in FILES}
    graph: dict[str, set[str]] = {}
    for name, file in modules.items():
        known = {target[len(OURS) + 1 :] for target, _ in imports(file) if target.startswith(OURS)}
        graph[name] = {target for target in known if target in modules and target != name}
    assert circles(graph) == []


def test_the_circle_test_can_fail() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


SECOND_FIELD = re.compile(r"\S[ \t]+:(param [\w, ]+|returns|raises \w+):")


def test_each_argument_has_a_line_of_its_own_in_docstrings() -> None:
    """`help()` and the site would show it as a part of the text of another one."""
    found = [
        f"{path.relative_to(PACKAGE)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if SECOND_FIELD.search(line)
    ]
    assert found == []


def test_the_test_of_docstrings_can_fail() -> None:
    assert SECOND_FIELD.search("    :param first: number; :param second: number.")
    assert not SECOND_FIELD.search("    :param first: number, as `:param` says.")


def readers_of_time(tree: ast.AST) -> Iterator[int]:
    """The lines in which Python itself reads a time from a text."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("fromisoformat", "strptime"):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id != "date":
                yield node.lineno


def test_texts_of_others_are_times_on_each_python_or_on_none() -> None:
    """`datetime.fromisoformat` reads more from Python 3.11 on: `.5Z`, `+0200`, dates by the week."""
    own = {"api.decoding", "_identity"}  # the first knows what 3.10 cannot read, the second reads what it has written
    assert {module_of(file) for file in FILES if list(readers_of_time(tree_of(file)))} == own


def test_the_test_of_times_can_fail() -> None:
    assert list(readers_of_time(ast.parse("datetime.fromisoformat(a)\ndate.fromisoformat(a)"))) == [1]
