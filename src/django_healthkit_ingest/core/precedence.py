from __future__ import annotations

from django_healthkit_ingest.core.identity import fold_name
from django_healthkit_ingest.core.samples import Device, Source

WATCH, PHONE, OTHER = 1, 2, 3
MAX_PRECEDENCE = 32_767
"""What the column holds on every engine."""

_NO_DEVICE = Device()


def precedence(source: Source) -> int:
    """How much a source is trusted where two overlap: Apple's watch 1, Apple's phone 2, everybody else 3.

    Apple's own recorders have a bundle id below ``com.apple.health``; their product type tells watch from phone. Where
    a dialect drops the product type (Flutter), the device's default name still does. Where it drops the bundle id
    (export.xml), Apple's recorders are those whose version is the device's system version, for apps count their own,
    or, if no device is told of either, those with a default name.
    """
    device = source.device or _NO_DEVICE
    name = fold_name(source.name)
    if source.bundle_id:
        own = source.bundle_id.lower().startswith("com.apple.health")
        product = source.product_type or device.hardware or device.model or name
    elif device.hardware:
        own = bool(source.version) and source.version == device.software
        product = device.hardware
    else:
        own = "apple watch" in name or "iphone" in name
        product = name
    if not own:
        return OTHER
    return WATCH if "watch" in product.lower() else PHONE
