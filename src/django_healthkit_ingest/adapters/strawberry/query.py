"""Our part of a schema's queries."""

from __future__ import annotations

import strawberry

from django_healthkit_ingest.adapters.strawberry import devices, imports, privacy, readings, sync_state
from django_healthkit_ingest.adapters.strawberry.door import HealthKitDoor, offer


@strawberry.type
class HealthKitQuery(HealthKitDoor):
    """A base of the host's own ``Query``."""

    healthkit_import = offer(
        imports.read_import,
        open_to_devices=True,
        description="One import. `wait`: hold the answer back until it is finished, for so many seconds at most.",
    )
    healthkit_imports = offer(
        imports.read_imports,
        open_to_devices=True,
        description="Latest first. After a lost answer the key, or the SHA-256 of the decoded body, finds the import.",
    )
    healthkit_samples = offer(
        readings.read_samples, description="Samples of one type that start in `start` to before `end`, by start."
    )
    healthkit_sample = offer(readings.read_sample, description="One sample.")
    healthkit_sample_series = offer(
        readings.read_series, description="The sample's voltages, locations or beats, by name; each an array."
    )
    healthkit_statistics = offer(
        readings.read_statistics, description="Statistics of one type that start in `start` to before `end`, by start."
    )
    healthkit_types = offer(readings.read_types, open_to_devices=True, description="The type catalogue.")
    healthkit_sources = offer(
        readings.read_sources, description="Who recorded, in the order they were first seen; at most `first` of them."
    )
    healthkit_sync_state = offer(
        sync_state.read_sync_state,
        open_to_devices=True,
        description="From where an installation may resume. A device's token knows its own.",
    )
    healthkit_contract = offer(
        sync_state.read_contract, open_to_devices=True, description="What the server wants the app to send next."
    )
    healthkit_consents = offer(
        privacy.read_consents, open_to_devices=True, description="Every type the user has decided upon."
    )
    healthkit_erasure = offer(privacy.read_erasure, description="The receipt of an erasure.")
    healthkit_export = offer(privacy.read_export, description="One export.")
    healthkit_devices = offer(devices.read_devices, description="Latest first, the revoked ones too.")
