"""Read-only lists of what is going on; nothing here counts the sample table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from django_healthkit_ingest.models import (
    Consent,
    DeviceToken,
    Erasure,
    Export,
    ImportBatch,
    ImportChunk,
    ImportUpload,
    RejectedSample,
    SyncState,
    database,
)

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

AGES = {
    "minutes": ("The last ten minutes", timedelta(minutes=10)),
    "hour": ("The last hour", timedelta(hours=1)),
    "day": ("The last day", timedelta(days=1)),
    "week": ("The last week", timedelta(weeks=1)),
}


class AgeFilter(admin.SimpleListFilter):
    """By the age of the batch; ``older`` finds what is stuck."""

    title = "age"
    parameter_name = "age"
    lookup = "created_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((key, label) for key, (label, _) in AGES.items()), ("older", "Older than an hour")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "older":
            return queryset.filter(**{f"{self.lookup}__lt": now - timedelta(hours=1)})
        if self.value() in AGES:
            return queryset.filter(**{f"{self.lookup}__gte": now - AGES[str(self.value())][1]})
        return queryset


class BatchAgeFilter(AgeFilter):
    lookup = "batch__created_at"


class RejectionAgeFilter(AgeFilter):
    lookup = "chunk__batch__created_at"


class ReadOnlyAdmin(_ModelAdmin):
    """Nobody edits state by hand: the pipeline would not know."""

    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).using(database())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ImportBatch)
class ImportBatchAdmin(ReadOnlyAdmin):
    list_display = ("uuid", "user_id", "status", "format", "lane", "received", "inserted", "rejected", "created_at")
    list_filter = ("status", AgeFilter, "format", "lane")
    search_fields = ("uuid__exact",)
    exclude = ("user",)
    readonly_fields = ("user_id",)


@admin.register(ImportChunk)
class ImportChunkAdmin(ReadOnlyAdmin):
    list_display = ("id", "batch_id", "index", "status", "attempts", "received", "inserted", "rejected", "error_code")
    list_filter = ("status", BatchAgeFilter, "lane", "error_code")
    exclude = ("user", "payload")
    readonly_fields = ("user_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("payload")


@admin.register(RejectedSample)
class RejectedSampleAdmin(ReadOnlyAdmin):
    list_display = ("id", "chunk", "index", "field", "code", "detail")
    list_filter = ("code", RejectionAgeFilter)
    list_select_related = ("chunk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("chunk__payload")


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    """Whether a user lets a type be kept; empty while the host's ``CONSENT`` decides."""

    list_display = ("id", "user_id", "identifier", "allowed", "changed_at")
    list_filter = ("allowed",)
    exclude = ("user",)
    readonly_fields = ("user_id",)


@admin.register(ImportUpload)
class ImportUploadAdmin(ReadOnlyAdmin):
    """Without the file's name and the reader's place in it."""

    list_display = ("id", "batch_id", "size", "attempts", "sent_at", "finished_at", "error_code")
    list_filter = (BatchAgeFilter, "error_code")
    exclude = ("name", "position")


@admin.register(SyncState)
class SyncStateAdmin(ReadOnlyAdmin):
    """Without the anchors, which are the phone's."""

    list_display = ("id", "user_id", "device_id", "type", "batch_id", "released_at")
    list_select_related = ("type",)
    exclude = ("user", "anchor")
    readonly_fields = ("user_id",)


@admin.register(DeviceToken)
class DeviceTokenAdmin(ReadOnlyAdmin):
    """Without the token's digest; one is revoked by its user, or by deleting the user."""

    list_display = ("uuid", "user_id", "created_at", "used_at", "revoked_at")
    exclude = ("user", "digest", "name", "device_id")
    readonly_fields = ("user_id",)


class OrderAdmin(ReadOnlyAdmin):
    """Counts and times; not where the next step goes on."""

    list_display = ("uuid", "user_id", "status", "created_at", "finished_at", "error_code")
    list_filter = ("status", AgeFilter)
    search_fields = ("uuid__exact",)
    exclude = ("user", "position")
    readonly_fields = ("user_id",)


@admin.register(Erasure)
class ErasureAdmin(OrderAdmin):
    """What was ordered to be erased, and the receipts."""


@admin.register(Export)
class ExportAdmin(OrderAdmin):
    """Copies that were made; the files are the users' alone."""
