"""A phone's side of the wire: bodies made beforehand, and a connection that stays open."""

from __future__ import annotations

import gzip
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from benchmarks import workload
from benchmarks.measure import take_turns, timed

TIMEOUT = 120
"""Seconds; the slowest baseline takes a few."""
GUNZIP = "gunzip"
WARM_UP = 8
"""Rounds: each thread of the server opens its connections in its first request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    samples: int
    content: bytes
    """Compressed with gzip."""
    token: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What was answered 202, by path."""

    requests: Counter[str] = field(default_factory=Counter)
    samples: Counter[str] = field(default_factory=Counter)


def posts(number: int, *, samples: int) -> list[Post]:
    """New samples in each, each of a new user: nobody meets a limit, and nobody has a backlog."""
    packed = (gzip.compress(workload.body(workload.records(samples)), compresslevel=6) for _ in range(number))
    pairs = zip(packed, _tokens(number), strict=True)
    return [Post(samples=samples, content=content, token=token) for content, token in pairs]


def _tokens(number: int) -> list[str]:
    from django.contrib.auth import get_user_model
    from rest_framework.authtoken.models import Token

    model: Any = get_user_model()
    users = model.objects.bulk_create([model(username=secrets.token_hex(8)) for _ in range(number)])
    tokens = Token.objects.bulk_create([Token(user=user, key=secrets.token_hex(20)) for user in users])
    return [token.key for token in tokens]


class Line:
    """One keep-alive connection: all that goes over it is answered by one process of the server, which closes it after
    two idle seconds."""

    def __init__(self, connection: HTTPConnection, *, sent: Sent) -> None:
        self._connection = connection
        self._sent = sent

    def seconds(self, post: Post, *, path: str) -> float:
        """From the first byte sent to the last byte of the answer. Raises RuntimeError if that is not 202."""
        headers = {
            "Authorization": f"Token {post.token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Idempotency-Key": secrets.token_hex(8),
        }
        started = perf_counter()
        self._connection.request("POST", path, body=post.content, headers=headers)
        answer = self._connection.getresponse()
        said = answer.read()
        took = perf_counter() - started
        if answer.status != 202:
            raise RuntimeError(f"{path} answered {answer.status}: {said[:500]!r}")
        self._sent.requests[path] += 1
        self._sent.samples[path] += post.samples
        return took


@contextmanager
def line(url: str, *, sent: Sent) -> Iterator[Line]:
    place = urlsplit(url)
    assert place.hostname is not None
    connection = HTTPConnection(place.hostname, place.port, timeout=TIMEOUT)
    connection.connect()
    try:
        yield Line(connection, sent=sent)
    finally:
        connection.close()


def turns(
    url: str, *, samples: int, paths: Sequence[str], repeats: int, sent: Sent, gunzip: bool = False
) -> dict[str, list[float]]:
    """Seconds by path over one connection, and of ``gunzip`` here; in each round all have the same body."""
    warm_up = min(WARM_UP, repeats)
    deck = posts(warm_up + repeats + 1, samples=samples)
    with line(url, sent=sent) as phone:
        variants = {path: _over(phone, deck, path=path) for path in paths}
        if gunzip:
            packed = iter(deck)
            variants[GUNZIP] = lambda: _gunzip(next(packed).content)
        seconds = take_turns(variants, repeats=warm_up + repeats)
    return {name: each[warm_up:] for name, each in seconds.items()}


def _over(phone: Line, deck: Sequence[Post], *, path: str) -> Callable[[], float]:
    mine = iter(deck)
    return lambda: phone.seconds(next(mine), path=path)


def _gunzip(content: bytes) -> float:
    return timed(lambda: gzip.decompress(content))


def rate(url: str, *, clients: int, requests: int, samples: int, path: str, sent: Sent) -> float:
    """Requests per second of so many clients at once, each over a connection of its own."""
    shares = [posts(requests, samples=samples) for _ in range(clients)]
    own = [Sent() for _ in shares]
    with ExitStack() as stack, ThreadPoolExecutor(max_workers=clients) as pool:
        lines = [stack.enter_context(line(url, sent=each)) for each in own]

        def send(client: int) -> None:
            for post in shares[client]:
                lines[client].seconds(post, path=path)

        started = perf_counter()
        list(pool.map(send, range(clients)))
        took = perf_counter() - started
    for each in own:
        sent.requests.update(each.requests)
        sent.samples.update(each.samples)
    return clients * requests / took
