"""What each of our views does, method by method, as the OpenAPI document says it.

Statuses of problems are not written here: they are those of the codes (``pipeline.problems``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django_healthkit_ingest.adapters.rest_framework import openapi_parameters as ask
from django_healthkit_ingest.adapters.rest_framework import openapi_shapes as shapes
from django_healthkit_ingest.adapters.rest_framework import views
from django_healthkit_ingest.adapters.rest_framework.answers import Import, Results
from django_healthkit_ingest.adapters.rest_framework.consents import ConsentOrder
from django_healthkit_ingest.adapters.rest_framework.devices import DeviceOrder
from django_healthkit_ingest.adapters.rest_framework.file_bodies import OPTIONS, Order
from django_healthkit_ingest.adapters.rest_framework.open_wearables import OpenWearablesSyncView
from django_healthkit_ingest.adapters.rest_framework.openapi_parameters import Header, Parameter
from django_healthkit_ingest.adapters.rest_framework.openapi_schemas import ENVELOPE, refer
from django_healthkit_ingest.adapters.rest_framework.readings import SourceOrder
from django_healthkit_ingest.pipeline.catalogue import TypeView
from django_healthkit_ingest.pipeline.consent import ConsentStatus
from django_healthkit_ingest.pipeline.contract import ContractView
from django_healthkit_ingest.pipeline.decide import Decision
from django_healthkit_ingest.pipeline.devices import DeviceView
from django_healthkit_ingest.pipeline.erase import ErasureStatus
from django_healthkit_ingest.pipeline.imports import Rejection
from django_healthkit_ingest.pipeline.offer import MEDIA_TYPE
from django_healthkit_ingest.pipeline.problems import ANSWERS
from django_healthkit_ingest.pipeline.samples import SampleView
from django_healthkit_ingest.pipeline.sources import SourceView
from django_healthkit_ingest.pipeline.statistics import StatisticView
from django_healthkit_ingest.pipeline.sync_state import TypeState
from django_healthkit_ingest.request_bodies import FORM

JSON = "application/json"

ANYWHERE = ("unauthenticated", "forbidden", "rate_limited", "unavailable")
"""Codes any request may be answered with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``gives`` is a type of ours, or a JSON Schema; None: there is no body."""

    status: int = 200
    gives: Any = None
    media_type: str = JSON
    text: str = "OK."


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    summary: str
    answer: Answer
    text: str = ""
    parameters: tuple[Parameter, ...] = ()
    takes: Mapping[str, Any] = field(default_factory=dict)
    """The body by media type: types of ours, or JSON Schemas."""
    body_required: bool = True
    headers: tuple[Header, ...] = ()
    codes: tuple[str, ...] = ()
    """Of problems, beside those of ``ANYWHERE``."""

    def problems(self) -> dict[int, list[str]]:
        """Codes by status, as the table has them."""
        by_status: dict[int, list[str]] = {}
        for code, answer in ANSWERS.items():
            if code in (*self.codes, *ANYWHERE):
                by_status.setdefault(answer.status, []).append(code)
        # Where the authenticator has no challenge to send, HTTP allows no 401.
        by_status[403].insert(0, "unauthenticated")
        return by_status


_INTAKE = tuple(
    code
    for code in ANSWERS
    if code
    not in (*ANYWHERE, "invalid_query", "not_found", "method_not_allowed", "decided_elsewhere", "payload_unavailable")
)

_ANY_BODY = {
    "type": ["object", "array"],
    "description": "What the client library of another format makes, as it is.",
}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        **{name: {"type": "string"} for name in OPTIONS},
    },
}
_SENT: Mapping[str, Any] = {
    JSON: {"anyOf": [refer(ENVELOPE), Order, _ANY_BODY]},
    "application/zip": {"type": "string", "format": "binary"},
    "application/xml": {"type": "string", "format": "binary"},
    FORM: _FORM,
}

_ACCEPTED = Answer(status=202, gives=Import, text="The import; it is committed.")
_GONE = Answer(status=204, text="It is gone.")

OPERATIONS: Mapping[tuple[type[views.IngestView], str], Operation] = {
    (views.ImportsView, "GET"): Operation(
        id="healthkit_list_imports",
        summary="The user's imports, latest first",
        text="After a lost answer, ask with the idempotency key or the body's digest whether the bytes arrived.",
        parameters=(*ask.FOUND_BY, *ask.page_of(50)),
        answer=Answer(gives=Results[Import]),
        codes=("invalid_query",),
    ),
    (views.ImportsView, "POST"): Operation(
        id="healthkit_import",
        summary="Import what a phone sends, or a file",
        text="JSON is a body of any format that the server knows, or names an upload. Zip, XML and forms are files."
        " `imports/<format>/` is the same for clients that own their body: the path then names the format.",
        parameters=ask.SENDING,
        takes=_SENT,
        answer=_ACCEPTED,
        headers=(ask.LOCATION, ask.REPLAYED),
        codes=(*_INTAKE, "not_found"),
    ),
    (views.ImportView, "GET"): Operation(
        id="healthkit_get_import",
        summary="One import",
        text="What is no UUID is taken for the name of a format: 405.",
        parameters=(ask.BATCH, ask.WAIT),
        answer=Answer(gives=Import, text="The import; with `Retry-After` while it is unfinished."),
        headers=(ask.UNFINISHED,),
        codes=("invalid_query", "not_found", "method_not_allowed"),
    ),
    (views.RejectedView, "GET"): Operation(
        id="healthkit_list_rejections",
        summary="The records of an import that were not stored, and why",
        parameters=(ask.BATCH, *ask.page_of(100)),
        answer=Answer(gives=Results[Rejection]),
        codes=("invalid_query", "not_found"),
    ),
    (views.RetryView, "POST"): Operation(
        id="healthkit_retry_import",
        summary="Try again what failed of an import",
        parameters=(ask.BATCH,),
        answer=_ACCEPTED,
        codes=("not_found", "payload_unavailable"),
    ),
    (views.CancelView, "POST"): Operation(
        id="healthkit_cancel_import",
        summary="Give up the rest of an import",
        parameters=(ask.BATCH,),
        answer=_ACCEPTED,
        codes=("not_found",),
    ),
    (OpenWearablesSyncView, "POST"): Operation(
        id="healthkit_open_wearables_sync",
        summary="What the mobile SDKs of open-wearables send",
        parameters=(ask.USER, *ask.SENDING),
        takes={JSON: {"type": "object"}},
        answer=Answer(status=202, gives=shapes.SyncAccepted, text="It is committed."),
        codes=(*_INTAKE, "not_found"),
    ),
    (views.UploadsView, "POST"): Operation(
        id="healthkit_offer_upload",
        summary="Ask where to send a large file",
        answer=Answer(status=201, gives=shapes.Upload, text="Where, and the token for the import."),
    ),
    (views.UploadView, "PUT"): Operation(
        id="healthkit_upload",
        summary="Send a large file",
        parameters=(ask.TOKEN,),
        takes={MEDIA_TYPE: {"type": "string", "format": "binary"}},
        answer=Answer(status=204, text="It has arrived; now import it."),
        codes=("invalid_envelope", "invalid_upload", "not_found", "body_too_large"),
    ),
    (views.SamplesView, "GET"): Operation(
        id="healthkit_list_samples",
        summary="Samples of one type, by start",
        parameters=ask.READING,
        answer=Answer(gives=Results[SampleView]),
        codes=("invalid_query",),
    ),
    (views.SampleView, "GET"): Operation(
        id="healthkit_get_sample",
        summary="One sample",
        parameters=(ask.SAMPLE,),
        answer=Answer(gives=SampleView),
        codes=("not_found",),
    ),
    (views.SampleView, "DELETE"): Operation(
        id="healthkit_delete_sample",
        summary="Delete one sample; what comes again of it stays away",
        parameters=(ask.SAMPLE,),
        answer=_GONE,
        codes=("not_found",),
    ),
    (views.SeriesView, "GET"): Operation(
        id="healthkit_get_series",
        summary="The voltages, locations or beats of one sample",
        text="By name, each an array in the words of the format that brought it.",
        parameters=(ask.SAMPLE,),
        answer=Answer(gives={"type": "object", "additionalProperties": {"type": "array"}}),
        codes=("not_found",),
    ),
    (views.StatisticsView, "GET"): Operation(
        id="healthkit_list_statistics",
        summary="What the phone has aggregated itself, of one type, by start",
        parameters=(ask.AGGREGATION, *ask.READING),
        answer=Answer(gives=Results[StatisticView]),
        codes=("invalid_query",),
    ),
    (views.TypesView, "GET"): Operation(
        id="healthkit_list_types",
        summary="The types that are known here, on one page",
        answer=Answer(gives=Results[TypeView]),
    ),
    (views.SourcesView, "GET"): Operation(
        id="healthkit_list_sources",
        summary="Who recorded the user's samples",
        parameters=ask.page_of(100),
        answer=Answer(gives=Results[SourceView]),
        codes=("invalid_query",),
    ),
    (views.SourceView, "PATCH"): Operation(
        id="healthkit_set_precedence",
        summary="Whom to trust more where two recorded the same time",
        parameters=(ask.SOURCE,),
        takes={JSON: SourceOrder},
        answer=Answer(gives=SourceView),
        codes=("malformed_body", "invalid_envelope", "invalid_query", "not_found"),
    ),
    (views.SyncStateView, "GET"): Operation(
        id="healthkit_get_sync_state",
        summary="From where an app installation may resume, on one page",
        parameters=(ask.INSTALLATION,),
        answer=Answer(gives=Results[TypeState]),
        codes=("invalid_envelope", "invalid_query"),
    ),
    (views.ContractView, "GET"): Operation(
        id="healthkit_get_contract",
        summary="What the server wants the app to send next",
        parameters=(ask.DEVICE,),
        answer=Answer(gives=ContractView),
        codes=("invalid_envelope",),
    ),
    (views.ConsentsView, "GET"): Operation(
        id="healthkit_list_consents",
        summary="The types that were decided upon, on one page; all others are allowed",
        answer=Answer(gives=Results[ConsentStatus]),
    ),
    (views.ConsentView, "PUT"): Operation(
        id="healthkit_decide_consent",
        summary="Keep a type from now on, or do not",
        parameters=(ask.IDENTIFIER,),
        takes={JSON: ConsentOrder},
        answer=Answer(gives=Decision),
        codes=("malformed_body", "invalid_envelope", "invalid_query", "decided_elsewhere"),
    ),
    (views.ErasuresView, "POST"): Operation(
        id="healthkit_erase",
        summary="Erase everything of the user's",
        answer=Answer(status=202, gives=ErasureStatus, text="The order, which becomes the receipt."),
        headers=(ask.LOCATION,),
    ),
    (views.ErasureView, "GET"): Operation(
        id="healthkit_get_erasure",
        summary="What is gone so far; in the end the receipt",
        parameters=(ask.ERASURE,),
        answer=Answer(gives=ErasureStatus),
        codes=("not_found",),
    ),
    (views.ExportsView, "POST"): Operation(
        id="healthkit_export",
        summary="Have everything of the user's written into a file",
        answer=Answer(status=202, gives=shapes.Export, text="The order."),
        headers=(ask.LOCATION,),
    ),
    (views.ExportView, "GET"): Operation(
        id="healthkit_get_export",
        summary="How far an export is",
        parameters=(ask.EXPORT,),
        answer=Answer(gives=shapes.Export),
        codes=("not_found",),
    ),
    (views.ExportFileView, "GET"): Operation(
        id="healthkit_get_export_file",
        summary="The file: gzip-compressed JSON lines",
        parameters=(ask.EXPORT,),
        answer=Answer(gives={"type": "string", "format": "binary"}, media_type="application/gzip"),
        codes=("not_found",),
    ),
    (views.DevicesView, "GET"): Operation(
        id="healthkit_list_devices",
        summary="The user's device tokens, latest first",
        parameters=ask.page_of(100),
        answer=Answer(gives=Results[DeviceView]),
        codes=("invalid_query",),
    ),
    (views.DevicesView, "POST"): Operation(
        id="healthkit_create_device",
        summary="Make a token for one app installation",
        takes={JSON: DeviceOrder},
        body_required=False,
        answer=Answer(status=201, gives=shapes.NewDevice, text="The token is shown this once."),
        codes=("malformed_body", "invalid_envelope", "invalid_query"),
    ),
    (views.DeviceTokenView, "DELETE"): Operation(
        id="healthkit_revoke_device",
        summary="Revoke a device's token",
        parameters=(ask.DEVICE_TOKEN,),
        answer=_GONE,
        codes=("not_found",),
    ),
}
