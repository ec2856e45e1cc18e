"""An electrocardiogram: one comma separated file, whose labels and numbers are in the phone's language."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django_healthkit_ingest.core.catalogue import load
from django_healthkit_ingest.core.formats.apple_export_numbers import read_number

MAX_TABLE_BYTES = 16 * 2**20
"""Of one file; half a minute at 512 Hz has 150 KB."""
MAX_HEADER_ROWS = 40

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}")
_RATE = re.compile(r"([0-9]+(?:[.,\u066b][0-9]+)?)\s*\D*")
_NUMBER = re.compile(r"[-\u2212+]?[0-9][0-9.,\u066b\u00a0\u202f' ]*(?:[eE][-+]?[0-9]+)?")
_AFTER_DATE = ("classification", "symptoms", "softwareVersion", "device", "sampleRate")
_LAST = ("lead", "unit")


def read_electrocardiogram(file: str, table: bytes) -> dict[str, Any] | None:
    """The record of an electrocardiogram. None if this is another table, or cannot be read.

    The person's name and date of birth, which come first, are left out: a row is kept for what it is known to be, by
    its English label or, in other languages, by its place after the date of the recording.
    """
    rows = [_cells(line) for line in table.decode("utf-8-sig", errors="replace").splitlines()]
    first = next((at for at, cells in enumerate(rows[:MAX_HEADER_ROWS]) if _voltage(cells) is not None), None)
    if first is None:
        return None
    header = _read_header(rows[:first])
    voltages = [_voltage(cells) for cells in rows[first:] if any(cells)]
    rate = _RATE.fullmatch(header.get("sampleRate", ""))
    frequency = read_number(_point(rate[1])) if rate is not None else None
    if None in voltages or not frequency or "startDate" not in header:
        return None
    try:
        start = datetime.strptime(header["startDate"], "%Y-%m-%d %H:%M:%S %z")
        end = start + timedelta(seconds=len(voltages) / frequency)
    except (ValueError, OverflowError):  # no such day, or a rate near nothing
        return None
    return {
        "element": "Electrocardiogram",
        **header,
        "endDate": end.strftime("%Y-%m-%d %H:%M:%S %z"),
        "samplingFrequency": frequency,
        "file": file,
        "voltages": voltages,
    }


def _read_header(rows: list[list[str]]) -> Mapping[str, str]:
    labels = _labels()
    header: dict[str, str] = {}
    at = next((at for at, cells in enumerate(rows) if len(cells) > 1 and _DATE.fullmatch(cells[1])), None)
    if at is None:
        return header
    header["startDate"] = rows[at][1]
    # The name and the date of birth were before the date: then the rows behind it are in their usual order, too.
    usual = at >= 2
    places = iter(_AFTER_DATE)
    for cells in rows[at + 1 :]:
        if not any(cells):
            places = iter(_LAST)
            continue
        place = next(places, "")
        name = labels.get(cells[0].casefold(), place if usual and cells[0].casefold() not in labels else "")
        if name and len(cells) > 1 and cells[1]:
            header.setdefault(name, cells[1])
    return header


@lru_cache(maxsize=1)
def _labels() -> Mapping[str, str]:
    """By English label: the record's member, or nothing for what is not kept."""
    labels: dict[str, str] = load("apple_export.json")["ecg_labels"]
    return labels


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line]), [])]


def _voltage(cells: list[str]) -> float | None:
    """One number in one cell; a decimal comma that is not in quotes makes two of it."""
    text = ",".join(cells).strip(" ,") if len(cells) <= 2 else ""
    return read_number(_point(text)) if _NUMBER.fullmatch(text) else None


def _point(text: str) -> str:
    """The number with a decimal point and without separators of thousands."""
    text = text.replace("\u2212", "-").replace("\u066b", ",")
    last = max(text.rfind("."), text.rfind(","))
    if last >= 0:
        text = re.sub("[.,]", "", text[:last]) + "." + text[last + 1 :]
    return re.sub("[\\s']", "", text)
