"""Gives mkdocstrings our docstrings as it expects them: `Example:` is its section `Examples:`."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """A Griffe extension; named in mkdocs.yml."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section in the docstring of each function, class and module."""
        if obj.docstring:
            obj.docstring.value = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
