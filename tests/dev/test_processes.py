"""Whatever a program starts is ended with it, and nothing else is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.processes import Process, end, free_ports, members, running, wait_for

# Starts a child that ignores SIGTERM and one in a session of its own, says their ids, then waits for ever.
PARENT = """
import subprocess, sys, signal
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
command = [sys.executable, "-c", stubborn]
children = [subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=new) for new in (False, True)]
for child in children:
    child.stdout.readline()
print('{"children": [%d, %d]}' % tuple(child.pid for child in children), flush=True)
signal.pause()
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Process]:
    process = Process("parent", [sys.executable, "-c", PARENT], env=os.environ, log=tmp_path / "log")
    yield process
    process.end(grace=0)


def alive(pid: int) -> bool:
    return pid in running()


def test_everything_that_it_started_is_ended(parent: Process) -> None:
    children = parent.first_json()["children"]
    assert set(children) <= set(parent.members())

    parent.end(grace=1)

    assert not any(alive(pid) for pid in [parent.pid, *children])


def test_a_child_that_lost_its_parent_is_found_by_its_session(parent: Process) -> None:
    same_session, own_session = parent.first_json()["children"]
    parent.kill()
    assert alive(same_session)
    assert alive(own_session)
    assert parent.exit_code == -signal.SIGKILL

    parent.end()

    assert not alive(same_session)
    assert not alive(own_session)


def test_nothing_else_is_ended(parent: Process, tmp_path: Path) -> None:
    parent.first_json()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as bystander:
        parent.end(grace=1)
        assert bystander.poll() is None
        bystander.kill()


def test_several_are_ended_at_once(tmp_path: Path) -> None:
    processes = [
        Process(str(n), [sys.executable, "-c", PARENT], env=os.environ, log=tmp_path / str(n)) for n in range(3)
    ]
    for process in processes:
        process.first_json()
    end(processes, grace=1)
    assert members({process.pid for process in processes}) == []
    assert {process.exit_code for process in processes} == {-signal.SIGTERM}


def test_output_is_that_of_the_last_start(tmp_path: Path) -> None:
    for word in ("one", "two"):
        process = Process("echo", [sys.executable, "-c", f"print('{word}')"], env=os.environ, log=tmp_path / "log")
        assert process.wait(10) == 0
        assert process.output() == f"{word}\n"


def test_a_program_that_does_not_come_up_is_shown_with_what_it_said(tmp_path: Path) -> None:
    process = Process(
        "lamp", [sys.executable, "-c", "raise SystemExit('no oil')"], env=os.environ, log=tmp_path / "log"
    )
    with pytest.raises(RuntimeError, match=r"(?s)lamp did not say that it is ready.*no oil"):
        process.first_json(timeout=10)


def test_ports_are_free_and_differ() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_waiting_gives_up_when_the_time_is_over() -> None:
    started = time.monotonic()
    assert wait_for(lambda: None, timeout=0.3, every=0.05) is None
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_ended_by_hand_ends_what_it_started(number: int, tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM unwind the script's `with` blocks."""
    script = """
import contextlib, os, pathlib, signal, sys
from dev.processes import Process, end_on_sigterm
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
end_on_sigterm()
command = [sys.executable, "-c", "import signal; signal.pause()"]
child = Process("child", command, env=os.environ, log=pathlib.Path(sys.argv[1]))
with contextlib.ExitStack() as stack:
    stack.callback(child.end)
    print(child.pid, flush=True)
    signal.pause()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as running_script:
        assert running_script.stdout is not None
        child = int(running_script.stdout.readline())
        assert alive(child)
        running_script.send_signal(number)
        running_script.wait(20)
    assert not alive(child)
    assert running_script.returncode == (143 if number == signal.SIGTERM else -signal.SIGINT)
