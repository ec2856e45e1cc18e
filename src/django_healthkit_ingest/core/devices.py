"""``HKDevice`` as one string, the way export.xml has it."""

from __future__ import annotations

import re

from django_healthkit_ingest.core.samples import Device

_FIELDS = {
    "name": "name",
    "manufacturer": "manufacturer",
    "model": "model",
    "hardware": "hardware",
    "firmware": "firmware",
    "software": "software",
    "localIdentifier": "local_identifier",
    "UDIDeviceIdentifier": "udi",
}

_DESCRIPTION = re.compile(r"\s*<<HKDevice: [^>]*>(?P<members>.*)>\s*", re.DOTALL)
# Values hold commas (hardware:Watch4,2) and colons, so a member starts only where a key and its colon follow ", ".
_MEMBER = re.compile(r", (?P<key>[A-Za-z][A-Za-z ]*):(?! )")


def parse_device_string(text: str) -> Device | None:
    """The device in ``<<HKDevice: 0x2834ef0c0>, name:Apple Watch, ..., hardware:Watch4,2, software:5.0.1>``.

    The pointer is another one in every record and is dropped, as are keys we have no field for (``creation date``).
    None if the text is no such description or nothing is left.
    """
    described = _DESCRIPTION.fullmatch(text)
    if described is None:
        return None
    _, *parts = _MEMBER.split(described["members"])
    values = {_FIELDS[key]: value for key, value in zip(parts[::2], parts[1::2], strict=True) if key in _FIELDS}
    return Device(**values) if any(values.values()) else None
