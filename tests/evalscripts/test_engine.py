"""Scripts that go wrong: what is said of them, and that none of them takes time, memory or the process."""

from __future__ import annotations

import os
import threading

import pytest

from airflow_sentinelhub.evalscripts import read_setup
from airflow_sentinelhub.simulator import evalscript

PIXEL = "function evaluatePixel(s) { return [1]; }\n"
HEAD = f"//VERSION=3\n{PIXEL}"  # what follows begins in line 3
GOOD = 'input: ["B04"], output: {bands: 1}'


def returning(value: str) -> str:
    return f"{HEAD}function setup() {{ return {value}; }}"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (PIXEL, "The evalscript must start with //VERSION=3."),
        ("", "The evalscript must start with //VERSION=3."),
        ("//VERSION=2\n" + PIXEL, "The evalscript must start with //VERSION=3."),
        (HEAD, "The function setup is not defined."),
        (HEAD + "const setup = {};", "The function setup is not defined."),
        ("//VERSION=3\nfunction setup() { return {}; }", "The function evaluatePixel is not defined."),
        (returning("{;}]"), "evalscript.js: SyntaxError: Unexpected token ] in line 3"),
        (returning("{}") + "}", "evalscript.js: SyntaxError: Unexpected token } in line 3"),
        (HEAD + "const setup = (;", "evalscript.js: SyntaxError: Unexpected end of input, ( is never closed"),
        (HEAD + "let a = 1;\nlet a = 2;", "evalscript.js:4: SyntaxError: "),
        (HEAD + "let 1a = 1;", "evalscript.js:3: SyntaxError: "),
        (HEAD + "function setup() {\n  throw new Error('no bands');\n}", "evalscript.js:4: Error: no bands"),
        (
            HEAD + "function bands() {\n  throw new TypeError('a');\n}\nfunction setup() { return bands(); }",
            ":4: TypeError: a",
        ),
        (HEAD + "function setup() { throw 'text'; }", "evalscript.js: text"),
        (HEAD + "function setup() { return BANDS; }", "evalscript.js:3: ReferenceError: BANDS is not defined"),
        (HEAD + "function setup() { return null.x; }", "evalscript.js:3: TypeError: "),
        (HEAD + "\n\nundefinedAtTheTop();\nfunction setup() { return {}; }", "evalscript.js:5: ReferenceError: "),
        (HEAD + "function setup() { return x; }\nconst x = y;", "ReferenceError: y is not defined"),
        (returning("7"), "setup() does not return an object."),
        (returning("['B04']"), "setup() does not return an object."),
        (returning("{input: 7}"), "The input of setup() is neither an object nor a list."),
        (returning("{input: [7]}"), "An entry in the input of setup() is no object."),
        (returning("{input: [['B04']]}"), "An entry in the input of setup() is no object."),
        (returning("{input: [{bands: 3}]}"), "The bands in the input of setup() are no list of names."),
        (returning("{input: [{bands: []}]}"), "The bands in the input of setup() are no list of names."),
        (
            returning("{input: [{bands: ['B04', undefined]}]}"),
            "The bands in the input of setup() are no list of names.",
        ),
        (returning("{input: [{bands: ['B04'], datasource: 1}]}"), "A datasource in the input of setup() is no text."),
        (returning("{output: 'default'}"), "The output of setup() is neither an object nor a list."),
        (returning("{output: {}}"), "The bands in the output of setup() are no whole number."),
        (returning("{output: {bands: 0}}"), "An output of setup() has 0 bands."),
        (returning("{output: {bands: -1}}"), "An output of setup() has -1 bands."),
        (returning("{output: {bands: 1e300}}"), "An output of setup() has 1"),
        (returning("{output: {bands: 1.5}}"), "The bands in the output of setup() are no whole number."),
        (returning("{output: {bands: 0 / 0}}"), "The bands in the output of setup() are no whole number."),
        (returning("{output: {bands: 1 / 0}}"), "The bands in the output of setup() are no whole number."),
        (returning("{output: {bands: 1, id: {}}}"), "An id in the output of setup() is no text."),
        (returning("{output: {bands: 1, sampleType: 8}}"), "A sampleType in the output of setup() is no text."),
        (returning(f"{{{GOOD}, mosaicking: 'ORBITS'}}"), "The mosaicking of setup() is none of SIMPLE, ORBIT, TILE."),
        (returning("{output: {bands: 10n}}"), "setup() returns what is no plain data: "),
        (returning("Promise.resolve({input: ['B04']})"), "setup() does not return an object."),
        (returning("{input: ['B04']}").replace("function setup", "async function setup"), "does not return an object."),
    ],
)
def test_what_is_said_of_a_wrong_script(script: str, said: str) -> None:
    setup = read_setup(script)
    assert said in str(setup.problem)
    assert "\n" not in str(setup.problem)
    assert evalscript.problem(script, ()) == f"Failed to evaluate script! {setup.problem}"


def test_a_problem_that_the_engine_found_is_certain_and_the_rest_a_guess_from_the_text() -> None:
    setup = read_setup(HEAD + "function setup() { check(); return {input: ['B04', 'B08'], output: {bands: 2}}; }")
    assert "check is not defined" in str(setup.problem)
    assert setup.exact
    assert setup.inputs[0].bands == ("B04", "B08")


@pytest.mark.parametrize("value", ["{}", "undefined", f"{{{GOOD}}}", "{input: [], output: []}"])
def test_what_is_left_out_is_no_problem(value: str) -> None:
    """What the service says to that is not known."""
    assert read_setup(returning(value)).problem is None


def test_a_member_that_is_not_read_may_be_anything() -> None:
    script = HEAD + f"function setup() {{ const s = {{{GOOD}}}; s.self = s; s.big = 10n; return s; }}"
    assert (read_setup(script).problem, read_setup(script).exact) == (None, True)


LIMITS = [
    "for (;;) {}",
    "while (true) { try { for (;;) {} } catch (e) {} }",
    "/(a+)+$/.test('a'.repeat(40) + 'b')",
    "const a = []; for (;;) a.push('x'.repeat(10000) + a.length);",
    "return {input: 'x'.repeat(1e9)};",
    "return {input: new Array(1e9).fill('B04')};",
    "return setup();",
    "let a = []; for (let i = 0; i < 20000; i++) a = [a]; return {input: a};",
    "return {get input() { for (;;) {} }};",
    "return {input: {toJSON() { for (;;) {} }}};",
    "return new Proxy({}, {get() { for (;;) {} }});",
]


@pytest.mark.parametrize("body", LIMITS)
@pytest.mark.parametrize("place", ["in setup", "at the top"])
@pytest.mark.thorough
def test_nothing_runs_for_ever_or_takes_all_memory(body: str, place: str) -> None:
    read_setup.cache_clear()
    if place == "in setup":
        setup = read_setup(f"{HEAD}function setup() {{ {body} }}")
    else:
        setup = read_setup(f"{HEAD}function setup() {{ return {{}}; }}\n(function setup() {{ {body} }})();")
        if setup.problem is None:  # what is only returned there is not looked at
            return
    assert setup.problem
    assert not setup.exact


@pytest.mark.parametrize(
    "name", ["require", "process", "std", "os", "fetch", "XMLHttpRequest", "setTimeout", "Deno", "Worker"]
)
def test_a_script_reaches_nothing_but_the_language(name: str) -> None:
    script = HEAD + f"function setup() {{ return {{input: [typeof {name}], output: {{bands: 1}}}}; }}"
    assert read_setup(script).inputs[0].bands == ("undefined",)


def test_a_script_cannot_change_how_it_is_read() -> None:
    script = (
        HEAD + f"JSON.stringify = () => '{{}}'; Object.prototype.input = 3;\nfunction setup() {{ return {{{GOOD}}}; }}"
    )
    assert [item.bands for item in read_setup(script).inputs] == [("B04",)]
    after = returning(f"{{{GOOD}, note: 1}}")  # and leaves nothing behind for the next one
    assert read_setup(after).problem is None


@pytest.mark.parametrize("odd", ["\0", "\ud800", "\N{BROKEN HEART}", "\u2028", "\r"])
def test_odd_characters(odd: str) -> None:
    read_setup(HEAD + f"const odd = '{odd}';\nfunction setup() {{ return {{}}; }}")
    read_setup(HEAD + odd)
    read_setup(odd)


def test_many_threads_at_once() -> None:
    found: list[object] = []

    def read(number: int) -> None:
        for turn in range(20):
            script = returning(f"{{input: ['B{number}', 'C{turn}'], output: {{bands: 1}}}}")
            found.append(read_setup(script).inputs[0].bands == (f"B{number}", f"C{turn}"))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 160


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_after_a_fork() -> None:
    """Airflow forks its tasks from a process that may have read a script before."""
    assert read_setup(returning(f"{{{GOOD}, parent: 1}}")).exact
    child = os.fork()
    if child == 0:
        os._exit(0 if read_setup(returning(f"{{{GOOD}, child: 1}}")).exact else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (PIXEL, "//VERSION=3"),
        (HEAD, "setup is not defined"),
        (returning("{;") + "(", "never closed"),
        (HEAD + "function setup() { throw 1; }", None),
    ],
)
def test_without_the_engine_the_text_is_looked_at(script: str, said: str | None) -> None:
    setup = read_setup(script)
    assert not setup.exact
    assert setup.problem is None if said is None else said in str(setup.problem)
