from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from kombu.exceptions import OperationalError

from django_healthkit_ingest.sqs.celery_settings import celery_settings
from example_project.services.ports import free_port

QUEUE_URL = "https://sqs.eu-west-1.amazonaws.com/123456789012/imports"
OPTIONS = "CELERY_BROKER_TRANSPORT_OPTIONS"


@pytest.fixture(autouse=True)
def without_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


def configured(settings: Mapping[str, object]) -> Celery:
    app = Celery("test", set_as_current=False)
    app.config_from_object(dict(settings), namespace="CELERY")
    return app


def options_of(settings: Mapping[str, object]) -> dict[str, Any]:
    options = settings[OPTIONS]
    assert isinstance(options, dict)
    return options


def test_queue_url_is_enough_on_amazon() -> None:
    settings = celery_settings(queue_url=QUEUE_URL)

    assert settings["CELERY_BROKER_URL"] == "sqs://"
    assert settings["CELERY_TASK_DEFAULT_QUEUE"] == "apple-health-imports"
    options = options_of(settings)
    assert options["predefined_queues"] == {"apple-health-imports": {"url": QUEUE_URL}}
    assert options["region"] == "eu-west-1"
    assert "is_secure" not in options


def test_celery_reads_the_policy_as_it_is_meant() -> None:
    app: Any = configured(celery_settings(queue_url=QUEUE_URL))

    def do_nothing() -> None: ...

    bound = app.task(name="any")(do_nothing)

    kept_on_failure = getattr(bound, "acks_on_failure", None), getattr(bound, "acks_on_timeout", None)
    assert bound.acks_late
    assert bound.reject_on_worker_lost
    assert bound.ignore_result
    assert kept_on_failure == (False, False) or bound.acks_on_failure_or_timeout is False
    assert (app.conf.task_time_limit, app.conf.task_soft_time_limit) == (300, 270)
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.result_backend is None
    assert not app.conf.worker_enable_remote_control
    assert set(app.amqp.queues) == {"apple-health-imports"}
    assert not app.amqp.queues.create_missing


def test_lower_time_limit_lowers_the_soft_one() -> None:
    settings = celery_settings(queue_url=QUEUE_URL, CELERY_TASK_TIME_LIMIT=100)

    assert settings["CELERY_TASK_TIME_LIMIT"] == 100
    assert settings["CELERY_TASK_SOFT_TIME_LIMIT"] == 90


def test_hosts_values_win_and_its_dicts_are_merged() -> None:
    settings = celery_settings(
        queue_url=QUEUE_URL,
        CELERY_WORKER_PREFETCH_MULTIPLIER=4,
        CELERY_TIMEZONE="Europe/Berlin",
        CELERY_BROKER_TRANSPORT_OPTIONS={
            "polling_interval": 0.5,
            "predefined_queues": {"mail": {"url": f"{QUEUE_URL}-mail"}},
        },
    )

    assert settings["CELERY_WORKER_PREFETCH_MULTIPLIER"] == 4
    assert settings["CELERY_TIMEZONE"] == "Europe/Berlin"
    options = options_of(settings)
    assert options["polling_interval"] == 0.5
    assert options["wait_time_seconds"] == 10
    assert set(options["predefined_queues"]) == {"mail", "apple-health-imports"}
    assert set(configured(settings).amqp.queues) == {"mail", "apple-health-imports"}


def test_hosts_own_description_of_the_queue_wins() -> None:
    described = {"url": "https://sqs.us-east-2.amazonaws.com/1/other", "region": "us-east-2"}

    settings = celery_settings(
        region="eu-west-1", CELERY_BROKER_TRANSPORT_OPTIONS={"predefined_queues": {"apple-health-imports": described}}
    )

    options = options_of(settings)
    assert options["predefined_queues"] == {"apple-health-imports": described}
    assert options["region"] == "us-east-2"


def test_second_queue_is_known_to_kombu_and_to_the_worker() -> None:
    settings = celery_settings(queue_url=QUEUE_URL, backfill_queue_url=f"{QUEUE_URL}-history")

    assert options_of(settings)["predefined_queues"] == {
        "apple-health-imports": {"url": QUEUE_URL},
        "apple-health-backfill": {"url": f"{QUEUE_URL}-history"},
    }
    assert settings["CELERY_TASK_DEFAULT_QUEUE"] == "apple-health-imports"
    assert set(configured(settings).amqp.queues) == {"apple-health-imports", "apple-health-backfill"}


@pytest.mark.parametrize("broker_url", ["redis://localhost:6379/0", "memory://", "amqp://localhost"])
def test_other_brokers_get_the_policy_and_no_sqs(broker_url: str) -> None:
    settings = celery_settings(broker_url=broker_url, CELERY_BROKER_TRANSPORT_OPTIONS={"mine": 1})

    assert settings["CELERY_BROKER_URL"] == broker_url
    assert settings["CELERY_TASK_ACKS_LATE"] is True
    assert settings["CELERY_TASK_DEFAULT_QUEUE"] == "apple-health-imports"
    assert settings[OPTIONS] == {"mine": 1}
    assert "CELERY_TASK_CREATE_MISSING_QUEUES" not in settings


@pytest.mark.parametrize(
    ("endpoint_url", "broker_url", "is_secure"),
    [
        ("http://127.0.0.1:5000", "sqs://127.0.0.1:5000", False),
        ("http://localstack:4566/", "sqs://localstack:4566", False),
        ("https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", "sqs://vpce-1.sqs.eu-west-1.vpce.amazonaws.com", True),
    ],
)
def test_endpoint_becomes_the_host_of_the_broker_url(endpoint_url: str, broker_url: str, is_secure: bool) -> None:
    settings = celery_settings(queue_url=QUEUE_URL, endpoint_url=endpoint_url)

    assert settings["CELERY_BROKER_URL"] == broker_url
    assert options_of(settings)["is_secure"] is is_secure


def test_endpoint_leaves_the_keys_of_the_broker_url_in_place() -> None:
    settings = celery_settings(broker_url="sqs://key:secret@", queue_url=QUEUE_URL, endpoint_url="http://localhost:1")

    assert settings["CELERY_BROKER_URL"] == "sqs://key:secret@localhost:1"


def test_queue_url_may_be_missing_on_an_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:5000")

    settings = celery_settings(region="eu-west-1")

    options = options_of(settings)
    assert settings["CELERY_BROKER_URL"] == "sqs://"
    assert options["predefined_queues"] == {
        "apple-health-imports": {"url": "http://127.0.0.1:5000/000000000000/apple-health-imports"}
    }
    assert options["region"] == "eu-west-1"


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({}, "queue_url"),
        ({"endpoint_url": "https://sqs.eu-west-1.amazonaws.com"}, "queue_url"),
        ({"queue_url": QUEUE_URL, "broker_url": "sqs://sqs.eu-west-1.amazonaws.com"}, "broker_url"),
        ({"queue_url": QUEUE_URL, "broker_url": "sqs://key:secret@queue.internal:4100"}, "broker_url"),
        ({"queue_url": QUEUE_URL, "broker_url": "sqs://key:secr/et@"}, "broker_url"),
        ({"queue_url": QUEUE_URL, "endpoint_url": "http://sqs.eu-west-1.amazonaws.com"}, "endpoint_url"),
        ({"queue_url": QUEUE_URL, "endpoint_url": "localhost:4566"}, "endpoint_url"),
        ({"queue_url": QUEUE_URL, "endpoint_url": "http://key:secret@localhost"}, "endpoint_url"),
        ({"queue_url": QUEUE_URL, "endpoint_url": "http://a", "broker_url": "sqs://localhost"}, "endpoint_url"),
        ({"queue_url": QUEUE_URL, "default_queue": False}, "predefined_queues"),
        ({"queue_url": QUEUE_URL, "backfill_queue_url": "b", "default_queue": False}, "predefined_queues"),
    ],
)
def test_traps_are_refused_by_the_parameters_name(parameters: dict[str, Any], named: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=named) as refusal:
        celery_settings(**parameters)

    assert "secr" not in str(refusal.value)


@pytest.mark.parametrize(
    "parameters",
    [{"broker_url": "sqs://localhost:4566"}, {"broker_url": "sqs://vpce.example", OPTIONS: {"is_secure": True}}],
)
def test_host_in_the_broker_url_is_allowed_where_nothing_leaks(parameters: dict[str, Any]) -> None:
    settings = celery_settings(queue_url=QUEUE_URL, **parameters)

    assert settings["CELERY_BROKER_URL"] == parameters["broker_url"]


def test_misspelt_parameter_is_refused() -> None:
    with pytest.raises(TypeError, match="quue_url"):
        celery_settings(quue_url=QUEUE_URL)


def test_host_with_a_celery_of_its_own_keeps_it() -> None:
    theirs: dict[str, Any] = {
        "CELERY_BROKER_TRANSPORT_OPTIONS": {
            "wait_time_seconds": 20,
            "predefined_queues": {"celery": {"url": f"{QUEUE_URL}-celery"}},
        },
        "CELERY_TASK_ROUTES": {"mail.*": {"queue": "mail"}, "healthkit_ingest.sweep": {"queue": "celery"}},
    }

    settings = celery_settings(queue_url=QUEUE_URL, default_queue=False, **theirs)

    assert set(settings) == {"CELERY_BROKER_TRANSPORT_OPTIONS", "CELERY_TASK_ROUTES"}
    options = options_of(settings)
    assert options["wait_time_seconds"] == 20
    assert set(options["predefined_queues"]) == {"celery", "apple-health-imports"}
    router = configured({"CELERY_BROKER_URL": "sqs://", **settings}).amqp.router
    assert router.route({}, "healthkit_ingest.process_chunk")["queue"].name == "apple-health-imports"
    assert router.route({}, "healthkit_ingest.sweep")["queue"].name == "celery"
    assert router.route({}, "mail.send")["queue"].name == "mail"
    assert router.route({}, "another")["queue"].name == "celery"


def test_routers_that_are_no_dict_are_left_to_the_host() -> None:
    routers = [{"mail.*": {"queue": "mail"}}]

    settings = celery_settings(broker_url="memory://", default_queue=False, CELERY_TASK_ROUTES=routers)

    assert settings == {"CELERY_TASK_ROUTES": routers}


def test_sending_to_a_redis_that_is_down_ends() -> None:
    app = configured(celery_settings(broker_url=f"redis://127.0.0.1:{free_port()}"))

    with app, pytest.raises(OperationalError):
        app.send_task("any")


def test_settings_py_may_import_it() -> None:
    script = (
        "import sys; from django_healthkit_ingest.sqs.celery_settings import celery_settings;"
        "celery_settings(broker_url='memory://');"
        "print([name for name in ('django.conf', 'django.db', 'celery', 'kombu', 'boto3') if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert answer.stdout.strip() == "[]"
