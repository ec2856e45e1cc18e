"""The whole road as it runs in production, small: api, worker service, database and a broker that can be broken."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import database
from django_healthkit_ingest.pipeline.store.locks import Scope, lock_user
from django_healthkit_ingest.testing.factories import UserFactory
from example_project.demo import host
from example_project.demo.bodies import Body, Story, tell
from example_project.demo.client import post, sign_in
from example_project.demo.compare import differences
from example_project.demo.people import PEOPLE
from tests.acceptance.broker import host_variables
from tests.acceptance.road import chunks_of, is_done, manage
from tests.faults.service import Service
from tests.sqs.front import wait_until

STALE_AFTER = 12
"""Seconds after which a message counts as lost; above the queue's visibility timeout, as it must be."""

WINDOW = 2
"""Chunks of one user in flight: the default."""

PATIENCE = 120.0
"""Seconds for what takes some ten."""

SWEEP_EVERY = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    api: str
    service: Service


class Phone:
    """Somebody who has sent a story, or the first part of it."""

    def __init__(self, arena: Arena, story: Story) -> None:
        factory: Any = UserFactory
        self.arena = arena
        self.story = story
        self.user: Any = factory()
        token = Token.objects.create(user=self.user).key
        self.authorization = sign_in(story.person, url=arena.api, token=token)
        self.imports: dict[UUID, Body] = {}

    def send(self, number: int) -> None:
        """Raises for any answer but one of the 200s."""
        body = self.story.bodies[number]
        receipt = post(body, url=self.arena.api, authorization=self.authorization, idempotency_key=body.idempotency_key)
        self.imports[receipt.import_id] = body

    def send_all(self) -> None:
        for number in range(len(self.story.bodies)):
            self.send(number)

    @property
    def is_done(self) -> bool:
        return len(self.imports) == len(self.story.bodies) and is_done(self.user)

    @contextmanager
    def holding_merges(self) -> Iterator[None]:
        """Within the block the window is full of chunks that were begun and cannot end."""
        with transaction.atomic(using=database()):
            lock_user(self.user.pk, scope=Scope.SAMPLES, using=database())
            yield

    def in_work(self) -> bool:
        return chunks_of(self.user, Status.PROCESSING) == WINDOW

    def wrong(self) -> list[str]:
        """What the tables say that the story does not, and the other way round."""
        return differences(self.story, user=self.user, imports=self.imports)


def story(*, person: int = 0) -> Story:
    """Three days: two requests, some forty chunks, deletions and faults among them."""
    return tell(PEOPLE[person], days=3, seed=person + 1)


def sees_through(phones: list[Phone], *, patience: float = PATIENCE) -> bool:
    """Wait as time does: with a sweep every few seconds, and nothing else."""
    for _ in range(int(patience / SWEEP_EVERY)):
        manage("healthkit_ingest_sweep", "--json")
        if wait_until(lambda: all(phone.is_done for phone in phones), timeout=SWEEP_EVERY):
            return True
    return False


@contextmanager
def arena(*, broker: Mapping[str, str], folder: Path, **options: object) -> Iterator[Arena]:
    """Runs within the block. ``options`` are of HEALTHKIT_INGEST."""
    chosen = {"CHUNK_SIZE": 60, "HEARTBEAT_FILE": str(folder / "heartbeat"), **options}
    variables = {
        **broker,
        **host_variables(),
        "TEST_HEALTHKIT_INGEST": json.dumps(chosen),
        "TEST_MEDIA_ROOT": str(folder / "media"),
        "TEST_STALE_AFTER": str(STALE_AFTER),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.delenv("REDIS_URL", raising=False)
        with host.api() as url, Service(env=variables, folder=folder) as service:
            yield Arena(api=url, service=service)
