"""The ground truth against the tables, row for row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Sum

from django_healthkit_ingest.models import HealthSample, ImportBatch, RejectedSample
from example_project.demo.bodies import Body, Story
from example_project.demo.dialects import Row, as_text, comparable


def rows_of(user: Any) -> Counter[Row]:
    samples = HealthSample.objects.for_user(user).select_related("type", "source").iterator(chunk_size=5000)
    return Counter(actual_row(sample) for sample in samples)


def actual_row(sample: HealthSample) -> Row:
    source = sample.source
    return Row(
        identifier=sample.identifier,
        uuid=sample.uuid,
        start=sample.start,
        end=sample.end,
        value=comparable(sample.value),
        category=sample.category,
        time_zone=sample.time_zone,
        source_name=source.name if source else "",
        bundle_id=source.bundle_id if source else "",
        metadata=as_text(sample.metadata),
    )


def differences(story: Story, *, user: Any, imports: Mapping[UUID, Body]) -> list[str]:
    """What is wrong with one user's tables, in words; ``imports`` are the user's, by id. Empty: nothing."""
    rows = rows_of(user)
    found = [
        *told("missing from the table", story.rows - rows),
        *told("not in the ground truth", rows - story.rows),
    ]
    for batch in ImportBatch.objects.filter(uuid__in=imports):
        found += book_faults(batch, imports[batch.uuid])
    totals = ImportBatch.objects.filter(uuid__in=imports).aggregate(kept=Sum("inserted") - Sum("rows_removed"))
    if totals["kept"] != sum(story.rows.values()):
        found.append(f"{story.person.name}: the books keep {totals['kept']} rows, not {sum(story.rows.values())}")
    return found


def told(what: str, rows: Counter[Row]) -> Iterable[str]:
    for identifier, count in Counter(row.identifier for row in rows.elements()).items():
        example = next(row for row in rows if row.identifier == identifier)
        yield f"{count} x {identifier} {what}, such as {example}"


def book_faults(batch: ImportBatch, body: Body) -> Iterable[str]:
    rejected = RejectedSample.objects.filter(chunk__batch=batch, chunk__section="samples")
    actual = dict(rejected.values_list("index", "code"))
    if batch.status != "COMPLETED":
        yield f"import {batch.uuid} is {batch.status}"
    if batch.received != body.record_count:
        yield f"import {batch.uuid} received {batch.received} records of {body.record_count}"
    if actual != body.rejections:
        yield f"import {batch.uuid} rejected {sorted(actual.items())}, not {sorted(body.rejections.items())}"
