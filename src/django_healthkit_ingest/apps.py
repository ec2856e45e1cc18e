from __future__ import annotations

from django.apps import AppConfig
from django.contrib.auth import get_user_model
from django.db.models.signals import post_delete


class HealthKitIngestConfig(AppConfig):
    name = "django_healthkit_ingest"
    label = "healthkit_ingest"
    verbose_name = "HealthKit ingest"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers checks and tasks: an api process sends to tasks by name and no worker has imported them there."""
        from django_healthkit_ingest import checks, tasks  # noqa: F401
        from django_healthkit_ingest.conf import get_settings
        from django_healthkit_ingest.pipeline.erase import erase_deleted_user
        from django_healthkit_ingest.sqs import digest, guards, heartbeat

        guards.install_in_worker(enabled=lambda: get_settings().sqs_guards)
        heartbeat.install_in_worker(file=lambda: heartbeat.chosen_file(get_settings().heartbeat_file))
        digest.remember_in_worker()
        post_delete.connect(erase_deleted_user, sender=get_user_model(), dispatch_uid="healthkit_ingest.erase")
