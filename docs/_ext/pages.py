"""Directives for the pages that are made from the code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from documented import PACKAGE, settings, signals
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


class Page(SphinxDirective):
    sources: ClassVar[tuple[str, ...]]

    def run(self) -> list[nodes.Node]:
        for source in self.sources:
            self.env.note_dependency(str(PACKAGE / source))
        return self.parse_text_to_nodes(self.markdown())

    def markdown(self) -> str:
        raise NotImplementedError


class SettingsPage(Page):
    sources = ("conf/settings.py",)

    def markdown(self) -> str:
        return "\n".join(
            f"```{{confval}} {item.name.upper()}\n:type: `{item.type}`\n:default: `{shown(item.default)}`\n\n"
            f"{item.text}\n```\n"
            for item in settings()
        )


class SignalsPage(Page):
    sources = ("signals.py",)

    def markdown(self) -> str:
        return "\n".join(f"`{item.name}`\n: {' '.join(item.text.split())}\n" for item in signals())


class RejectionsPage(Page):
    sources = ("core/rejections.json",)

    def markdown(self) -> str:
        reasons: dict[str, str] = json.loads((PACKAGE / self.sources[0]).read_text(encoding="utf-8"))
        rows = "\n".join(f"| `{code}` | {detail} |" for code, detail in sorted(reasons.items()))
        return f"| code | detail |\n| --- | --- |\n{rows}\n"


def shown(default: str) -> str:
    """``field(default_factory=lambda: X)`` as a reader wants it: ``X``."""
    return default.removeprefix("field(default_factory=lambda: ").removesuffix(")") if "lambda" in default else default


def setup(app: Sphinx) -> ExtensionMetadata:
    app.add_directive("ingest-settings", SettingsPage)
    app.add_directive("ingest-signals", SignalsPage)
    app.add_directive("ingest-rejections", RejectionsPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
