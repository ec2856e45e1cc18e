"""What the settings name: sample types, formats and functions of the host's, imported once and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from django_healthkit_ingest.conf.settings import SETTING, get_settings
from django_healthkit_ingest.core.contract import Contract
from django_healthkit_ingest.core.formats.base import Format
from django_healthkit_ingest.core.formats.envelope import peeking_once
from django_healthkit_ingest.core.precedence import MAX_PRECEDENCE, precedence
from django_healthkit_ingest.core.registry import SampleTypeRegistry, shipped_registry
from django_healthkit_ingest.core.samples import Source
from django_healthkit_ingest.exceptions import HealthKitIngestError, MalformedBody, UnknownFormat


@lru_cache(maxsize=1)
def get_registry() -> SampleTypeRegistry:
    """The shipped sample types with the host's rows laid over them."""
    rows = get_settings().sample_types
    if isinstance(rows, str | Path):
        rows = tuple(json.loads(Path(rows).read_text(encoding="utf-8")))
    if not rows:
        return shipped_registry()
    try:
        return shipped_registry().extended(rows)
    except (HealthKitIngestError, ValueError) as error:
        raise ImproperlyConfigured(f"{SETTING}['SAMPLE_TYPES']: {error}") from error


def _function(name: str, path: str) -> Callable[..., Any]:
    place = f"{SETTING}[{name!r}]"
    try:
        chosen = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{place}: cannot import {path!r}: {error}") from error
    if not callable(chosen):
        raise ImproperlyConfigured(f"{place}: {path!r} is no function.")
    function: Callable[..., Any] = chosen
    return function


@lru_cache(maxsize=1)
def get_precedence() -> Callable[[Source], int]:
    """How much a source is trusted; calling it raises ImproperlyConfigured if the host's function answers nonsense."""
    path = get_settings().source_precedence
    if path is None:
        return precedence
    place = f"{SETTING}['SOURCE_PRECEDENCE']"
    chosen = _function("SOURCE_PRECEDENCE", path)

    def checked(source: Source) -> int:
        answer = chosen(source)
        if isinstance(answer, bool) or not isinstance(answer, int) or not 1 <= answer <= MAX_PRECEDENCE:
            raise ImproperlyConfigured(f"{place}: {path!r} must answer a whole number from 1 to {MAX_PRECEDENCE}.")
        return answer

    return checked


@lru_cache(maxsize=1)
def get_contract() -> Callable[[Any, str | None], Contract]:
    """What an app should send; calling it raises ImproperlyConfigured if the host's function answers nonsense."""
    path = get_settings().contract
    if path is None:
        return lambda user, device: Contract()
    chosen = _function("CONTRACT", path)

    def checked(user: Any, device: str | None) -> Contract:
        answer = chosen(user, device)
        try:
            return answer if isinstance(answer, Contract) else Contract(**answer)
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured(f"{SETTING}['CONTRACT']: {path!r} must answer a Contract: {error}.") from error

    return checked


@lru_cache(maxsize=1)
def get_consent() -> Callable[[Any], frozenset[str]] | None:
    """The host's word on which types a user has switched off, by identifier; None: it is for our own table to say."""
    path = get_settings().consent
    if path is None:
        return None
    chosen = _function("CONSENT", path)

    def checked(user_id: Any) -> frozenset[str]:
        answer = chosen(user_id)
        if isinstance(answer, str) or not all(isinstance(name, str) for name in answer):
            raise ImproperlyConfigured(f"{SETTING}['CONSENT']: {path!r} must answer type identifiers.")
        return frozenset(canonical(name) for name in answer)

    return checked


def canonical(name: str) -> str:
    """A type's identifier by any of its names; an unknown name is its own."""
    known = get_registry().get(name)
    return known.identifier if known is not None else name


@lru_cache(maxsize=1)
def get_formats() -> Mapping[str, Format]:
    """The wire formats by name, in the order they are asked to recognise a body."""
    formats: dict[str, Format] = {}
    for path in get_settings().formats:
        try:
            instance: Format = import_string(path)()
        except ImportError as error:
            raise ImproperlyConfigured(f"{SETTING}['FORMATS']: cannot import {path!r}: {error}") from error
        if instance.name in formats:
            raise ImproperlyConfigured(f"{SETTING}['FORMATS'] names the format {instance.name!r} twice.")
        formats[instance.name] = instance
    return formats


def get_format(name: str) -> Format:
    """Raises UnknownFormat, naming the formats there are."""
    formats = get_formats()
    if name not in formats:
        raise UnknownFormat(f"Use one of these formats: {', '.join(formats)}.")
    return formats[name]


def find_format(body: bytes, *, name: str | None) -> Format:
    """The format of that name, or without one the only format that recognises the body.

    Raises UnknownFormat, or MalformedBody if it is no format's because it is not JSON.
    """
    if name is not None:
        return get_format(name)
    with peeking_once():
        candidates = [wire for wire in get_formats().values() if wire.recognises(body)]
    if len(candidates) == 1:
        return candidates[0]
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise MalformedBody("Send one well-formed JSON document.") from None
    raise UnknownFormat(f"No format recognises the body; name one of: {', '.join(get_formats())}.")


@receiver(setting_changed)
def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == SETTING:
        for cached in (get_registry, get_precedence, get_formats, get_contract, get_consent):
            cached.cache_clear()
