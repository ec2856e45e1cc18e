"""A small export as the Health app writes it; every value in it is made up."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from django_healthkit_ingest.core.formats.apple_export import AppleExportFormat
from django_healthkit_ingest.core.registry import shipped_registry
from django_healthkit_ingest.core.samples import Parsed, Section

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
BROKEN_DTD = (
    "<!DOCTYPE HealthData [\n<!-- HealthKit Export Version: 12 -->\n<!ELEMENT HealthData (ExportDate,Me,(Record)*)>\n"
    "<!ATTLIST VisionPrescription\n  type CDATA #REQUIRED\n<!ELEMENT RightEye EMPTY>\n<!ATTLIST <RightEye\n]>\n"
)
EXPORT_DATE = ' <ExportDate value="2026-02-01 09:00:00 +0100"/>\n'
ME = (
    ' <Me HKCharacteristicTypeIdentifierDateOfBirth="1815-12-10"'
    ' HKCharacteristicTypeIdentifierBiologicalSex="HKBiologicalSexFemale"/>\n'
)
FROM = 'sourceName="Ada’s\u00a0Watch" sourceVersion="11.1" creationDate="2026-01-05 08:10:00 +0100"'
DATES = 'startDate="2026-01-05 08:00:00 +0100" endDate="2026-01-05 08:05:00 +0100"'
STEPS = f' <Record type="HKQuantityTypeIdentifierStepCount" {FROM} unit="count" {DATES} value="250"/>\n'
BLOOD_PRESSURE = f""" <Correlation type="HKCorrelationTypeIdentifierBloodPressure" {FROM} {DATES}>
  <Record type="HKQuantityTypeIdentifierBloodPressureSystolic" {FROM} unit="mmHg" {DATES} value="121"/>
  <Record type="HKQuantityTypeIdentifierBloodPressureDiastolic" {FROM} unit="mmHg" {DATES} value="79"/>
 </Correlation>
"""
WORKOUT = f""" <Workout workoutActivityType="HKWorkoutActivityTypeRunning" {FROM} {DATES}
  duration="31.5" durationUnit="min">
  <MetadataEntry key="HKWeatherTemperature" value="41 degF"/>
  <WorkoutEvent type="HKWorkoutEventTypePause" date="2026-01-05 08:02:00 +0100"/>
  <WorkoutStatistics type="HKQuantityTypeIdentifierHeartRate" {DATES} average="141" unit="count/min"/>
  <WorkoutRoute {FROM} {DATES}>
   <FileReference path="/workout-routes/route_1.gpx"/>
  </WorkoutRoute>
 </Workout>
"""
SUMMARY = (
    ' <ActivitySummary dateComponents="2026-01-05" activeEnergyBurned="310.5" activeEnergyBurnedGoal="400"'
    ' activeEnergyBurnedUnit="Cal" appleStandHours="9"/>\n'
)
CLINICAL = (
    ' <ClinicalRecord type="Observation" identifier="o1" sourceName="Clinic" sourceURL="https://clinic.example/o1"'
    ' fhirVersion="4.0.1" receivedDate="2026-01-05 08:00:00 +0100"'
    ' resourceFilePath="/clinical-records/Observation-o1.json"/>\n'
)
GPX = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">
 <metadata><time>2026-02-01T08:00:00Z</time></metadata>
 <trk><name>Route</name><trkseg>
  <trkpt lon="13.400001" lat="52.500001"><ele>34.5</ele><time>2026-01-05T07:00:00Z</time>
   <extensions><speed>2.5</speed><course>90</course><hAcc>4</hAcc><vAcc>3</vAcc></extensions></trkpt>
  <trkpt lon="13.400002" lat="52.500002"><ele>34.6</ele><time>2026-01-05T07:05:00Z</time></trkpt>
 </trkseg></trk>
</gpx>
"""
RESOURCE = '{"resourceType": "Observation", "category": [{"coding": [{"code": "vital-signs"}]}]}'


def document(*elements: str, dtd: str = BROKEN_DTD, end: str = "</HealthData>\n") -> bytes:
    return (PROLOG + dtd + '<HealthData locale="de_DE">\n' + EXPORT_DATE + ME + "".join(elements) + end).encode()


def electrocardiogram(voltages: Iterable[str] = ("-265.868", "1.5", "0", "12")) -> str:
    head = (
        'Name,Ada Lovelace\nDate of Birth,"Dec 10, 1815"\nRecorded Date,2026-01-05 08:00:00 +0100\n'
        'Classification,Sinus Rhythm\nSymptoms,\nSoftware Version,1.22\nDevice,"Watch7,11"\nSample Rate,2 hertz\n'
        "\n\nLead,Lead I\nUnit,µV\n\n"
    )
    return head + "\n".join(voltages) + "\n"


def archive(files: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as members:
        for name, content in files.items():
            members.writestr(name, content)
    return file


def whole_archive() -> io.BytesIO:
    """With names as a Chinese phone gives them, and everything else that may lie in the zip file."""
    return archive(
        {
            "__MACOSX/apple_health_export/._export.xml": "<HealthData>",
            "apple_health_export/export_cda.xml": '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>',
            "apple_health_export/导出.xml": document(STEPS, BLOOD_PRESSURE, WORKOUT, SUMMARY, SUMMARY, CLINICAL, STEPS),
            "apple_health_export/workout-routes/route_1.gpx": GPX,
            "apple_health_export/心电图/ecg_2026-01-05.csv": electrocardiogram(),
            "apple_health_export/clinical-records/Observation-o1.json": RESOURCE,
        }
    )


def read(
    file: io.BytesIO | bytes, *, size: int = 1000, wire: AppleExportFormat | None = None
) -> list[tuple[Section, bytes]]:
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    portions = (wire or AppleExportFormat()).read_file(file, position={}, size=size)
    return [(portion.section, bytes(record)) for portion in portions for record in portion.records]


def parse(
    records: Iterable[bytes], *, section: Section = Section.SAMPLES, time_zone: str | None = None
) -> list[Parsed]:
    text = b"[" + b",".join(records) + b"]"
    return list(
        AppleExportFormat().parse(
            text, section=section, first_index=0, time_zone=time_zone, registry=shipped_registry()
        )
    )


def parsed(*elements: str, time_zone: str | None = None) -> list[Any]:
    return parse((record for _, record in read(document(*elements))), time_zone=time_zone)
