"""A phone: it posts gzip-compressed bodies through the door its app was written for, and keeps what it was answered."""

from __future__ import annotations

import gzip
import json
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from example_project.demo.bodies import Body
from example_project.demo.people import Door, Person

TIMEOUT_SECONDS = 30

INGEST = "mutation ($input: HealthKitImportInput!) { healthkitIngest(input: $input) { id } }"


class Refused(RuntimeError):
    """The GraphQL door answered with errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    body: Body
    import_id: UUID
    seconds: float
    replayed: bool


def sign_in(person: Person, *, url: str, token: str) -> str:
    """The ``Authorization`` this person's app sends: the host's token, or one of its own that may only import."""
    authorization = f"Token {token}"
    if person.door is Door.REST:
        return authorization
    order = json.dumps({"name": f"{person.name}'s iPhone", "device_id": person.device_id}).encode()
    shape, _ = _post(f"{url}/health/devices/", order, {"Authorization": authorization})
    return f"Bearer {shape['token']}"


def post(body: Body, *, url: str, authorization: str, idempotency_key: str) -> Receipt:
    """Send one body. Raises urllib's HTTPError for anything but an answer of the 200s, and Refused."""
    headers = {"Authorization": authorization, "Content-Encoding": "gzip"}
    start = time.perf_counter()
    if body.person.door is Door.REST:
        headers["Idempotency-Key"] = idempotency_key
        shape, answered = _post(f"{url}/health/imports/", body.content, headers)
    else:
        shape, answered = _post(f"{url}/health/graphql/", as_mutation(body, idempotency_key=idempotency_key), headers)
        if "errors" in shape:
            raise Refused(", ".join(error["extensions"]["code"] for error in shape["errors"]))
        shape = shape["data"]["healthkitIngest"]
    return Receipt(
        body=body,
        import_id=UUID(shape["id"]),
        seconds=time.perf_counter() - start,
        replayed=answered.get("Idempotency-Replayed") == "true",
    )


def as_mutation(body: Body, *, idempotency_key: str) -> bytes:
    """The envelope as it is, as the variable ``input.body``."""
    before = (
        f'{{"query": {json.dumps(INGEST)}, "variables": {{"input": {{"idempotencyKey": {json.dumps(idempotency_key)}, '
    )
    return gzip.compress(before.encode() + b'"body": ' + gzip.decompress(body.content) + b"}}}", compresslevel=5)


def _post(url: str, content: bytes, headers: Mapping[str, str]) -> tuple[dict[str, Any], Mapping[str, str]]:
    request = urllib.request.Request(
        url, data=content, method="POST", headers={"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        return json.load(answer), answer.headers
