"""Our part of a schema's mutations."""

from __future__ import annotations

import strawberry

from django_healthkit_ingest.adapters.strawberry import devices, imports, privacy, readings
from django_healthkit_ingest.adapters.strawberry.door import HealthKitDoor, offer


@strawberry.type
class HealthKitMutation(HealthKitDoor):
    """A base of the host's own ``Mutation``."""

    healthkit_ingest = offer(
        imports.ingest, open_to_devices=True, description="Take records in. An answer means that they are stored."
    )
    healthkit_offer_upload = offer(
        imports.offer_file, open_to_devices=True, description="Where to send a file too large for a request of its own."
    )
    healthkit_retry = offer(
        imports.retry_import, open_to_devices=True, description="Try what failed of an import again."
    )
    healthkit_cancel = offer(
        imports.cancel_import,
        open_to_devices=True,
        description="Take an import back: what is stored stays, the rest is not tried any more.",
    )
    healthkit_delete_sample = offer(
        readings.delete_sample, description="Delete one sample; no later sync brings it back."
    )
    healthkit_set_precedence = offer(
        readings.order_precedence, description="How much a source is trusted, in all its versions; 1 is the most."
    )
    healthkit_set_consent = offer(
        privacy.set_consent,
        description="Switch a type on or off. `erase`, with `allowed` false: what is stored of it goes, too.",
    )
    healthkit_erase = offer(privacy.erase, description="Erase everything of the user, in the background.")
    healthkit_export = offer(privacy.export, description="Have everything of the user written into a file.")
    healthkit_create_device = offer(
        devices.add_device, description="A token for one app installation, which may import and no more."
    )
    healthkit_revoke_device = offer(devices.remove_device, description="End a device's token.")
