"""One record of every kind that has no columns, as an app of the healthkit format would send it; all made up."""

from __future__ import annotations

from typing import Any

WORKOUT_UUID = "A0B1C2D3-0000-4000-8000-000000000001"
WATCH = {"name": "Ada's Watch", "bundle_id": "com.apple.health.0A1B", "product_type": "Watch7,11"}


def _record(number: int, type: str, **members: Any) -> dict[str, Any]:
    return {
        "uuid": f"A0B1C2D3-0000-4000-8000-{number:012}",
        "type": type,
        "start": "2026-07-01T18:00:00+02:00",
        "end": "2026-07-01T18:40:00+02:00",
        "source": WATCH,
    } | members


STRUCTURES: dict[str, dict[str, Any]] = {
    "workout": _record(
        1,
        "HKWorkoutTypeIdentifier",
        category=37,
        duration={"value": 2280.5, "unit": "s"},
        statistics=[
            {"type": "HKQuantityTypeIdentifierDistanceWalkingRunning", "sum": 7.1, "unit": "km"},
            {"type": "HKQuantityTypeIdentifierHeartRate", "average": 148, "maximum": 171, "unit": "count/min"},
        ],
        events=[{"type": "pause", "start": "2026-07-01T18:10:00+02:00", "end": "2026-07-01T18:12:00+02:00"}],
        activities=[{"uuid": "A0B1C2D3-0000-4000-8000-00000000000A", "activity": 37, "duration": 2280.5}],
        metadata={"HKIndoorWorkout": False, "HKElevationAscended": {"value": 61, "unit": "m"}},
    ),
    "series": _record(
        2,
        "HKWorkoutRouteTypeIdentifier",
        workout=WORKOUT_UUID,
        locations=[
            {"time": "2026-07-01T16:00:00Z", "latitude": 52.51, "longitude": 13.39, "altitude": 36.5, "speed": 2.9},
            {"time": "2026-07-01T16:00:01Z", "latitude": 52.52, "longitude": 13.38, "altitude": 36.4, "speed": 3.0},
        ],
    ),
    "heartbeats": _record(
        3, "HKDataTypeIdentifierHeartbeatSeries", beats=[{"since_start": 0.81, "preceded_by_gap": False}]
    ),
    "ecg": _record(
        4,
        "HKDataTypeIdentifierElectrocardiogram",
        classification="sinus_rhythm",
        symptoms_status="none",
        average_heart_rate={"value": 63, "unit": "count/min"},
        sampling_frequency={"value": 512, "unit": "Hz"},
        voltages=[-0.000021, -0.000019, -0.000011],
    ),
    "audiogram": _record(
        5,
        "HKDataTypeIdentifierAudiogram",
        sensitivity_points=[{"frequency": {"value": 1000, "unit": "Hz"}, "left": 15, "right": 20, "unit": "dBHL"}],
    ),
    "state_of_mind": _record(
        6, "HKDataTypeStateOfMind", kind=1, valence=0.4, valence_classification=5, labels=[7, 20], associations=[17]
    ),
    "scored_assessment": _record(
        7, "HKScoredAssessmentTypeIdentifierGAD7", score=4, risk=1, answers=[0, 1, 0, 1, 1, 0, 1]
    ),
    "medication": _record(
        8,
        "HKMedicationDoseEventTypeIdentifierMedicationDoseEvent",
        medication_concept_identifier="made-up-concept",
        log_status=4,
        schedule_type=2,
        dose_quantity=1,
        unit="tablet",
        scheduled_date="2026-07-01T18:00:00+02:00",
    ),
    "vision": _record(
        9,
        "HKVisionPrescriptionTypeIdentifier",
        prescription_type="glasses",
        right_eye={"sphere": -1.25, "cylinder": -0.5, "axis": 90},
        left_eye={"sphere": -1.0},
        date_issued="2026-06-01",
    ),
    "clinical": _record(
        10,
        "HKClinicalTypeIdentifierImmunizationRecord",
        display_name="Tetanus",
        fhir={"version": "4.0.1", "resource": {"resourceType": "Immunization", "id": "1", "status": "completed"}},
    ),
    "document": _record(
        11, "HKDocumentTypeIdentifierCDA", title="Summary", document="<ClinicalDocument>made up</ClinicalDocument>"
    ),
    "correlation": _record(
        12,
        "HKCorrelationTypeIdentifierBloodPressure",
        objects=[
            _record(13, "HKQuantityTypeIdentifierBloodPressureSystolic", value=121, unit="mmHg"),
            _record(14, "HKQuantityTypeIdentifierBloodPressureDiastolic", value=79, unit="mmHg"),
        ],
    ),
    "export_only": _record(15, "HKDataTypeSleepDurationGoal", value=8, unit="hr"),
    "unknown": _record(16, "HKDataTypeOfTheFuture", voltages=[1, 2], value={"nested": True}),
}
ONCE: dict[str, dict[str, Any]] = {
    "characteristic": {"type": "HKCharacteristicTypeIdentifierBiologicalSex", "category": 1},
    "activity_summary": {
        "type": "HKActivitySummaryTypeIdentifier",
        "date": "2026-07-01",
        "active_energy_burned": 431.5,
        "active_energy_burned_goal": 500,
        "apple_exercise_time": 42,
        "apple_stand_hours": 11,
        "source": WATCH,
    },
}
