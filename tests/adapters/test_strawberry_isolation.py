"""Every field of the GraphQL door, asked by another user, by nobody and by a device; the schema names the fields."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from graphql import GraphQLField, GraphQLNonNull, get_named_type

from django_healthkit_ingest.adapters.strawberry.schema import schema
from django_healthkit_ingest.models import DeviceToken, HealthSample, ImportBatch, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.devices import create_device, revoke_device
from django_healthkit_ingest.pipeline.erase import order_erasure
from django_healthkit_ingest.pipeline.export import order_export
from django_healthkit_ingest.pipeline.offer import offer_upload
from django_healthkit_ingest.pipeline.samples import list_samples
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.factories import SourceFactory, StatisticFactory
from django_healthkit_ingest.testing.payloads import quantity
from tests.adapters.graphql_client import Refused, ask, post, signed_in, with_device

pytestmark = pytest.mark.django_db(databases="__all__")

HEART_RATE = "HKQuantityTypeIdentifierHeartRate"
DEVICE = "6F0C"
SECRET = "Adas-secret-watch"

OPEN_TO_DEVICES = {
    "healthkitImport",
    "healthkitImports",
    "healthkitTypes",
    "healthkitSyncState",
    "healthkitContract",
    "healthkitConsents",
    "healthkitIngest",
    "healthkitOfferUpload",
    "healthkitRetry",
    "healthkitCancel",
}
BY_ID = {
    "healthkitImport",
    "healthkitSample",
    "healthkitSampleSeries",
    "healthkitErasure",
    "healthkitExport",
    "healthkitRetry",
    "healthkitCancel",
    "healthkitDeleteSample",
    "healthkitSetPrecedence",
    "healthkitRevokeDevice",
}
OTHERS = {
    "type": '"HKQuantityTypeIdentifierHeartRate"',
    "precedence": "9",
    "allowed": "true",
    "input": '{body: {format: "healthkit", version: 1, samples: []}}',
}

ROOTS = {"query": schema._schema.query_type, "mutation": schema._schema.mutation_type}
FIELDS = [(kind, name) for kind, root in ROOTS.items() for name in (root.fields if root is not None else ())]


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def ids(user: Any) -> dict[tuple[str, str], str]:
    """Of a user with something of everything, by field."""
    source = SourceFactory.create(user=user, name=SECRET)
    StatisticFactory.create(user=user, source=source)
    body = healthkit_body(quantity(source={"name": SECRET}), device={"id": DEVICE}, anchors={HEART_RATE: SECRET})
    batch = ingest(body, user=user, idempotency_key=SECRET)
    waiting = accept(healthkit_body(quantity()), user=user)
    (sample,) = list_samples(user=user, type=HEART_RATE).rows
    device = create_device(user=user, name=SECRET).device
    found = {
        ("query", "healthkitImport"): batch.uuid,
        ("query", "healthkitSample"): sample.id,
        ("query", "healthkitSampleSeries"): sample.id,
        ("query", "healthkitErasure"): order_erasure(user_id=user.pk, identifiers=["HKOther"]).id,
        ("query", "healthkitExport"): order_export(user=user).id,
        ("mutation", "healthkitRetry"): batch.uuid,
        ("mutation", "healthkitCancel"): waiting.uuid,
        ("mutation", "healthkitDeleteSample"): sample.id,
        ("mutation", "healthkitSetPrecedence"): source.key,
        ("mutation", "healthkitRevokeDevice"): device.id,
    }
    return {key: str(value) for key, value in found.items()}


def question(kind: str, name: str, *, id: str = "1", device: str | None = DEVICE) -> str:
    """The field with all of its required arguments, and everything below it."""
    root = ROOTS[kind]
    assert root is not None
    field = root.fields[name]
    given = {**OTHERS, "id": f'"{id}"'}
    chosen = {each: given[each] for each, one in field.args.items() if isinstance(one.type, GraphQLNonNull)}
    if "device" in field.args and device is not None:
        chosen["device"] = f'"{device}"'
    told = ", ".join(f"{each}: {value}" for each, value in chosen.items())
    return f"{kind} {{ {name}{f'({told})' if told else ''} {_selection(field)} }}"


def _selection(field: GraphQLField) -> str:
    below = getattr(get_named_type(field.type), "fields", None)
    if not below:
        return ""
    return "{ " + " ".join(f"{name} {_selection(each)}" for name, each in below.items() if name != "rejected") + " }"


def test_the_walk_knows_every_field_with_an_id() -> None:
    with_id = {name for kind, name in FIELDS if (root := ROOTS[kind]) is not None and "id" in root.fields[name].args}

    assert with_id == BY_ID


@pytest.mark.parametrize(
    ("kind", "name"), [each for each in FIELDS if each[1] in BY_ID and each != ("mutation", "healthkitExport")]
)
def test_other_peoples_things_do_not_exist(user: Any, other_user: Any, ids: Any, kind: str, name: str) -> None:
    thief = signed_in(other_user)
    before = (ImportBatch.objects.using(database()).filter(status="FAILED").count(), samples(), valid_tokens())

    theirs = post(thief, question(kind, name, id=ids[kind, name]))
    made_up = [post(thief, question(kind, name, id=each)) for each in ("1", "", "a b", str(user.pk))]
    nobodys = post(thief, question(kind, name, id="00000000-0000-4000-8000-000000000000"))

    assert {_code(each) for each in (theirs, nobodys, *made_up)} == {"not_found"}
    assert _without_places(theirs) == _without_places(nobodys)
    assert before == (ImportBatch.objects.using(database()).filter(status="FAILED").count(), samples(), valid_tokens())


@pytest.mark.parametrize(
    ("kind", "name"), [each for each in FIELDS if each[1] not in BY_ID or each == ("mutation", "healthkitExport")]
)
def test_lists_tell_only_of_the_one_who_asks(other_user: Any, ids: Any, kind: str, name: str) -> None:
    answer = post(signed_in(other_user), question(kind, name))

    assert "errors" not in answer.json()
    assert SECRET not in answer.content.decode()
    assert not any(each in answer.content.decode() for each in ids.values())


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_nobody_is_told_to_keep_the_data_and_sign_in(ids: Any, kind: str, name: str) -> None:
    answer = post(Client(), question(kind, name, id=ids.get((kind, name), "1")))

    assert (answer.status_code, _code(answer)) == (200, "unauthenticated")
    assert answer.json()["data"] is None
    assert answer.json()["errors"][0]["extensions"]["retry"] == "AUTH"


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_revoked_device_is_nobody(user: Any, ids: Any, kind: str, name: str) -> None:
    new = create_device(user=user)
    revoke_device(user=user, device=new.device.id)

    answer = post(with_device(new.token), question(kind, name, id=ids.get((kind, name), "1")))

    assert _code(answer) == "unauthenticated"


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_device_may_import_and_no_more(user: Any, ids: Any, kind: str, name: str) -> None:
    phone = with_device(create_device(user=user, device_id=DEVICE).token)
    asked = question(kind, name, id=ids.get((kind, name), "1"))

    if name in OPEN_TO_DEVICES:
        ask(phone, asked)
    else:
        with pytest.raises(Refused, match="forbidden"):
            ask(phone, asked)


def test_a_device_sends_for_its_own_installation_only(user: Any) -> None:
    phone = with_device(create_device(user=user, device_id=DEVICE).token)
    body = {"format": "healthkit", "version": 1, "samples": [], "device": {"id": "another"}}
    send = "mutation ($input: HealthKitImportInput!) { healthkitIngest(input: $input) { id } }"

    ask(phone, send, input={"body": {**body, "device": {"id": DEVICE}}})
    ask(phone, "{ healthkitSyncState { type } }")
    for query, variables in (
        (send, {"input": {"body": body}}),
        (send, {"input": {"body": {**body, "device": None}, "device": {"id": "another"}}}),
        ('{ healthkitSyncState(device: "another") { type } }', {}),
    ):
        with pytest.raises(Refused, match="invalid_envelope"):
            ask(phone, query, **variables)

    assert ImportBatch.objects.using(database()).get().device_id == DEVICE


def test_other_peoples_uploads_cursors_and_sources_are_nothing(user: Any, other_user: Any, ids: Any) -> None:
    thief = signed_in(other_user)
    ingest(healthkit_body(quantity(), quantity()), user=other_user)
    listed = "query ($after: String) { healthkitImports(after: $after) { edges { cursor } } }"
    cursor = ask(signed_in(user), listed)["healthkitImports"]["edges"][0]["cursor"]
    source = ids["mutation", "healthkitSetPrecedence"]
    send = "mutation ($input: HealthKitImportInput!) { healthkitIngest(input: $input) { id } }"

    with pytest.raises(Refused, match="not_found"):
        ask(thief, send, input={"upload": offer_upload(user=user).token, "format": "apple_export"})
    with pytest.raises(Refused, match="invalid_query"):
        ask(thief, listed, after=cursor)
    told = ask(thief, f'{{ healthkitSamples(type: "{HEART_RATE}", source: "{source}") {{ edges {{ cursor }} }} }}')
    assert told["healthkitSamples"]["edges"] == []


def test_a_device_is_no_user_beyond_our_fields(user: Any) -> None:
    """A host's own fields, asked in the same request, must not take the token for a session."""
    import strawberry
    from django.test import RequestFactory

    from django_healthkit_ingest.adapters.strawberry.query import HealthKitQuery
    from django_healthkit_ingest.adapters.strawberry.schema import GuardedSchema
    from django_healthkit_ingest.adapters.strawberry.views import HealthKitGraphQLView

    @strawberry.type
    class Query(HealthKitQuery):
        @strawberry.field
        def who(self, info: strawberry.Info[Any, Any]) -> str:
            return str(getattr(info.context.request.user, "pk", None))

    token = create_device(user=user).token
    body = b'{"query": "{ healthkitTypes { identifier } who }"}'
    request = RequestFactory().post(
        "/", data=body, content_type="application/json", headers={"Authorization": f"Bearer {token}"}
    )
    request.user = None  # type: ignore[assignment]

    answer: Any = HealthKitGraphQLView.as_view(schema=GuardedSchema(Query))(request)

    assert json.loads(answer.content)["data"]["who"] == "None"


def samples() -> int:
    return HealthSample.objects.using(database()).count()


def valid_tokens() -> int:
    return DeviceToken.objects.using(database()).valid().count()


def _code(answer: Any) -> str:
    return str(answer.json()["errors"][0]["extensions"]["code"])


def _without_places(answer: Any) -> Any:
    return [{**each, "locations": None} for each in answer.json()["errors"]]
