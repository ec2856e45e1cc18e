from __future__ import annotations

from typing import Any

import pytest
from celery import VERSION, Celery

from django_healthkit_ingest import queues

KEPT_AFTER_FAILURE = ("acks_on_failure", "acks_on_timeout") if VERSION >= (5, 7) else ("acks_on_failure_or_timeout",)


@pytest.mark.parametrize(
    "name", [queues.DISPATCH_BATCH, queues.PROCESS_CHUNK, queues.ERASE, queues.EXPORT, queues.SWEEP]
)
def test_hosts_settings_for_its_other_tasks_do_not_reach_ours(name: str) -> None:
    app: Any = Celery("host", set_as_current=False)
    app.conf.task_acks_late = False
    app.conf.task_reject_on_worker_lost = False
    app.conf.task_ignore_result = False
    for setting in KEPT_AFTER_FAILURE:
        setattr(app.conf, f"task_{setting}", True)

    task = app.tasks[name]

    assert task.acks_late
    assert task.reject_on_worker_lost
    assert task.ignore_result
    assert [getattr(task, setting) for setting in KEPT_AFTER_FAILURE] == [False] * len(KEPT_AFTER_FAILURE)
