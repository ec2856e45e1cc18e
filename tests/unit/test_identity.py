from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from django_healthkit_ingest.core.identity import (
    FINGERPRINT_VERSION,
    content_digest,
    fingerprint,
    rank,
    recorder_key,
    source_key,
)
from django_healthkit_ingest.core.registry import SampleKind
from django_healthkit_ingest.core.samples import Device, Source
from django_healthkit_ingest.core.timestamps import microseconds

START = datetime(2026, 1, 1, 7, 0, 0, 123_000, tzinfo=UTC)
END = datetime(2026, 1, 1, 7, 5, 0, 999_999, tzinfo=UTC)
BEFORE_1970 = datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)
WATCH = Source(
    name="Ada's Watch", bundle_id="com.apple.health", device=Device(name="Apple Watch", hardware="Watch7,11")
)

GOLDEN = [
    (
        ("HKQuantityTypeIdentifierHeartRate", SampleKind.QUANTITY, START, START, 72.0, None),
        "hkfp1|HKQuantityTypeIdentifierHeartRate|1767250800|1767250800|72",
        "c76cd6318b70fb8f5f3f717d3837baec",
    ),
    (
        ("HKQuantityTypeIdentifierDistanceWalkingRunning", SampleKind.QUANTITY, START, END, 1234.5678, None),
        "hkfp1|HKQuantityTypeIdentifierDistanceWalkingRunning|1767250800|1767251100|1235",
        "7e5e672807914655ed452f9374c3d10b",
    ),
    (
        ("HKQuantityTypeIdentifierOxygenSaturation", SampleKind.QUANTITY, START, START, 0.97, None),
        "hkfp1|HKQuantityTypeIdentifierOxygenSaturation|1767250800|1767250800|0.97",
        "2157140a9a9dd9363fdb232643798d65",
    ),
    (
        ("HKQuantityTypeIdentifierBodyTemperature", SampleKind.QUANTITY, BEFORE_1970, BEFORE_1970, -0.0, None),
        "hkfp1|HKQuantityTypeIdentifierBodyTemperature|-1|-1|0",
        "bee73000d942741eff3c78f026c46d7c",
    ),
    (
        ("HKCategoryTypeIdentifierSleepAnalysis", SampleKind.CATEGORY, START, END, None, 4),
        "hkfp1|HKCategoryTypeIdentifierSleepAnalysis|1767250800|1767251100|4",
        "b443af1b0675bfdffeadb009bcf8ccb4",
    ),
    (
        ("HKCategoryTypeIdentifierMindfulSession", SampleKind.CATEGORY, START, END, None, None),
        "hkfp1|HKCategoryTypeIdentifierMindfulSession|1767250800|1767251100|0",
        "66313acac8f50dd9c262c2c9d9c639f8",
    ),
    (
        ("HKWorkoutTypeIdentifier", SampleKind.WORKOUT, START, END, None, 37),
        "hkfp1|HKWorkoutTypeIdentifier|1767250800|1767251100|37",
        "2ae53d99fcad14028d6f997348965770",
    ),
    (
        ("HKDataTypeIdentifierElectrocardiogram", SampleKind.ECG, START, END, 1.0, 1),
        "hkfp1|HKDataTypeIdentifierElectrocardiogram|1767250800|1767251100|",
        "c06d0f7aa915f20840772b6260e6fed2",
    ),
    (
        ("AcmeUnknown", None, START, END, 5.0, 2),
        "hkfp1|AcmeUnknown|1767250800|1767251100|",
        "fe2b1c0673dd65c02cbc47aee9efac42",
    ),
]
GOLDEN_SOURCE_KEY = "cb15f3ddaea30dd9bca23b727d734931"
GOLDEN_CONTENT_DIGEST = "e3a501ae41b5"
GOLDEN_RECORDER_KEY = "bf96b451-7f5f-2fed-d955-41948a10a0da"


def computed() -> list[str]:
    return [
        *(
            fingerprint(
                identifier=identifier,
                kind=kind,
                start=microseconds(start),
                end=microseconds(end),
                value=value,
                category=category,
            ).hex
            for (identifier, kind, start, end, value, category), _, _ in GOLDEN
        ),
        source_key(WATCH).hex,
        content_digest("a", 1, None, 2.5, "é").hex(),
        str(recorder_key(WATCH)),
    ]


def test_golden_vectors() -> None:
    expected = [digest for _, _, digest in GOLDEN]

    assert computed() == [*expected, GOLDEN_SOURCE_KEY, GOLDEN_CONTENT_DIGEST, GOLDEN_RECORDER_KEY]


@pytest.mark.parametrize(("canonical", "digest"), [(canonical, digest) for _, canonical, digest in GOLDEN])
def test_golden_vectors_are_the_documented_digest(canonical: str, digest: str) -> None:
    assert blake2b(canonical.encode(), digest_size=16).hexdigest() == digest


@pytest.mark.parametrize(("seed", "zone", "locale"), [("1", "Pacific/Kiritimati", "C"), ("77", "UTC", "tr_TR.UTF-8")])
def test_golden_vectors_in_another_process(seed: str, zone: str, locale: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale}
    script = "import json; from tests.unit.test_identity import computed; print(json.dumps(computed()))"

    output = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout

    assert json.loads(output) == computed()


def test_the_recorder_key_is_the_documented_digest() -> None:
    digest = blake2b(b"hkrecorder1|name|ada's watch", digest_size=16).digest()

    assert recorder_key(WATCH) == UUID(bytes=digest)


def test_the_version_is_part_of_the_fingerprint() -> None:
    assert GOLDEN[0][1].startswith(f"hkfp{FINGERPRINT_VERSION}|")


def heart_rate(
    *, start: datetime = START, end: datetime = START, value: float = 72.0, identifier: str = "HeartRate"
) -> UUID:
    return fingerprint(
        identifier=identifier,
        kind=SampleKind.QUANTITY,
        start=microseconds(start),
        end=microseconds(end),
        value=value,
        category=None,
    )


@pytest.mark.parametrize(
    "twin",
    [
        heart_rate(start=START.replace(microsecond=0)),
        heart_rate(end=START.replace(microsecond=999_999)),
        heart_rate(value=72.001),
    ],
)
def test_what_a_dialect_may_lose_does_not_change_the_fingerprint(twin: UUID) -> None:
    assert twin == heart_rate()


@pytest.mark.parametrize(
    "other",
    [
        heart_rate(start=START - timedelta(seconds=1)),
        heart_rate(end=START + timedelta(seconds=1)),
        heart_rate(value=72.1),
        heart_rate(identifier="RestingHeartRate"),
    ],
)
def test_another_record_has_another_fingerprint(other: UUID) -> None:
    assert other != heart_rate()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Source(name="Ada\u00a0iPhone"), Source(name="Ada iPhone")),
        (Source(name="Ada\u202fiPhone"), Source(name="Ada iPhone")),
        (Source(name="Zoe\u0308"), Source(name="Zo\u00eb")),
        (Source(name="a", device=Device()), Source(name="a")),
    ],
)
def test_one_source_written_in_two_ways_has_one_key(one: Source, other: Source) -> None:
    assert source_key(one) == source_key(other)


def test_every_field_is_part_of_the_key() -> None:
    sources = [
        Source(),
        *(replace(Source(), **{name: "x"}) for name in Source.__struct_fields__ if name != "device"),
        *(Source(device=replace(Device(), **{name: "x"})) for name in Device.__struct_fields__),
        Source(name="x", bundle_id="x"),
        Source(name="x|1:x"),
    ]

    assert len({source_key(source) for source in sources}) == len(sources)


@pytest.mark.parametrize(
    "other",
    [
        Source(name="ada\u2019s watch"),
        Source(name="  Ada\u02bcs\u00a0\u202fWATCH "),
        Source(name="\uff21da's Watch", bundle_id="com.example", version="2"),
        Source(name="Ada\u00b4s Watch", product_type="Watch4,2", system_version="9", device=Device(name="x")),
    ],
)
def test_a_recorder_is_known_by_its_name_in_any_dialect_and_version(other: Source) -> None:
    assert recorder_key(other) == recorder_key(WATCH)


def test_case_folds_beyond_ascii() -> None:
    assert recorder_key(Source(name="Zoe\u0308s Stra\u00dfe")) == recorder_key(Source(name="ZO\u00cbS STRASSE"))


def test_without_a_name_the_bundle_id_stands_for_the_recorder() -> None:
    one = recorder_key(Source(bundle_id="com.example.App", version="1"))

    assert one == recorder_key(Source(name="\u00a0", bundle_id="com.example.app", version="2"))
    assert one != recorder_key(Source(name="com.example.app"))
    assert one != recorder_key(Source(bundle_id="com.example"))


def test_nobody_in_particular_has_no_recorder_key() -> None:
    assert recorder_key(Source(product_type="Watch7,11", device=Device(name="Apple Watch"))) is None


def test_recorders_of_other_names_are_others() -> None:
    assert len({recorder_key(Source(name=name)) for name in ("Ada's Watch", "Adas Watch", "Ada's iPhone")}) == 3


def test_rank_prefers_fidelity_then_version_then_content() -> None:
    low, high = b"\x00" * 6, b"\xff" * 6

    ranks = [
        rank(fidelity=0, normaliser_version=0, content_digest=low),
        rank(fidelity=30, normaliser_version=511, content_digest=high),
        rank(fidelity=60, normaliser_version=1, content_digest=low),
        rank(fidelity=60, normaliser_version=1, content_digest=high),
        rank(fidelity=60, normaliser_version=2, content_digest=low),
        rank(fidelity=63, normaliser_version=511, content_digest=high),
    ]

    assert ranks == sorted(set(ranks))
    assert (ranks[0], ranks[-1]) == (0, 2**63 - 1)


@pytest.mark.parametrize(
    ("fidelity", "version", "digest"), [(64, 0, bytes(6)), (0, 512, bytes(6)), (-1, 0, bytes(6)), (0, 0, bytes(7))]
)
def test_rank_never_overflows_into_its_neighbour(fidelity: int, version: int, digest: bytes) -> None:
    with pytest.raises(ValueError, match="bits"):
        rank(fidelity=fidelity, normaliser_version=version, content_digest=digest)


def test_content_digest_keeps_its_parts_apart() -> None:
    assert content_digest("ab", "c") != content_digest("a", "bc")


def test_microseconds_are_exact_far_from_now() -> None:
    assert microseconds(datetime(2199, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == 7_258_118_399_999_999
    assert microseconds(BEFORE_1970) == -500_000
