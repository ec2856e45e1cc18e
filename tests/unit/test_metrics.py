from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from django_healthkit_ingest.sqs.metrics import METRICS, NAMESPACE, EMFFormatter, JSONFormatter, metric_name

UNITS = {"Seconds", "Count"}


def record(**extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "a.b", "levelname": "INFO", "created": 1767225600.5, "msg": "Chunk %s"})
    made.args = (7,)
    vars(made).update(extra)
    return made


def test_a_record_is_one_line_of_json_with_its_ids() -> None:
    text = JSONFormatter().format(record(chunk_id=7, batch_id=3, user="Anna"))

    assert "\n" not in text
    assert json.loads(text) == {
        "time": "2026-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "a.b",
        "message": "Chunk 7",
        "chunk_id": 7,
        "batch_id": 3,
    }


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        text = JSONFormatter().format(record(exc_info=sys.exc_info()))

    assert "\n" not in text
    assert "ValueError: first\nsecond" in json.loads(text)["traceback"]


def test_measures_become_metrics() -> None:
    line = json.loads(EMFFormatter().format(record(measures={"chunk_seconds": 0.25, "chunks_completed": 1})))

    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert line["_aws"]["Timestamp"] == 1767225600500
    assert directive == {
        "Namespace": NAMESPACE,
        "Dimensions": [[]],
        "Metrics": [{"Name": "ChunkSeconds", "Unit": "Seconds"}, {"Name": "ChunksCompleted", "Unit": "Count"}],
    }
    assert (line["ChunkSeconds"], line["ChunksCompleted"]) == (0.25, 1)


@pytest.mark.parametrize("extra", [{}, {"measures": {"of_the_host": 1}}])
def test_a_record_without_measures_of_ours_is_plain_json(extra: dict[str, Any]) -> None:
    assert json.loads(EMFFormatter().format(record(**extra))) == json.loads(JSONFormatter().format(record()))


@pytest.mark.parametrize(("measure", "name"), [("chunk_seconds", "ChunkSeconds"), ("dead_letters", "DeadLetters")])
def test_a_metric_is_named_like_its_measure(measure: str, name: str) -> None:
    assert metric_name(measure) == name
    assert name in METRICS


def test_units_are_cloudwatch_units() -> None:
    assert set(METRICS.values()) <= UNITS
