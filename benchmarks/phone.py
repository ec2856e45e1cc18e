"""A user's phone: sends a body to the example project, and knows when its last sample is in the table."""

from __future__ import annotations

import gzip
import json
import secrets
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from benchmarks import workload
from django_healthkit_ingest.models import HealthSample

PATIENCE = 120
"""Seconds."""
BREATH = 0.005
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    user: Any
    token: str
    url: str
    """Of the server."""

    def send(self, content: bytes) -> None:
        """``content`` is a body, compressed; returns when it is answered. Raises HTTPError."""
        headers = {
            "Authorization": f"Token {self.token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": secrets.token_hex(8),
        }
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/health/imports/", data=content, method="POST", headers=headers
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            json.load(answer)

    def wait(self, *, samples: int, breath: float = BREATH) -> None:
        """Until the user has so many. Raises RuntimeError if they have more, or not as many in time."""
        deadline = time.monotonic() + PATIENCE
        while (stored := self.stored()) < samples:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{stored} of {samples} samples were stored within {PATIENCE} s")
            time.sleep(breath)
        if stored > samples:
            raise RuntimeError(f"{stored} samples are stored, {samples} were sent")

    def stored(self) -> int:
        return HealthSample.objects.for_user(self.user).count()


def new_phone(url: str = "") -> Phone:
    """Of a new user."""
    user = get_user_model().objects.create_user(secrets.token_hex(6))
    return Phone(user=user, token=str(Token.objects.create(user=user).key), url=url)


def compressed(samples: int) -> bytes:
    """A body of so many new samples, as a phone sends it."""
    return gzip.compress(workload.body(workload.records(samples)), compresslevel=6)
