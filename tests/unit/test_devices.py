from __future__ import annotations

import pytest

from django_healthkit_ingest.core.devices import parse_device_string
from django_healthkit_ingest.core.identity import source_key
from django_healthkit_ingest.core.samples import Device, Source


def described(members: str, *, pointer: str = "0x283a4c1e0") -> str:
    return f"<<HKDevice: {pointer}>, {members}>"


def test_all_fields_are_read() -> None:
    text = described(
        "name:Test Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,11, firmware:1.2, software:11.1, "
        "localIdentifier:AB:CD, UDIDeviceIdentifier:(01)0712(17)29"
    )

    assert parse_device_string(text) == Device(
        name="Test Watch",
        manufacturer="Apple Inc.",
        model="Watch",
        hardware="Watch7,11",
        firmware="1.2",
        software="11.1",
        local_identifier="AB:CD",
        udi="(01)0712(17)29",
    )


@pytest.mark.parametrize(
    ("members", "device"),
    [
        ("name:Cuff, software:2, creation date:2026-01-05 08:00:00 +0000", Device(name="Cuff", software="2")),
        ("creation date:2026-01-05 08:00:00 +0000, name:Cuff", Device(name="Cuff")),
        ("name:Left, or right: mine, model:M", Device(name="Left, or right: mine", model="M")),
        ("name:A > B, hardware:iPhone17,1", Device(name="A > B", hardware="iPhone17,1")),
        ("name:, model:M", Device(model="M")),
    ],
)
def test_values_hold_anything_and_unknown_keys_go(members: str, device: Device) -> None:
    assert parse_device_string(described(members)) == device


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Apple Watch",
        "<<HKDevice: 0x283a4c1e0>>",
        "<<HKDevice: 0x283a4c1e0>, name:>",
        "<<HKDevice: 0x283a4c1e0>, creation date:2026-01-05 08:00:00 +0000>",
        "<<HKSource: 0x283a4c1e0>, name:Cuff>",
        "<<HKDevice: 0x283a4c1e0>, name:Cuff",
        "<<HKDevice: 0x283a4c1e0, name:Cuff>>",
    ],
)
def test_anything_else_is_no_device(text: str) -> None:
    assert parse_device_string(text) is None


def test_the_pointer_makes_no_new_source() -> None:
    members = "name:Test Watch, hardware:Watch7,11, software:11.1"
    first, again = (
        Source(name="Test Watch", device=parse_device_string(described(members, pointer=pointer)))
        for pointer in ("0x283a4c1e0", "0x283a4ffff")
    )

    assert first.device is not None
    assert source_key(first) == source_key(again)


def test_a_description_without_an_end_costs_no_time() -> None:
    assert parse_device_string("<<HKDevice: 0x1>" + ", name:a" * 50_000) is None
