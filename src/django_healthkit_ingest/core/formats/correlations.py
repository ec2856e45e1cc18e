"""The samples inside a correlation (developer.apple.com/documentation/healthkit/hkcorrelation): all, or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from django_healthkit_ingest.core.formats.records import split_array
from django_healthkit_ingest.core.normalise import has_columns
from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Sample
from django_healthkit_ingest.exceptions import MalformedBody, RecordRejected

OBJECTS = "objects"
"""The correlation's member that holds them, as HealthKit and its React Native library call it."""


def may_be_inside(identifier: str, registry: SampleTypeRegistry) -> bool:
    """HealthKit's correlations hold quantities and categories; what a type of the future is, nobody knows yet."""
    return identifier not in registry or has_columns(identifier, registry)


def read_objects(
    raw: msgspec.Raw, *, read: Callable[[msgspec.Raw], Sample], names: Mapping[str, str]
) -> tuple[Sample, ...]:
    """``names`` as in ``parse_records``. Raises RecordRejected for one bad member: ``objects.<place>.<field>``."""
    if bytes(raw) == b"null":
        return ()
    try:
        elements = split_array(bytes(raw))
    except MalformedBody:
        raise rejection("wrong_type", field=OBJECTS) from None
    members = []
    for place, element in enumerate(elements):
        try:
            members.append(read(element))
        except RecordRejected as error:
            field = names.get(error.field, error.field)
            raise rejection(error.reason, field=f"{OBJECTS}.{place}.{field}".rstrip(".")) from None
    return tuple(members)


def objects_naive_fields(raw: msgspec.Raw, *, naive_fields: Callable[[msgspec.Raw], list[str]]) -> list[str]:
    """The members' dates without an offset, by their JSON pointers below the correlation. Never raises."""
    if bytes(raw)[:1] != b"[":
        return []
    try:
        elements = split_array(bytes(raw))
    except MalformedBody:
        return []  # the record will be rejected for it
    return [f"{OBJECTS}/{place}/{name}" for place, element in enumerate(elements) for name in naive_fields(element)]
