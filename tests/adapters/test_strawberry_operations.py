"""Every operation of the GraphQL door against what the REST door answers of the same data."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from graphql import ObjectTypeDefinitionNode, parse

from django_healthkit_ingest.models import HealthSample, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.decide import decide
from django_healthkit_ingest.pipeline.devices import create_device
from django_healthkit_ingest.pipeline.export import export_user
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import SourceFactory, StatisticFactory
from django_healthkit_ingest.testing.payloads import category, quantity
from tests.adapters.graphql_client import Refused, ask, post, read, signed_in
from tests.graphql_document import write

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
STEPS = "HKQuantityTypeIdentifierStepCount"
FLOW = "HKCategoryTypeIdentifierMenstrualFlow"
DEVICE = "6F0C"

COUNTS = "pending inserted updated duplicate superseded deletion statistic withheld rejected failed"
IMPORT = f"""id status format lane createdAt finishedAt chunks {{ total pending processing completed failed }}
  records {{ received {COUNTS} }} rowsRemoved unknownTypes anchorsReleased warnings error {{ code }}
  estimatedFinishAt retryAfter"""
SOURCE = "id name bundleId productType version systemVersion device precedence"
SAMPLE = f"""id uuid type start end timeZone value unit category categoryName metadata details
  source {{ {SOURCE} }}"""
STATISTIC = f"id type aggregation bucket start end timeZone value unit details source {{ {SOURCE} }}"
ERASURE = "id status identifiers createdAt finishedAt counts errorCode"
EXPORT = "id status createdAt finishedAt expiresAt size counts errorCode file"
DEVICE_FIELDS = "id name deviceId createdAt usedAt revokedAt"
PAGE = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"

MOVES = ("estimatedFinishAt", "retryAfter")
"""Of an import that is not finished: another answer at every moment."""

OPAQUE = ("unknown_types", "metadata", "details", "counts", "categories", "device", "headers")
"""JSON of somebody's: its keys are theirs."""


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def app(user: Any) -> Client:
    return signed_in(user)


def camel(told: Any) -> Any:
    """REST's answer in GraphQL's words."""
    if isinstance(told, list):
        return [camel(each) for each in told]
    if not isinstance(told, dict):
        return told
    return {_camel(key): value if key in OPAQUE else camel(value) for key, value in told.items()}


def _camel(key: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), key)


def without(told: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key not in keys}


def nodes(connection: Any) -> list[Any]:
    return [edge["node"] for edge in connection["edges"]]


def rest_import(told: Any) -> Any:
    return camel(without(told, "url"))


def test_an_import_is_the_same(app: Client, phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity(), quantity(unit="kg"), quantity("HKNew")), user=user)

    told = ask(app, f"query ($id: ID!) {{ healthkitImport(id: $id) {{ {IMPORT} }} }}", id=str(batch.uuid))

    assert told["healthkitImport"] == rest_import(phone.get(f"/health/imports/{batch.uuid}/").json())
    assert told["healthkitImport"]["unknownTypes"] == {"HKNew": 1}


def test_rejections_are_the_same(app: Client, phone: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity(unit="kg"), quantity(), quantity(unit="m")), user=user)
    query = f"""query ($id: ID!, $after: String) {{ healthkitImport(id: $id) {{ rejected(first: 1, after: $after) {{
      edges {{ cursor node {{ chunk section index field code detail }} }} {PAGE} }} }} }}"""

    first = ask(app, query, id=str(batch.uuid))["healthkitImport"]["rejected"]
    second = ask(app, query, id=str(batch.uuid), after=first["edges"][0]["cursor"])["healthkitImport"]["rejected"]

    rest = phone.get(f"/health/imports/{batch.uuid}/rejected/").json()["results"]
    assert nodes(first) + nodes(second) == camel(rest)
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert (first["pageInfo"]["hasPreviousPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)


def test_imports_are_listed_and_filtered_the_same(app: Client, phone: Client, user: Any) -> None:
    body = healthkit_body(quantity())
    ingest(body, user=user, idempotency_key="k1")
    accept(healthkit_body(quantity()), user=user)
    query = f"""query ($status: HealthKitImportStatus, $key: String, $digest: String) {{
      healthkitImports(status: $status, idempotencyKey: $key, bodySha256: $digest) {{
        edges {{ node {{ {IMPORT} }} }} }} }}"""
    digest = hashlib.sha256(body).hexdigest()

    for variables, rest in (
        ({}, ""),
        ({"status": "COMPLETED"}, "?status=COMPLETED"),
        ({"key": "k1"}, "?idempotency_key=k1"),
        ({"digest": digest}, f"?body_sha256={digest}"),
        ({"key": "never sent"}, "?idempotency_key=never+sent"),
    ):
        told = nodes(ask(app, query, **variables)["healthkitImports"])
        results = [rest_import(each) for each in phone.get(f"/health/imports/{rest}").json()["results"]]
        assert [without(each, *MOVES) for each in told] == [without(each, *MOVES) for each in results]


def test_pages_go_on_where_they_ended(app: Client, user: Any) -> None:
    batches = [str(ingest(healthkit_body(quantity()), user=user).uuid) for _ in range(3)]
    query = f"""query ($after: String) {{ healthkitImports(first: 2, after: $after) {{
      edges {{ cursor node {{ id }} }} {PAGE} }} }}"""

    first = ask(app, query)["healthkitImports"]
    second = ask(app, query, after=first["pageInfo"]["endCursor"])["healthkitImports"]

    assert [node["id"] for node in nodes(first) + nodes(second)] == batches[::-1]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": first["edges"][0]["cursor"],
        "endCursor": first["edges"][1]["cursor"],
    }
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)


def test_waiting_ends_with_the_import(app: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity()), user=user)

    told = ask(app, "query ($id: ID!) { healthkitImport(id: $id, wait: 20) { status } }", id=str(batch.uuid))

    assert told["healthkitImport"]["status"] == "COMPLETED"


def test_retrying_and_cancelling_are_the_same(app: Client, phone: Client, user: Any) -> None:
    batch = accept(healthkit_body(quantity()), user=user)
    cancel = f"mutation ($id: ID!) {{ healthkitCancel(id: $id) {{ {IMPORT} }} }}"
    retry = f"mutation ($id: ID!) {{ healthkitRetry(id: $id) {{ {IMPORT} }} }}"

    cancelled = ask(app, cancel, id=str(batch.uuid))["healthkitCancel"]
    as_cancelled = rest_import(phone.post(f"/health/imports/{batch.uuid}/cancel/").json())
    retried = ask(app, retry, id=str(batch.uuid))["healthkitRetry"]

    assert cancelled == as_cancelled
    assert (cancelled["status"], cancelled["error"]) == ("FAILED", {"code": "cancelled"})
    assert (retried["status"], retried["records"]["pending"]) == ("PROCESSING", 1)
    assert retried == rest_import(phone.get(f"/health/imports/{batch.uuid}/").json())


def test_samples_are_the_same(app: Client, phone: Client, user: Any) -> None:
    ingest(
        healthkit_body(quantity(metadata={"k": 1}), quantity(value=70, start="2026-01-06T08:00:00+01:00")), user=user
    )
    source = str(HealthSample.objects.using(database()).select_related("source")[0].source.key)  # type: ignore[union-attr]
    query = f"""query ($start: DateTime, $end: DateTime, $source: ID, $since: DateTime) {{
      healthkitSamples(type: "{HEART_RATE}", start: $start, end: $end, source: $source, updatedSince: $since) {{
        edges {{ node {{ {SAMPLE} }} }} }} }}"""

    for variables in (
        {},
        {"start": "2026-01-06T00:00:00Z"},
        {"end": "2026-01-06T00:00:00Z"},
        {"source": source},
        {"source": "00000000-0000-0000-0000-000000000000"},
        {"since": "2020-01-01T00:00:00Z"},
        {"since": "2090-01-01T00:00:00Z"},
    ):
        told = nodes(ask(app, query, **variables)["healthkitSamples"])
        names = {"since": "updated_since"}
        asked = {"type": HEART_RATE, **{names.get(key, key): value for key, value in variables.items()}}
        assert told == camel(phone.get("/health/samples/", asked).json()["results"]), variables


def test_one_sample_and_its_series_are_the_same(app: Client, phone: Client, user: Any) -> None:
    ingest(healthkit_body(category()), user=user)
    (row,) = phone.get("/health/samples/", {"type": FLOW}).json()["results"]
    query = f"query ($id: ID!) {{ healthkitSample(id: $id) {{ {SAMPLE} }} healthkitSampleSeries(id: $id) }}"

    told = ask(app, query, id=row["id"])

    assert told["healthkitSample"] == camel(row)
    assert told["healthkitSample"]["categoryName"]
    assert told["healthkitSampleSeries"] == phone.get(f"/health/samples/{row['id']}/series/").json()


def test_a_deleted_sample_stays_away(app: Client, user: Any) -> None:
    body = healthkit_body(quantity())
    ingest(body, user=user)
    listed = f'{{ healthkitSamples(type: "{HEART_RATE}") {{ edges {{ node {{ id }} }} }} }}'
    (node,) = nodes(ask(app, listed)["healthkitSamples"])
    delete = "mutation ($id: ID!) { healthkitDeleteSample(id: $id) }"

    assert ask(app, delete, id=node["id"]) == {"healthkitDeleteSample": True}

    ingest(body, user=user)
    assert nodes(ask(app, listed)["healthkitSamples"]) == []
    with pytest.raises(Refused, match="not_found"):
        ask(app, delete, id=node["id"])


def test_statistics_are_the_same(app: Client, phone: Client, user: Any) -> None:
    StatisticFactory.create(user=user)
    StatisticFactory.create(user=user, aggregation="average")
    query = f"""query ($aggregation: String) {{ healthkitStatistics(type: "{STEPS}", aggregation: $aggregation) {{
      edges {{ node {{ {STATISTIC} }} }} }} }}"""

    every = nodes(ask(app, query)["healthkitStatistics"])
    sums = nodes(ask(app, query, aggregation="sum")["healthkitStatistics"])

    assert every == camel(phone.get("/health/statistics/", {"type": STEPS}).json()["results"])
    assert sums == camel(phone.get("/health/statistics/", {"type": STEPS, "aggregation": "sum"}).json()["results"])
    assert (len(every), len(sums)) == (2, 1)


def test_types_are_the_same(app: Client, phone: Client) -> None:
    fields = "identifier kind unit ucum loinc aggregation group introducedIos aliases categories"

    told = ask(app, f"{{ healthkitTypes {{ {fields} }} }}")["healthkitTypes"]

    assert told == camel(phone.get("/health/types/").json()["results"])
    assert len(told) > 100


def test_sources_are_the_same_and_may_be_trusted(app: Client, phone: Client, user: Any) -> None:
    rows = [SourceFactory.create(user=user) for _ in range(3)]
    query = f"query ($after: String) {{ healthkitSources(first: 2, after: $after) {{ {SOURCE} cursor }} }}"
    order = f"mutation ($id: ID!) {{ healthkitSetPrecedence(id: $id, precedence: 7) {{ {SOURCE} }} }}"

    trusted = ask(app, order, id=str(rows[1].key))["healthkitSetPrecedence"]
    first = ask(app, query)["healthkitSources"]
    second = ask(app, query, after=first[-1]["cursor"])["healthkitSources"]

    told = [without(each, "cursor") for each in first + second]
    assert told == camel(phone.get("/health/sources/").json()["results"])
    assert trusted == told[1]
    assert trusted["precedence"] == 7


def test_what_to_send_is_the_same(app: Client, phone: Client, user: Any) -> None:
    body = healthkit_body(quantity(), anchors={HEART_RATE: "a1", STEPS: "b1"}, device={"id": DEVICE})
    ingest(body, user=user)
    decide(user=user, identifier=FLOW, allowed=False)
    query = """query ($device: ID!) {
      healthkitSyncState(device: $device) { type anchor releasedAt latestSample }
      healthkitContract(device: $device) { types start recordsPerRequest maxBodyBytes withheld } }"""

    told = ask(app, query, device=DEVICE)

    assert told["healthkitSyncState"] == camel(phone.get("/health/sync-state/", {"device": DEVICE}).json()["results"])
    assert told["healthkitContract"] == camel(phone.get("/health/contract/", {"device": DEVICE}).json())
    assert [row["anchor"] for row in told["healthkitSyncState"]] == ["a1", "b1"]
    assert told["healthkitContract"]["withheld"] == [FLOW]


def test_consent_is_given_and_taken(app: Client, phone: Client, user: Any) -> None:
    ingest(healthkit_body(category()), user=user)
    order = f"""mutation ($allowed: Boolean!, $erase: Boolean) {{
      healthkitSetConsent(type: "{FLOW}", allowed: $allowed, erase: $erase) {{
        identifier allowed changedAt erasure {{ {ERASURE} }} }} }}"""
    listed = "{ healthkitConsents { identifier allowed changedAt } }"

    taken = ask(app, order, allowed=False, erase=True)["healthkitSetConsent"]
    off = ask(app, listed)["healthkitConsents"]
    as_told = camel(phone.get("/health/consents/").json()["results"])
    given = ask(app, order, allowed=True)["healthkitSetConsent"]

    assert (taken["identifier"], taken["allowed"], taken["erasure"]["identifiers"]) == (FLOW, False, [FLOW])
    assert off == as_told == [{"identifier": FLOW, "allowed": False, "changedAt": taken["changedAt"]}]
    assert (given["allowed"], given["erasure"]) == (True, None)
    with pytest.raises(Refused, match="invalid_query"):
        ask(app, order, allowed=True, erase=True)


def test_erasing_is_ordered_and_told(app: Client, phone: Client) -> None:
    ordered = ask(app, f"mutation {{ healthkitErase {{ {ERASURE} }} }}")["healthkitErase"]
    told = ask(app, f"query ($id: ID!) {{ healthkitErasure(id: $id) {{ {ERASURE} }} }}", id=ordered["id"])

    assert told["healthkitErasure"] == ordered
    assert ordered == camel(phone.get(f"/health/erasures/{ordered['id']}/").json())


def test_an_export_is_ordered_and_fetched(app: Client, phone: Client, user: Any, settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = str(tmp_path)
    query = f"query ($id: ID!) {{ healthkitExport(id: $id) {{ {EXPORT} }} }}"

    ordered = ask(app, f"mutation {{ healthkitExport {{ {EXPORT} }} }}")["healthkitExport"]
    pending = ask(app, query, id=ordered["id"])["healthkitExport"]
    export_user(user=user)
    done = ask(app, query, id=ordered["id"])["healthkitExport"]

    assert (pending, pending["file"]) == (ordered, None)
    assert done["status"] == "COMPLETED"
    assert done == camel(phone.get(f"/health/exports/{ordered['id']}/").json())
    assert phone.get(done["file"]).status_code == 200


def test_devices_get_a_token_once(app: Client, phone: Client, user: Any) -> None:
    create = f"""mutation {{ healthkitCreateDevice(name: "Ada's phone", deviceId: "{DEVICE}") {{
      token device {{ {DEVICE_FIELDS} }} }} }}"""
    listed = f"{{ healthkitDevices {{ edges {{ node {{ {DEVICE_FIELDS} }} }} }} }}"
    revoke = "mutation ($id: ID!) { healthkitRevokeDevice(id: $id) }"

    new = ask(app, create)["healthkitCreateDevice"]
    answer = post(app, listed)
    valid = nodes(read(answer)["healthkitDevices"])
    revoked = ask(app, revoke, id=new["device"]["id"])
    after = nodes(ask(app, listed)["healthkitDevices"])

    assert new["token"].startswith("hki_")
    assert new["token"] not in answer.content.decode()
    assert (valid, revoked) == ([new["device"]], {"healthkitRevokeDevice": True})
    assert after[0]["revokedAt"] is not None
    assert after == camel(phone.get("/health/devices/").json()["results"])


def test_an_upload_is_offered(app: Client, phone: Client) -> None:
    offer = ask(app, "mutation { healthkitOfferUpload { upload method url headers expiresAt } }")[
        "healthkitOfferUpload"
    ]

    as_told = phone.post("/health/uploads/").json()
    assert (offer["method"], offer["headers"]) == (as_told["method"], as_told["headers"])
    assert offer["url"] == f"http://testserver/health/uploads/{offer['upload']}/"
    assert offer["expiresAt"].endswith("Z")


def test_null_says_nothing(app: Client, user: Any) -> None:
    batch = ingest(healthkit_body(quantity(unit="kg")), user=user)
    query = """query ($id: ID!, $n: Int, $s: String) {
      healthkitImports(first: $n, after: $s, status: null, idempotencyKey: null) { edges { node { id } } }
      healthkitImport(id: $id, wait: null) { rejected(first: null, after: null) { edges { node { code } } } } }"""

    told = ask(app, query, id=str(batch.uuid), n=None, s=None)

    assert nodes(told["healthkitImports"]) == [{"id": str(batch.uuid)}]
    assert nodes(told["healthkitImport"]["rejected"]) == [{"code": "unit_mismatch"}]
    create = "mutation { healthkitCreateDevice(name: null, deviceId: null) { device { name deviceId } } }"
    assert ask(app, create)["healthkitCreateDevice"]["device"] == {"name": "", "deviceId": ""}


def test_no_field_is_left_out() -> None:
    """Every field of every type stands in a query above."""
    words = set(re.findall(r"\w+", Path(__file__).read_text(encoding="utf-8")))
    types = [each for each in parse(write()).definitions if isinstance(each, ObjectTypeDefinitionNode)]

    assert {field.name.value for each in types for field in each.fields or ()} <= words | {"healthkitIngest"}


@pytest.mark.parametrize("many", [1, 12])
def test_lists_take_as_many_queries_for_many_rows(app: Client, user: Any, many: int) -> None:
    for number in range(many):
        ingest(healthkit_body(quantity(source={"name": f"Watch {number}"}), quantity(unit="kg")), user=user)
        create_device(user=user)
    StatisticFactory.create_batch(many, user=user)

    told = {
        name: len(statements(app, query))
        for name, query in {
            "imports": f"{{ healthkitImports {{ edges {{ node {{ {IMPORT} }} }} }} }}",
            "samples": f'{{ healthkitSamples(type: "{HEART_RATE}") {{ edges {{ node {{ {SAMPLE} }} }} }} }}',
            "statistics": f'{{ healthkitStatistics(type: "{STEPS}") {{ edges {{ node {{ {STATISTIC} }} }} }} }}',
            "sources": f"{{ healthkitSources {{ {SOURCE} }} }}",
            "devices": f"{{ healthkitDevices {{ edges {{ node {{ {DEVICE_FIELDS} }} }} }} }}",
            "types": "{ healthkitTypes { identifier } }",
        }.items()
    }

    # Samples: the type, the rows, their sources. Some of the imports are not finished: three more for all of them.
    assert told == {"imports": 5, "samples": 3, "statistics": 2, "sources": 1, "devices": 1, "types": 0}


def statements(app: Client, query: str) -> list[str]:
    """On our tables; the session's and the user's are the host's."""
    with CaptureQueriesContext(connections[database()]) as captured:
        ask(app, query)
    return [each["sql"] for each in captured.captured_queries if "healthkit_ingest_" in each["sql"]]


def test_a_list_of_imports_tells_no_rejections(app: Client, user: Any) -> None:
    ingest(healthkit_body(quantity(unit="kg")), user=user)

    with pytest.raises(Refused, match="invalid_query"):
        ask(app, "{ healthkitImports { edges { node { rejected { edges { node { code } } } } } } }")
