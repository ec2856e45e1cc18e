"""A worker that is killed, or stopped, in the middle of a backfill changes nothing in the end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from django.db import transaction

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from example_project.demo.bodies import Body, Story
from tests.acceptance.road import SECONDS, StartWorker, books_of, chunks_of, rejections_of, rows_of, sees_it_through
from tests.sqs.front import Front, wait_until
from tests.sqs.worker import Worker

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

UNDER_WAY = 2
"""Chunks that are being processed at the moment of the blow: the window and the worker's two processes."""


def kill_the_children(worker: Worker) -> None:
    for child in psutil.Process(worker.process.pid).children():
        os.kill(child.pid, signal.SIGKILL)


def kill_all(worker: Worker) -> None:
    worker.kill()


@pytest.mark.parametrize("blow", [kill_all, kill_the_children])
def test_killed_in_mid_backfill_ends_in_the_same_table(
    blow: Callable[[Worker], None],
    story: Story,
    twin: Any,
    user: Any,
    send: Callable[[Body], object],
    start_worker: StartWorker,
) -> None:
    with start_worker() as worker:
        for body in story.bodies:
            send(body)
        assert wait_until(lambda: chunks_of(user, Status.COMPLETED) > 0, timeout=SECONDS), worker.log
        with transaction.atomic(using=database()):  # holds them all in the middle of their merge
            lock_user(user.pk, scope=Scope.SAMPLES, using=database())
            under_way = wait_until(lambda: chunks_of(user, Status.PROCESSING) == UNDER_WAY, timeout=SECONDS)
            blow(worker)
            left = chunks_of(user, Status.PENDING, Status.PROCESSING)
        survived = worker.is_running
        if survived:
            done = sees_it_through(user)
    if not survived:
        with start_worker() as another:
            done = sees_it_through(user)

    assert under_way
    assert left > UNDER_WAY
    assert survived is (blow is kill_the_children)
    assert done, worker.log if survived else another.log
    assert rows_of(user) == rows_of(twin)
    assert rejections_of(user) == rejections_of(twin)
    assert [status for status, *_ in books_of(user)] == [Status.COMPLETED] * len(story.bodies)


def test_a_stopped_worker_hands_unfinished_chunks_back(
    environment: dict[str, str],
    story: Story,
    twin: Any,
    user: Any,
    send: Callable[[Body], object],
    front: Front,
    start_worker: StartWorker,
) -> None:
    """As on Fargate: SIGTERM to the main process alone, and SIGKILL to all of them if they are late."""
    environment |= {"REMAP_SIGTERM": "SIGQUIT", "TEST_SOFT_SHUTDOWN_TIMEOUT": "1"}
    with start_worker() as worker:
        for body in story.bodies:
            send(body)
        with transaction.atomic(using=database()):  # neither chunk can end within the soft shutdown
            lock_user(user.pk, scope=Scope.SAMPLES, using=database())
            under_way = wait_until(lambda: chunks_of(user, Status.PROCESSING) == UNDER_WAY, timeout=SECONDS)
            returned_before = front.count("ChangeMessageVisibility")
            os.kill(worker.process.pid, signal.SIGTERM)
            stopped = wait_until(lambda: not worker.is_running, timeout=SECONDS)
            returned = front.count("ChangeMessageVisibility") - returned_before
            unfinished = chunks_of(user, Status.PROCESSING)
    with start_worker() as another:
        done = sees_it_through(user)

    assert under_way
    assert stopped, worker.log
    assert (returned, unfinished) == (UNDER_WAY, UNDER_WAY)
    assert done, another.log
    assert rows_of(user) == rows_of(twin)
    assert rejections_of(user) == rejections_of(twin)
