"""The directive `docstring`: what the docstring of a class says, as text and a list of its arguments.

The docstrings are Markdown with `:param name:` at their ends, and answer the five questions. So each answer stands in
one place, at the code.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_PAGE = re.compile(r"`?\bdocs/([\w-]+)\.md`?")
_PARAM = re.compile(r":param ([^:]+):")


def as_markdown(text: str) -> str:
    """A docstring with its `:param` fields as a list of Markdown.

    >>> as_markdown("Wait. :param a: one; :param b: two.")
    'Wait.\\n\\n- `a`: one\\n- `b`: two.'
    """
    written: list[str] = []
    text = _PAGE.sub(r"[\1.md](\1.md)", text)
    for block in re.split(r"\n\n(?=\S)", text.strip()):
        before, *fields = _PARAM.split(block)
        if before.strip():
            written.append(before.rstrip())
        rows = []
        for names, meaning in zip(fields[::2], fields[1::2], strict=True):
            shown = ", ".join(f"`{name.strip()}`" for name in names.split(","))
            rows.append(f"- {shown}: {' '.join(meaning.split()).removesuffix(';')}")
        if rows:
            written.append("\n".join(rows))
    return "\n\n".join(written)


class Docstring(SphinxDirective):
    """`{docstring} module.Class`: how it is imported, and what its docstring says."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = self.arguments[0]
        module, _, name = path.rpartition(".")
        found: Any = getattr(import_module(module), name)
        text = as_markdown(inspect.getdoc(found) or "")
        imported = f"```python\nfrom {module} import {name}\n```"
        self.env.note_dependency(inspect.getfile(found))
        return self.parse_text_to_nodes(f"{imported}\n\n{text}\n", allow_section_headings=False)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("docstring", Docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
