"""What a crash or a lost message left of erasures and exports, and files whose time is over."""

from __future__ import annotations

from django.utils import timezone

from django_healthkit_ingest.conf import get_settings
from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import Erasure, Export, database
from django_healthkit_ingest.pipeline.erase import send_erasure
from django_healthkit_ingest.pipeline.export import send_export
from django_healthkit_ingest.pipeline.export_files import delete_export_files
from django_healthkit_ingest.pipeline.switches import is_paused


def resend_erasures() -> int:
    """One message for each whose last one was lost or whose worker died."""
    if is_paused(Pausable.PROCESSING):
        return 0
    orders = Erasure.objects.using(database()).all()
    stranded = orders.stranded(now=timezone.now(), stale_after=get_settings().stale_after)
    return sum(send_erasure(order) for order in list(stranded))


def resend_exports() -> int:
    """The same of exports."""
    if is_paused(Pausable.PROCESSING):
        return 0
    orders = Export.objects.using(database()).all()
    stranded = orders.stranded(now=timezone.now(), stale_after=get_settings().stale_after)
    return sum(send_export(order) for order in list(stranded))


def delete_old_exports() -> int:
    """How many exports lost their files: those that expired, and those that failed."""
    expired = list(Export.objects.using(database()).all().expired(now=timezone.now()))
    for export in expired:
        delete_export_files(export)
    return len(expired)
