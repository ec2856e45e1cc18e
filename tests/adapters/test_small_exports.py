"""A small export as the body of a request, chosen by its media type or by what it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from django_healthkit_ingest.models import ImportBatch, database
from tests.unit.formats.apple_export_examples import STEPS, archive, document

pytestmark = pytest.mark.django_db(databases="__all__")

XML = document(STEPS)
NOT_AN_EXPORT = b"<ClinicalDocument/>"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/zip", archive({"apple_health_export/export.xml": XML}).getvalue()),
        ("application/xml; charset=utf-8", XML),
        ("text/xml", XML),
        ("application/octet-stream", XML),
    ],
)
def test_an_export_is_known_by_its_media_type_or_its_content(
    phone: Client, messages: Any, content_type: str, body: bytes
) -> None:
    answer = phone.post("/health/imports/", data=body, content_type=content_type)

    batch = ImportBatch.objects.using(database()).get()
    assert answer.status_code == 202
    assert (batch.format, batch.received) == ("apple_export", 1)


def test_what_is_declared_xml_is_read_as_an_export_and_as_nothing_else(phone: Client) -> None:
    answer = phone.post("/health/imports/", data=NOT_AN_EXPORT, content_type="application/xml")

    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (400, "malformed_body", "FIX")
