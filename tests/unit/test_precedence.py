from __future__ import annotations

import pytest

from django_healthkit_ingest.core.devices import parse_device_string
from django_healthkit_ingest.core.identity import recorder_key, source_key
from django_healthkit_ingest.core.precedence import OTHER, PHONE, WATCH, precedence
from django_healthkit_ingest.core.samples import Device, Source

APPLE = "com.apple.health.0A1B2C3D"


def exported(name: str, *, version: str, hardware: str, software: str) -> Source:
    """A source as export.xml has it: no bundle id, no product type."""
    text = f"<<HKDevice: 0x28>, name:{hardware[:5]}, manufacturer:Apple Inc., hardware:{hardware}, software:{software}>"
    return Source(name=name, version=version, device=parse_device_string(text))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (Source(name="Zeus", bundle_id=APPLE, product_type="Watch7,11"), WATCH),
        (Source(name="Zeus", bundle_id=APPLE, device=Device(hardware="Watch7,11")), WATCH),
        (Source(bundle_id=APPLE, device=Device(model="Watch")), WATCH),
        (Source(name="Test’s Apple\u00a0Watch", bundle_id=APPLE), WATCH),
        (Source(name="Watchful", bundle_id=APPLE, product_type="iPhone17,1"), PHONE),
        (Source(name="Health", bundle_id="com.apple.Health"), PHONE),
        (Source(name="Watch Runner", bundle_id="com.acme.watch", product_type="Watch7,11"), OTHER),
        (exported("Zeus", version="11.1", hardware="Watch7,11", software="11.1"), WATCH),
        (exported("Zeus", version="27.0", hardware="iPhone17,1", software="27.0"), PHONE),
        (exported("Acme Run", version="3.2", hardware="Watch7,11", software="11.1"), OTHER),
        (exported("Acme Run", version="", hardware="Watch7,11", software=""), OTHER),
        (Source(name="Test’s Apple\u00a0Watch"), WATCH),
        (Source(name="TEST IPHONE"), PHONE),
        (Source(name="Acme Watch"), OTHER),
        (Source(name="Acme Run"), OTHER),
        (Source(), OTHER),
    ],
)
def test_watch_phone_and_everybody_else(source: Source, expected: int) -> None:
    assert precedence(source) == expected


def test_every_dialect_ranks_and_recognises_one_recorder_alike() -> None:
    watch = Device(name="Apple Watch", hardware="Watch7,11", software="11.1")
    healthkit = Source(
        name="Test’s Apple\u00a0Watch",
        bundle_id=APPLE,
        product_type="Watch7,11",
        version="11.1",
        system_version="11.1.0",
        device=watch,
    )
    flutter = Source(name="Test's Apple Watch", bundle_id=APPLE)
    export = exported("Test’s Apple Watch", version="11.1", hardware="Watch7,11", software="11.1")
    open_wearables = Source(bundle_id=APPLE, product_type="Watch7,11", device=watch)

    dialects = [healthkit, flutter, export, open_wearables]

    assert {precedence(source) for source in dialects} == {WATCH}
    assert len({recorder_key(source) for source in (healthkit, flutter, export)}) == 1
    assert len({source_key(source) for source in dialects}) == len(dialects)
