from __future__ import annotations

from django.conf import settings
from django.db import models

from django_healthkit_ingest.querysets import ConsentQuerySet


class Consent(models.Model):
    """Whether one user lets one type be kept; no row: allowed. Not asked while the host's ``CONSENT`` decides.

    ``identifier`` is the type's, and not a key of ``TypeIdentifier``: a type can be switched off before any record of
    it has come.
    """

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    identifier = models.CharField(max_length=128)
    allowed = models.BooleanField()
    changed_at = models.DateTimeField()

    objects = ConsentQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "identifier"], name="hki_consent_key")]

    def __str__(self) -> str:
        return f"consent {self.pk}"
