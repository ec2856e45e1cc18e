from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import transaction
from django.utils import timezone

from django_healthkit_ingest import exceptions, queues
from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.states import Lane, Status
from django_healthkit_ingest.models import ImportBatch, ImportChunk, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.intake import take_body
from django_healthkit_ingest.testing import flutter_body, healthkit_body
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")


def test_chunks_hold_the_records_as_they_were_sent(accepted: Callable[..., ImportBatch], settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    raw = [b'{"type": "X", "start": "2026-01-05T08:00:00Z", "odd":   1e2}', b"7", b'"text"']

    batch = accepted(b'{"format":"healthkit","samples":[' + b" ,".join(raw) + b"]}")

    payloads = [decompress(bytes(chunk.payload or b"")) for chunk in batch.chunks.order_by("index")]
    assert payloads == [b"[" + raw[0] + b"," + raw[1] + b"]", b"[" + raw[2] + b"]"]
    assert (batch.status, batch.received, batch.chunk_count) == (Status.PENDING, 3, 2)


def test_sections_get_chunks_of_their_own(accepted: Callable[..., ImportBatch]) -> None:
    batch = accepted(healthkit_body(quantity(), deletions=[quantity()["uuid"]]))

    assert set(batch.chunks.values_list("section", "first_index", "received")) == {
        ("samples", 0, 1),
        ("deletions", 0, 1),
    }


def test_a_gzip_body_is_the_same_batch(accepted: Callable[..., ImportBatch]) -> None:
    body = healthkit_body(quantity())

    batch = accepted(gzip.compress(body), content_encoding="gzip")

    assert batch.received == 1
    assert batch.body_sha256 == hashlib.sha256(body).hexdigest()


def test_the_envelope_is_kept(accepted: Callable[..., ImportBatch]) -> None:
    batch = accepted(
        healthkit_body(
            quantity(),
            time_zone="Asia/Kolkata",
            lane="BACKFILL",
            device={"id": "phone-1", "model": "iPhone17,1"},
            client={"name": "acme", "version": "3"},
            surprise=1,
        )
    )

    assert (batch.time_zone, batch.lane, batch.device_id) == ("Asia/Kolkata", Lane.BACKFILL, "phone-1")
    assert batch.client == {"name": "acme", "version": "3"}
    assert any("surprise" in warning for warning in batch.warnings)


@pytest.mark.parametrize(
    ("body", "format", "expected"),
    [
        (healthkit_body(quantity()), None, "healthkit"),
        (flutter_body(flutter_point()), None, "flutter"),
        (msgspec.json.encode([flutter_point(start="2026-01-05T08:00:00Z")]), None, "flutter"),
        (msgspec.json.encode({"samples": [quantity()]}), "healthkit", "healthkit"),
    ],
)
def test_the_format_is_named_or_recognised(
    accepted: Callable[..., ImportBatch], body: bytes, format: str | None, expected: str
) -> None:
    assert accepted(body, format=format).format == expected


@pytest.mark.parametrize(
    ("body", "options", "error"),
    [
        (b'{"samples": [', {}, exceptions.MalformedBody),
        (b"", {}, exceptions.MalformedBody),
        (b"[" * 100_000, {}, exceptions.MalformedBody),
        (b"[" * 100_000, {"format": "healthkit"}, exceptions.MalformedBody),
        (b"\xff\xfe", {"format": "healthkit"}, exceptions.MalformedBody),
        (b'{"format":"healthkit","samples":[NaN]}', {}, exceptions.MalformedBody),
        (b'{"unrelated": true}', {}, exceptions.UnknownFormat),
        (healthkit_body(), {"format": "fax"}, exceptions.UnknownFormat),
        (b'{"format":"fax","samples":[]}', {}, exceptions.UnknownFormat),
        (b'{"format":"flutter","samples":[]}', {"format": "healthkit"}, exceptions.InvalidEnvelope),
        (b'{"format":"healthkit","samples":{}}', {}, exceptions.InvalidEnvelope),
        (healthkit_body(version=2), {}, exceptions.InvalidEnvelope),
        (healthkit_body(lane="FAST"), {}, exceptions.InvalidEnvelope),
        (healthkit_body(lane="LIVE"), {"lane": "BACKFILL"}, exceptions.InvalidEnvelope),
        (healthkit_body(), {"lane": "FAST"}, exceptions.InvalidEnvelope),
        (healthkit_body(device={"id": "a"}), {"device": "b"}, exceptions.InvalidEnvelope),
        (healthkit_body(time_zone="Mars/Base"), {}, exceptions.InvalidEnvelope),
        (healthkit_body(time_zone="Europe/Rome"), {"time_zone": "Europe/Oslo"}, exceptions.InvalidEnvelope),
        (flutter_body(flutter_point(), time_zone=None), {}, exceptions.TimeZoneRequired),
        (healthkit_body(quantity(start="2026-01-05T08:00:00")), {}, exceptions.TimeZoneRequired),
        (b"not gzip", {"content_encoding": "gzip"}, exceptions.CorruptEncoding),
        (gzip.compress(healthkit_body())[:-4], {"content_encoding": "gzip"}, exceptions.CorruptEncoding),
        (healthkit_body(), {"content_encoding": "br"}, exceptions.UnsupportedEncoding),
        (healthkit_body(), {"idempotency_key": ""}, exceptions.InvalidEnvelope),
        (healthkit_body(), {"idempotency_key": "x" * 256}, exceptions.InvalidEnvelope),
    ],
)
def test_a_body_that_can_never_succeed_is_refused_and_nothing_is_stored(
    accepted: Callable[..., ImportBatch], messages: Any, body: bytes, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        accepted(body, **options)

    assert not ImportBatch.objects.using(database()).exists()
    assert not messages


def test_naive_dates_are_named_by_pointer_and_without_their_values(accepted: Callable[..., ImportBatch]) -> None:
    body = flutter_body(flutter_point(start="2026-01-05T08:00:00Z"), flutter_point(), time_zone=None)

    with pytest.raises(exceptions.TimeZoneRequired) as caught:
        accepted(body)

    assert caught.value.errors[0].pointer == "/samples/1/dateFrom"
    assert "2026" not in repr(caught.value.errors) + str(caught.value)


def test_limits_are_ours(accepted: Callable[..., ImportBatch], settings: Any) -> None:
    body = healthkit_body(*(quantity() for _ in range(50)))

    settings.HEALTHKIT_INGEST = {"MAX_BODY_BYTES": len(body) - 1}
    with pytest.raises(exceptions.BodyTooLarge):
        accepted(body)
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES": len(body) - 1}
    with pytest.raises(exceptions.BodyTooLarge):
        accepted(gzip.compress(body), content_encoding="gzip")
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES": len(body), "MAX_BODY_BYTES": len(body)}

    assert accepted(body).received == 50


def test_a_key_names_one_batch(accepted: Callable[..., ImportBatch], other_user: Any) -> None:
    body = healthkit_body(quantity())

    first = accepted(body, idempotency_key="k")
    repeat = accepted(gzip.compress(body), content_encoding="gzip", idempotency_key="k")
    theirs = accepted(body, idempotency_key="k", user=other_user)

    assert (repeat.pk, repeat.replayed, first.replayed) == (first.pk, True, False)
    assert theirs.pk != first.pk
    with pytest.raises(exceptions.IdempotencyMismatch):
        accepted(healthkit_body(quantity()), idempotency_key="k")


def test_a_key_is_kept_for_a_set_time(accepted: Callable[..., ImportBatch], settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"IDEMPOTENCY_TTL": timedelta(hours=1)}
    first = accepted(healthkit_body(quantity()), idempotency_key="k")
    mine = ImportBatch.objects.using(database()).filter(pk=first.pk)
    mine.update(created_at=timezone.now() - timedelta(minutes=59))
    with pytest.raises(exceptions.IdempotencyMismatch):
        accepted(healthkit_body(quantity()), idempotency_key="k")
    mine.update(created_at=timezone.now() - timedelta(minutes=61))

    second = accepted(healthkit_body(quantity()), idempotency_key="k")

    assert second.pk != first.pk
    assert mine.get().idempotency_key is None


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_one_small_message_follows_the_commit(accepted: Callable[..., ImportBatch], messages: Any) -> None:
    with transaction.atomic(using=database()):
        batch = accepted(healthkit_body(quantity()))
        assert not messages

    assert [(message.name, dict(message.ids)) for message in messages] == [
        (queues.DISPATCH_BATCH, {"batch_id": batch.pk})
    ]


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_callers_rollback_takes_everything_along(accepted: Callable[..., ImportBatch], messages: Any) -> None:
    with transaction.atomic(using=database()):
        accepted(healthkit_body(quantity()))
        transaction.set_rollback(True, using=database())

    assert not messages
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_batch_of_nothing_is_closed_at_once(accepted: Callable[..., ImportBatch], messages: Any) -> None:
    batch = accepted(healthkit_body())

    batch.refresh_from_db()
    assert (batch.status, bool(batch.announced_at)) == (Status.COMPLETED, True)
    assert not messages


def test_accepting_costs_a_fixed_number_of_queries(
    user: Any, messages: Any, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 2}
    body = healthkit_body(*(quantity() for _ in range(40)))

    # nothing against it, savepoint, batch, chunks, release
    with django_assert_num_queries(5, using=database()):
        accept(body, user=user, idempotency_key="new")

    assert ImportChunk.objects.using(database()).count() == 20


def test_its_answer_costs_one_query_more(user: Any, messages: Any, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(6, using=database()):
        take_body(healthkit_body(quantity()), user=user)


def test_a_chunk_is_stored_whole(accepted: Callable[..., ImportBatch], chunks: Any) -> None:
    """Column by column as Django itself would have written it, by whatever way it came."""
    batch = accepted(healthkit_body(quantity()))
    (stored,) = chunks.filter(batch=batch).values()
    given = {name: stored[name] for name in ("batch_id", "user_id", "lane", "section", "first_index", "received")}

    twin = ImportChunk(**given, index=1, payload=bytes(stored["payload"]))
    chunks.bulk_create([twin])

    (expected,) = chunks.filter(batch=batch, index=1).values()
    for row in (stored, expected):
        row["payload"] = bytes(row["payload"])
    assert stored == expected | {"id": stored["id"], "index": 0}


@pytest.mark.parametrize(
    "text",
    ["nul\\u0000", "lone\\ud800", "\\u0000", "x" * 10_000, "\\u202e\\u2028"],
    ids=["nul", "surrogate", "only-nul", "long", "bidi"],
)
@pytest.mark.parametrize(
    "template",
    [
        '{"format":"healthkit","samples":[],"device":{"id":"%s"}}',
        '{"format":"healthkit","samples":[],"device":{"id":"a","model":"%s"}}',
        '{"format":"healthkit","samples":[],"client":{"name":"%s"}}',
        '{"format":"healthkit","samples":[],"time_zone":"%s"}',
        '{"format":"healthkit","samples":[],"%s":1}',
        '{"format":"healthkit","samples":[],"lane":"%s"}',
    ],
)
def test_hostile_text_in_the_envelope_is_stored_or_refused_but_never_a_crash(
    accepted: Callable[..., ImportBatch], template: str, text: str
) -> None:
    told = ""
    try:
        accepted((template % text).encode())
    except exceptions.InvalidBody as error:
        told = f"{error} {error.errors}"

    assert text[:20] not in told
    assert ImportBatch.objects.using(database()).count() == (0 if told else 1)
