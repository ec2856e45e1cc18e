"""What clients are told to do is documented code by code, and the document is the table's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_healthkit_ingest.adapters.rest_framework.openapi_shapes import Retry
from django_healthkit_ingest.pipeline.problems import ANSWERS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below such a head, up to the first line that is no row."""
    _, _, below = PAGE.partition(f"{heading}\n")
    lines = below.splitlines()[1:]
    ends_at = next(number for number, line in enumerate(lines) if not line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:ends_at]]


def documented() -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for codes, status, retry in rows("| code | status | `retry` |"):
        for code in re.findall(r"`([a-z_]+)`", codes.partition(":")[0]):
            assert code not in found
            found[code] = (int(status.split()[0]), retry)
    return found


def test_every_code_is_documented_with_its_status_and_what_a_client_does() -> None:
    assert documented() == {code: (answer.status, answer.retry) for code, answer in ANSWERS.items()}


def test_every_word_of_advice_is_explained() -> None:
    explained = {word.strip("`") for word, _ in rows("| `retry` | the client |")}

    assert explained == {*Retry} == {answer.retry for answer in ANSWERS.values()}


@pytest.mark.parametrize("status", sorted({answer.status for answer in ANSWERS.values()}))
def test_a_client_never_drops_what_may_still_succeed(status: int) -> None:
    """LATER comes with 429 and 503 alone, and those with nothing else."""
    advice = {answer.retry for answer in ANSWERS.values() if answer.status == status}

    assert ("LATER" in advice) == (status in {429, 503})
    assert len(advice) == 1
