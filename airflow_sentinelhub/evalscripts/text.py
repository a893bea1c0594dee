"""A reading of the text of an evalscript, without running it: what can be found is found, the rest is a guess."""

from __future__ import annotations

import re

from .setup import AUTO, DEFAULT_OUTPUT, MOSAICKINGS, Input, Output, Setup

# One token of JavaScript that can hide a bracket: comments, strings, templates, regular expressions after an operator.
# One that is never closed goes to the end of its line or of the script: were it no match, the search would begin anew
# behind it, and a long script of them take hours.
_HIDING = re.compile(
    r"""//[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?|`(?:\\.|[^`\\])*`?"""
    r"""|(?<=[(,=:\[!&|?{};+\n])[ \t]*/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]?|[^/\\\n\[])+/?[gimsuy]*""",
    re.DOTALL,
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
# Stands for a string in the code that is searched; its number is its place in the list of strings.
_STRING = re.compile("\x01([0-9]+)\x02")
_SETUP = re.compile(r"\bfunction\s+setup\s*\(|\bsetup\s*[=:]")


def problem(script: str) -> str | None:
    """What the look of a text says against it: brackets without a partner, functions that are not there."""
    problem = unbalanced(script)
    if problem:
        return problem
    code = _hidden(script)
    for function in ("setup", "evaluatePixel"):
        if not re.search(rf"\bfunction\s+{function}\s*\(|\b{function}\s*[=:]", code):
            return f"The function {function} is not defined."
    return None


def unbalanced(script: str) -> str | None:
    """The first bracket that has no partner, as a SyntaxError of the script; None: all have."""
    open_brackets: list[str] = []
    for number, line in enumerate(_hidden(script).split("\n"), start=1):
        for character in line:
            if character in "([{":
                open_brackets.append(character)
            elif character in _PAIRS and (not open_brackets or open_brackets.pop() != _PAIRS[character]):
                return f"evalscript.js: SyntaxError: Unexpected token {character} in line {number}"
    if not open_brackets:
        return None
    return f"evalscript.js: SyntaxError: Unexpected end of input, {open_brackets[-1]} is never closed"


def _hidden(script: str) -> str:
    """The code with an empty string for each string and template, a blank for each comment and regular expression."""
    return _HIDING.sub(lambda match: '""' if match[0][0] in "\"'`" else " ", script)


def guess(script: str) -> Setup:
    """What the text of a script says about its ``setup()``."""
    strings: list[str] = []

    def keep(match: re.Match[str]) -> str:
        if match[0][0] not in "\"'`":
            return " "
        strings.append(match[0].strip("\"'`"))
        return f"\x01{len(strings) - 1}\x02"

    code = _HIDING.sub(keep, re.sub("[\x01\x02]", " ", script))
    quoted_keys = re.compile("\x01([0-9]+)\x02(?=\\s*:)")
    code = quoted_keys.sub(lambda match: strings[int(match[1])], code)
    function = _SETUP.search(code)
    body = code[function.start() :] if function else code
    return Setup(
        inputs=_inputs(_value(body, "input"), strings),
        outputs=_outputs(_value(body, "output"), strings),
        mosaicking=_mosaicking(body, strings),
        exact=False,
        problem=None,
    )


def _value(code: str, key: str) -> str:
    """The text of the value of a key: a whole list or object, or all to the next comma or bracket."""
    match = re.search(rf"(?<![\w.]){key}\s*:\s*", code)
    if match is None:
        return ""
    depth = 0
    for place in range(match.end(), len(code)):
        character = code[place]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth <= 0:
                return code[match.end() : place + (depth == 0)]
        elif character == "," and depth == 0:
            return code[match.end() : place]
    return code[match.end() :]


def _objects(value: str) -> list[str]:
    """The objects of a list, or the object itself."""
    found: list[str] = []
    depth, start = 0, 0
    for place, character in enumerate(value):
        if character == "{":
            start = place if depth == 0 else start
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                found.append(value[start : place + 1])
    return found


def _named(value: str, strings: list[str]) -> tuple[str, ...]:
    """The strings in a piece of code, each once."""
    return tuple(dict.fromkeys(strings[int(match[1])] for match in _STRING.finditer(value)))


def _inputs(value: str, strings: list[str]) -> tuple[Input, ...]:
    objects = _objects(value)
    if not objects:
        names = _named(value, strings)
        return (Input(None, names),) if names else ()
    found = []
    for item in objects:
        sources = _named(_value(item, "datasource"), strings)
        found.append(Input(sources[0] if sources else None, _named(_value(item, "bands"), strings)))
    return tuple(found)


def _outputs(value: str, strings: list[str]) -> tuple[Output, ...]:
    found = []
    for item in _objects(value):
        names, bands = _named(_value(item, "id"), strings), _value(item, "bands")
        number = re.match(r"\s*(\d{1,6})\s*$", bands)
        count = int(number[1]) if number else max(1, len(_named(bands, strings)))
        found.append(Output(names[0] if names else DEFAULT_OUTPUT, count, _word(item, "sampleType", strings) or AUTO))
    return tuple(found)


def _mosaicking(code: str, strings: list[str]) -> str:
    word = _word(code, "mosaicking", strings)
    return word if word in MOSAICKINGS else MOSAICKINGS[0]


def _word(code: str, key: str, strings: list[str]) -> str:
    """The value of a key that is a string, or a name like ``SampleType.UINT8``, in capitals."""
    value = _value(code, key)
    names = _named(value, strings)
    if names:
        return names[0].upper()
    match = re.match(r"(?:\w+\.)?(\w+)\s*$", value)
    return match[1].upper() if match else ""
