from __future__ import annotations

import gzip
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client, RequestFactory
from django.utils import timezone

from django_healthkit_ingest.adapters.rest_framework import imports as views
from django_healthkit_ingest.adapters.rest_framework.answers import show_import
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import ImportBatch, database
from django_healthkit_ingest.pipeline.pressure import STUCK
from django_healthkit_ingest.pipeline.status import describe
from django_healthkit_ingest.pipeline.switches import RETRY_AFTER, pause
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.factories import ImportBatchFactory, ImportChunkFactory
from django_healthkit_ingest.testing.payloads import flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/imports/"
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


def post(phone: Client, body: bytes, url: str = URL, **options: Any) -> Any:
    return phone.post(url, data=body, content_type=options.pop("content_type", JSON), **options)


def test_posting_answers_202_with_the_import(phone: Client) -> None:
    answer = post(phone, healthkit_body(quantity(), quantity(), lane="BACKFILL"))

    batch = ImportBatch.objects.using(database()).get()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"http://testserver/health/imports/{batch.uuid}/"
    assert answer.json() == {
        "id": str(batch.uuid),
        "url": answer.headers["Location"],
        "status": "PENDING",
        "format": "healthkit",
        "lane": "BACKFILL",
        "created_at": batch.created_at.isoformat().replace("+00:00", "Z"),
        "finished_at": None,
        "chunks": {"total": 1, "pending": 1, "processing": 0, "completed": 0, "failed": 0},
        "records": {
            "received": 2,
            "pending": 2,
            "inserted": 0,
            "updated": 0,
            "duplicate": 0,
            "superseded": 0,
            "deletion": 0,
            "statistic": 0,
            "withheld": 0,
            "rejected": 0,
            "failed": 0,
        },
        "rows_removed": 0,
        "unknown_types": {},
        "anchors_released": False,
        "warnings": [],
        "error": None,
        "estimated_finish_at": None,
        "retry_after": 2,
    }


def test_reading_shows_progress_and_the_end(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity(), quantity(unit="kg"), quantity("HKNew")), user=user)

    answer = phone.get(f"{URL}{batch.uuid}/")

    shape = answer.json()
    assert (answer.status_code, shape["status"], shape["retry_after"]) == (200, "COMPLETED", None)
    assert shape["unknown_types"] == {"HKNew": 1}
    assert shape["finished_at"].endswith("Z")
    records = shape["records"]
    assert (records["received"], records["inserted"], records["rejected"]) == (3, 2, 1)
    assert records["received"] == sum(records.values()) - records["received"]


def test_rejections_come_in_pages_without_values(phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(*(quantity(unit="furlongs-of-secret") for _ in range(3))), user=user)

    first = phone.get(f"{URL}{batch.uuid}/rejected/?page_size=2").json()
    second = phone.get(first["next"]).json()

    rows = first["results"] + second["results"]
    assert [(row["chunk"], row["index"], row["field"]) for row in rows] == [(0, n, "unit") for n in range(3)]
    assert (first["previous"], second["next"]) == (None, None)
    assert "secret" not in str(rows)


@pytest.mark.parametrize("path", ["", "rejected/"])
def test_other_peoples_imports_do_not_exist(sign_in: Any, user: Any, other_user: Any, path: str) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    theirs = sign_in(other_user).get(f"{URL}{batch.uuid}/{path}")
    nobodys = sign_in(other_user).get(f"{URL}{uuid4()}/{path}")

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json() == nobodys.json()
    assert theirs.json()["retry"] == "NEVER"


def test_strangers_are_told_to_keep_the_data_and_sign_in() -> None:
    answer = post(Client(), healthkit_body(quantity()))

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (401, "unauthenticated", "AUTH")
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.parametrize(
    ("url", "body", "expected"),
    [
        (f"{URL}flutter/", flutter_body(flutter_point()), "flutter"),
        (URL, flutter_body(flutter_point()), "flutter"),
        (f"{URL}?time_zone=Europe/Berlin", flutter_body(flutter_point(), time_zone=None), "flutter"),
        (f"{URL}healthkit/", healthkit_body(), "healthkit"),
    ],
)
def test_the_path_or_the_body_names_the_format(phone: Client, url: str, body: bytes, expected: str) -> None:
    answer = post(phone, body, url)

    assert (answer.status_code, answer.json()["format"]) == (202, expected)


def test_query_parameters_fill_the_envelope(phone: Client) -> None:
    post(phone, healthkit_body(quantity()), f"{URL}?device=phone-7&lane=BACKFILL&time_zone=Asia/Tokyo")

    batch = ImportBatch.objects.using(database()).get()
    assert (batch.device_id, batch.lane, batch.time_zone) == ("phone-7", "BACKFILL", "Asia/Tokyo")


def test_a_body_may_be_gzipped(phone: Client) -> None:
    body = gzip.compress(healthkit_body(quantity()))

    answer = post(phone, body, headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["records"]["received"]) == (202, 1)


@pytest.mark.parametrize(
    ("body", "url", "headers", "status", "code"),
    [
        (b"{", URL, {}, 400, "malformed_body"),
        (b"", URL, {}, 400, "malformed_body"),
        (b'{"format":"healthkit","samples":1}', URL, {}, 400, "invalid_envelope"),
        (healthkit_body(lane="LIVE"), f"{URL}?lane=BACKFILL", {}, 400, "invalid_envelope"),
        (flutter_body(flutter_point(), time_zone=None), URL, {}, 400, "time_zone_required"),
        (b"never gzip", URL, {"Content-Encoding": "gzip"}, 400, "corrupt_encoding"),
        (healthkit_body(), f"{URL}fax/", {}, 415, "unknown_format"),
        (healthkit_body(), URL, {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    ],
)
def test_what_can_never_succeed_is_a_4xx_that_says_so(
    phone: Client, body: bytes, url: str, headers: dict[str, str], status: int, code: str
) -> None:
    answer = post(phone, body, url, headers=headers)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retry"]) == (status, code, "FIX")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == f"urn:healthkit-ingest:problem:{code}"
    assert problem["detail"]
    assert not ImportBatch.objects.using(database()).exists()


def test_a_problem_names_the_place(phone: Client) -> None:
    points = [flutter_point(start="2026-01-05T08:00:00Z"), flutter_point()]

    problem = post(phone, flutter_body(*points, time_zone=None)).json()

    assert problem["errors"][0]["pointer"] == "/samples/1/dateFrom"
    assert problem["errors"][0]["code"] == "naive_date"


@pytest.mark.parametrize("packed", [False, True])
def test_too_large_is_ours_to_say(phone: Client, settings: Any, packed: bool) -> None:
    body = healthkit_body(*(quantity() for _ in range(20)))
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES" if packed else "MAX_BODY_BYTES": 1000}
    options: Any = {"headers": {"Content-Encoding": "gzip"}} if packed else {}

    answer = post(phone, gzip.compress(body) if packed else body, **options)

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (413, "body_too_large", "SPLIT")


def test_djangos_own_body_limit_does_not_apply(phone: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    answer = post(phone, healthkit_body(*(quantity() for _ in range(20))))

    assert answer.status_code == 202


def test_a_repeated_key_gets_the_same_answer(phone: Client) -> None:
    body = healthkit_body(quantity())

    first = post(phone, body, headers={"Idempotency-Key": "k1"})
    again = post(phone, body, headers={"Idempotency-Key": "k1"})
    other = post(phone, healthkit_body(quantity()), headers={"Idempotency-Key": "k1"})

    assert first.json() == again.json()
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_a_body_that_broke_off_is_asked_for_again(user: Any) -> None:
    request = RequestFactory().post(URL, data=healthkit_body(quantity()), content_type=JSON)
    request.META["CONTENT_LENGTH"] = str(int(request.META["CONTENT_LENGTH"]) + 10)
    request.user = user
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]

    from rest_framework.test import force_authenticate

    force_authenticate(request, user=user)
    answer = views.ImportsView.as_view()(request)

    assert (answer.status_code, answer.data["retry"]) == (503, "LATER")
    assert int(answer.headers["Retry-After"]) > 0


def test_our_own_trouble_is_a_503_to_try_again(phone: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection to 10.0.0.1 refused")

    monkeypatch.setattr(views, "take_body", away)

    answer = post(phone, healthkit_body(quantity()))

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "unavailable", "LATER")
    assert "10.0.0.1" not in answer.content.decode()


def test_paused_intake_asks_for_the_same_bytes_later(phone: Client) -> None:
    pause(Pausable.INTAKE)

    answer = post(phone, healthkit_body(quantity()))

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "unavailable", "LATER")
    assert int(answer.headers["Retry-After"]) == RETRY_AFTER


@pytest.mark.parametrize(("received", "code", "status"), [(0, "backlog_full", 503), (1, "user_backlog_full", 429)])
def test_too_much_is_asked_for_later(
    phone: Client, user: Any, settings: Any, received: int, code: str, status: int
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_PENDING_RECORDS_PER_USER": 2}
    batch = ImportBatchFactory.create(user=user)
    due_at = timezone.now() - timedelta(minutes=80)
    ImportChunkFactory.create_batch(STUCK + 1, batch=batch, received=received, due_at=due_at)

    answer = post(phone, healthkit_body(quantity()))

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (status, code, "LATER")
    assert 15 * 60 <= int(answer.headers["Retry-After"]) <= 25 * 60, "a quarter of the backlog's age, jittered"


def test_an_unknown_error_stays_the_hosts_500(phone: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(views, "take_body", explode)
    phone.raise_request_exception = False

    assert post(phone, healthkit_body(quantity())).status_code == 500


def test_other_methods_are_named_as_such(phone: Client) -> None:
    answer = phone.put(URL, data=b"{}", content_type=JSON)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_an_accept_header_is_no_reason_to_refuse(phone: Client) -> None:
    answer = post(phone, healthkit_body(), headers={"Accept": "text/html"})

    assert (answer.status_code, answer.headers["Content-Type"]) == (202, JSON)


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_atomic_requests_cannot_put_the_answer_before_the_commit(
    phone: Client, monkeypatch: pytest.MonkeyPatch, no_broker: Any
) -> None:
    """The host wraps every request in a transaction; ours must have committed, and sent, before it answers."""
    from django.db import connections

    seen: list[bool] = []
    for connection in connections.all():
        monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    def observe(status: Any, request: Any) -> Any:
        seen.append(connections[database()].in_atomic_block)
        return show_import(status, request)

    monkeypatch.setattr(views, "show_import", observe)

    answer = post(phone, healthkit_body(quantity()))

    assert answer.status_code == 202
    assert seen == [False]
    assert [message.name for message in no_broker] == ["healthkit_ingest.dispatch_batch"]


def test_status_costs_a_fixed_number_of_queries(
    phone: Client, user: Any, settings: Any, django_assert_num_queries: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1}
    small, large = (ingest(healthkit_body(*(quantity() for _ in range(size))), user=user) for size in (1, 12))

    for batch in (small, large):
        with django_assert_num_queries(2, using=database()):
            describe(ImportBatch.objects.using(database()).for_user(user).get(uuid=batch.uuid))
