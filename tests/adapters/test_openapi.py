from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client, override_settings
from django.urls import URLPattern, path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiResponse, extend_schema
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.request import Request
from rest_framework.response import Response

from django_healthkit_ingest.adapters.rest_framework import compat_urls, urls, views
from django_healthkit_ingest.adapters.rest_framework.openapi_operations import OPERATIONS
from django_healthkit_ingest.adapters.rest_framework.problems import METHOD_NOT_ALLOWED
from django_healthkit_ingest.pipeline.problems import ANSWERS
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import category, quantity, statistic
from tests.openapi_document import write

CHECKED_IN = Path(__file__).parents[2] / "docs" / "reference" / "openapi.yaml"
HEART_RATE = "HKQuantityTypeIdentifierHeartRate"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(CHECKED_IN.read_text(encoding="utf-8"))
    return document


def describe(*patterns: URLPattern) -> dict[str, Any]:
    document: dict[str, Any] = SchemaGenerator(patterns=[*patterns]).get_schema(public=True)
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for place, methods in document["paths"].items():
        for method, operation in methods.items():
            yield place, method, operation


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from references(each)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            yield from [value] if key == "$ref" else references(value)


def look_up(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for key in reference.removeprefix("#/").split("/"):
        found = found[key]
    return found


def test_the_document_that_is_checked_in_is_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = write()

    assert capsys.readouterr().err == ""  # drf-spectacular's warnings
    assert text == CHECKED_IN.read_text(encoding="utf-8"), (
        "Renew it: PYTHONPATH=src python -m tests.openapi_document > docs/reference/openapi.yaml"
    )


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")

    validate_schema(document)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = {*references(document)}

    assert "#/components/schemas/HealthKitImportRequest.sample" in found
    assert all(look_up(document, each) is not None for each in found)


def test_no_path_is_there_twice(document: dict[str, Any]) -> None:
    shapes = ["/".join("{}" if "{" in part else part for part in place.split("/")) for place in document["paths"]]
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(shapes) == len({*shapes})
    assert len(names) == len({*names})


def test_every_view_and_method_is_in_the_table() -> None:
    served = {
        (pattern.callback.view_class, method)
        for pattern in (*urls.urlpatterns, *compat_urls.urlpatterns)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if method in pattern.callback.view_class().allowed_methods
    }

    assert served == {*OPERATIONS}


def test_the_document_has_every_operation_of_ours(document: dict[str, Any]) -> None:
    names = {operation["operationId"] for _, _, operation in operations(document)}

    assert names == {each.id for each in OPERATIONS.values()} - {"healthkit_open_wearables_sync"}


def test_every_code_is_some_operations() -> None:
    said = {code for each in OPERATIONS.values() for codes in each.problems().values() for code in codes}

    assert said == {*ANSWERS}
    assert METHOD_NOT_ALLOWED.code in ANSWERS


def test_devices_tokens_are_named_where_they_are_enough(document: dict[str, Any]) -> None:
    ways = {operation["operationId"]: operation["security"] for _, _, operation in operations(document)}

    assert ways["healthkit_import"] == [{"healthkitDeviceToken": []}, {"tokenAuth": []}]
    assert ways["healthkit_list_samples"] == [{"tokenAuth": []}]


class ClinicImportsView(views.ImportsView):
    def get_user(self, request: Request) -> Any:
        return request.user


class RenamedView(views.SamplesView):
    @extend_schema(summary="Readings", responses={200: OpenApiResponse(dict, description="Ours.")})
    def get(self, request: Request) -> Response:
        return super().get(request)


class CountedView(views.SamplesView):
    def put(self, request: Request) -> Response:
        """Count them."""
        return Response()


class ClinicSchema(AutoSchema):
    def get_tags(self) -> list[str]:
        return ["clinic"]


def test_a_hosts_subclass_has_the_same_document(document: dict[str, Any]) -> None:
    theirs = describe(path("clinic/", ClinicImportsView.as_view()))

    assert theirs["paths"]["/clinic/"] == document["paths"]["/health/imports/"]
    assert theirs["components"]["schemas"].items() <= document["components"]["schemas"].items()


def test_foreign_urls_are_described_where_they_are_included(capsys: pytest.CaptureFixture[str]) -> None:
    paths = describe(*compat_urls.urlpatterns)["paths"]

    names = [methods["post"]["operationId"] for methods in paths.values()]
    assert names == ["healthkit_open_wearables_sync", "healthkit_open_wearables_sync_apple"]
    assert capsys.readouterr().err == ""


def test_what_the_host_says_of_a_method_stands_before_ours(document: dict[str, Any]) -> None:
    theirs = describe(path("readings/", RenamedView.as_view()))["paths"]["/readings/"]["get"]

    ours = document["paths"]["/health/samples/"]["get"]
    assert (theirs["summary"], [*theirs["responses"]]) == ("Readings", ["200"])
    assert theirs["parameters"] == ours["parameters"]


def test_a_method_of_the_hosts_own_is_described_by_the_host() -> None:
    theirs = describe(path("readings/", CountedView.as_view()))["paths"]["/readings/"]["put"]

    assert theirs["description"] == "Count them."


def test_the_hosts_own_schema_class_stands_before_ours(settings: Any, document: dict[str, Any]) -> None:
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_SCHEMA_CLASS": f"{__name__}.ClinicSchema"}

    theirs = describe(path("readings/", views.SamplesView.as_view()))["paths"]["/readings/"]["get"]

    ours = document["paths"]["/health/samples/"]["get"]
    assert theirs == {**ours, "tags": ["clinic"]}


def test_formats_of_the_path_are_left_out_beside_ids_only() -> None:
    view = views.ImportsView.as_view(http_method_names=["post"])

    paths = describe(
        path("imports/<slug:format_name>/", view), path("imports/<slug:format_name>/sync/", view), path("all/", view)
    )["paths"]

    assert {*paths} == {"/imports/{format_name}/sync/", "/all/"}


def test_another_schema_class_is_left_alone() -> None:
    with override_settings(REST_FRAMEWORK={"DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.inspectors.ViewInspector"}):
        assert type(views.SamplesView().schema).__module__ == "rest_framework.schemas.inspectors"


def test_serving_requests_needs_no_drf_spectacular() -> None:
    program = (
        "import sys; sys.modules['drf_spectacular'] = None; import django; from django.conf import settings; "
        "settings.REST_FRAMEWORK = {}; django.setup(); "
        "from django_healthkit_ingest.adapters.rest_framework import urls, views; views.TypesView().schema"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


@pytest.fixture
def strict(document: dict[str, Any]) -> Any:
    """Checks an answer against its schema, which then allows no key that is not in it."""
    exact = copy.deepcopy(document)
    for name, schema in exact["components"]["schemas"].items():
        if "properties" in schema and not name.startswith("HealthKitImportRequest"):
            schema["additionalProperties"] = False

    def check(answer: Any, *, place: str, method: str = "get") -> None:
        response = exact["paths"][place][method]["responses"][str(answer.status_code)]
        media_type = answer.headers["Content-Type"]
        schema = {**response["content"][media_type]["schema"], "components": exact["components"]}
        Draft202012Validator(schema, format_checker=FormatChecker(["uuid"])).validate(answer.json())

    return check


@pytest.fixture
def sent(user: Any, messages: Any) -> Any:
    body = healthkit_body(
        quantity(source={"name": "Watch"}, metadata={"a": 1}),
        quantity(unit="kg"),
        category(),
        quantity("HKNew", value=None, unit=None, tree=[1]),
        statistics=[statistic()],
        anchors={HEART_RATE: "a1"},
        device={"id": "6F0C"},
        more=1,
    )
    return ingest(body, user=user)


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(
    ("place", "query"),
    [
        ("imports/", ""),
        ("imports/{batch_id}/", ""),
        ("imports/{batch_id}/rejected/", ""),
        ("samples/", f"?type={HEART_RATE}&page_size=1"),
        ("samples/", "?type=HKNew"),
        ("samples/", ""),
        ("samples/{sample_id}/", ""),
        ("samples/{sample_id}/series/", ""),
        ("statistics/", "?type=HKQuantityTypeIdentifierStepCount"),
        ("types/", ""),
        ("sources/", ""),
        ("sync-state/", "?device=6F0C"),
        ("contract/", ""),
        ("consents/", ""),
        ("devices/", ""),
    ],
)
def test_answers_have_the_documented_keys_and_no_others(
    strict: Any, phone: Client, sent: Any, place: str, query: str
) -> None:
    phone.post("/health/devices/", data=b"{}", content_type="application/json")
    phone.put("/health/consents/HKNew/", data=b'{"allowed": false}', content_type="application/json")
    sample = phone.get(f"/health/samples/?type={HEART_RATE}").json()["results"][0]["id"]

    answer = phone.get(f"/health/{place.format(batch_id=sent.uuid, sample_id=sample)}{query}")

    strict(answer, place=f"/health/{place}")
    assert answer.json().get("results", ["one"]) != []


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(
    ("method", "place", "body", "status"),
    [
        ("post", "imports/", healthkit_body(quantity()), 202),
        ("post", "imports/", b"{", 400),
        ("post", "imports/{batch_id}/retry/", b"", 202),
        ("post", "imports/{batch_id}/cancel/", b"", 202),
        ("post", "uploads/", b"", 201),
        ("patch", "sources/{source_id}/", b'{"precedence": 7}', 200),
        ("put", "consents/HKNew/", b'{"allowed": false, "erase": true}', 200),
        ("post", "erasures/", b"", 202),
        ("post", "exports/", b"", 202),
        ("post", "devices/", b'{"name": "phone"}', 201),
    ],
)
def test_what_is_ordered_is_answered_as_documented(
    strict: Any, phone: Client, sent: Any, method: str, place: str, body: bytes, status: int
) -> None:
    source = phone.get("/health/sources/").json()["results"][0]["id"]
    url = f"/health/{place.format(batch_id=sent.uuid, source_id=source)}"

    answer = getattr(phone, method)(url, data=body, content_type="application/json")

    assert answer.status_code == status
    strict(answer, place=f"/health/{place.replace('HKNew', '{identifier}')}", method=method)


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("place", ["erasures", "exports"])
def test_orders_are_shown_as_documented(strict: Any, phone: Client, sent: Any, place: str) -> None:
    url = phone.post(f"/health/{place}/").headers["Location"]

    strict(phone.get(url), place=f"/health/{place}/{{{place.removesuffix('s')}_id}}/")


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize("place", ["imports/", "samples/", "erasures/", "imports/flutter/"])
def test_options_is_no_method_of_ours(phone: Client, place: str) -> None:
    answer = phone.options(f"/health/{place}")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "OPTIONS" not in answer.headers["Allow"]


@pytest.mark.django_db(databases="__all__")
def test_foreign_sdks_only_post(phone: Client, user: Any) -> None:
    answer = phone.get(f"/api/v1/sdk/users/{user.pk}/sync")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.django_db(databases="__all__")
def test_head_is_get_without_a_body(phone: Client) -> None:
    answer = phone.head("/health/types/")

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "application/json"
