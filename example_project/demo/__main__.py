"""``python -m example_project.demo [--quick] [--keep] [--days N] [--seed N]``"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time

import django
from rich.console import Console

from example_project.demo.host import QUEUE
from example_project.services.errors import ServiceFailed
from example_project.services.queues import create_queue
from example_project.services.together import Services, start_services

INTERRUPTED = 130


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four days instead of thirty")
    parser.add_argument("--keep", action="store_true", help="leave everything running until Ctrl-C")
    parser.add_argument("--days", type=int, help="how many days each person has lived through (default 30)")
    parser.add_argument("--seed", type=int, default=2026, help="another seed, other lives")
    return parser.parse_args()


def prepare(services: Services, *, keep: bool) -> None:
    """The environment of this process and of all it starts."""
    assert services.sqs is not None
    # A name of its own on a server that outlives the demo.
    name = QUEUE if services.sqs.origin == "wheel" else f"{QUEUE}-{secrets.token_hex(3)}"
    queue = create_queue(services.sqs, name=name)
    os.environ.update(services.environment())
    os.environ.update(
        CELERY_BROKER_URL="sqs://",
        CELERY_APPLE_HEALTH_QUEUE_URL=queue.url,
        DJANGO_ALLOWED_HOSTS="127.0.0.1",
        DJANGO_SECRET_KEY=secrets.token_urlsafe(32),
        DJANGO_SETTINGS_MODULE="example_project.settings",
        # To look around in, the admin needs its style sheets.
        DJANGO_DEBUG="1" if keep else "",
    )


def main() -> int:
    options = arguments()
    days = options.days or (4 if options.quick else 30)
    console = Console()
    start = time.monotonic()
    try:
        with start_services(durable=True) as services:
            names = (("PostgreSQL", services.postgres), ("Valkey", services.valkey), ("SQS", services.sqs))
            origins = ", ".join(f"{name} ({service.origin})" for name, service in names if service is not None)
            console.print(f"{origins} ready after {time.monotonic() - start:.1f} s")
            prepare(services, keep=options.keep)
            django.setup()
            from example_project.demo.run import run  # its models need the line above

            return run(days=days, seed=options.seed, keep=options.keep, console=console)
    except ServiceFailed as failure:
        console.print(str(failure), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
