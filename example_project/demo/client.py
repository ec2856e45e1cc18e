"""A phone: it posts gzip-compressed bodies and keeps what it was answered."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from example_project.demo.bodies import Body

TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    body: Body
    import_id: UUID
    seconds: float
    replayed: bool


def post(body: Body, *, url: str, token: str, idempotency_key: str) -> Receipt:
    """Send one body. Raises urllib's HTTPError for anything but an answer of the 200s."""
    request = urllib.request.Request(
        f"{url}/health/imports/",
        data=body.content,
        method="POST",
        headers={
            "Authorization": f"Token {token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": idempotency_key,
        },
    )
    start = time.perf_counter()
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        shape: Mapping[str, Any] = json.load(answer)
        replayed = answer.headers.get("Idempotency-Replayed") == "true"
    seconds = time.perf_counter() - start
    return Receipt(body=body, import_id=UUID(shape["id"]), seconds=seconds, replayed=replayed)
