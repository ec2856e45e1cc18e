"""Files over HTTP: as the part of a form, and as an upload that is imported afterwards."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.utils.functional import cached_property
from rest_framework.test import force_authenticate

from django_healthkit_ingest.adapters.rest_framework.file_bodies import ORDER_BYTES
from django_healthkit_ingest.adapters.rest_framework.uploads import UploadView
from django_healthkit_ingest.adapters.rest_framework.views import ImportsView
from django_healthkit_ingest.models import ImportBatch, ImportUpload, database
from django_healthkit_ingest.pipeline.files import FOLDER, file_storage
from django_healthkit_ingest.pipeline.offer import offer_upload
from django_healthkit_ingest.testing import healthkit_body
from tests.line_format import lines

pytestmark = pytest.mark.django_db(databases="__all__")

IMPORTS = "/health/imports/"
UPLOADS = "/health/uploads/"
JSON = "application/json"
BYTES = "application/octet-stream"
HEALTHKIT = "django_healthkit_ingest.core.formats.healthkit.HealthKitFormat"


@pytest.fixture(autouse=True)
def host(settings: Any, tmp_path: Path, messages: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": [HEALTHKIT, "tests.line_format.LineFormat"]}
    settings.MEDIA_ROOT = str(tmp_path)


def files() -> list[str]:
    try:
        return file_storage().listdir(FOLDER)[1]
    except FileNotFoundError:
        return []


def batch() -> ImportBatch:
    return ImportBatch.objects.using(database()).get()


def send_form(phone: Client, content: bytes, url: str = IMPORTS, *, headers: Any = None, **fields: str) -> Any:
    file = SimpleUploadedFile("Anna's export.zip", content)
    return phone.post(url, data={"file": file, **fields}, headers=headers)


def order(phone: Client, upload: Any, **others: Any) -> Any:
    return phone.post(IMPORTS, data=json.dumps({"upload": upload, **others}), content_type=JSON)


def send_file(phone: Client, content: bytes) -> str:
    offer = phone.post(UPLOADS).json()
    answer = phone.put(offer["url"], data=content, content_type=BYTES)
    assert answer.status_code == 204
    return str(offer["upload"])


def test_a_form_brings_a_file(phone: Client) -> None:
    content = lines(3)

    answer = send_form(phone, content, time_zone="Europe/Berlin", device="phone-7", lane="LIVE")

    shape = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/imports/{shape['id']}/")
    assert (shape["format"], shape["lane"], shape["status"]) == ("lines", "LIVE", "PENDING")
    assert (shape["chunks"]["total"], shape["records"]["received"]) == (None, None)
    assert (batch().time_zone, batch().device_id) == ("Europe/Berlin", "phone-7")
    upload = ImportUpload.objects.using(database()).get()
    with file_storage().open(upload.name) as file:
        assert file.read() == content
    assert "Anna" not in upload.name


def test_a_form_may_be_repeated_with_its_key(phone: Client) -> None:
    content = lines(3)
    key = {"Idempotency-Key": "k"}

    first = send_form(phone, content, headers=key)
    again = send_form(phone, content, idempotency_key="k")
    other = send_form(phone, lines(1), headers=key)

    assert (first.json()["id"], again.headers["Idempotency-Replayed"]) == (again.json()["id"], "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize("url", [IMPORTS, f"{IMPORTS}lines/"])
def test_a_file_too_large_is_refused_while_it_arrives(phone: Client, settings: Any, url: str) -> None:
    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "MAX_UPLOAD_BYTES": 100_000}

    answer = send_form(phone, b"x" * 200_000, url)

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (413, "body_too_large", "SPLIT")
    assert files() == []


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        ({}, None),
        ({"files": SimpleUploadedFile("a", b"x")}, None),
        ({"file": "text"}, None),
        ({"file": SimpleUploadedFile("a", b"x"), "time_zone": "Europe/Atlantis"}, None),
        ({"file": SimpleUploadedFile("a", b"x"), "lane": "FAST"}, None),
        (b"never a form", "multipart/form-data; boundary=abc"),
        (b"never a form", "multipart/form-data"),
    ],
)
def test_a_form_that_can_never_succeed_says_so(phone: Client, data: Any, content_type: str | None) -> None:
    options: Any = {"content_type": content_type} if content_type else {}

    answer = phone.post(IMPORTS, data=data, **options)

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (400, "invalid_envelope", "FIX")
    assert files() == []


def test_a_value_given_twice_but_different_is_refused(phone: Client) -> None:
    answer = send_form(phone, lines(1), f"{IMPORTS}?time_zone=Asia/Tokyo", time_zone="Europe/Berlin")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_envelope")


def test_a_format_that_reads_no_files_is_named(phone: Client) -> None:
    answer = send_form(phone, lines(1), f"{IMPORTS}healthkit/")

    assert (answer.status_code, answer.json()["code"]) == (415, "unknown_format")


def test_a_form_that_broke_off_is_asked_for_again(user: Any) -> None:
    whole = RequestFactory().post(IMPORTS, data={"file": SimpleUploadedFile("a", lines(3))})
    body = whole.read()
    request = RequestFactory().generic("POST", IMPORTS, body[: len(body) // 2], whole.META["CONTENT_TYPE"])
    request.META["CONTENT_LENGTH"] = str(len(body))
    force_authenticate(request, user=user)

    answer = ImportsView.as_view()(request)

    assert (answer.status_code, answer.data["retry"]) == (503, "LATER")
    assert files() == []


def test_an_upload_is_offered_filled_and_imported(phone: Client) -> None:
    content = lines(3)
    offer = phone.post(UPLOADS)
    shape = offer.json()

    sent = phone.put(shape["url"], data=content, content_type=shape["headers"]["Content-Type"])
    answer = order(phone, shape["upload"], format="lines", device={"id": "phone-7"}, client={"name": "acme"})
    again = order(phone, shape["upload"], format="lines")

    assert (offer.status_code, shape["method"]) == (201, "PUT")
    assert shape["url"].startswith(f"http://testserver{UPLOADS}")
    assert shape["expires_at"].endswith("Z")
    assert (sent.status_code, answer.status_code) == (204, 202)
    assert (answer.json()["lane"], answer.json()["id"]) == ("BACKFILL", again.json()["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (batch().device_id, batch().client) == ("phone-7", {"name": "acme"})


def test_an_order_may_be_gzipped_and_its_format_left_out(phone: Client) -> None:
    body = gzip.compress(json.dumps({"upload": send_file(phone, lines(1))}).encode())

    answer = phone.post(IMPORTS, data=body, content_type=JSON, headers={"Content-Encoding": "gzip"})

    assert (answer.status_code, answer.json()["format"]) == (202, "lines")


def test_other_peoples_uploads_do_not_exist(phone: Client, sign_in: Any, other_user: Any) -> None:
    upload = send_file(phone, lines(1))
    thief = sign_in(other_user)
    (name,) = files()

    answers = [
        order(thief, upload),
        order(thief, name),
        order(thief, f"{FOLDER}/{name}"),
        order(thief, ""),
        thief.put(f"{UPLOADS}{upload}/", data=b"x", content_type=BYTES),
    ]

    assert [(answer.status_code, answer.json()["retry"]) for answer in answers] == [(404, "NEVER")] * 5
    assert not ImportBatch.objects.using(database()).exists()


def test_strangers_get_no_upload() -> None:
    assert Client().post(UPLOADS).status_code == 401
    assert Client().put(f"{UPLOADS}x/", data=b"x", content_type=BYTES).status_code == 401


@pytest.mark.parametrize("upload", [5, None, ["a"], {}])
def test_an_upload_that_is_no_token_is_refused(phone: Client, upload: Any) -> None:
    answer = order(phone, upload)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_envelope")


def test_an_upload_whose_file_never_came_is_told_to_send_it(phone: Client) -> None:
    answer = order(phone, phone.post(UPLOADS).json()["upload"])

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (400, "invalid_upload", "FIX")


def test_a_body_that_only_mentions_uploads_is_a_body(phone: Client) -> None:
    bodies = [healthkit_body(lane="LIVE", note="upload"), healthkit_body(note='"upload"' + "x" * ORDER_BYTES)]

    answers = [phone.post(IMPORTS, data=body, content_type=JSON) for body in bodies]

    assert [(answer.status_code, answer.json()["format"]) for answer in answers] == [(202, "healthkit")] * 2


@pytest.mark.parametrize("has_length", [False, True])
def test_a_put_too_large_is_refused(user: Any, settings: Any, has_length: bool) -> None:
    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "MAX_UPLOAD_BYTES": 1000}

    answer = put(user, b"x" * 2000, length=2000 if has_length else None)

    assert (answer.status_code, answer.data["retry"]) == (413, "SPLIT")
    assert files() == []


@pytest.mark.parametrize(
    ("sent", "length", "status", "stored"),
    [(3000, None, 204, 1), (3000, 3000, 204, 1), (2999, 3000, 503, 0), (0, 0, 400, 0), (0, None, 400, 0)],
)
def test_a_put_needs_no_length_and_may_break_off(
    user: Any, sent: int, length: int | None, status: int, stored: int
) -> None:
    answer = put(user, b"x" * sent, length=length)

    assert (answer.status_code, len(files())) == (status, stored)


def test_a_server_that_cannot_end_a_body_needs_the_length(user: Any) -> None:
    answer = put(user, b"x", length=None, is_ended_by_server=False)

    assert (answer.status_code, answer.data["code"]) == (400, "invalid_envelope")


def put(user: Any, body: bytes, *, length: int | None, is_ended_by_server: bool = True) -> Any:
    """A PUT as gunicorn hands it over: ``Transfer-Encoding: chunked`` when there is no length."""
    token = offer_upload(user=user).token
    request = RequestFactory().put(f"{UPLOADS}{token}/", data=b"", content_type=BYTES)
    request = type(request)(
        {
            **request.META,
            "wsgi.input": io.BytesIO(body),
            "wsgi.input_terminated": is_ended_by_server,
            "CONTENT_LENGTH": "" if length is None else str(length),
        }
    )
    force_authenticate(request, user=user)
    return UploadView.as_view()(request, token=token)


def test_djangos_own_body_limit_does_not_apply(phone: Client, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    assert send_form(phone, lines(20)).status_code == 202
    assert send_file(phone, lines(20))


class BucketStorage(FileSystemStorage):
    """As far as an offer looks, a storage over boto3; signing needs no network."""

    bucket_name = "acme-health"
    location = "kept/apart"

    @cached_property
    def connection(self) -> Any:
        return boto3.resource("s3", region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret")


def test_a_bucket_takes_the_file_itself(phone: Client, settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "bucket": {"BACKEND": f"{__name__}.BucketStorage"}}
    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "UPLOAD_STORAGE": "bucket"}

    shape = phone.post(UPLOADS).json()

    url = urlsplit(shape["url"])
    uuid = shape["upload"].partition(":")[0]
    assert url.netloc.startswith("acme-health.s3")
    assert url.path == f"/kept/apart/{FOLDER}/{uuid}"
    assert "Signature" in url.query
    assert shape["headers"] == {"Content-Type": BYTES}
