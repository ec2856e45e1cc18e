"""Whatever fits the document, and much that does not, is answered as it says, and never by an error of ours."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from django.core.wsgi import get_wsgi_application

from tests.schemathesis.conftest import CONFIG, PATIENT, often

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis has a tox environment of its own")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"


def load() -> Any:
    raw = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    # OpenAPI has no place for it beside imports/{batch_id}/; with one format it has.
    paths = raw["paths"]
    paths["/health/imports/flutter/"] = {"post": copy.deepcopy(paths["/health/imports/"]["post"])}
    paths["/health/imports/flutter/"]["post"]["operationId"] = "healthkit_import_flutter"
    schema = schemathesis.openapi.from_dict(raw, config=schemathesis.Config.from_dict(CONFIG))
    schema.app = get_wsgi_application()
    return schema


@schemathesis.serializer("application/zip")  # type: ignore[untyped-decorator]
def as_it_is(context: Any, value: Any) -> dict[str, Any]:
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


SCHEMA = load()


def has_documented_code(ctx: Any, response: Any, case: Any) -> None:
    """The problem's code is one that the answer's description names."""
    if response.headers.get("content-type") != ["application/problem+json"]:
        return
    code = response.json()["code"]
    told = case.operation.definition.raw["responses"].get(str(response.status_code))
    assert told is None or f"`{code}`" in told["description"], f"{code} is not among {told['description']}"


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_every_operation_answers_as_documented(
    case: Any, existing: dict[str, str], credentials: dict[str, str]
) -> None:
    aim(case, existing)

    case.call_and_validate(
        headers=credentials,
        checks=[
            schemathesis.checks.not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
            checks.unsupported_method,
            has_documented_code,
        ],
    )


def aim(case: Any, existing: dict[str, str]) -> None:
    """Half of the ids are real ones, and none is so wrong that the host's URLs know no place for it."""
    for name, value in (case.path_parameters or {}).items():
        if often(value) or not is_routed(name, value):
            case.path_parameters[name] = existing[name]
    for name, value in dict(case.query or {}).items():
        if name in existing and often(value):
            case.query[name] = existing[name]
    for name in ("Content-Encoding", "Idempotency-Key"):
        # Nothing here is compressed, and one key is for one body: with these, hardly anything else is looked at.
        if case.headers and name in case.headers and often((name, case.body)):
            del case.headers[name]


def is_routed(name: str, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if name in {"sample_id", "token", "identifier"}:
        return value not in {"", ".", ".."} and "/" not in value
    try:
        return value == str(UUID(value))
    except ValueError:
        return False


test_every_operation_answers_as_documented = PATIENT(SCHEMA.parametrize()(test_every_operation_answers_as_documented))
