"""An SQS for one machine: moto's server, in a process of its own so that workers and kill -9 meet a real endpoint."""

from __future__ import annotations

import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from example_project.services.errors import ServiceFailed
from example_project.services.ports import listen
from example_project.services.supervise import Supervised, start

CURE = (
    'No SQS server was found. Set SQS_ENDPOINT_URL, or install moto\'s (pip install "django-healthkit-ingest[demo]").'
)
REGION = "eu-west-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SQS:
    endpoint_url: str
    region: str
    origin: str
    """``environment`` or ``wheel``."""

    def environment(self) -> dict[str, str]:
        """What botocore, and kombu through it, need to talk to this endpoint and to no other.

        Keys must be there, to moto their value means nothing; without AWS_EC2_METADATA_DISABLED a machine without a
        network waits for the metadata service first.
        """
        given = os.environ if self.origin == "environment" else {}
        return {
            "SQS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ENDPOINT_URL_SQS": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_ACCESS_KEY_ID": given.get("AWS_ACCESS_KEY_ID", "test"),
            "AWS_SECRET_ACCESS_KEY": given.get("AWS_SECRET_ACCESS_KEY", "test"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def sqs() -> Iterator[SQS]:
    """The endpoint of SQS_ENDPOINT_URL, else moto's server. Raises ServiceFailed."""
    if url := os.environ.get("SQS_ENDPOINT_URL"):
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
        yield SQS(endpoint_url=url, region=region, origin="environment")
        return
    if find_spec("moto") is None:
        raise ServiceFailed(CURE)
    server, port = listen(start_moto, ready=is_ready)
    with server:
        yield SQS(endpoint_url=f"http://127.0.0.1:{port}", region=REGION, origin="wheel")


def start_moto(port: int) -> Supervised:
    folder = Path(tempfile.mkdtemp(prefix="healthkit-sqs-"))
    # Its own environment: moto must not be led to another endpoint by the variables meant for its clients.
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return start(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        name="moto's SQS server",
        log=folder / "sqs.log",
        env={**env, "PYTHONUNBUFFERED": "1"},
        grace=1.0,
        remove=[folder],
    )


def is_ready(server: Supervised, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/data.json", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
