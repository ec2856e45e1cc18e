from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib

import pytest

from django_healthkit_ingest.core.encodings import compress, decode_body, decompress
from django_healthkit_ingest.exceptions import (
    BodyTooLarge,
    CorruptEncoding,
    PayloadUnavailable,
    UnsupportedEncoding,
)

BODY = random.Random(7).randbytes(300_000)  # does not compress, so it spans several slices


@pytest.mark.parametrize("content_encoding", [None, "", "identity", "Identity "])
def test_a_plain_body_is_itself(content_encoding: str | None) -> None:
    assert decode_body(BODY, content_encoding=content_encoding, max_bytes=len(BODY)) is BODY


@pytest.mark.parametrize("content_encoding", ["gzip", "GZIP", " x-gzip"])
def test_gzip(content_encoding: str) -> None:
    assert decode_body(gzip.compress(BODY), content_encoding=content_encoding, max_bytes=len(BODY)) == BODY


@pytest.mark.parametrize("cut", [0, 1, 65_536, 150_000])
def test_gzip_in_several_members(cut: int) -> None:
    body = gzip.compress(BODY[:cut]) + gzip.compress(b"") + gzip.compress(BODY[cut:])

    assert decode_body(body, content_encoding="gzip", max_bytes=len(BODY)) == BODY


@pytest.mark.parametrize("cut", [1, 5, 10, 20, 70_000, -1, -8])
def test_truncated_gzip(cut: int) -> None:
    with pytest.raises(CorruptEncoding):
        decode_body(gzip.compress(BODY)[:cut], content_encoding="gzip", max_bytes=len(BODY))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        gzip.compress(BODY) + b"{}",
        gzip.compress(BODY) + bytes(8),
        gzip.compress(BODY)[:-8] + bytes(8),
        zlib.compress(BODY),
        gzip.compress(b"a") + gzip.compress(b"b")[:-1],
    ],
)
def test_damaged_gzip(body: bytes) -> None:
    with pytest.raises(CorruptEncoding):
        decode_body(body, content_encoding="gzip", max_bytes=len(BODY))


@pytest.mark.parametrize("content_encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip;q=1"])
def test_other_encodings(content_encoding: str) -> None:
    with pytest.raises(UnsupportedEncoding):
        decode_body(BODY, content_encoding=content_encoding, max_bytes=len(BODY))


@pytest.mark.parametrize("content_encoding", [None, "gzip"])
def test_the_limit_is_the_last_byte_allowed(content_encoding: str | None) -> None:
    body = gzip.compress(BODY) if content_encoding else BODY

    with pytest.raises(BodyTooLarge):
        decode_body(body, content_encoding=content_encoding, max_bytes=len(BODY) - 1)


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(bytes(200 * 2**20))
    tracemalloc.start()

    with pytest.raises(BodyTooLarge):
        decode_body(bomb, content_encoding="gzip", max_bytes=2**20)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_bomb_of_members_is_refused() -> None:
    with pytest.raises(CorruptEncoding, match="members"):
        decode_body(gzip.compress(b"") * 20_000, content_encoding="gzip", max_bytes=2**20)


@pytest.mark.parametrize("payload", [b"", b"[]", BODY, b"a" * 10**6])
def test_payloads_survive(payload: bytes) -> None:
    stored = compress(payload)

    assert decompress(stored) == decompress(memoryview(stored)) == payload


@pytest.mark.parametrize("stored", [b"", b"[]", compress(BODY)[:-1], compress(BODY) + b"x"])
def test_a_damaged_payload(stored: bytes) -> None:
    with pytest.raises(PayloadUnavailable):
        decompress(stored)
