"""The Python client before a real server, over a network that loses what it is told to lose."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from rest_framework.authtoken.models import Token

from django_healthkit_ingest.core.states import Pausable
from django_healthkit_ingest.models import HealthSample, ImportBatch, SyncState, database
from django_healthkit_ingest.pipeline.dispatch import dispatch
from django_healthkit_ingest.pipeline.switches import pause, resume
from example_project.client import Client, Connection, Contract, Outbox, Refused, SignInNeeded, TryLater
from tests.bad_network import BadNetwork, Request, bad_network
from tests.phone import HEART_RATE, STEPS, Phone

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)

DEVICE = "6F0C"
MORNING = ["2026-01-05T08:00:00Z", "2026-01-05T08:01:00Z", "2026-01-05T08:02:00Z", "2026-01-05T08:03:00Z"]
NOON = ["2026-01-05T12:00:00Z", "2026-01-05T12:01:00Z"]
DAY = {"start": datetime(2026, 1, 5, tzinfo=UTC), "end": datetime(2026, 1, 6, tzinfo=UTC)}

Install = Callable[..., Client]


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in eager mode, in every thread of the server's: what is accepted is processed before the answer."""
    monkeypatch.setitem(current_app.conf, "task_always_eager", True)
    monkeypatch.setitem(current_app.conf, "task_eager_propagates", True)


@pytest.fixture
def network(live_server: Any) -> Any:
    with bad_network(live_server.url) as network:
        yield network


@pytest.fixture
def pauses() -> list[float]:
    """How long the client slept; nobody sleeps here."""
    return []


@pytest.fixture
def install(network: BadNetwork, user: Any, tmp_path: Path, pauses: list[float]) -> Install:
    """An app on a phone. The same folder: started again. Another one: installed anew."""

    def installed(phone: Phone, *, folder: str = "app", device: str = DEVICE, owner: Any = user, **ways: Any) -> Client:
        def sign_in() -> str:
            return authorization(owner)

        settled = {"sign_in": sign_in, "sleep": pauses.append, "jitter": lambda: 0.0, **ways}
        connection = Connection(base_url=f"{network.url}/health/", **settled)
        return Client(store=phone, outbox=Outbox(tmp_path / folder), connection=connection, device=device, wait=0)

    return installed


@pytest.fixture
def phone() -> Phone:
    return Phone()


def authorization(user: Any) -> str:
    return f"Token {Token.objects.get_or_create(user=user)[0].key}"


def table(user: Any) -> set[tuple[str, str, datetime, float | None]]:
    rows = HealthSample.objects.using(database()).for_user(user).select_related("type")
    return {(str(row.uuid), row.identifier, row.start, row.value) for row in rows}


def uuids(user: Any) -> set[str]:
    return {row[0] for row in table(user)}


def batches() -> Any:
    return ImportBatch.objects.using(database())


def anchors(user: Any, device: str = DEVICE) -> dict[str, str]:
    states = SyncState.objects.using(database()).for_user(user).of_device(device)
    return dict(states.values_list("type__identifier", "anchor"))


def problem(code: str, status: int, retry: str) -> bytes:
    return json.dumps({"code": code, "status": status, "retry": retry}).encode()


def posts(network: BadNetwork) -> list[Request]:
    return network.sent("POST", "/health/imports/")


def receipts(network: BadNetwork) -> list[Request]:
    return network.sent("GET", "body_sha256=")


def fill(client: Client) -> None:
    """Read into the outbox, and end before anything is sent."""
    assert client.fill(client.contract())


def test_what_is_on_the_phone_gets_into_the_table(
    install: Install, phone: Phone, user: Any, network: BadNetwork
) -> None:
    first, *_ = phone.record(*MORNING)
    phone.record(*NOON, identifier=STEPS)
    app = install(phone)

    imports = app.sync()
    phone.delete(first)
    imports += app.sync()

    assert uuids(user) == phone.uuids
    assert [app.follow(each)["status"] for each in imports] == ["COMPLETED"] * 2
    sent = posts(network)[0]
    assert (sent.headers["content-encoding"], sent.content[:2]) == ("gzip", b"\x1f\x8b")
    batch = batches().get(uuid=imports[0])
    assert sent.headers["idempotency-key"] == batch.body_sha256 == batch.idempotency_key
    assert app.sync() == []


def test_a_lost_answer_is_asked_for(install: Install, phone: Phone, user: Any, network: BadNetwork) -> None:
    phone.record(*MORNING)
    network.lose_answer()

    imports = install(phone).sync()

    assert [str(batch.uuid) for batch in batches()] == imports
    assert (len(posts(network)), len(receipts(network))) == (1, 1), "the receipt is smaller than the body"
    assert uuids(user) == phone.uuids


@pytest.mark.parametrize("told", [problem("method_not_allowed", 405, "NEVER"), problem("not_found", 404, "NEVER")])
def test_where_there_are_no_receipts_the_same_bytes_are_the_same_import(
    install: Install, phone: Phone, network: BadNetwork, told: bytes
) -> None:
    phone.record(*MORNING)
    network.lose_answer()
    network.answer(json.loads(told)["status"], "GET", "body_sha256=", content=told)

    imports = install(phone).sync()

    assert [str(batch.uuid) for batch in batches()] == imports
    first, second = posts(network)
    assert (first.content, first.headers["idempotency-key"]) == (second.content, second.headers["idempotency-key"])


def test_a_body_that_got_lost_is_sent_again(install: Install, phone: Phone, user: Any, network: BadNetwork) -> None:
    phone.record(*MORNING)
    network.cut()

    imports = install(phone).sync()

    assert len(imports) == batches().count() == 1
    assert (len(posts(network)), uuids(user)) == (2, phone.uuids)


def test_a_receipt_that_gets_lost_too_is_asked_for_again(install: Install, phone: Phone, network: BadNetwork) -> None:
    phone.record(*MORNING)
    network.lose_answer()
    network.cut("GET", "body_sha256=")

    install(phone).sync()

    assert (len(posts(network)), len(receipts(network)), batches().count()) == (1, 2, 1)


def test_a_server_that_is_closed_is_waited_for(install: Install, phone: Phone, user: Any, pauses: list[float]) -> None:
    def reopen(seconds: float) -> None:
        pauses.append(seconds)
        resume(Pausable.INTAKE)

    phone.record(*MORNING)
    pause(Pausable.INTAKE)

    install(phone, sleep=reopen).sync()

    assert pauses == [60.5], "what the server said, and a little more, or all phones come back at once"
    assert (batches().count(), uuids(user)) == (1, phone.uuids)


def test_a_server_that_has_had_enough_is_waited_for(
    install: Install, phone: Phone, network: BadNetwork, pauses: list[float]
) -> None:
    phone.record(*MORNING)
    network.answer(429, content=problem("rate_limited", 429, "LATER"), Retry_After="7")

    assert len(install(phone).sync()) == 1

    assert pauses == [7.5]
    assert not receipts(network), "the server said that nothing was stored"


def test_back_off_grows_to_an_end(install: Install, phone: Phone, network: BadNetwork, pauses: list[float]) -> None:
    phone.record(*MORNING)
    for _ in range(8):
        network.answer(503)

    assert len(install(phone, tries=9).sync()) == 1

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_jitter_spreads_phones(install: Install, phone: Phone, network: BadNetwork, pauses: list[float]) -> None:
    phone.record(*MORNING)
    network.answer(503)

    install(phone, jitter=lambda: 0.5).sync()

    assert pauses == [0.75]


@pytest.mark.parametrize(("times", "headers", "after"), [(2, {}, 1), (1, {"Retry_After": "3600"}, 3600.5)])
def test_a_round_ends_without_a_loss(
    install: Install, phone: Phone, user: Any, network: BadNetwork, times: int, headers: Any, after: float
) -> None:
    phone.record(*MORNING)
    app = install(phone, tries=2)
    for _ in range(times):
        network.answer(503, **headers)

    with pytest.raises(TryLater) as ended:
        app.sync()
    waiting = len(app.outbox.waiting())
    app.sync()

    assert (ended.value.after, waiting) == (after, 1)
    assert (app.outbox.waiting(), batches().count(), uuids(user)) == ([], 1, phone.uuids)


@pytest.mark.parametrize(
    "somebody",
    [
        {"status": 200},
        {"status": 302, "Location": "/health/contract/"},
        {"status": 404},
        {"status": 400},
        {"status": 502},
        {"status": 400, "content": problem("new", 400, "PRAY")},
    ],
    ids=["hotel", "redirect", "wrong route", "proxy", "gateway", "word of tomorrow"],
)
def test_what_is_not_understood_is_no_reason_to_give_up(
    install: Install, phone: Phone, user: Any, network: BadNetwork, somebody: Any
) -> None:
    phone.record(*MORNING)
    network.answer(**somebody)
    app = install(phone)

    app.sync()

    assert not app.outbox.has_parked()
    assert (batches().count(), uuids(user)) == (1, phone.uuids)


def test_an_old_token_is_replaced(install: Install, phone: Phone, user: Any) -> None:
    tokens = iter(["Token expired", authorization(user)])
    phone.record(*MORNING)

    assert len(install(phone, sign_in=lambda: next(tokens)).sync()) == 1

    assert uuids(user) == phone.uuids


def test_who_is_signed_out_loses_nothing(install: Install, phone: Phone, user: Any) -> None:
    phone.record(*MORNING)
    app = install(phone)
    fill(app)

    with pytest.raises(SignInNeeded):
        install(phone, sign_in=lambda: "Token expired").sync()
    assert not batches().exists()
    assert len(app.send()) == 1

    assert uuids(user) == phone.uuids


def test_what_is_too_large_goes_in_halves(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any
) -> None:
    phone.record(*MORNING, *NOON)
    network.answer(404, "GET", "contract/", content=problem("not_found", 404, "NEVER"))
    app = install(phone)
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES": 1000}

    app.sync()

    sent = posts(network)
    assert [each.status for each in sent][:2] == [413, 413]
    arrived = [each.body for each in sent if each.status == 202]
    assert len(arrived) > 2
    assert ["anchors" in body for body in arrived] == [False] * (len(arrived) - 1) + [True]
    assert (uuids(user), anchors(user)) == (phone.uuids, app.outbox.anchors)


def test_a_body_of_deletions_alone_is_halved_too(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any
) -> None:
    many = phone.record(*(f"2026-01-05T08:00:{second:02}Z" for second in range(40)))
    app = install(phone)
    app.sync()
    phone.delete(*many)
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES": 1000}

    app.sync()

    assert 413 in [each.status for each in posts(network)]
    assert (uuids(user), app.outbox.has_parked()) == (set(), False)


def test_a_record_that_is_too_large_alone_is_kept_and_passed(
    install: Install, phone: Phone, user: Any, settings: Any
) -> None:
    before, huge, after = phone.record(MORNING[0]), phone.record(MORNING[1], metadata={"note": "x" * 5000}), NOON
    phone.record(*after)
    app = install(phone)
    settings.HEALTHKIT_INGEST = {"MAX_DECODED_BYTES": 2000}

    app.sync()

    assert uuids(user) == phone.uuids - set(huge)
    assert before[0] in uuids(user)
    assert "body_too_large" in parked_problems(app)


def parked_problems(app: Client) -> list[str]:
    return [json.loads(path.read_bytes())["code"] for path in app.outbox.parked.glob("*.problem.json")]


def test_the_contract_is_kept(install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CONTRACT": f"{__name__}.modest"}
    recent = [(datetime.now(UTC) - timedelta(minutes=n)).isoformat() for n in range(5)]
    wanted = phone.record(*recent)
    phone.record(*recent, identifier=STEPS)
    phone.record(*MORNING)

    install(phone).sync()

    sent = posts(network)
    assert {each.status for each in sent} == {202}
    assert [len(each.body["samples"]) for each in sent] == [2, 2, 1]
    assert uuids(user) == set(wanted)


def test_no_body_is_larger_than_the_contract_says(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"MAX_BODY_BYTES": 600}
    phone.record(*(f"2026-01-05T08:00:{second:02}Z" for second in range(40)))

    install(phone).sync()

    assert {each.status for each in posts(network)} == {202}
    assert uuids(user) == phone.uuids


def modest(user: Any, device: str | None) -> dict[str, Any]:
    return {"types": (HEART_RATE,), "window": timedelta(days=1), "records_per_request": 2}


def test_a_body_is_filled_from_several_types(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CONTRACT": f"{__name__}.small"}
    phone.record(*MORNING[:3])
    phone.record(*MORNING, identifier=STEPS)

    install(phone).sync()

    bodies = [each.body for each in posts(network)]
    assert [[sample["type"] for sample in body["samples"]] for body in bodies] == [
        [HEART_RATE, HEART_RATE],
        [HEART_RATE, STEPS],
        [STEPS, STEPS],
        [STEPS],
    ]
    assert [body["lane"] for body in bodies] == ["BACKFILL", "BACKFILL", "BACKFILL", "LIVE"]
    assert uuids(user) == phone.uuids


def small(user: Any, device: str | None) -> dict[str, Any]:
    return {"records_per_request": 2}


def test_what_the_user_has_switched_off_is_not_read(install: Install, phone: Phone, network: BadNetwork) -> None:
    phone.record(*MORNING)
    phone.record(*NOON, identifier=STEPS)
    app = install(phone)

    assert app.fill(Contract(withheld=frozenset({STEPS})))
    app.send()

    assert {sample["type"] for sample in posts(network)[0].body["samples"]} == {HEART_RATE}


def test_a_refused_body_is_kept_and_holds_up_nobody(
    install: Install, phone: Phone, user: Any, network: BadNetwork
) -> None:
    app = install(phone)
    phone.record(*MORNING[:1])
    app.sync()
    released = anchors(user)
    [naive] = phone.record("2026-01-05T09:00:00")
    fill(app)
    phone.record(*NOON)

    app.sync()

    assert uuids(user) == phone.uuids - {naive}
    assert parked_problems(app) == ["time_zone_required"]
    [body] = app.outbox.parked.glob("*.gz")
    assert naive in str(Outbox(app.outbox.parked).waiting()[0].body)
    assert body.exists()
    assert anchors(user) == released, "or nobody would ever read again what is parked"


def test_what_is_parked_goes_when_its_time_has_come(install: Install, phone: Phone, user: Any, settings: Any) -> None:
    phone.record(*MORNING)
    app = install(phone)
    settings.HEALTHKIT_INGEST = {"FORMATS": ["django_healthkit_ingest.core.formats.flutter.FlutterFormat"]}
    app.sync()
    assert (parked_problems(app), uuids(user)) == (["unknown_format"], set())
    settings.HEALTHKIT_INGEST = {}

    app.outbox.unpark()
    app.sync()

    assert (uuids(user), app.outbox.has_parked(), parked_problems(app)) == (phone.uuids, False, [])
    assert anchors(user) == app.outbox.anchors


def test_a_crash_before_sending_loses_nothing(install: Install, phone: Phone, user: Any) -> None:
    phone.record(*MORNING)
    fill(install(phone))

    assert len(install(phone).sync()) == 1

    assert (batches().count(), uuids(user)) == (1, phone.uuids)


def test_a_crash_before_the_anchors_are_kept_reads_again(install: Install, phone: Phone, user: Any) -> None:
    app = install(phone)
    phone.record(*MORNING)
    app.sync()
    before = app.outbox.anchors or {}
    phone.record(*NOON)
    fill(app)
    app.outbox.keep_anchors(before)

    assert len(install(phone).sync()) == 2

    assert uuids(user) == phone.uuids


def test_a_crash_after_sending_asks_for_the_receipt(
    install: Install, phone: Phone, user: Any, network: BadNetwork, tmp_path: Path
) -> None:
    phone.record(*MORNING)
    app = install(phone, tries=1)
    network.lose_answer()
    with pytest.raises(TryLater):
        app.sync()

    imports = install(phone).sync()

    assert [str(batch.uuid) for batch in batches()] == imports
    assert (len(posts(network)), len(receipts(network))) == (1, 1)


def test_a_crash_while_a_file_was_written_leaves_no_body(install: Install, phone: Phone, tmp_path: Path) -> None:
    app = install(phone)
    phone.record(*MORNING)
    fill(app)
    [parcel] = app.outbox.waiting()
    parcel.path.rename(parcel.path.with_name(f"{parcel.path.name}.unfinished"))

    assert install(phone).outbox.waiting() == []
    assert not list(app.outbox.folder.glob("*.unfinished"))


def live_a_life(install: Install, phone: Phone, owner: Any, *, reinstalled: bool) -> Client:
    """The same days of a phone, with or without a reinstall on the way."""
    folder = f"{phone.name}-{reinstalled}"
    app = install(phone, folder=folder, owner=owner)
    first, *_ = phone.record(*MORNING)
    phone.record(*NOON, identifier=STEPS)
    app.sync()
    phone.delete(first)
    phone.record("2026-01-05T20:00:00Z")
    fill(app)
    if reinstalled:
        shutil.rmtree(app.outbox.folder)
        app = install(phone, folder=folder, owner=owner)
    phone.record("2026-01-05T21:00:00Z")
    app.sync()
    return app


def test_a_reinstall_ends_with_the_same_table(
    install: Install, user: Any, other_user: Any, network: BadNetwork
) -> None:
    live_a_life(install, Phone("twin"), user, reinstalled=False)
    steady = table(user)
    before = len(posts(network))

    app = live_a_life(install, Phone("twin"), other_user, reinstalled=True)

    assert table(other_user) == steady
    last = posts(network)[before:][-1].body
    assert [sample["start"] for sample in last["samples"]] == ["2026-01-05T20:00:00Z", "2026-01-05T21:00:00Z"]
    assert len(last["deletions"]) == 1, "it went on from what was safe, not from the beginning"
    assert anchors(other_user) == app.outbox.anchors


def test_nothing_is_read_again_before_it_is_known_where_to_start(
    install: Install, phone: Phone, network: BadNetwork
) -> None:
    phone.record(*MORNING)
    app = install(phone, tries=1)
    network.cut("GET", "sync-state/")

    with pytest.raises(TryLater):
        app.sync()

    assert (app.outbox.anchors, app.outbox.waiting(), posts(network)) == (None, [], [])


def test_a_window_takes_away_what_is_gone(install: Install, phone: Phone, user: Any) -> None:
    app = install(phone)
    gone, kept, *_ = phone.record(*MORNING)
    phone.record("2026-01-06T08:00:00Z")
    app.send_window([HEART_RATE], **DAY, readable=True)
    phone.delete(gone)

    [import_id] = app.send_window([HEART_RATE], **DAY, readable=True)

    assert app.follow(import_id)["rows_removed"] == 1
    assert kept in uuids(user) == phone.uuids - {sample["uuid"] for sample in phone.samples(HEART_RATE, **TOMORROW)}


TOMORROW = {"start": datetime(2026, 1, 6, tzinfo=UTC), "end": datetime(2026, 1, 7, tzinfo=UTC)}


def test_nobody_vouches_for_what_may_not_be_read(install: Install, phone: Phone, user: Any) -> None:
    app = install(phone)
    [gone] = phone.record(MORNING[0])
    app.send_window([HEART_RATE], **DAY, readable=True)
    phone.delete(gone)

    app.send_window([HEART_RATE], **DAY, readable=False)

    assert uuids(user) == {gone}


def test_an_empty_day_is_told_each_time(install: Install, phone: Phone, user: Any) -> None:
    app = install(phone)
    for time in MORNING[:2]:
        [uuid] = phone.record(time)
        app.send_window([HEART_RATE], **DAY, readable=True)
        assert uuids(user) == {uuid}
        phone.delete(uuid)
        app.send_window([HEART_RATE], **DAY, readable=True)
        assert uuids(user) == set()


@pytest.mark.parametrize("limits", [{"CONTRACT": f"{__name__}.modest"}, {"MAX_DECODED_BYTES": 1000}])
def test_a_window_is_cut_in_time(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any, limits: Any
) -> None:
    settings.HEALTHKIT_INGEST = limits
    app = install(phone)
    gone = phone.record(*MORNING, *NOON)[2]
    app.send_window([HEART_RATE], **DAY, readable=True)
    assert uuids(user) == phone.uuids
    phone.delete(gone)

    imports = app.send_window([HEART_RATE], **DAY, readable=True)

    assert sum(app.follow(each)["rows_removed"] for each in imports) == 1, "no half takes away what the other holds"
    windows = [window for each in posts(network) if each.status == 202 for window in each.body["windows"]]
    assert len(windows) > 4
    assert all(window["complete"] for window in windows)
    assert uuids(user) == phone.uuids


def test_what_starts_at_once_is_no_longer_called_complete(
    install: Install, phone: Phone, user: Any, network: BadNetwork, settings: Any
) -> None:
    settings.HEALTHKIT_INGEST = {"CONTRACT": f"{__name__}.modest"}
    phone.record(*MORNING[:1] * 5)

    install(phone).send_window([HEART_RATE], **DAY, readable=True)

    assert not any(window["complete"] for each in posts(network) for window in each.body.get("windows", []))
    assert uuids(user) == phone.uuids


def test_two_phones_of_one_user_keep_out_of_each_others_way(install: Install, user: Any) -> None:
    phone, tablet = Phone("phone"), Phone("tablet")
    on_phone, on_tablet = (
        install(phone, folder="phone", device="phone"),
        install(tablet, folder="tablet", device="tablet"),
    )
    gone, *_ = phone.record(*MORNING)
    tablet.record(*MORNING, *NOON)
    on_phone.sync()
    on_tablet.sync()
    phone.delete(gone)

    on_phone.send_window([HEART_RATE], **DAY, readable=True)

    assert uuids(user) == phone.uuids | tablet.uuids
    assert anchors(user, "phone") == on_phone.outbox.anchors != anchors(user, "tablet") == on_tablet.outbox.anchors


def test_an_import_is_followed_to_its_end(
    install: Install, phone: Phone, user: Any, network: BadNetwork, pauses: list[float]
) -> None:
    def work(seconds: float) -> None:
        pauses.append(seconds)
        resume(Pausable.PROCESSING)
        dispatch(user_id=user.pk, lane="LIVE")

    phone.record(*MORNING)
    pause(Pausable.PROCESSING)
    app = install(phone, sleep=work)
    [import_id] = app.sync()

    seen = app.follow(import_id)

    assert (seen["status"], seen["records"]["inserted"]) == ("COMPLETED", 4)
    assert len(network.sent("GET", f"imports/{import_id}/?wait=")) == 2
    assert len(pauses) == 1 and pauses[0] >= 1, "a server that does not hold the poll is not asked without end"


def test_a_question_that_cannot_be_answered_is_an_error(install: Install, phone: Phone) -> None:
    with pytest.raises(Refused) as refused:
        install(phone).follow("00000000-0000-0000-0000-000000000000")

    assert refused.value.answer.status == 404


def test_the_key_is_the_digest_of_what_the_server_reads(install: Install, phone: Phone) -> None:
    phone.record(*MORNING)
    app = install(phone)
    fill(app)
    [parcel] = app.outbox.waiting()

    assert parcel.key == hashlib.sha256(gzip.decompress(parcel.content)).hexdigest()
