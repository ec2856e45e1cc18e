"""What makes two records the same record, and which of two versions wins: digests, versioned and order-free."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from unicodedata import normalize
from uuid import UUID

import msgspec

from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.samples import Device, Source

FINGERPRINT_VERSION = 1

FIDELITY = 63 << 57
"""The bits of a rank that are its format's fidelity."""

_QUANTITY = SampleKind.QUANTITY
_DEVICE_FIELDS = Device.__struct_fields__
_SOURCE_FIELDS = tuple(name for name in Source.__struct_fields__ if name != "device")
_NO_DEVICE = Device()
# Copied for each digest, which takes less time than making them.
_SHORT = blake2b(digest_size=6)
_LONG = blake2b(digest_size=16)
_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4`"), "'")


def fingerprint(
    *,
    identifier: str,
    kind: SampleKind | None,
    start: int,
    end: int,
    value: float | None,
    category: int | None,
) -> UUID:
    """Class of records that may be one and the same, whatever dialect they came in: BLAKE2b-128 of
    ``hkfp1|identifier|start|end|value``.

    ``start`` and ``end`` are microseconds of Unix time, of which whole seconds count, rounded down, for some dialects
    carry no more. The value is a quantity's in its canonical unit to 4 significant digits (``%.4g``, since Apple's
    export prints 6 and converts units), a category's number (0 if it has none), a workout's activity, and empty for all
    else. Not unique: twins share it.
    """
    if kind is _QUANTITY:
        content = f"{value + 0.0:.4g}" if value is not None else ""
    elif kind is SampleKind.CATEGORY:
        content = str(category or 0)
    elif kind is SampleKind.WORKOUT and category is not None:
        content = str(category)
    else:
        content = ""
    return _digest(f"hkfp{FINGERPRINT_VERSION}|{identifier}|{start // 1_000_000}|{end // 1_000_000}|{content}")


def twin_key(*, identifier: str, kind: SampleKind | None, start: int, end: int, category: int | None) -> UUID:
    """The fingerprint without a quantity's value: BLAKE2b-128 of ``hktwin1|identifier|start|end|category``, of the same
    microseconds.

    Two records of one twin key are copies of each other if their values, too, are the same (``same_value``).
    """
    content = ""
    if kind is SampleKind.CATEGORY:
        content = str(category or 0)
    elif kind is SampleKind.WORKOUT and category is not None:
        content = str(category)
    return _digest(f"hktwin1|{identifier}|{start // 1_000_000}|{end // 1_000_000}|{content}")


def sync_key(*, bundle_id: str, identifier: str) -> UUID:
    """Records of one app with one ``HKMetadataKeySyncIdentifier`` replace each other."""
    return _digest(f"hksync1|{len(bundle_id)}:{bundle_id}|{identifier}")


@lru_cache(maxsize=4096)
def source_key(source: Source) -> UUID:
    """One key for one recorder: a digest of all its fields in Unicode form NFKC, which also folds no-break spaces."""
    device = source.device or _NO_DEVICE
    texts = [getattr(source, name) for name in _SOURCE_FIELDS] + [getattr(device, name) for name in _DEVICE_FIELDS]
    folded = [normalize("NFKC", text) for text in texts]
    return _digest("hksource1|" + "|".join(f"{len(text)}:{text}" for text in folded))


@lru_cache(maxsize=4096)
def source_digits(source: Source | None) -> str:
    """The key as a decimal number, as content digests have it; empty for no source."""
    return "" if source is None else str(source_key(source).int)


@lru_cache(maxsize=4096)
def recorder_key(source: Source) -> UUID | None:
    """One key for one recorder in whatever dialect and version it is seen: BLAKE2b-128 of ``hkrecorder1|name|`` and its
    folded name, or of ``hkrecorder1|bundle|`` and its bundle id if it has no name. None if it has neither.

    The name is what most dialects share: export.xml has no bundle id, and what a dialect tells of the device differs.
    """
    if name := fold_name(source.name):
        content = f"hkrecorder1|name|{name}"
    elif bundle_id := source.bundle_id.strip().casefold():
        content = f"hkrecorder1|bundle|{bundle_id}"
    else:
        return None
    return _digest(content)


def fold_name(name: str) -> str:
    """A name without what differs between two writings of it: case, kind of blank and apostrophe, Unicode form."""
    folded = normalize("NFKC", name.translate(_APOSTROPHES)).casefold()
    return " ".join(normalize("NFKC", folded).split())


def content_digest(*parts: object) -> bytes:
    """48 bits over normalised content; ``str()`` of each part must be the same everywhere."""
    return digest_of("\x1f".join(map(str, parts)))


def digest_of(content: str) -> bytes:
    """The same, of parts that are joined already."""
    state = _SHORT.copy()
    state.update(content.encode())
    return state.digest()


def rank(*, fidelity: int, normaliser_version: int, content_digest: bytes) -> int:
    """Which version of one uuid's record wins: the highest. At least 0 and below 2**63.

    The better format, then the newer normaliser, then a digest, so that the winner never depends on what came first.
    """
    if len(content_digest) != 6:
        raise ValueError("a content digest has 48 bits")
    return _highest_bits(fidelity, normaliser_version) | int.from_bytes(content_digest)


@lru_cache(maxsize=64)
def _highest_bits(fidelity: int, normaliser_version: int) -> int:
    if not 0 <= fidelity < 1 << 6 or not 0 <= normaliser_version < 1 << 9:
        raise ValueError("fidelity has 6 bits, the normaliser's version 9")
    return fidelity << 57 | normaliser_version << 48


def _digest(text: str) -> UUID:
    """BLAKE2b-128; msgspec makes a UUID of its bytes in half the time that ``UUID`` takes, which is once per record."""
    state = _LONG.copy()
    state.update(text.encode())
    return msgspec.convert(state.digest(), UUID)
