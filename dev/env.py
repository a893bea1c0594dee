"""Make the environments that the Makefile and CI use, from nothing but a Python with venv and pip.

    python3 dev/env.py 3.3            .venv, the newest Airflow, with everything for development
    python3 dev/env.py 2.11           .venv-2.11, with everything for the tests
    python3 dev/env.py constraints    add what pyproject.toml asks for to constraints/; with --upgrade all anew

What is installed is pinned by constraints/, so that an install means the same next year.
A second run finds nothing to do and says nothing.

Whatever python3 a newcomer has runs this file, so it keeps to syntax that old ones can read:
they are told in a sentence, not in a traceback.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
UV = "0.13.9"
UV_FOLDER = ROOT / ".venv-uv"
STAMP = ".airflow-sentinelhub"
COMPILE = """
import compileall, re, sysconfig
seldom = re.compile(r"/site-packages/(.+/)?(sympy|mpmath|networkx|moto/(?!core/|s3/|moto_server/|utilities)|tests?)/")
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0, rx=seldom)
"""
"""A file that is not meant for this Python cannot be compiled, which is no fault: the result is not looked at. Large
packages that others bring along, and that hardly anything of ours imports, are left out: they are a third of all."""


class Flavour(NamedTuple):
    """One Airflow to work with, and the Pythons that it allows.

    `extra`: of the package, several with a comma between them.
    """

    airflow: str
    folder: str
    extra: str
    oldest: Tuple[int, int]
    newest: Tuple[int, int]
    compile_options: Tuple[str, ...] = ()
    also: str = ""

    @property
    def pythons(self) -> str:
        return "{}.{} to {}.{}".format(*self.oldest, *self.newest)


# The engine that the simulator runs scripts in is younger than some Airflows.
ENGINE = "--exclude-newer-package=quickjs-ng=2026-11-01"

FLAVOURS: Dict[str, Flavour] = {
    "3.3": Flavour("3.3.2", ".venv", "dev", (3, 10), (3, 14)),
    # With newer dependencies than those of its time, Airflow 3.0 starts no task at all (fastapi, PyJWT).
    # common-compat is ours to choose: it supports 3.0, and the package is written against its current names.
    "3.0": Flavour(
        "3.0.6",
        ".venv-3.0",
        "test",
        (3, 10),
        (3, 12),
        (
            "--exclude-newer=2025-09-15",
            "--exclude-newer-package=apache-airflow-providers-common-compat=2026-11-01",
            ENGINE,
        ),
        # Without this, a Python that 3.0 does not even know would hold all others back.
        "apache-airflow-providers-common-compat>=1.20; python_version < '3.13'",
    ),
    # As its users have it: with what was there when it was released.
    "3.1": Flavour("3.1.8", ".venv-3.1", "browser,test", (3, 10), (3, 13), ("--exclude-newer=2026-03-31", ENGINE)),
    # The same; with pydantic 2.14 and the fastapi that came later, Airflow 3.2.2 starts no task.
    "3.2": Flavour("3.2.2", ".venv-3.2", "test", (3, 10), (3, 14), ("--exclude-newer=2026-06-15", ENGINE)),
    "2.11": Flavour("2.11.2", ".venv-2.11", "test", (3, 10), (3, 12)),
    # The lower bounds of pyproject.toml, on the oldest Airflow 3, whose official constraints have an old common-compat.
    "oldest": Flavour(
        "3.0.6",
        ".venv-oldest",
        "test",
        (3, 10),
        (3, 12),
        ("--exclude-newer=2025-09-15", ENGINE, "--resolution=lowest-direct"),
    ),
}


class Problem(Exception):
    """Something the user can put right; its text is all that is shown."""


def constraint_file(name: str) -> pathlib.Path:
    return ROOT / "constraints" / f"airflow-{name}.txt"


def check_python(flavour: Flavour, version: Tuple[int, int], executable: str) -> None:
    """Raise Problem unless this Python suits this Airflow."""
    if flavour.oldest <= version <= flavour.newest:
        return
    fault = "old" if version < flavour.oldest else "new"
    raise Problem(
        f"Python {version[0]}.{version[1]} ({executable}) is too {fault} for Airflow {flavour.airflow},"
        f" which needs Python {flavour.pythons}: choose another one, for example with PYTHON=python3.12 behind make."
    )


def check_venv(executable: str) -> None:
    """Raise Problem unless this Python can make virtual environments (Debian ships it without)."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise Problem(
            f"{executable} cannot make virtual environments, it has no module {missing[0]}:"
            " install it (on Debian and Ubuntu: apt-get install python3-venv),"
            " or choose another Python, for example with PYTHON=python3.12 behind make."
        )


def base_python() -> str:
    """The interpreter behind this one, so that an activated environment is not built upon itself."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def digest(name: str) -> str:
    """Everything that an environment is made from."""
    flavour = FLAVOURS[name]
    parts = [repr(flavour), UV, COMPILE, base_python(), sys.version]
    whole = hashlib.sha256("\n".join(parts).encode())
    for file in (ROOT / "pyproject.toml", constraint_file(name)):
        whole.update(file.read_bytes())
    return whole.hexdigest()


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """One calm line: what is being done, and how long it took."""
    sys.stdout.write("  {} ".format(text.ljust(44, ".")))
    sys.stdout.flush()
    started = time.monotonic()
    try:
        yield
    except BaseException:
        sys.stdout.write("failed\n")
        raise
    sys.stdout.write(f"{time.monotonic() - started:.1f} s\n")


def run(*command: Any, **options: Any) -> str:
    """Run quietly; if it fails, show what it said."""
    done = subprocess.run(
        [str(part) for part in command],
        stdin=None if "input" in options else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=options.pop("stderr", subprocess.STDOUT),
        text=True,
        cwd=str(ROOT),
        **options,
    )
    if done.returncode:
        said = ((done.stdout or "") + (done.stderr or "")).rstrip()
        raise Problem(
            f"{said}\n\n{pathlib.Path(str(command[0])).name} ended with {done.returncode}; what it said stands above."
        )
    return str(done.stdout)


def uv() -> pathlib.Path:
    """The path of uv, which is installed into a small environment of its own if need be."""
    program = UV_FOLDER / "bin" / "uv"
    stamp = UV_FOLDER / STAMP
    if program.exists() and stamp.exists() and stamp.read_text() == UV:
        return program
    check_venv(sys.executable)
    with step(f"uv {UV}, which installs the rest"):
        run(sys.executable, "-m", "venv", "--clear", UV_FOLDER)
        run(
            UV_FOLDER / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            f"uv=={UV}",
        )
        stamp.write_text(UV)
    return program


def folder_of(name: str, version: Optional[Tuple[int, int]] = None) -> pathlib.Path:
    """Where the environment of an Airflow is; that of one Python version, if it is one of several side by side."""
    return ROOT / (FLAVOURS[name].folder if version is None else ".venv-{}-py{}.{}".format(name, *version))


def make(name: str, beside: bool = False) -> None:
    """Make or refresh the environment for one Airflow; `beside` those for other Pythons, in a folder of its own."""
    flavour = FLAVOURS[name]
    check_python(flavour, sys.version_info[:2], sys.executable)
    folder = folder_of(name, sys.version_info[:2] if beside else None)
    python = folder / "bin" / "python"
    stamp = folder / STAMP
    wanted = digest(name)
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    print("{}: Airflow {} on Python {}.{}.{}".format(folder.name, flavour.airflow, *sys.version_info[:3]))
    installer = uv()
    if stamp.exists():
        stamp.unlink()
    if not python.exists() or interpreter_of(folder) != "{}.{}.{}".format(*sys.version_info[:3]):
        with step("environment"):
            run(installer, "venv", "--quiet", "--clear", "--python", base_python(), folder)
    with step("packages"):
        run(
            installer,
            "pip",
            "install",
            "--quiet",
            f"--python={python}",
            f"--constraint={constraint_file(name)}",
            f"--editable=.[{flavour.extra}]",
            f"apache-airflow=={flavour.airflow}",
        )
    # Else each process of an Airflow compiles all that it imports, for seconds, wherever PYTHONDONTWRITEBYTECODE is
    # set, as in many images. (uv's --compile-bytecode leaves out what was installed before.)
    with step("bytecode"):
        run(python, "-c", COMPILE)
    stamp.write_text(wanted)


def interpreter_of(folder: pathlib.Path) -> str:
    """The Python version that an environment says it was made for."""
    config = folder / "pyvenv.cfg"
    for line in config.read_text().splitlines() if config.exists() else ():
        key, _, value = line.partition("=")
        if key.strip() in ("version_info", "version"):
            return value.strip()
    return ""


def write_constraints(names: List[str], upgrade: bool) -> None:
    """Resolve for every Python that we support; names and versions only, so that the files hold anywhere.

    What is pinned stays as it is, and only what pyproject.toml now asks for is added, unless `upgrade`.
    """
    installer = uv()
    for name in names:
        flavour = FLAVOURS[name]
        file = constraint_file(name)
        with step(f"constraints for Airflow {flavour.airflow}"):
            run(
                installer,
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--python-version=3.10",
                "--no-header",
                "--no-annotate",
                "--no-emit-package=airflow-sentinelhub",
                *(f"--extra={extra}" for extra in flavour.extra.split(",")),
                f"--output-file={file}",
                *(("--upgrade",) if upgrade else ()),
                *flavour.compile_options,
                "pyproject.toml",
                "-",
                input=f"apache-airflow=={flavour.airflow}\n{flavour.also}\n",
                stderr=subprocess.PIPE,
            )
            pinned = [line for line in file.read_text().splitlines() if not line.startswith("#")]
            title = f"# Written by `make constraints`: Airflow {flavour.airflow}, Python {flavour.pythons}."
            file.write_text("\n".join([title, *pinned]) + "\n")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two makes in one checkout take turns."""
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev/env.py", description="Make or refresh an environment of this checkout.")
    parser.add_argument("what", choices=[*FLAVOURS, "constraints"], help="an Airflow, or the constraint files")
    parser.add_argument("names", nargs="*", metavar="AIRFLOW", help="which constraint files; all of them by default")
    parser.add_argument("--upgrade", action="store_true", help="choose the versions in the constraint files anew")
    parser.add_argument("--beside", action="store_true", help="in a folder named after the Airflow and this Python")
    given = parser.parse_args(arguments)
    what = given.what
    unknown = [name for name in given.names if name not in FLAVOURS or what != "constraints"]
    if unknown:
        parser.error(f"no such Airflow: {', '.join(unknown)}; there are {', '.join(FLAVOURS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with alone():
            if what == "constraints":
                write_constraints(given.names or list(FLAVOURS), given.upgrade)
            else:
                make(what, given.beside)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
