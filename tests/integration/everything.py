"""A user of whom there is something in every table, and the walk over all tables that tells what is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.core.files.base import ContentFile
from django.db import models
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.models import (
    Consent,
    DeviceToken,
    Erasure,
    Export,
    ImportUpload,
    Switch,
    Tally,
    TypeIdentifier,
    database,
)
from django_healthkit_ingest.pipeline.erase import erase
from django_healthkit_ingest.pipeline.export import export, export_user
from django_healthkit_ingest.pipeline.files import file_name, file_storage
from django_healthkit_ingest.pipeline.process import process
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import ImportBatchFactory, ImportUploadFactory
from django_healthkit_ingest.testing.payloads import category, correlation, quantity, statistic
from tests.unit.formats.structures import STRUCTURES

NOBODYS = {TypeIdentifier, Switch}
"""Tables that hold nothing of any user."""

KEPT = {"Consent", "DeviceToken", "Erasure"}
"""What an erasure leaves of a user who stays."""

ECG = STRUCTURES["ecg"]["type"]
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
FLOW = "HKCategoryTypeIdentifierMenstrualFlow"
STEPS = "HKQuantityTypeIdentifierStepCount"
DEVICE = "6F0C"


def give_everything(user: Any) -> None:
    """By the real road where there is one."""
    now = timezone.now()
    changing = str(uuid4())
    pressure = [quantity("HKQuantityTypeIdentifierBloodPressureSystolic", value=120, unit="mmHg") for _ in range(2)]
    ecg = {**STRUCTURES["ecg"], "uuid": str(uuid4())}
    ingest(
        healthkit_body(
            quantity(uuid=changing),
            *(quantity(uuid=None, value=70 + number) for number in range(3)),
            category(),
            correlation(*pressure),
            ecg,
            quantity(unit="kg"),
            deletions=[uuid4()],
            statistics=[statistic()],
            device={"id": DEVICE},
            anchors={HEART_RATE: "a1", FLOW: "a2"},
        ),
        user=user,
    )
    batch = ingest(healthkit_body(quantity(uuid=changing, value=99, start="2026-01-06T08:00:00+01:00")), user=user)
    chunk = batch.chunks.get()
    for sample_type in TypeIdentifier.objects.using(database()).filter(identifier__in=(HEART_RATE, FLOW)):
        Tally.objects.using(database()).create(
            user_id=user.pk, batch=batch, chunk=chunk, type=sample_type, earliest=now, latest=now, twins=bytes(16)
        )
    uploading = ImportBatchFactory.create(user=user, split_done=False)
    name = file_storage().save(file_name(uploading.uuid), ContentFile(b"an export of a whole life"))
    ImportUploadFactory.create(batch=uploading, name=name)
    Consent.objects.using(database()).create(user_id=user.pk, identifier=STEPS, allowed=False, changed_at=now)
    DeviceToken.objects.using(database()).create(user_id=user.pk, digest=uuid4().hex, name="Phone", created_at=now)
    Erasure.objects.using(database()).create(user_id=user.pk, identifiers=["X"], status="COMPLETED", created_at=now)
    export_user(user=user)


def work_off(messages: Any) -> None:
    """As workers would."""
    while messages:
        run(messages.popleft())


def run(message: queues.Message) -> None:
    match message.name:
        case queues.ERASE:
            erase(erasure_id=message.ids["erasure_id"])
        case queues.EXPORT:
            export(export_id=message.ids["export_id"])
        case queues.PROCESS_CHUNK:
            process(chunk_id=message.ids["chunk_id"], task_id=str(uuid4()))


def tables() -> Iterator[tuple[type[models.Model], str]]:
    """Every table of ours that holds something of a user, and the path to it; a new one is found by itself."""
    for model in apps.get_app_config("healthkit_ingest").get_models():
        if model in NOBODYS:
            continue
        path = _path_to_user(model)
        assert path is not None, f"{model.__name__} leads to no user: name it in NOBODYS, or give it one."
        yield model, path


def _path_to_user(model: type[models.Model]) -> str | None:
    fields = {field.name: field for field in model._meta.get_fields() if isinstance(field, models.ForeignKey)}
    if "user" in fields:
        return "user_id"
    for name, field in fields.items():
        if field.related_model not in NOBODYS and (path := _path_to_user(field.related_model)):
            return f"{name}__{path}"
    return None


def left_of(user_id: Any) -> dict[str, int]:
    counts = {
        model.__name__: model._base_manager.using(database()).filter(**{path: user_id}).count()
        for model, path in tables()
    }
    return {name: number for name, number in counts.items() if number}


def stored_files() -> list[str]:
    found: list[str] = []
    for folder in ("healthkit_ingest/uploads", "healthkit_ingest/exports"):
        try:
            found += file_storage().listdir(folder)[1]
        except FileNotFoundError:
            continue
    return sorted(found)


def names_of_files(user_id: Any) -> list[str]:
    uploads = ImportUpload.objects.using(database()).filter(batch__user_id=user_id).values_list("name", flat=True)
    exports = Export.objects.using(database()).filter(user_id=user_id)
    parts = [name for export in exports for name in export.position.get("files", ())]
    return sorted(name.rpartition("/")[2] for name in [*uploads, *parts] if name)
