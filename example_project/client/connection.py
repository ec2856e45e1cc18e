"""Requests, and when to make them again."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from example_project.client.answers import Advice, Answer

FIRST_PAUSE = 1.0
LONGEST_BACK_OFF = 60.0


class TryLater(Exception):
    """Nothing is lost: run again in ``after`` seconds, for instance as a background task of the system's."""

    def __init__(self, after: float) -> None:
        super().__init__("The server cannot be asked now.")
        self.after = after


class SignInNeeded(Exception):
    """A new token was refused too: only the user can help."""


class Refused(Exception):
    """SPLIT, FIX or NEVER."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("The server refused the request for good.")
        self.answer = answer


class _NoRedirects(HTTPRedirectHandler):
    """A followed POST becomes a GET whose 200 looks like success."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> OpenerDirector:
    return build_opener(_NoRedirects)


@dataclass(slots=True, kw_only=True)
class Connection:
    base_url: str
    """Where the urls are included, with the slash: ``https://example.com/health/``."""
    sign_in: Callable[[], str]
    """The value of ``Authorization``; asked again when the last one was refused."""
    sleep: Callable[[float], object] = time.sleep
    jitter: Callable[[], float] = random.random
    tries: int = 5
    longest_pause: float = 120
    """Seconds; who is told to wait longer ends, and comes back."""
    timeout: float = 60
    """Seconds; above the longest poll."""
    _authorization: str | None = None
    _opener: OpenerDirector = field(default_factory=_opener)

    def get(self, path: str, **query: str) -> Any:
        """The content. Raises TryLater, SignInNeeded, Refused."""
        return self.patiently(lambda: self.once("GET", path, query=query)).content

    def patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask until it is DONE. Raises TryLater, SignInNeeded, Refused."""
        is_signed_in_anew, failures = False, 0
        while True:
            answer = ask()
            match answer.advice:
                case Advice.DONE:
                    return answer
                case Advice.AUTH if is_signed_in_anew:
                    raise SignInNeeded
                case Advice.AUTH:
                    self._authorization, is_signed_in_anew = None, True
                case Advice.LATER:
                    pause = self._pause(failures, answer)
                    failures += 1
                    if failures == self.tries or pause > self.longest_pause:
                        raise TryLater(pause)
                    self.sleep(pause)
                case _:
                    raise Refused(answer)

    def once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request; an empty Answer if none came, whatever the reason."""
        if self._authorization is None:
            self._authorization = self.sign_in()
        url = f"{self.base_url}{path}?{urlencode(query)}" if query else f"{self.base_url}{path}"
        every = {"Authorization": self._authorization, "Accept": "application/json"}
        request = Request(url, data=content, method=method, headers={**every, **(headers or {})})
        try:
            try:
                reply = self._opener.open(request, timeout=self.timeout)
            except HTTPError as refusal:
                reply = refusal
            with reply:
                wait = reply.headers.get("Retry-After", "")
                return Answer(
                    status=reply.status, content=_object(reply.read()), retry_after=int(wait) if wait.isdecimal() else 0
                )
        except (OSError, HTTPException):
            return Answer()

    def _pause(self, failures: int, answer: Answer) -> float:
        """Never before the server said, and never all phones at once."""
        back_off = min(LONGEST_BACK_OFF, FIRST_PAUSE * 2.0**failures)
        return answer.retry_after + back_off * (0.5 + self.jitter() / 2)


def _object(content: bytes) -> Any:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
