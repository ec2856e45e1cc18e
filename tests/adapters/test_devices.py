"""Tokens of single installations: shown once, good for importing, gone when revoked."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client

from django_healthkit_ingest.adapters.rest_framework import urls
from django_healthkit_ingest.adapters.rest_framework.door import IngestView
from django_healthkit_ingest.adapters.rest_framework.imports import ImportsView
from django_healthkit_ingest.models import DeviceToken, ImportBatch, database
from django_healthkit_ingest.pipeline import devices
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__")

URL = "/health/devices/"
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_broker(messages: Any) -> Any:
    return messages


@pytest.fixture
def new_device(phone: Client) -> Any:
    def create(**body: str) -> dict[str, Any]:
        answer = phone.post(URL, data=body, content_type=JSON)
        assert answer.status_code == 201, answer.content
        shape: dict[str, Any] = answer.json()
        return shape

    return create


def carrying(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"})


def test_a_token_is_shown_once_and_kept_as_a_digest(phone: Client, user: Any, new_device: Any) -> None:
    created = new_device(name="Ada's iPhone", device_id="6F0C")

    token = created.pop("token")
    (listed,) = phone.get(URL).json()["results"]
    row = DeviceToken.objects.using(database()).get()
    assert listed == created
    assert "token" not in listed
    assert (row.user_id, row.digest) == (user.pk, hashlib.sha256(token.encode()).hexdigest())
    assert token not in str(DeviceToken.objects.using(database()).values())


def test_a_device_imports_for_its_user(user: Any, new_device: Any) -> None:
    device = carrying(new_device(device_id="6F0C")["token"])

    answer = device.post("/health/imports/", data=healthkit_body(quantity()), content_type=JSON)

    batch = ImportBatch.objects.using(database()).get()
    assert (answer.status_code, batch.user_id, batch.device_id) == (202, user.pk, "6F0C")
    assert device.get(answer.headers["Location"]).status_code == 200
    assert device.get("/health/sync-state/").status_code == 200, "whose installation it is, its token says"


def test_a_device_sends_for_no_other_installation(new_device: Any) -> None:
    device = carrying(new_device(device_id="6F0C")["token"])
    body = healthkit_body(quantity(), device={"id": "another"})

    assert device.post("/health/imports/", data=body, content_type=JSON).status_code == 400
    assert device.get("/health/sync-state/?device=another").status_code == 400


def test_a_device_may_only_import(new_device: Any) -> None:
    device = carrying(new_device()["token"])
    closed = 0
    for pattern in urls.urlpatterns:
        view = pattern.callback.cls
        assert issubclass(view, IngestView)
        method = next(name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name))
        answer = getattr(device, method)(_path(pattern))
        if view.open_to_devices:
            assert answer.status_code not in (401, 403), _path(pattern)
        else:
            closed += 1
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), _path(pattern)
    assert closed > 5


def _path(pattern: Any) -> str:
    values = {"uuid": "00000000-0000-4000-8000-000000000000", "str": "x", "slug": "x"}
    route = str(pattern.pattern)
    for kind, value in values.items():
        while f"<{kind}:" in route:
            before, _, rest = route.partition(f"<{kind}:")
            route = before + value + rest.partition(">")[2]
    return f"/health/{route}"


def test_revoking_works_from_the_next_request_on(phone: Client, new_device: Any) -> None:
    created = new_device()
    device = carrying(created["token"])
    assert device.get("/health/imports/").status_code == 200

    for _ in range(2):
        assert phone.delete(f"{URL}{created['id']}/").status_code == 204

    answer = device.get("/health/imports/")
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (401, "unauthenticated", "AUTH")
    (listed,) = phone.get(URL).json()["results"]
    assert listed["revoked_at"] is not None


@pytest.mark.parametrize("token", ["hki_", "hki_unknown", "hki_\0", "hki_" + "x" * 10_000])
def test_an_unknown_token_is_told_to_sign_in(token: str) -> None:
    answer = carrying(token.replace("\0", "%00")).get("/health/imports/")

    assert (answer.status_code, answer.json()["retry"]) == (401, "AUTH")


def test_a_token_of_a_user_who_may_not_sign_in_is_none(user: Any, new_device: Any) -> None:
    device = carrying(new_device()["token"])
    type(user)._default_manager.filter(pk=user.pk).update(is_active=False)

    assert device.get("/health/imports/").status_code == 401


def test_use_is_noted_but_not_at_each_request(new_device: Any, django_assert_num_queries: Any) -> None:
    device = carrying(new_device()["token"])
    device.get("/health/imports/")
    first = DeviceToken.objects.using(database()).get().used_at
    assert first is not None

    device.get("/health/imports/")

    assert DeviceToken.objects.using(database()).get().used_at == first


@pytest.mark.parametrize("body", [{"name": "x" * 129}, {"device_id": "a\0b"}, {"name": 7}])
def test_names_have_bounds(phone: Client, body: dict[str, Any]) -> None:
    assert phone.post(URL, data=body, content_type=JSON).status_code == 400


def test_a_user_has_a_bounded_number_of_devices(phone: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "MAX_DEVICES", 2)

    answers = [phone.post(URL, data={}, content_type=JSON).status_code for _ in range(3)]

    assert answers == [201, 201, 400]


def test_a_device_is_its_users_where_the_host_maps_users(user: Any, other_user: Any, rf: Any) -> None:
    """The token was made for the mapped user: mapping that one again would lead to somebody else, or nowhere."""
    token = devices.create_device(user=user).token
    asked: list[Any] = []

    class Mapped(ImportsView):
        def get_user(self, request: Any) -> Any:
            return other_user

        def get(self, request: Any) -> Any:
            asked.append(self.user_of(request))
            return super().get(request)

    Mapped.as_view()(rf.get("/", headers={"Authorization": f"Bearer {token}"}))

    assert asked == [user]


def test_a_hosts_view_may_do_without_device_tokens(new_device: Any, rf: Any) -> None:
    token = new_device()["token"]

    class HostsOwn(IngestView):
        device_tokens = False
        open_to_devices = True

        def get(self, request: Any) -> Any:
            raise AssertionError("nobody gets here")

    answer = HostsOwn.as_view()(rf.get("/", headers={"Authorization": f"Bearer {token}"}))

    assert answer.status_code == 401
