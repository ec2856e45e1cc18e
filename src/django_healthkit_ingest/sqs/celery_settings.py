"""The Celery settings of a host, from a queue URL. Importable from settings.py: no settings, no models, no Celery."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from django.core.exceptions import ImproperlyConfigured

from django_healthkit_ingest.sqs.transport import sqs_transport

TASK_TIME_LIMIT = 300
SOFT_SHARE_OF_TIME_LIMIT = 0.9
SOFT_SHUTDOWN_TIMEOUT = 90
DATABASE_REUSE = 1000
"""Tasks that a connection serves at most; Celery's default is one."""

TRANSPORT_OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"
ROUTES = "CELERY_TASK_ROUTES"


def celery_settings(
    *,
    broker_url: str = "sqs://",
    queue_url: str = "",
    queue: str = "apple-health-imports",
    backfill_queue_url: str = "",
    backfill_queue: str = "apple-health-backfill",
    region: str = "",
    endpoint_url: str = "",
    default_queue: bool = True,
    **overrides: object,
) -> dict[str, object]:
    """``CELERY_`` settings for ``app.config_from_object("django.conf:settings", namespace="CELERY")``.

    ``queue_url`` is the SQS queue's URL; ``queue`` is the name Celery knows it by, the same as in
    ``HEALTHKIT_INGEST["QUEUES"]``. Keys come from boto3's own chain (a task role, the environment), never from here.
    With a ``backfill_queue_url`` there is a second queue, for ``HEALTHKIT_INGEST["QUEUES"]["backfill"]`` to name.
    An Amazon queue URL names its region; ``region`` is for the others. ``endpoint_url`` is for an emulator or a VPC
    endpoint; without it botocore's ``AWS_ENDPOINT_URL_SQS`` is honoured. With a broker that is not SQS the tasks get
    the same treatment and the transport is left alone.

    Every ``CELERY_`` keyword wins over what is computed here; ``CELERY_BROKER_TRANSPORT_OPTIONS`` (and the
    ``predefined_queues`` in it) and ``CELERY_TASK_ROUTES`` are merged key by key.

    A host that runs Celery for other tasks too has two ways. Where all tasks may have this policy (late
    acknowledgement, failures to the dead-letter queue, no results), it lists its queues in ``predefined_queues``.
    Where they may not, ``default_queue=False`` leaves the host's other Celery settings alone: the answer is a route for
    ``healthkit_ingest.*`` and, on SQS, the transport options with this queue beside the host's, whose options win::

        globals().update(celery_settings(
            broker_url=CELERY_BROKER_URL, queue_url=..., default_queue=False,
            CELERY_BROKER_TRANSPORT_OPTIONS=CELERY_BROKER_TRANSPORT_OPTIONS, CELERY_TASK_ROUTES=CELERY_TASK_ROUTES))

    Our tasks carry their acknowledgement policy themselves; start a worker of their own with
    ``-Q apple-health-imports --prefetch-multiplier 1``.

    Raises ImproperlyConfigured, naming the parameter and the cure.
    """
    if strangers := sorted(key for key in overrides if not key.startswith("CELERY_")):
        raise TypeError(f"celery_settings() takes no {strangers[0]!r}; every further keyword is a CELERY_ setting.")
    queues: Mapping[str, object] = {}
    if broker_url.lower().startswith("sqs:"):
        broker_url, transport = sqs_transport(
            broker_url=broker_url,
            urls={queue: queue_url} | ({backfill_queue: backfill_queue_url} if backfill_queue_url else {}),
            region=region,
            endpoint_url=endpoint_url,
            options=_mapping(overrides.get(TRANSPORT_OPTIONS)),
        )
        queues = transport["predefined_queues"]
        overrides[TRANSPORT_OPTIONS] = transport
    if default_queue:
        settings = _policy(overrides) | {"CELERY_BROKER_URL": broker_url, "CELERY_TASK_DEFAULT_QUEUE": queue}
        if queues:
            # A misspelt queue is then refused by Celery, by name, instead of by kombu at the first send.
            settings |= {
                "CELERY_TASK_QUEUES": {name: {} for name in queues},
                "CELERY_TASK_CREATE_MISSING_QUEUES": False,
            }
        return settings | overrides
    if queues and set(queues) <= {queue, backfill_queue}:
        raise ImproperlyConfigured(
            "celery_settings(default_queue=False): kombu reaches predefined queues or any queue, never both. Pass "
            "CELERY_BROKER_TRANSPORT_OPTIONS with a 'predefined_queues' entry for each queue of your other tasks."
        )
    routes = overrides.get(ROUTES, {})
    if isinstance(routes, Mapping):
        overrides[ROUTES] = {"healthkit_ingest.*": {"queue": queue}, **routes}
    return ({"CELERY_BROKER_URL": broker_url} if endpoint_url else {}) | overrides


def _policy(overrides: Mapping[str, object]) -> dict[str, object]:
    limit = overrides.get("CELERY_TASK_TIME_LIMIT", TASK_TIME_LIMIT)
    return {
        "CELERY_TASK_ACKS_LATE": True,
        **_kept_after_failure(),
        "CELERY_TASK_REJECT_ON_WORKER_LOST": True,
        "CELERY_TASK_TIME_LIMIT": limit,
        "CELERY_TASK_SOFT_TIME_LIMIT": limit * SOFT_SHARE_OF_TIME_LIMIT if isinstance(limit, int | float) else None,
        "CELERY_TASK_IGNORE_RESULT": True,
        "CELERY_RESULT_BACKEND": None,
        "CELERY_TASK_PUBLISH_RETRY_POLICY": {
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0.1,
            "interval_max": 0.1,
        },
        "CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP": True,
        "CELERY_WORKER_PREFETCH_MULTIPLIER": 1,
        # How long a connection to the database is kept is for CONN_MAX_AGE to say: see tasks.keep_good_connections.
        "CELERY_DB_REUSE_MAX": DATABASE_REUSE,
        "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT": SOFT_SHUTDOWN_TIMEOUT,
        "CELERY_WORKER_ENABLE_REMOTE_CONTROL": False,
        "CELERY_WORKER_SEND_TASK_EVENTS": False,
    }


def _kept_after_failure() -> dict[str, object]:
    """The message of a task that raised stays in the queue, so that the dead-letter queue fills."""
    major, minor = (int(part) for part in version("celery").split(".")[:2])
    if (major, minor) >= (5, 7):  # which deprecates the one name of 5.6
        return {"CELERY_TASK_ACKS_ON_FAILURE": False, "CELERY_TASK_ACKS_ON_TIMEOUT": False}
    return {"CELERY_TASK_ACKS_ON_FAILURE_OR_TIMEOUT": False}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
