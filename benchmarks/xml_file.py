"""A made-up export.xml of any size, the same in every call: what a watch and a phone write in some years."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

_START = datetime(2018, 1, 1, tzinfo=UTC)
_DAY_RECORDS = 1000
"""Records between two days' ends."""

_ATTRIBUTES = "sourceName sourceVersion device creationDate startDate endDate"
_OPTIONAL = "sourceVersion device creationDate"


def _list(element: str, names: str, *, optional: str = "") -> str:
    lines = (f"  {name:<13} CDATA #{'IMPLIED' if name in optional.split() else 'REQUIRED'}" for name in names.split())
    return "\n".join((f"<!ATTLIST {element}", *lines, ">"))


_ME = (
    'HKCharacteristicTypeIdentifierDateOfBirth="1815-12-10"'
    ' HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexFemale"'
)
_HEAD = "\n".join(
    (
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<!DOCTYPE HealthData [",
        "<!-- HealthKit Export Version: 14 -->",
        "<!ELEMENT HealthData (ExportDate,Me,(Record|Correlation|Workout|ActivitySummary|ClinicalRecord)*)>",
        _list("HealthData", "locale"),
        "<!ELEMENT ExportDate EMPTY>",
        _list("ExportDate", "value"),
        "<!ELEMENT Me EMPTY>",
        _list("Me", "HKCharacteristicTypeIdentifierDateOfBirth HKCharacteristicTypeIdentifierBiologicalSex"),
        "<!ELEMENT Record ((MetadataEntry|HeartRateVariabilityMetadataList)*)>",
        _list("Record", f"type unit value {_ATTRIBUTES}", optional=f"unit value {_OPTIONAL}"),
        "<!-- Note: Any Records that appear as children of a correlation also appear as top-level records. -->",
        "<!ELEMENT Correlation ((MetadataEntry|Record)*)>",
        _list("Correlation", f"type {_ATTRIBUTES}", optional=_OPTIONAL),
        "<!ELEMENT Workout ((MetadataEntry|WorkoutEvent|WorkoutRoute|WorkoutStatistics)*)>",
        _list(
            "Workout",
            f"workoutActivityType duration durationUnit {_ATTRIBUTES}",
            optional=f"duration durationUnit {_OPTIONAL}",
        ),
        "<!ELEMENT WorkoutEvent EMPTY>",
        _list("WorkoutEvent", "type date"),
        "<!ELEMENT WorkoutStatistics EMPTY>",
        _list("WorkoutStatistics", "type startDate endDate average minimum maximum sum unit", optional="average sum"),
        "<!ELEMENT ActivitySummary EMPTY>",
        _list("ActivitySummary", "dateComponents activeEnergyBurned activeEnergyBurnedGoal activeEnergyBurnedUnit"),
        "<!ELEMENT MetadataEntry EMPTY>",
        _list("MetadataEntry", "key value"),
        "<!ELEMENT HeartRateVariabilityMetadataList (InstantaneousBeatsPerMinute*)>",
        "<!ELEMENT InstantaneousBeatsPerMinute EMPTY>",
        _list("InstantaneousBeatsPerMinute", "bpm time"),
        "]>",
        '<HealthData locale="en_DE">',
        ' <ExportDate value="2026-01-05 08:00:00 +0100"/>',
        f" <Me {_ME}/>",
        "",
    )
)
_TAIL = "</HealthData>\n"

_WATCH = (
    'sourceName="Anna\u2019s Apple\u00a0Watch" sourceVersion="11.1" device="&lt;&lt;HKDevice: 0x3018a4b90&gt;,'
    ' name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch7,11, software:11.1&gt;"'
)
_PHONE = (
    'sourceName="Anna\u2019s iPhone" sourceVersion="18.1" device="&lt;&lt;HKDevice: 0x3018a5f20&gt;, name:iPhone,'
    ' manufacturer:Apple Inc., model:iPhone, hardware:iPhone17,1, software:18.1&gt;"'
)
_CUFF = 'sourceName="Cuff" sourceVersion="4.2"'
_QUANTITIES = (
    ("HeartRate", "count/min", _WATCH),
    ("ActiveEnergyBurned", "Cal", _WATCH),
    ("HeartRate", "count/min", _WATCH),
    ("BasalEnergyBurned", "Cal", _WATCH),
    ("ActiveEnergyBurned", "Cal", _WATCH),
    ("StepCount", "count", _PHONE),
    ("HeartRate", "count/min", _WATCH),
    ("DistanceWalkingRunning", "km", _PHONE),
    ("ActiveEnergyBurned", "Cal", _WATCH),
    ("BasalEnergyBurned", "Cal", _WATCH),
)
_STAGES = ("AsleepCore", "AsleepDeep", "AsleepREM", "Awake")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """How many elements there are, by which tables are checked."""

    records: int
    """At the top level."""
    inner_records: int
    """Inside correlations; each is also at the top level."""
    correlations: int
    workouts: int
    summaries: int


def write_export(path: Path, *, megabytes: float) -> Contents:
    """At least that large, by less than a day."""
    size = int(megabytes * 10**6)
    with path.open("w", encoding="utf-8") as file:
        file.write(_HEAD)
        for day in range(size):
            file.write("".join(_day(day)))
            if file.tell() >= size:
                break
        days = day + 1
        file.write("".join(map(_summary, range(days))))
        file.write(_TAIL)
    return Contents(
        records=days * (_DAY_RECORDS + 2), inner_records=days * 2, correlations=days, workouts=days, summaries=days
    )


def _day(day: int) -> Iterator[str]:
    begin = _START + timedelta(days=day)
    first = day * _DAY_RECORDS
    texts = _seconds(begin)
    for number in range(first, first + _DAY_RECORDS):
        yield _record(number, start=next(texts), end=next(texts))
    dates = f'creationDate="{begin:%Y-%m-%d} 23:50:01 +0100" startDate="{begin:%Y-%m-%d} 23:50:00 +0100"'
    dates += f' endDate="{begin:%Y-%m-%d} 23:50:00 +0100"'
    pressures = [
        f'<Record type="HKQuantityTypeIdentifierBloodPressure{name}" {_CUFF} unit="mmHg" {dates} value="{value}"/>\n'
        for name, value in (("Systolic", 115 + day % 20), ("Diastolic", 70 + day % 15))
    ]
    yield from (f" {each}" for each in pressures)
    yield f' <Correlation type="HKCorrelationTypeIdentifierBloodPressure" {_CUFF} {dates}>\n'
    yield from (f"  {each}" for each in pressures)
    yield " </Correlation>\n"
    yield _workout(begin)


def _seconds(begin: datetime) -> Iterator[str]:
    """A day of instants, 40 seconds apart, as an export writes them."""
    day = f"{begin:%Y-%m-%d}"
    for minute in range(1440):
        hours = f"{day} {minute // 60:02}:{minute % 60:02}"
        yield f"{hours}:07 +0100"
        yield f"{hours}:47 +0100"


def _record(number: int, *, start: str, end: str) -> str:
    dates = f'creationDate="{end}" startDate="{start}" endDate="{end}"'
    rare = number % 100
    if rare == 50:
        stage = _STAGES[number // 100 % 4]
        return (
            f' <Record type="HKCategoryTypeIdentifierSleepAnalysis" {_WATCH} {dates}'
            f' value="HKCategoryValueSleepAnalysis{stage}">\n'
            '  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>\n </Record>\n'
        )
    if rare == 75 and number % 500 == 75:
        beats = "".join(
            f'   <InstantaneousBeatsPerMinute bpm="{55 + (number + beat) % 30}" time="8:05:{beat:02},12 AM"/>\n'
            for beat in range(50)
        )
        return (
            f' <Record type="HKQuantityTypeIdentifierHeartRateVariabilitySDNN" {_WATCH} unit="ms" {dates}'
            f' value="{20 + number % 7919 / 97:.4f}">\n  <HeartRateVariabilityMetadataList>\n{beats}'
            "  </HeartRateVariabilityMetadataList>\n </Record>\n"
        )
    name, unit, source = _QUANTITIES[number % 10]
    value = f"{50 + number % 90}" if unit.startswith("count") else f"{0.01 + number % 7919 / 977:.6g}"
    if name == "HeartRate":
        dates = f'creationDate="{end}" startDate="{start}" endDate="{start}"'
    tag = f' <Record type="HKQuantityTypeIdentifier{name}" {source} unit="{unit}" {dates} value="{value}"'
    if name != "HeartRate":
        return f"{tag}/>\n"
    entry = f'  <MetadataEntry key="HKMetadataKeyHeartRateMotionContext" value="{number % 3}"/>\n'
    return f"{tag}>\n{entry} </Record>\n"


def _workout(begin: datetime) -> str:
    start, end = f"{begin:%Y-%m-%d} 17:00:00 +0100", f"{begin:%Y-%m-%d} 17:45:00 +0100"
    dates = f'startDate="{start}" endDate="{end}"'
    events = "".join(
        f'  <WorkoutEvent type="HKWorkoutEventTypeSegment" date="{begin:%Y-%m-%d} 17:{minute:02}:00 +0100"/>\n'
        for minute in range(0, 45, 5)
    )
    return (
        f' <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="45" durationUnit="min" {_WATCH}'
        f' creationDate="{end}" {dates}>\n'
        '  <MetadataEntry key="HKIndoorWorkout" value="0"/>\n'
        '  <MetadataEntry key="HKTimeZone" value="Europe/Berlin"/>\n'
        f"{events}"
        f'  <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" {dates} average="141.2" minimum="92"'
        ' maximum="171" unit="count/min"/>\n'
        f'  <WorkoutStatistics type="HKQuantityTypeIdentifierActiveEnergyBurned" {dates} sum="512.3" unit="Cal"/>\n'
        " </Workout>\n"
    )


def _summary(day: int) -> str:
    date = _START + timedelta(days=day)
    return (
        f' <ActivitySummary dateComponents="{date:%Y-%m-%d}" activeEnergyBurned="{300 + day % 400}"'
        ' activeEnergyBurnedGoal="400" activeEnergyBurnedUnit="Cal" appleMoveTime="0" appleMoveTimeGoal="0"'
        ' appleExerciseTime="31" appleExerciseTimeGoal="30" appleStandHours="11" appleStandHoursGoal="12"/>\n'
    )
