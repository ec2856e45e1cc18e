"""A host's Celery app for as long as a test runs; the suite itself has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from celery import Celery

Configure = Callable[[Mapping[str, object]], None]


@contextmanager
def celery_host() -> Iterator[Configure]:
    """A function that makes an app of ``CELERY_`` settings the one of all threads."""
    state: Any = import_module("celery._state")
    before = state._tls.current_app, state.default_app

    def configure(settings: Mapping[str, object]) -> None:
        app = Celery("host", set_as_current=False)
        app.config_from_object(dict(settings), namespace="CELERY")
        app.set_current()
        app.set_default()

    try:
        yield configure
    finally:
        state._tls.current_app, state.default_app = before
