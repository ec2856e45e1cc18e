"""Opaque strings for keys that are row numbers: who has one learns nothing from it and can make no other.

Deterministic authenticated encryption in miniature (the construction is SIV's, RFC 5297, over HMAC-SHA256): the tag is
a keyed digest of scope and content, the content is hidden under a stream that the tag selects. The scope names what the
handle is for and whose it is, so one of another user's, or of another kind, is no handle at all. Keys come from
``SECRET_KEY``; ``SECRET_KEY_FALLBACKS`` are still understood.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

from django.conf import settings
from django.utils.crypto import salted_hmac

_TAG = 8
_NUMBER = 8


def seal(*numbers: int, scope: str) -> str:
    """At most three whole numbers of 64 bits; the same ones give the same handle."""
    content = struct.pack(f">{len(numbers)}q", *numbers)
    secret = settings.SECRET_KEY
    tag = _tag(content, scope=scope, secret=secret)
    return base64.urlsafe_b64encode(tag + _mask(content, tag=tag, scope=scope, secret=secret)).rstrip(b"=").decode()


def unseal(handle: str, *, scope: str) -> tuple[int, ...] | None:
    """The numbers; None for whatever ``seal`` did not make for this scope."""
    try:
        raw = base64.b64decode(handle.encode("ascii") + b"=" * (-len(handle) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    tag, hidden = raw[:_TAG], raw[_TAG:]
    if not hidden or len(hidden) % _NUMBER or len(hidden) > 3 * _NUMBER:
        return None
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        content = _mask(hidden, tag=tag, scope=scope, secret=secret)
        if hmac.compare_digest(tag, _tag(content, scope=scope, secret=secret)):
            return struct.unpack(f">{len(content) // _NUMBER}q", content)
    return None


def _tag(content: bytes, *, scope: str, secret: str | bytes) -> bytes:
    return _digest("tag", scope, content, secret)[:_TAG]


def _mask(content: bytes, *, tag: bytes, scope: str, secret: str | bytes) -> bytes:
    stream = _digest("stream", scope, tag, secret)
    return bytes(one ^ other for one, other in zip(content, stream, strict=False))


def _digest(what: str, scope: str, value: bytes, secret: str | bytes) -> bytes:
    salt = f"healthkit_ingest.handle.{what}:{scope}"
    return salted_hmac(salt, value, secret=secret, algorithm="sha256").digest()
