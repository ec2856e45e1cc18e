"""An electrocardiogram's table, in the languages and number formats of phones."""

from __future__ import annotations

import pytest

from django_healthkit_ingest.core.formats.apple_export_ecg import read_electrocardiogram
from tests.unit.formats.apple_export_examples import electrocardiogram

GERMAN = (
    "\ufeffName,Ada Lovelace\nGeburtsdatum,10.12.1815\nAufnahmedatum,2026-01-05 08:00:00 +0100\n"
    'Klassifizierung,Sinusrhythmus\nSymptome,Müdigkeit\nSoftware-Version,2.0\nGerät,"Watch7,11"\n'
    'Messrate,"2,5 Hertz"\n\n\nAbleitung,Ableitung I\nEinheit,µV\n\n'
)


def read(table: str) -> dict[str, object]:
    record = read_electrocardiogram("/ecg.csv", table.encode())
    assert record is not None
    return record


def test_the_record_holds_what_is_known_to_be_no_personal_data() -> None:
    assert read(electrocardiogram()) == {
        "element": "Electrocardiogram",
        "startDate": "2026-01-05 08:00:00 +0100",
        "endDate": "2026-01-05 08:00:02 +0100",
        "classification": "Sinus Rhythm",
        "softwareVersion": "1.22",
        "device": "Watch7,11",
        "sampleRate": "2 hertz",
        "samplingFrequency": 2.0,
        "lead": "Lead I",
        "unit": "µV",
        "file": "/ecg.csv",
        "voltages": [-265.868, 1.5, 0.0, 12.0],
    }


def test_another_language_is_read_by_place() -> None:
    record = read(GERMAN + '"-265,868"\n1,5\n"1.200,25"\n\u22123\n0\n')

    assert (record["classification"], record["symptoms"], record["device"]) == (
        "Sinusrhythmus", "Müdigkeit", "Watch7,11"
    )  # fmt: skip
    assert (record["samplingFrequency"], record["lead"], record["unit"]) == (2.5, "Ableitung I", "µV")
    assert record["voltages"] == [-265.868, 1.5, 1200.25, -3.0, 0.0]
    assert "Ada" not in str(record)
    assert "1815" not in str(record)


@pytest.mark.parametrize(
    "table",
    [
        electrocardiogram()
        .replace('Name,Ada Lovelace\nDate of Birth,"Dec 10, 1815"\n', "")
        .replace("Classification", 'Name,Ada Lovelace\nDate of Birth,"Dec 10, 1815"\nClassification'),
        GERMAN.replace("Name,Ada Lovelace\nGeburtsdatum,10.12.1815\n", "")
        .replace("Klassifizierung", "Name,Ada Lovelace\nGeburtsdatum,10.12.1815\nKlassifizierung")
        .replace("Messrate", "Sample Rate")
        + "1\n2\n",
    ],
    ids=["english", "german"],
)
def test_the_person_is_left_out_in_another_order(table: str) -> None:
    record = read(table)

    assert "Ada" not in str(record)
    assert "1815" not in str(record)


@pytest.mark.parametrize(
    "table",
    [
        "",
        "a,b\n1,2\n",
        electrocardiogram(()),
        electrocardiogram(("1", "two")),
        electrocardiogram().replace("2 hertz", "fast"),
        electrocardiogram().replace("2 hertz", "0 hertz"),
        electrocardiogram().replace("2 hertz", "0.00000000000001 hertz"),
        electrocardiogram().replace("2026-01-05 08:00:00 +0100", "Jan 5, 2026"),
        electrocardiogram().replace("2026-01-05 08:00:00 +0100", "2026-13-05 08:00:00 +0100"),
    ],
    ids=["empty", "table", "no rows", "word", "no rate", "zero rate", "no rate to speak of", "no date", "wrong date"],
)
def test_what_cannot_be_read_is_no_electrocardiogram(table: str) -> None:
    assert read_electrocardiogram("/ecg.csv", table.encode()) is None
