from __future__ import annotations

from django.db import router

from django_healthkit_ingest.models.batch import ImportBatch


def database() -> str:
    """The alias that holds all our tables: one transaction covers a chunk's samples and its status.

    The host's router decides. Readings use it too: a replica may not yet have what was just written.
    """
    return router.db_for_write(ImportBatch)
