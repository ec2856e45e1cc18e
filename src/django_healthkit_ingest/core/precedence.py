from __future__ import annotations

from django_healthkit_ingest.core.samples import Source

WATCH, PHONE, OTHER = 1, 2, 3


def precedence(source: Source) -> int:
    """How much a source is trusted where two overlap: Apple's watch 1, Apple's phone 2, everybody else 3.

    Apple's own recorders have a bundle id below ``com.apple.health``; their product type tells watch from phone. Where
    a dialect drops the product type (Flutter), the device's default name still does.
    """
    if not source.bundle_id.lower().startswith("com.apple.health"):
        return OTHER
    product = source.product_type or (source.device.hardware if source.device else "") or source.name
    if "watch" in product.lower():
        return WATCH
    return PHONE
