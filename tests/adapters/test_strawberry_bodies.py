"""What ``healthkitIngest`` takes in: bodies as JSON, files, uploads; and its answers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from django_healthkit_ingest.core.encodings import decompress
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.switches import pause
from django_healthkit_ingest.testing import flutter_body, healthkit_body
from django_healthkit_ingest.testing.payloads import flutter_point, quantity
from tests.adapters.graphql_client import INGEST, JSON, URL, Refused, ingest, post, post_file, read, signed_in
from tests.line_format import lines

pytestmark = pytest.mark.django_db(databases="__all__")

SHIPPED = "django_healthkit_ingest.core.formats"
FORMATS = [f"{SHIPPED}.healthkit.HealthKitFormat", f"{SHIPPED}.flutter.FlutterFormat", "tests.line_format.LineFormat"]


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": FORMATS}
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.fixture
def app(user: Any) -> Client:
    return signed_in(user)


def batch() -> ImportBatch:
    return ImportBatch.objects.using(database()).get()


def value(body: bytes) -> Any:
    return json.loads(body)


def test_a_body_is_an_object_or_an_array(app: Client) -> None:
    envelope = ingest(app, body=value(healthkit_body(quantity(), quantity(), lane="BACKFILL")))
    bare = ingest(app, body=[flutter_point()], timeZone="Europe/Berlin", format="flutter")

    assert envelope == {
        "id": envelope["id"],
        "status": "PENDING",
        "format": "healthkit",
        "lane": "BACKFILL",
        "records": {"received": 2, "inserted": 0},
    }
    assert (bare["format"], bare["records"]["received"]) == ("flutter", 1)


def test_records_reach_the_chunk_as_they_were_sent(app: Client) -> None:
    records = [quantity(value=72.1, metadata={"größe": 2**70, "tiny": 1e-300, "text": "\u2028 ☃"}), quantity(value=3)]

    ingest(app, body={"format": "healthkit", "version": 1, "samples": records})

    (chunk,) = ImportChunk.objects.using(database())
    assert json.loads(decompress(bytes(chunk.payload or b""))) == records


def with_variables(app: Client, variables: str) -> Any:
    return app.post(URL, data=f'{{"query": {json.dumps(INGEST)}, "variables": {variables}}}', content_type=JSON)


@pytest.mark.parametrize(
    ("variables", "pointer"),
    [
        ('{"input": {"body": {"samples": [], "format": "healthkit", "samples": []}}}', "/variables/body/samples"),
        ('{"input": {"body": {"samples": [], "device": {"id": "a", "id": "b"}}}}', "/variables/body/device"),
        ('{"input": {"body": {"samples": []}, "body": {"samples": []}}}', "/variables/body"),
        ('{"input": {"body": {"samples": []}}, "input": {"body": {"samples": []}}}', "/variables"),
        ('{"input": {"body": {"samples": []}}}, "variables": {}', "/variables"),
    ],
)
def test_what_is_there_twice_is_not_half_taken(app: Client, variables: str, pointer: str) -> None:
    answer = with_variables(app, variables)

    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retry"]) == (400, "invalid_envelope", "FIX")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, "duplicate_key")]
    assert not ImportBatch.objects.using(database()).exists()


def test_half_an_emoji_sinks_no_body(app: Client) -> None:
    record = json.dumps(quantity(metadata={"note": "?"})).replace('"?"', r'"half \ud83d"')

    answer = with_variables(app, f'{{"input": {{"body": {{"format": "healthkit", "samples": [{record}]}}}}}}')

    assert read(answer)["healthkitIngest"]["records"]["received"] == 1
    (chunk,) = ImportChunk.objects.using(database())
    assert json.loads(decompress(bytes(chunk.payload or b"")))[0]["metadata"] == {"note": "half \ufffd"}


def test_what_stands_beside_the_body_fills_its_envelope(app: Client) -> None:
    ingest(
        app,
        body=value(healthkit_body(quantity())),
        device={"id": "phone-7"},
        client={"name": "acme", "version": "3.2.0"},
        lane="BACKFILL",
        timeZone="Asia/Tokyo",
    )

    made = batch()
    assert (made.device_id, made.lane, made.time_zone) == ("phone-7", "BACKFILL", "Asia/Tokyo")
    assert made.client == {"name": "acme", "version": "3.2.0"}


def test_a_key_makes_a_repeat_safe(app: Client) -> None:
    body = value(healthkit_body(quantity()))

    first = post(app, INGEST, input={"body": body, "idempotencyKey": "k1"})
    again = post(app, INGEST, input={"body": body, "idempotencyKey": "k1"})

    assert read(first) == read(again)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    with pytest.raises(Refused, match="idempotency_mismatch"):
        ingest(app, body=value(healthkit_body(quantity())), idempotencyKey="k1")


def test_the_problem_is_the_other_doors(app: Client, phone: Client) -> None:
    points = [flutter_point(start="2026-01-05T08:00:00Z"), flutter_point()]
    body = flutter_body(*points, time_zone=None)

    answer = post(app, INGEST, input={"body": value(body)})

    (error,) = answer.json()["errors"]
    assert answer.json()["data"] is None
    assert error["path"] == ["healthkitIngest"]
    assert error["extensions"] == phone.post("/health/imports/", data=body, content_type=JSON).json()
    assert error["message"] == error["extensions"]["detail"]
    assert error["extensions"]["errors"][0]["pointer"] == "/samples/1/dateFrom"


def test_paused_intake_asks_for_the_same_bytes_later(app: Client) -> None:
    pause(Pausable.INTAKE)

    answer = post(app, INGEST, input={"body": value(healthkit_body(quantity()))})

    told = answer.json()["errors"][0]["extensions"]
    assert (answer.status_code, told["code"], told["retry"]) == (200, "unavailable", "LATER")
    assert answer.headers["Retry-After"] == str(told["retryAfter"])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "Send exactly one of"),
        ({"body": None}, "Send exactly one of"),
        ({"body": {}, "upload": "x"}, "Send exactly one of"),
        ({"file": "no part of a form"}, "'file' is a part of a multipart request"),
    ],
)
def test_exactly_one_thing_is_sent(app: Client, given: Any, told: str) -> None:
    with pytest.raises(Refused, match="invalid_envelope") as refused:
        ingest(app, **given)

    assert refused.value.answer.json()["errors"][0]["message"].startswith(told)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"body": {"format": "healthkit", "samples": 1}}, "invalid_envelope"),
        ({"body": {"format": "fax"}}, "unknown_format"),
        ({"body": {}, "format": "fax"}, "unknown_format"),
        ({"body": "a text"}, "unknown_format"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "timeZone": "Mars"}, "invalid_envelope"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "idempotencyKey": ""}, "invalid_envelope"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "idempotencyKey": "a\0"}, "invalid_envelope"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "client": {"name": "\0"}}, "invalid_envelope"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "device": {"id": "\0"}}, "invalid_envelope"),
        ({"body": {"format": "healthkit", "version": 1, "samples": []}, "format": "\0"}, "invalid_envelope"),
        ({"body": {"lane": "LIVE", "format": "healthkit", "samples": []}, "lane": "BACKFILL"}, "invalid_envelope"),
        ({"upload": "made up"}, "not_found"),
        ({"upload": "a\0b"}, "invalid_envelope"),
        ({"upload": "x", "format": "healthkit"}, "unknown_format"),
    ],
)
def test_what_can_never_succeed_is_said(app: Client, given: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        ingest(app, **given)

    assert refused.value.code == code
    assert not ImportBatch.objects.using(database()).exists()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("format", [None, "healthkit"])
def test_a_file_may_be_a_body(app: Client, packed: bool, format: str | None) -> None:
    body = healthkit_body(quantity(), quantity())

    told = read(post_file(app, gzip.compress(body) if packed else body, format=format, idempotencyKey="k1"))

    assert told["healthkitIngest"]["records"]["received"] == 2
    assert batch().idempotency_key == "k1"
    assert not ImportUpload.objects.using(database()).exists()


@pytest.mark.parametrize("format", [None, "lines"])
def test_a_file_of_a_file_format_is_cut_afterwards(app: Client, format: str | None) -> None:
    # Without a name, what begins as JSON does is a body.
    content = lines(3) if format else b"# made up\n" + lines(3)

    told = read(post_file(app, content, format=format))

    assert (told["healthkitIngest"]["format"], told["healthkitIngest"]["lane"]) == ("lines", "BACKFILL")
    assert told["healthkitIngest"]["records"]["received"] is None
    assert ImportUpload.objects.using(database()).get().batch == batch()


def test_a_file_too_large_is_refused(app: Client, settings: Any) -> None:
    body = healthkit_body(*(quantity() for _ in range(20)))

    settings.HEALTHKIT_INGEST = {"FORMATS": FORMATS, "MAX_BODY_BYTES": 1000}
    with pytest.raises(Refused, match="body_too_large"):
        read(post_file(app, body))
    settings.HEALTHKIT_INGEST = {"FORMATS": FORMATS, "MAX_DECODED_BYTES": 1000}
    with pytest.raises(Refused, match="body_too_large"):
        read(post_file(app, gzip.compress(body)))
    settings.HEALTHKIT_INGEST = {"FORMATS": FORMATS, "MAX_UPLOAD_BYTES": 100_000}
    answer = post_file(app, b"x" * 200_000, format="lines")

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (413, "body_too_large", "SPLIT")
    assert not ImportBatch.objects.using(database()).exists()


def test_an_upload_is_sent_and_imported(app: Client, phone: Client) -> None:
    (offer,) = read(post(app, "mutation { healthkitOfferUpload { upload url method headers } }")).values()
    sent = phone.put(offer["url"], data=lines(3), content_type=offer["headers"]["Content-Type"])

    first = post(app, INGEST, input={"upload": offer["upload"], "format": "lines"})
    again = post(app, INGEST, input={"upload": offer["upload"]})

    assert sent.status_code == 204
    assert read(first)["healthkitIngest"]["lane"] == "BACKFILL"
    assert read(again)["healthkitIngest"]["id"] == read(first)["healthkitIngest"]["id"] == str(batch().uuid)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_request_may_be_gzipped(app: Client) -> None:
    body = {"query": INGEST, "variables": {"input": {"body": value(healthkit_body(quantity()))}}}
    packed = gzip.compress(json.dumps(body).encode())

    answer = app.post(URL, data=packed, content_type=JSON, headers={"Content-Encoding": "gzip"})

    assert read(answer)["healthkitIngest"]["records"]["received"] == 1


def test_djangos_own_body_limit_does_not_apply(app: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    assert ingest(app, body=value(healthkit_body(*(quantity() for _ in range(20)))))["records"]["received"] == 20


def test_a_body_without_a_file_in_a_form_is_refused(app: Client) -> None:
    form = {"operations": json.dumps({"query": INGEST, "variables": {"input": {"file": None}}}), "map": "{}"}

    answer = app.post(URL, data={**form, "0": SimpleUploadedFile("a", b"x")})

    assert answer.json()["errors"][0]["extensions"]["code"] == "invalid_envelope"
