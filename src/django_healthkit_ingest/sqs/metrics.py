"""The names and units of what we measure, for alarms, dashboards and documentation; and the lines CloudWatch reads.

A line of the embedded metric format is a JSON log line with an ``_aws`` member; CloudWatch Logs makes metrics of it by
itself, without an agent and without a permission.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

NAMESPACE = "HealthKitIngest"

METRICS: Mapping[str, str] = MappingProxyType(
    {
        "ChunkSeconds": "Seconds",
        "ChunksCompleted": "Count",
        "ChunksFailed": "Count",
        "ChunksRetried": "Count",
        "SamplesInserted": "Count",
        "SamplesUpdated": "Count",
        "SamplesDuplicate": "Count",
        "SamplesSuperseded": "Count",
        "SamplesDeletion": "Count",
        "SamplesStatistic": "Count",
        "SamplesWithheld": "Count",
        "SamplesRejected": "Count",
        "OldestChunkAge": "Seconds",
        "QueueDepth": "Count",
        "DeadLetters": "Count",
        "SweepRepairs": "Count",
        "ProcessingPaused": "Count",
        "IntakePaused": "Count",
    }
)
"""CloudWatch's unit by metric name; a measure of the pipeline has the same name in snake_case."""

IDS = ("batch_id", "chunk_id", "upload_id")


class JSONFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, message, the ids it carries, a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.document(record), default=str)

    def document(self, record: logging.LogRecord) -> dict[str, Any]:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update({name: vars(record)[name] for name in IDS if name in vars(record)})
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return document


class EMFFormatter(JSONFormatter):
    """The same, and of a record with ``measures`` CloudWatch makes metrics, in ``NAMESPACE`` and without dimensions."""

    def document(self, record: logging.LogRecord) -> dict[str, Any]:
        document = super().document(record)
        measures: Mapping[str, float] = getattr(record, "measures", {})
        values = {metric_name(name): value for name, value in measures.items()}
        values = {name: value for name, value in values.items() if name in METRICS}
        if values:
            directive = {
                "Namespace": NAMESPACE,
                "Dimensions": [[]],
                "Metrics": [{"Name": name, "Unit": METRICS[name]} for name in values],
            }
            document["_aws"] = {"Timestamp": int(record.created * 1000), "CloudWatchMetrics": [directive]}
            document.update(values)
        return document


def metric_name(measure: str) -> str:
    """``chunk_seconds`` is ``ChunkSeconds`` to CloudWatch."""
    return "".join(word.capitalize() for word in measure.split("_"))
