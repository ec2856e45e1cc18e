"""For hosts' tests and ours: the whole road in one call, payload builders, factories.

``ingest`` needs nothing but a database. The factories (``django_healthkit_ingest.testing.factories``) need factory_boy.
"""

from __future__ import annotations

from django_healthkit_ingest.testing.payloads import flutter_body, healthkit_body
from django_healthkit_ingest.testing.road import ingest

__all__ = ["flutter_body", "healthkit_body", "ingest"]
