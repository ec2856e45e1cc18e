from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
from celery import Celery


@contextmanager
def current(app: Celery) -> Iterator[Celery]:
    """Within the block it is ``celery.current_app``, in the threads that publish too."""
    forget_clients()
    with pytest.MonkeyPatch.context() as patch, app:
        patch.setattr("celery._state.default_app", app)
        patch.setattr("celery._state._tls.current_app", app)
        yield app


def forget_clients() -> None:
    """Until 5.6 kombu kept its clients on the class, by queue name and for ever: those of another test's front."""
    channel = import_module("kombu.transport.SQS").Channel
    for name in ("_predefined_queue_clients", "_predefined_queue_async_clients", "_queue_cache"):
        if isinstance(kept := vars(channel).get(name), dict):
            kept.clear()
