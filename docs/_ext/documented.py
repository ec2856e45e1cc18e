"""What the code says about itself: a name with its docstring underneath is the documentation.

Reads the source, so that nothing is imported and the text is exactly what a developer sees.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "django_healthkit_ingest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Documented:
    name: str
    type: str
    default: str
    text: str


def documented(body: list[ast.stmt]) -> list[Documented]:
    """The assignments that have a docstring underneath, in order."""
    found = []
    for statement, below in pairwise(body):
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
            continue
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                type_ = ast.unparse(annotation)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                type_ = ""
            case _:
                continue
        default = "" if value is None else ast.unparse(value)
        text = inspect.cleandoc(str(below.value.value))
        found.append(Documented(name=name, type=type_, default=default, text=text))
    return found


def settings() -> list[Documented]:
    tree = ast.parse((PACKAGE / "conf" / "settings.py").read_text(encoding="utf-8"))
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "IngestSettings")
    return documented(next(classes).body)


def signals() -> list[Documented]:
    return documented(ast.parse((PACKAGE / "signals.py").read_text(encoding="utf-8")).body)
