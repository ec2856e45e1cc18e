"""What Health Auto Export sends besides metrics: workouts, moods, doses, ECGs, symptoms, cycles, stages of sleep."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from django_healthkit_ingest.core.formats.health_auto_export_dates import read_date
from django_healthkit_ingest.core.formats.health_auto_export_fields import (
    Members,
    first_text,
    read_number,
    read_source,
    read_text,
)
from django_healthkit_ingest.core.formats.health_auto_export_labels import Kind, folded, labels
from django_healthkit_ingest.core.formats.records import read_members, read_metadata
from django_healthkit_ingest.core.json_text import UNREADABLE, JsonObject
from django_healthkit_ingest.core.normalise import Draft, normalise
from django_healthkit_ingest.core.registry import SampleKind, SampleType, SampleTypeRegistry
from django_healthkit_ingest.core.rejections import rejection
from django_healthkit_ingest.core.samples import Sample
from django_healthkit_ingest.exceptions import RecordRejected

STARTS = ("start", "startDate", "date", "scheduledDate")
ENDS = ("end", "endDate")

_VALUELESS = {"notapplicable": 0}


class ArrayRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as ``split`` hands it on, with the name of the array it was in."""

    kind: str
    record: msgspec.Raw


_RECORD = msgspec.json.Decoder(ArrayRecord)


def read_sample(
    index: int, raw: msgspec.Raw, *, registry: SampleTypeRegistry, fidelity: int, declared_zone: ZoneInfo | None
) -> Sample:
    """Raises RecordRejected; its field is a member of the record."""
    try:
        sent = _RECORD.decode(raw)
    except UNREADABLE:
        raise rejection("malformed_record") from None
    kind = labels().kinds.get(sent.kind) or Kind(own_type=sent.kind)
    members = read_members(sent.record, field="")
    start, begin = first_text(members, STARTS)
    end, finish = first_text(members, ENDS)
    if not begin:
        raise rejection("missing_field", field=STARTS[0])
    identifier, category, metadata = _meaning(kind, members, registry=registry)
    draft = Draft(
        type=identifier,
        start=read_date(begin),
        end=read_date(finish) if finish else None,
        uuid=_uuid(members) if kind.uuid else None,
        category=category,
        source=read_source(members),
        metadata=metadata,
        record=sent.record,
    )
    try:
        return normalise(draft, index=index, registry=registry, fidelity=fidelity, declared_zone=declared_zone)
    except RecordRejected as error:
        places = {"start": start, "end": end or ENDS[0]}
        raise rejection(error.reason, field=places.get(error.field, error.field)) from None


def _meaning(
    kind: Kind, members: Members, *, registry: SampleTypeRegistry
) -> tuple[str, int | None, JsonObject | None]:
    """Identifier, category and metadata. Texts are in the phone's language: one that is not known is never guessed."""
    own_type = f"{labels().own_types}{kind.own_type}"
    if kind.type:
        sample_type = registry.get(kind.type)
        is_workout = sample_type is not None and sample_type.kind is SampleKind.WORKOUT
        return kind.type, _activity(read_text(members, "name"), sample_type) if is_workout else None, None
    name = folded(read_text(members, kind.named_by)) if kind.named_by else ""
    identifier = labels().names.get(kind.names, {}).get(name)
    sample_type = registry.get(identifier) if identifier is not None else None
    if sample_type is None or sample_type.kind is not SampleKind.CATEGORY:
        return own_type, None, None
    said = {*STARTS, *ENDS, "source", kind.named_by, *kind.implied}
    values = _categories(sample_type)
    if values == _VALUELESS:
        return sample_type.identifier, None, _metadata(members, said=said)
    member, text = first_text(members, kind.valued_by)
    category = values.get(folded(text))
    if category is None:
        return own_type, None, None
    return sample_type.identifier, category, _metadata(members, said=said | {member})


def _activity(name: str, sample_type: SampleType | None) -> int | None:
    if sample_type is None:
        return None
    known = labels().activities | _categories(sample_type)
    text = folded(name)
    for prefix in ("", *labels().activity_prefixes):
        if text.startswith(prefix) and (activity := known.get(text.removeprefix(prefix))) is not None:
            return activity
    return None


@lru_cache(maxsize=256)
def _read_categories(identifier: str, values: tuple[tuple[int, str], ...]) -> dict[str, int]:
    return {folded(name): number for number, name in values} | labels().values.get(identifier, {})


def _categories(sample_type: SampleType) -> dict[str, int]:
    return _read_categories(sample_type.identifier, tuple(sample_type.category_values.items()))


def _metadata(members: Members, *, said: set[str]) -> JsonObject | None:
    """What a category has no column for, so that nothing is lost."""
    kept: dict[str, msgspec.Raw] = {}
    for name, raw in members.items():
        quantity = labels().quantities.get(name)
        if name in said or bytes(raw) == b"null":
            continue
        if quantity is not None and read_number(members, name) is not None:
            kept[quantity.key] = msgspec.Raw(
                b'{"quantity":%b,"unit":%b}' % (bytes(raw), msgspec.json.encode(quantity.unit))
            )
        elif name == "metadata" and bytes(raw)[:1] == b"{":
            kept |= read_members(raw, field=name)
        else:
            kept[labels().metadata.get(name, name)] = raw
    return read_metadata(msgspec.json.encode(kept))


def _uuid(members: Members) -> UUID | None:
    """HealthKit's, as far as is known; the app promises no more than a text."""
    try:
        uuid = UUID(read_text(members, "id"))
    except RecordRejected:
        raise
    except ValueError:
        return None
    if not uuid.int:
        raise rejection("invalid_uuid", field="id")
    return uuid
