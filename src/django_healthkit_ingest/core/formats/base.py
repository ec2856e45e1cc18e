"""What a wire format must be able to do; each format is a sibling module that implements :class:`Format`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, BinaryIO, ClassVar, Protocol, runtime_checkable

import msgspec

from django_healthkit_ingest.core.registry import SampleTypeRegistry
from django_healthkit_ingest.core.samples import Parsed, Section


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A body whose syntax and outer shape are checked and whose records are still raw JSON."""

    records: Mapping[Section, list[msgspec.Raw]]
    """Raw JSON values, in the order of the request."""
    time_zone: str | None = None
    """IANA name that naive dates are read in."""
    lane: str | None = None
    """``LIVE`` or ``BACKFILL``."""
    device: Mapping[str, Any] | None = None
    """The app installation that sends (``{"id": ..., "model": ..., "system_version": ...}``)."""
    client: Mapping[str, Any] | None = None
    """The sending app (``{"name": ..., "version": ...}``)."""
    sequence: int | None = None
    """The client's own count of its requests, for statistics only: the higher one is the newer reading."""
    anchors: Mapping[str, str] | None = None
    """By type identifier: where the client's next query starts if this body is stored."""
    windows: tuple[Mapping[str, Any], ...] = ()
    """``{"types": [...], "start": ..., "end": ..., "complete": bool, "readable": bool}``, instants as RFC 3339 text."""
    warnings: tuple[str, ...] = ()
    """What was ignored, by key name; never a value."""


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """The next records of a file, of one section, and where reading goes on after them."""

    section: Section
    records: list[msgspec.Raw]
    position: Mapping[str, Any]
    """JSON, understood by the format that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What of HealthKit a format can carry, as its client library writes it."""

    uuids: bool
    """HealthKit's own uuid of a sample. Without it a record is known by its fingerprint and can never be deleted."""
    deletions: bool
    """``HKDeletedObject``."""
    offsets: bool
    """Dates are instants, with a UTC offset or ``Z``. Without, a time zone has to be declared."""
    precision: timedelta
    """The finest step of its dates. Values are always whole doubles."""


class Format(Protocol):
    """A wire format. Instances hold no state: one serves all threads."""

    name: ClassVar[str]
    """As in the envelope's ``format``, the URL and the batch row."""
    media_types: ClassVar[frozenset[str]]
    """Media types that mean this format and no other; usually empty, since everybody sends ``application/json``."""
    fidelity: ClassVar[int]
    """0-63: how much of HealthKit survives in this format; the better one wins when both carry the same uuid."""
    capabilities: ClassVar[Capabilities]

    def recognises(self, body: bytes) -> bool:
        """Whether these bytes look like this format, asked only when nobody named one. Never raises."""

    def split(self, body: bytes, *, time_zone: str | None) -> Envelope:
        """Check syntax and outer shape, leave the records raw.

        ``time_zone`` is the zone declared out of the body; the same value twice but different is refused. Raises
        MalformedBody, InvalidEnvelope, TimeZoneRequired (a date is naive and no zone is known for it).
        """

    def parse(
        self,
        records: bytes,
        *,
        section: Section,
        first_index: int,
        time_zone: str | None,
        registry: SampleTypeRegistry,
    ) -> Iterator[Parsed]:
        """Read a JSON array of records of one section: exactly one outcome per element, in order.

        ``first_index`` is the first element's place in the request's array. A record that cannot be read is a
        Rejected; no record's fault raises.
        """


@runtime_checkable
class FileFormat(Format, Protocol):
    """A format whose bodies may be files of any size: they are read in portions, in bounded memory."""

    def read_file(self, file: BinaryIO, *, position: Mapping[str, Any], size: int) -> Iterator[Portion]:
        """Portions of at most ``size`` records, from ``position`` on (``{}``: the beginning).

        ``file`` can seek. A portion's records do not depend on where an earlier reading stopped, nor on ``size``.
        Raises MalformedBody for a file that can never be read, and whatever ``file`` raises.
        """
