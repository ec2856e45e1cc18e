"""The whole road, with gunicorn, a prefork worker, PostgreSQL and SQS in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import services
from benchmarks.measure import Figure
from benchmarks.sections import Scale
from example_project.demo import host


def figures(*, scale: Scale) -> Iterator[Figure]:
    with services.road() as sqs:
        from benchmarks import fairness, latency, scaling  # they import models

        with host.api() as url, services.worker(sqs):
            latency.warm_up(url)
            yield from latency.figures(url, scale=scale)
            yield from fairness.figures(url, scale=scale)
        yield latency.share_of_moto(sqs, scale=scale)
        yield from scaling.figures(sqs, scale=scale)
