"""What kombu's SQS transport must be told, and the URLs it must not be given. Imported from a host's settings.py."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.core.exceptions import ImproperlyConfigured

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
EMULATOR_VARIABLES = ("AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL")
EMULATOR_ACCOUNT = "000000000000"
AWS_HOST = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")
AWS_QUEUE_HOST = re.compile(r"^sqs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?$")

DEFAULTS: Mapping[str, object] = {
    # Also the delay before a message comes back that a stopping worker returned or a killed child had.
    "wait_time_seconds": 10,
    # kombu 5.7 waits this long whenever the worker is busy, so it caps the rate: its default of 1 s allows a worker
    # of two processes two tasks a second, and at 0.2 s a process still waits longer than a chunk takes. Nothing is
    # sent while it waits, and a poll on an idle queue takes wait_time_seconds: more polls come only of an outage.
    "polling_interval": 0.02,
    # Of the blocking calls (send, delete), not of the poll. botocore's defaults let a send hang for minutes.
    "client-config": {
        "connect_timeout": 1,
        "read_timeout": 1,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    },
}


def sqs_transport(
    *,
    broker_url: str,
    urls: Mapping[str, str],
    region: str,
    endpoint_url: str,
    options: Mapping[str, Any],
) -> tuple[str, dict[str, Any]]:
    """The broker URL and the transport options; the host's ``options`` win, its ``predefined_queues`` stay.

    ``urls`` are our queues' by name, the default queue first; an empty one is found where there is an emulator.
    Raises ImproperlyConfigured in terms of ``celery_settings``'s parameters. No error text repeats a URL: there may be
    keys in it.
    """
    url, security = _broker(broker_url, endpoint_url=endpoint_url, is_secure=options.get("is_secure"))
    queues = dict(options.get("predefined_queues") or {})
    for name, queue_url in urls.items():
        if name not in queues:
            queues[name] = {"url": queue_url or _emulated(name, endpoint_url=endpoint_url)}
    region = _region_of(queues[next(iter(urls))]["url"]) or region
    return url, {
        **DEFAULTS,
        **({"region": region} if region else {}),
        **security,
        **options,
        "predefined_queues": queues,
    }


def _broker(broker_url: str, *, endpoint_url: str, is_secure: object) -> tuple[str, dict[str, bool]]:
    """kombu takes an endpoint only as the host of the URL, and speaks plain HTTP to it unless told otherwise."""
    host = _split(broker_url, name="broker_url").hostname
    if not endpoint_url:
        if host and host not in LOOPBACK and not is_secure:
            raise ImproperlyConfigured(
                "celery_settings(broker_url=...): with a host in an sqs:// URL kombu sends everything unencrypted to "
                "that host. Use 'sqs://' (the queue's URL says the rest), or give endpoint_url='https://...'."
            )
        return broker_url, {}
    if host:
        raise ImproperlyConfigured("celery_settings(): give endpoint_url or a host in broker_url, not both.")
    endpoint = _split(endpoint_url, name="endpoint_url")
    is_plain = endpoint.scheme in {"http", "https"} and endpoint.hostname and not endpoint.path.strip("/")
    if not is_plain or "@" in endpoint.netloc:
        raise ImproperlyConfigured(
            "celery_settings(endpoint_url=...) must look like 'https://host' or 'http://host:port'."
        )
    if endpoint.scheme == "http" and AWS_HOST.search(endpoint.hostname or ""):
        raise ImproperlyConfigured("celery_settings(endpoint_url=...): Amazon's endpoints begin with 'https://'.")
    keys, at, _ = broker_url.partition("://")[2].rpartition("@")
    return f"sqs://{keys}{at}{endpoint.netloc}", {"is_secure": endpoint.scheme == "https"}


def _split(url: str, *, name: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        # Not chained: urllib's text may hold a piece of a secret key.
        raise ImproperlyConfigured(f"celery_settings({name}=...) is no URL. Percent-encode the keys in it.") from None
    return parts


def _emulated(queue: str, *, endpoint_url: str) -> str:
    """Emulators find a queue by the end of its URL; Amazon needs the real one."""
    variables = (os.environ.get(name, "") for name in EMULATOR_VARIABLES)
    emulator = endpoint_url or next(filter(None, variables), "")
    host = urlsplit(emulator).hostname
    if not host or AWS_HOST.search(host):
        raise ImproperlyConfigured(
            "celery_settings(queue_url=...) is empty: give the URL of the SQS queue, such as "
            "https://sqs.<region>.amazonaws.com/<account>/<queue>. Without it kombu would list and create queues."
        )
    return f"{emulator.rstrip('/')}/{EMULATOR_ACCOUNT}/{queue}"


def _region_of(queue_url: str) -> str:
    found = AWS_QUEUE_HOST.search(urlsplit(queue_url).hostname or "")
    return found["region"] if found else ""
