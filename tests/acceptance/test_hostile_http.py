"""Hostile requests against gunicorn as the example project runs it: refused, cheaply, and the workers go on.

What a refusal says is tested with the doors and the formats. Here it is the whole road, from the socket on, and what it
does to the process.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest
from django.db import connection
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.conf import IngestSettings
from django_healthkit_ingest.models import ImportBatch
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from example_project import gunicorn_conf
from example_project.demo import host
from example_project.services.queues import create_queue
from example_project.services.sqs import SQS
from tests.acceptance.broker import host_variables
from tests.acceptance.raw import Answer, ask, chunked, connect, head, read_answer

pytestmark = [pytest.mark.acceptance, pytest.mark.django_db(transaction=True)]

MEGABYTE = 2**20
LIMITS = IngestSettings()
ALLOWED = 2 * LIMITS.max_decoded_bytes + 100 * MEGABYTE
"""Bytes a worker may grow by for one request: the body, once in pieces and once whole, and what is made of it."""

JSON = "Content-Type: application/json"
GZIP = "Content-Encoding: gzip"
FORM = "Content-Type: multipart/form-data; boundary=limit"
GOOD = healthkit_body(quantity())

Send = Callable[..., Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    url: str
    workers: tuple[psutil.Process, ...]

    def sizes(self) -> list[int]:
        return [worker.memory_info().rss for worker in self.workers]


@pytest.fixture(scope="module")
def server(django_db_setup: None, emulator: SQS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests of this module, so that each meets what the ones before it have left."""
    if connection.vendor != "postgresql":
        pytest.skip("several processes at once in one database: the acceptance tests run on PostgreSQL")
    queue = create_queue(emulator, name=f"test-{uuid4().hex}")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        variables = {
            **emulator.environment(),
            **host_variables(),
            "CELERY_BROKER_URL": "sqs://",
            "CELERY_APPLE_HEALTH_QUEUE_URL": queue.url,
            "TEST_MEDIA_ROOT": str(tmp_path_factory.mktemp("media")),
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.delenv("REDIS_URL", raising=False)
        url = stack.enter_context(host.api())
        yield Server(url=url, workers=workers_of(url))


def workers_of(url: str) -> tuple[psutil.Process, ...]:
    port = str(urlsplit(url).port)
    for child in psutil.Process().children(recursive=True):
        if "gunicorn" in child.cmdline() and any(word.endswith(f":{port}") for word in child.cmdline()):
            return tuple(child.children())
    raise AssertionError("no gunicorn listens there")


@pytest.fixture
def token(user: Any) -> str:
    return str(Token.objects.create(user=user).key)


@pytest.fixture(autouse=True)
def unharmed(server: Server, token: str) -> Iterator[None]:
    """After every test the same workers are there, no larger than they may be, and take a good body."""
    before = server.sizes()

    with watched(server) as peaks:
        yield

    assert len(server.workers) == gunicorn_conf.workers
    assert [worker.pid for worker in workers_of(server.url)] == [worker.pid for worker in server.workers]
    assert all(peak - size < ALLOWED for peak, size in zip(peaks, before, strict=True)), (before, peaks)
    good = ask(server.url, head(JSON, length(GOOD), token=token), GOOD)
    assert good is not None
    assert good.status == 202, good.body


@contextmanager
def watched(server: Server) -> Iterator[list[int]]:
    """The largest resident size of each worker, in bytes."""
    peaks = server.sizes()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peaks[:] = map(max, peaks, server.sizes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()


def length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


@cache
def bomb(piece: bytes, *, size: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """gzip of ``before``, ``size`` bytes of ``piece`` over and over, and ``after``."""
    packer = zlib.compressobj(level=1, wbits=16 + zlib.MAX_WBITS)
    block = piece * (MEGABYTE // len(piece))
    parts = (before, *(block for _ in range(size // MEGABYTE)), after)
    packed = [packer.compress(part) for part in parts]
    return b"".join((*packed, packer.flush()))


def zeros_of_10_gb() -> bytes:
    """10 MB. After a full flush a block means the same wherever it stands, so that one is enough to be made."""
    packer = zlib.compressobj(level=1, wbits=16 + zlib.MAX_WBITS)
    start = packer.compress(b"0" * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"0" * MEGABYTE) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * ((LIMITS.max_body_bytes - len(start)) // len(block))


def nested(body: bytes, *, times: int) -> bytes:
    return body if not times else nested(gzip.compress(body, compresslevel=1), times=times - 1)


LARGE = LIMITS.max_decoded_bytes - MEGABYTE

LAUGHS = b'<!DOCTYPE x [<!ENTITY l0 "ha">%b]>\n<HealthData>\n <Record type="&l9;"/>\n</HealthData>'

BODIES: dict[str, tuple[Callable[[], bytes], str, int, str]] = {
    # gzip
    "gzip cut off": (lambda: gzip.compress(GOOD)[:-9], GZIP, 400, "corrupt_encoding"),
    "gzip of 10 GB": (zeros_of_10_gb, GZIP, 413, "body_too_large"),
    "gzip in gzip": (lambda: nested(GOOD, times=3), GZIP, 400, "malformed_body"),
    "very many members": (lambda: gzip.compress(b"") * 500_000, GZIP, 400, "corrupt_encoding"),
    "no gzip": (lambda: GOOD, GZIP, 400, "corrupt_encoding"),
    "nothing as gzip": (lambda: b"", GZIP, 400, "corrupt_encoding"),
    "brotli": (lambda: GOOD, "Content-Encoding: br", 415, "unsupported_encoding"),
    # size
    "spaces": (lambda: b" " * 100 * MEGABYTE, JSON, 413, "body_too_large"),
    "spaces in gzip": (lambda: bomb(b" ", size=LARGE), GZIP, 400, "malformed_body"),
    "spaces around a body": (lambda: bomb(b" ", size=30 * MEGABYTE, after=GOOD), GZIP, 202, ""),
    # JSON
    "nothing": (lambda: b"", JSON, 400, "malformed_body"),
    "deep": (lambda: b"[" * 100_000, JSON, 400, "malformed_body"),
    "deep in an envelope": (lambda: b'{"samples":[' + b'{"a":[' * 100_000, JSON, 400, "malformed_body"),
    "deep in gzip": (lambda: bomb(b"[", size=LARGE), GZIP, 400, "malformed_body"),
    "tiny elements": (lambda: b"[" + b"1," * (5 * MEGABYTE - 2) + b"1]", JSON, 413, "body_too_large"),
    "tiny samples": (
        lambda: b'{"format":"healthkit","samples":[' + b"0," * (5 * MEGABYTE - 32) + b"0]}",
        JSON,
        413,
        "body_too_large",
    ),
    "tiny samples in gzip": (
        lambda: bomb(b"0,", size=LARGE, before=b'{"format":"healthkit","samples":[', after=b"0]}"),
        GZIP,
        413,
        "body_too_large",
    ),
    "empty samples in gzip": (
        lambda: bomb(b"{},", size=LARGE, before=b'{"samples":[', after=b"{}]}"),
        GZIP,
        413,
        "body_too_large",
    ),
    "tiny points in gzip": (
        lambda: bomb(b"0,", size=LARGE, before=b'{"data":{"metrics":[{"name":"x","data":[', after=b"0]}]}}"),
        GZIP,
        413,
        "body_too_large",
    ),
    "the same key over and over": (
        lambda: bomb(b'"samples":[],', size=LARGE, before=b"{", after=b'"samples":[]}'),
        GZIP,
        413,
        "body_too_large",
    ),
    "escapes": (
        lambda: bomb(b"\\n", size=30 * MEGABYTE, before=b'{"samples":["', after=b'\\ud800"'),
        GZIP,
        400,
        "malformed_body",
    ),
    "backslashes": (
        lambda: bomb(b"\\\\", size=30 * MEGABYTE, before=b'{"samples":["', after=b'\\ud800"'),
        GZIP,
        400,
        "malformed_body",
    ),
    "huge number": (lambda: b'{"samples":[],"sequence":' + b"9" * 9 * MEGABYTE + b"}", JSON, 400, "invalid_envelope"),
    "huge exponent": (lambda: b'{"samples":[],"sequence":1e999999999}', JSON, 400, "invalid_envelope"),
    "a key twice": (lambda: GOOD[:-1] + b',"samples":[]}', JSON, 400, "invalid_envelope"),
    # text
    "UTF-16": (lambda: GOOD.decode().encode("utf-16"), JSON, 400, "malformed_body"),
    "UTF-16 without a mark": (lambda: GOOD.decode().encode("utf-16-le"), JSON, 400, "malformed_body"),
    "latin-1": (lambda: '{"format":"healthkit","x":"ü"}'.encode("latin-1"), JSON, 400, "malformed_body"),
    "latin-1 of no format": (lambda: '{"samples":[{"type":"ü"}]}'.encode("latin-1"), JSON, 415, "unknown_format"),
    "byte order mark": (lambda: b"\xef\xbb\xbf" + GOOD, JSON, 202, ""),
    # Content-Type is a hint: the body says what it is
    "text/plain": (lambda: GOOD, "Content-Type: text/plain", 202, ""),
    "charset": (lambda: GOOD, "Content-Type: application/json; charset=utf-7", 202, ""),
    "no type": (lambda: GOOD, "X-Nothing: at all", 202, ""),
    "JSON as XML": (lambda: GOOD, "Content-Type: application/xml", 400, "malformed_body"),
    "XML": (lambda: b"<a><b/></a>", "Content-Type: application/xml", 400, "malformed_body"),
    "XML that refers to itself": (
        lambda: LAUGHS % b"".join(b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10)),
        "Content-Type: application/xml",
        202,
        "",
    ),
    "a form that is none": (lambda: GOOD, "Content-Type: multipart/form-data", 400, "invalid_envelope"),
    "a form of the other kind": (
        lambda: b"a=b",
        "Content-Type: application/x-www-form-urlencoded",
        400,
        "malformed_body",
    ),
}


@pytest.mark.parametrize(("body", "header", "status", "code"), BODIES.values(), ids=BODIES.keys())
def test_a_hostile_body_is_a_problem_of_its_sender(
    server: Server, token: str, body: Callable[[], bytes], header: str, status: int, code: str
) -> None:
    content = body()
    lines = [header] if header.startswith("Content-Type") else [JSON, header]

    answer = ask(server.url, head(*lines, length(content), token=token), content)

    assert answer is not None
    assert answer.status == status, answer.body
    if code:
        assert (answer.problem["code"], answer.headers["Content-Type"]) == (code, "application/problem+json")
    assert ImportBatch.objects.count() == (status == 202)


def part(content: bytes, *, name: str = "file", file: str | None = "export.xml", header: bytes = b"") -> bytes:
    named = f'; filename="{file}"' if file is not None else ""
    disposition = f'Content-Disposition: form-data; name="{name}"{named}'.encode("latin-1")
    return b"--limit\r\n%b\r\n%b\r\n%b\r\n" % (disposition, header, content)


END = b"--limit--\r\n"

FORMS: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "no part": (lambda: END, 400, "invalid_envelope"),
    "no boundary in the body": (lambda: GOOD, 400, "invalid_envelope"),
    "10,000 fields": (
        lambda: b"".join(part(b"", name=f"a{n}", file=None) for n in range(10_000)) + END,
        400,
        "invalid_envelope",
    ),
    "10,000 files": (
        lambda: b"".join(part(b"", name=f"a{n}") for n in range(10_000)) + END,
        400,
        "invalid_envelope",
    ),
    "two files": (lambda: part(GOOD) + part(GOOD) + END, 400, "invalid_envelope"),
    "another name": (lambda: part(GOOD, name="other") + END, 400, "invalid_envelope"),
    "a field as the file": (lambda: part(GOOD, file=None) + END, 400, "invalid_envelope"),
    "a field of 10 MB": (
        lambda: part(b"a" * 10 * MEGABYTE, name="time_zone", file=None) + END,
        400,
        "invalid_envelope",
    ),
    "a header of 1 MB": (
        lambda: part(GOOD, header=b"X-Long: " + b"a" * MEGABYTE + b"\r\n") + END,
        400,
        "invalid_envelope",
    ),
    "a form in the form": (
        lambda: part(part(GOOD) + END, header=b"Content-Type: multipart/mixed; boundary=limit\r\n") + END,
        202,
        "",
    ),
    "no end": (lambda: part(GOOD)[:-2], 400, "invalid_envelope"),
}


@pytest.mark.parametrize(("body", "status", "code"), FORMS.values(), ids=FORMS.keys())
def test_a_hostile_form_is_a_problem_of_its_sender(
    server: Server, token: str, body: Callable[[], bytes], status: int, code: str
) -> None:
    content = body()

    answer = ask(server.url, head(FORM, length(content), token=token), content)

    assert answer is not None
    assert answer.status == status, answer.body
    if code:
        assert answer.problem["code"] == code
    assert ImportBatch.objects.count() == (status == 202)


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "C:\\\\x", "a\0b", "..", "", "a" * 5000, "\u00fc"])
def test_the_name_of_a_file_means_nothing(server: Server, token: str, name: str) -> None:
    content = part(b"<HealthData/>", file=name) + END

    answer = ask(server.url, head(FORM, length(content), token=token), content)

    assert answer is not None
    assert answer.status in (202, 400), answer.body
    assert not [*Path("/etc").glob("passwd[!-]*")]


def say(*lines: str | bytes, body: bytes = b"", hang_up: bool = False, **options: Any) -> Send:
    def send(url: str, token: str) -> Answer | None:
        return ask(url, head(*lines, token=token, **options), body, hang_up=hang_up)

    return send


REQUESTS: dict[str, tuple[Send, int | None, str]] = {
    "shorter than announced": (say(JSON, "Content-Length: 1000", body=GOOD[:90], hang_up=True), 503, "unavailable"),
    "a form shorter than announced": (
        say(FORM, "Content-Length: 1000", body=part(GOOD)[:90], hang_up=True),
        503,
        "unavailable",
    ),
    "longer than announced": (say(JSON, "Content-Length: 9", "Connection: close", body=GOOD), 400, "malformed_body"),
    "negative length": (say(JSON, "Content-Length: -1", body=GOOD), 400, ""),
    "no number for a length": (say(JSON, "Content-Length: many", body=GOOD), 400, ""),
    "two lengths": (say(JSON, "Content-Length: 3", "Content-Length: 4", body=GOOD), 400, ""),
    "a length nobody has": (say(JSON, f"Content-Length: {10**30}", body=GOOD), 413, "body_too_large"),
    "no length": (say(JSON), 400, "malformed_body"),
    "chunked": (say(JSON, "Transfer-Encoding: chunked", body=chunked([GOOD[:40], GOOD[40:]])), 202, ""),
    "chunked form": (
        say(FORM, "Transfer-Encoding: chunked", body=chunked([part(GOOD) + END])),
        400,
        "invalid_envelope",
    ),
    "chunked without an end": (
        say(JSON, "Transfer-Encoding: chunked", body=chunked([GOOD], end=False), hang_up=True),
        503,
        "unavailable",
    ),
    "chunks of no size": (say(JSON, "Transfer-Encoding: chunked", body=b"zz\r\n" + GOOD), 503, "unavailable"),
    "chunked without bounds": (
        say(JSON, "Transfer-Encoding: chunked", body=chunked([b" " * MEGABYTE] * 12)),
        413,
        "body_too_large",
    ),
    "chunked and a length": (
        say(JSON, length(GOOD), "Transfer-Encoding: chunked", body=chunked([GOOD])),
        400,
        "",
    ),
    "chunked, spelt strangely": (say(JSON, "Transfer-Encoding: xchunked", body=chunked([GOOD])), 501, ""),
    "header of 1 MB": (say(JSON, f"X-Long: {'a' * MEGABYTE}", length(GOOD), body=GOOD), 431, ""),
    "10,000 headers": (say(JSON, *(f"X-{n}: a" for n in range(10_000)), length(GOOD), body=GOOD), 431, ""),
    "folded header": (say(JSON, "X-Folded: a\r\n b", length(GOOD), body=GOOD), 400, ""),
    "NUL in a header": (say(JSON, b"X-Nul: \0", length(GOOD), body=GOOD), 400, ""),
    "URL of 64 KB": (say(JSON, path=f"/health/imports/?a={'a' * 65_536}"), 414, ""),
    "expectation": (say(JSON, length(GOOD), "Expect: 200-maybe", body=GOOD), 417, ""),
    "key of 8,000 characters": (
        say(JSON, f"Idempotency-Key: {'k' * 8000}", length(GOOD), body=GOOD),
        400,
        "invalid_envelope",
    ),
    "key that is empty": (say(JSON, "Idempotency-Key:", length(GOOD), body=GOOD), 400, "invalid_envelope"),
    "key that is no text": (say(JSON, b"Idempotency-Key: \xff\xfe\xe4", length(GOOD), body=GOOD), 202, ""),
    "device that is no text": (
        say(JSON, length(GOOD), body=GOOD, path="/health/imports/?device=%FF%FE"),
        202,
        "",
    ),
    "device with NUL": (
        say(JSON, length(GOOD), body=GOOD, path="/health/imports/?device=%00"),
        400,
        "invalid_envelope",
    ),
    "device of half a character": (
        say(JSON, length(GOOD), body=GOOD, path="/health/imports/?device=%ED%A0%80"),
        202,
        "",
    ),
    "zone with NUL": (
        say(JSON, length(GOOD), body=GOOD, path="/health/imports/?time_zone=%00"),
        400,
        "invalid_envelope",
    ),
    "zone that is a path": (
        say(JSON, length(GOOD), body=GOOD, path="/health/imports/?time_zone=../../etc/passwd"),
        400,
        "invalid_envelope",
    ),
    "lane with NUL": (say(JSON, length(GOOD), body=GOOD, path="/health/imports/?lane=%00"), 400, "invalid_envelope"),
    "2,000 parameters": (
        say(JSON, length(GOOD), body=GOOD, path=f"/health/imports/?{'a&' * 2000}"),
        400,
        "invalid_query",
    ),
    "key with NUL in a question": (
        say(method="GET", path="/health/imports/?idempotency_key=%00"),
        400,
        "invalid_query",
    ),
    "digest with NUL in a question": (say(method="GET", path="/health/imports/?body_sha256=%00"), 400, "invalid_query"),
    "state with NUL in a question": (say(method="GET", path="/health/imports/?status=%00"), 400, "invalid_query"),
    "cursor that is no text": (say(method="GET", path="/health/imports/?cursor=%FF%00"), 400, "invalid_query"),
    "type with NUL in a question": (say(method="GET", path="/health/samples/?type=%00"), 400, "invalid_query"),
    "accepting images only": (say(JSON, "Accept: image/png", length(GOOD), body=GOOD), 202, ""),
    "range": (say(JSON, "Range: bytes=0-1", "If-Match: x", length(GOOD), body=GOOD), 202, ""),
    "HTTP/1.0": (say(JSON, length(GOOD), body=GOOD, version="1.0"), 202, ""),
    "HTTP/9.9": (say(JSON, length(GOOD), body=GOOD, version="9.9"), 400, ""),
    "PUT": (say(JSON, length(GOOD), body=GOOD, method="PUT"), 405, "method_not_allowed"),
    "a method nobody knows": (say(JSON, length(GOOD), body=GOOD, method="BREW"), 405, "method_not_allowed"),
    "a method in small letters": (say(JSON, length(GOOD), body=GOOD, method="post"), 400, ""),
    "a method in a header": (say(JSON, "X-HTTP-Method-Override: DELETE", length(GOOD), body=GOOD), 202, ""),
    "a format with NUL": (say(JSON, length(GOOD), body=GOOD, path="/health/imports/%00/"), 404, ""),
    "a format nobody knows": (say(JSON, length(GOOD), body=GOOD, path="/health/imports/x/"), 415, "unknown_format"),
}


@pytest.mark.parametrize(("send", "status", "code"), REQUESTS.values(), ids=REQUESTS.keys())
def test_a_hostile_request_is_answered(server: Server, token: str, send: Send, status: int | None, code: str) -> None:
    answer = send(server.url, token)

    assert answer is not None
    assert answer.status == status, answer.body
    if code:
        assert answer.problem["code"] == code
    assert ImportBatch.objects.count() == (status == 202)


def test_a_phone_that_asks_first_is_told_to_go_on(server: Server, token: str) -> None:
    with connect(server.url) as sock:
        sock.sendall(head(JSON, length(GOOD), "Expect: 100-continue", token=token))
        first = sock.recv(25)
        sock.sendall(GOOD)
        answer = read_answer(sock)

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer is not None
    assert answer.status == 202


def test_requests_one_behind_the_other_are_each_answered(server: Server, token: str) -> None:
    """The second and third lie behind a body that was refused and was read to its end."""
    refused, last = b"[" * 100_000, head(JSON, length(GOOD), "Connection: close", token=token) + GOOD
    with connect(server.url) as sock:
        sock.sendall(
            head(JSON, length(refused), token=token) + refused + head(JSON, length(GOOD), token=token) + GOOD + last
        )
        answers = b"".join(iter(partial(sock.recv, 65_536), b""))

    statuses = [answers[place + 9 : place + 12] for place in _places(answers, b"HTTP/1.1 ")]
    assert statuses == [b"400", b"202", b"202"]


def _places(text: bytes, what: bytes) -> Iterator[int]:
    place = text.find(what)
    while place >= 0:
        yield place
        place = text.find(what, place + 1)


def test_what_is_smuggled_behind_a_refused_head_is_not_served(server: Server, token: str) -> None:
    hidden = head(JSON, length(GOOD), token=token) + GOOD
    with connect(server.url) as sock:
        sock.sendall(
            head(JSON, "Content-Length: 5", "Transfer-Encoding: chunked", token=token) + b"0\r\n\r\n" + hidden,
        )
        answers = b"".join(iter(partial(sock.recv, 65_536), b""))

    assert answers.count(b"HTTP/1.1 ") == 1
    assert not ImportBatch.objects.exists()


def test_a_phone_that_vanishes_stores_nothing_and_its_second_attempt_counts(server: Server, token: str) -> None:
    key = "Idempotency-Key: again"
    with connect(server.url) as sock:
        sock.sendall(head(JSON, key, length(GOOD), token=token) + GOOD[:-1])

    answer = ask(server.url, head(JSON, key, length(GOOD), token=token), GOOD)

    assert answer is not None
    assert (answer.status, "Idempotency-Replayed" in answer.headers) == (202, False)
    assert ImportBatch.objects.count() == 1


def test_a_few_slow_phones_do_not_keep_the_others_out(server: Server, token: str) -> None:
    """Each holds a thread for as long as it likes: no gunicorn worker ends that. So a proxy reads requests first."""
    slow = gunicorn_conf.threads - 1  # they may all have come to one worker
    with ExitStack() as stack:
        phones = [stack.enter_context(connect(server.url)) for _ in range(slow)]
        for phone in phones:
            phone.sendall(head(JSON, length(GOOD), token=token) + GOOD[:10])
        meanwhile = [ask(server.url, head(JSON, length(GOOD), token=token), GOOD) for _ in range(4)]
        for phone in phones:
            phone.sendall(GOOD[10:])
        at_last = [read_answer(phone) for phone in phones]

    assert [answer.status for answer in (*meanwhile, *at_last) if answer is not None] == [202] * (4 + slow)


def test_a_stranger_costs_nothing(server: Server) -> None:
    content = bomb(b"0,", size=LARGE, before=b'{"samples":[', after=b"0]}")

    answer = ask(server.url, head(JSON, GZIP, length(content), token="nobody"), content)

    assert answer is not None
    assert (answer.status, answer.problem["code"]) == (401, "unauthenticated")


def test_bombs_at_once_cost_each_worker_no_more_than_each_alone(server: Server, token: str) -> None:
    content = bomb(b"0,", size=20 * MEGABYTE, before=b'{"format":"healthkit","samples":[', after=b"0]}")
    answers: list[Answer | None] = []

    def attack() -> None:
        answers.append(ask(server.url, head(JSON, GZIP, length(content), token=token), content))

    attackers = [threading.Thread(target=attack) for _ in range(gunicorn_conf.workers * gunicorn_conf.threads)]
    for attacker in attackers:
        attacker.start()
    for attacker in attackers:
        attacker.join()

    assert [answer.status for answer in answers if answer is not None] == [413] * len(attackers)
