from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from django_healthkit_ingest.querysets import DeviceTokenQuerySet


class DeviceToken(models.Model):
    """What one app installation sends instead of its user's credentials: it may import, and nothing else.

    Only a digest is stored; ``name`` is the user's word for the device, ``device_id`` the installation's id, if known.
    """

    id = models.BigAutoField(primary_key=True)
    uuid = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    digest = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=128, blank=True, default="")
    device_id = models.CharField(max_length=128, blank=True, default="")
    created_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = DeviceTokenQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["user", "-created_at"], name="hki_device_token_user")]

    def __str__(self) -> str:
        return f"device token {self.uuid}"
