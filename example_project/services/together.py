from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from example_project.services.postgresql import Postgres, postgresql
from example_project.services.sqs import SQS, sqs
from example_project.services.valkey import Valkey, valkey

Service = TypeVar("Service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What was asked for; the others are None."""

    postgres: Postgres | None
    valkey: Valkey | None
    sqs: SQS | None

    def environment(self) -> dict[str, str]:
        """The variables by which a Django host finds them: DATABASE_URL, REDIS_URL, SQS_ENDPOINT_URL, AWS_*."""
        variables = {} if self.sqs is None else self.sqs.environment()
        if self.postgres is not None:
            variables["DATABASE_URL"] = self.postgres.url
        if self.valkey is not None:
            variables["REDIS_URL"] = self.valkey.url
        return variables


@contextmanager
def start_services(
    *,
    with_postgres: bool = True,
    with_valkey: bool = True,
    with_sqs: bool = True,
    durable: bool = False,
    postgres_settings: Mapping[str, str] | None = None,
) -> Iterator[Services]:
    """All at once, since each mostly waits; gone when the block is left or this process dies. Raises ServiceFailed."""
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=3) as pool:

        def begin(service: AbstractContextManager[Service], *, wanted: bool) -> Future[Service] | None:
            return pool.submit(enter, service) if wanted else None

        def enter(service: AbstractContextManager[Service]) -> Service:
            entered = service.__enter__()
            stack.push(service.__exit__)
            return entered

        # The slowest first: moto imports for two seconds.
        queue = begin(sqs(), wanted=with_sqs)
        database = begin(postgresql(durable=durable, settings=postgres_settings), wanted=with_postgres)
        cache = begin(valkey(), wanted=with_valkey)
        pool.shutdown(wait=True)  # or what is still starting when the first one fails would never be stopped
        yield Services(
            postgres=None if database is None else database.result(),
            valkey=None if cache is None else cache.result(),
            sqs=None if queue is None else queue.result(),
        )
