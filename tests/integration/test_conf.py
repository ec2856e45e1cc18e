from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_healthkit_ingest import conf, exceptions

EXTRA = {"identifier": "com.acme.Mood", "kind": "quantity", "canonical_unit": "count", "dimension": "scalar_count"}


def test_settings_are_live_in_both_directions() -> None:
    before = conf.get_settings().chunk_size

    with override_settings(HEALTHKIT_INGEST={"CHUNK_SIZE": before + 1}):
        during = conf.get_settings().chunk_size

    assert (during, conf.get_settings().chunk_size) == (before + 1, before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"CHUNK_SIZ": 1}, "Did you mean 'CHUNK_SIZE'"),
        ({"chunk_size": 1}, "Did you mean 'CHUNK_SIZE'"),
        ({"Q": 1}, "CHUNK_SIZE"),
        ({"CHUNK_SIZE": 0}, "CHUNK_SIZE"),
        ({"CHUNK_SIZE": True}, "CHUNK_SIZE"),
        ({"MAX_BODY_BYTES": "10"}, "MAX_BODY_BYTES"),
        ({"STALE_AFTER": 30}, "timedelta"),
        ({"PUBLISH_TIMEOUT": timedelta(0)}, "PUBLISH_TIMEOUT"),
        ({"MAX_BACKLOG_AGE": 3600}, "MAX_BACKLOG_AGE"),
        ({"MAX_PENDING_RECORDS_PER_USER": 0}, "MAX_PENDING_RECORDS_PER_USER"),
        ({"QUEUES": ["a"]}, "QUEUES"),
        ({"SQS_GUARDS": "no"}, "SQS_GUARDS"),
        ({"HEARTBEAT_FILE": True}, "HEARTBEAT_FILE"),
        ([], "dict"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: Any, given: Any, message: str) -> None:
    settings.HEALTHKIT_INGEST = given

    with pytest.raises(ImproperlyConfigured, match=message):
        conf.get_settings()


def test_hosts_add_sample_types_in_settings_or_in_a_file(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "types.json"
    path.write_text(json.dumps([EXTRA]))

    for rows in ([EXTRA], str(path), path):
        settings.HEALTHKIT_INGEST = {"SAMPLE_TYPES": rows}
        added = conf.get_registry().get("com.acme.Mood")
        assert added is not None
        assert added.canonical_unit == "count"
        assert conf.get_registry().get("HKQuantityTypeIdentifierHeartRate") is not None


def test_a_wrong_sample_type_is_refused(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"SAMPLE_TYPES": [{**EXTRA, "canonical_unit": "parsec"}]}

    with pytest.raises(ImproperlyConfigured, match="SAMPLE_TYPES"):
        conf.get_registry()


def test_formats_are_dotted_paths(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": [conf.SHIPPED_FORMATS[1]]}

    assert list(conf.get_formats()) == ["flutter"]
    with pytest.raises(exceptions.UnknownFormat, match="flutter"):
        conf.get_format("healthkit")


@pytest.mark.parametrize("paths", [["no.such.Format"], [conf.SHIPPED_FORMATS[0]] * 2])
def test_wrong_formats_are_refused(settings: Any, paths: list[str]) -> None:
    settings.HEALTHKIT_INGEST = {"FORMATS": paths}

    with pytest.raises(ImproperlyConfigured, match="FORMATS"):
        conf.get_formats()
