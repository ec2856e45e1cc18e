"""What is done with messages that SQS has laid aside."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.stub import Stubber
from celery import Celery
from django.core.management import CommandError, call_command
from django.utils import timezone

from django_healthkit_ingest import queues
from django_healthkit_ingest.core.states import Status
from django_healthkit_ingest.models import Erasure, Export, ImportBatch, ImportChunk, ImportUpload, database
from django_healthkit_ingest.pipeline.accept import accept
from django_healthkit_ingest.pipeline.erase import erase_user, order_erasure
from django_healthkit_ingest.pipeline.export import order_export
from django_healthkit_ingest.sqs import dead_letters
from django_healthkit_ingest.sqs.celery_settings import celery_settings
from django_healthkit_ingest.sqs.dead_letters import held, move, replay, send_back
from django_healthkit_ingest.sqs.queue import DeadLetterQueue, QueueUnavailable, dead_letter_queues
from django_healthkit_ingest.testing import healthkit_body
from django_healthkit_ingest.testing.payloads import quantity
from example_project.services.queues import Queue, create_queue, sqs_client
from example_project.services.sqs import SQS
from tests.sqs.current_app import current
from tests.sqs.front import Fault, Front

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

pytestmark = pytest.mark.django_db(databases="__all__")

IN_ONE_ENVIRONMENT = pytest.mark.acceptance

SECRET = "HKSecret7351"
DIED_OF = 5
"""Attempts."""


@pytest.fixture(autouse=True)
def app(broker_environment: dict[str, str], queue: Queue, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    monkeypatch.setattr(dead_letters, "WAIT_TIME", 0)  # moto is one server
    app = Celery("test", set_as_current=False)
    app.config_from_object(
        celery_settings(queue_url=queue.url, region=broker_environment["AWS_REGION"]), namespace="CELERY"
    )
    with current(app):
        yield app


@pytest.fixture(scope="module")
def client(emulator: SQS) -> SQSClient:
    return sqs_client(emulator)


@pytest.fixture
def batch_of(user: Any) -> Callable[..., ImportBatch]:
    """A batch with one chunk, or more, of which nothing is processed and nothing sent."""

    def accepted(*, chunks: int = 1, status: Status = Status.PROCESSING, **columns: Any) -> ImportBatch:
        with queues.captured():
            batch = accept(healthkit_body(*(quantity(value=61) for _ in range(chunks))), user=user)
        change(batch, status=status, **columns)
        return batch

    return accepted


@pytest.fixture(autouse=True)
def one_record_per_chunk(settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 1, "PUBLISH_TIMEOUT": timedelta(seconds=20)}


def change(batch: ImportBatch, *, status: Status, finished: bool = False, **columns: Any) -> None:
    """The batch's chunks as a run left them."""
    ended = {"finished_at": timezone.now() if finished else None}
    ImportBatch.objects.using(database()).filter(pk=batch.pk).update(**ended)
    ImportChunk.objects.using(database()).filter(batch=batch).update(status=status, **columns)


def chunk_of(batch: ImportBatch) -> ImportChunk:
    return ImportChunk.objects.using(database()).filter(batch=batch).earliest("index")


def die(client: SQSClient, queue: Queue) -> None:
    """All messages of the queue are received until SQS lays them aside."""
    while client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0, MaxNumberOfMessages=10).get("Messages"):
        pass


def dead_message(client: SQSClient, queue: Queue, *, name: str = queues.PROCESS_CHUNK, **ids: Any) -> str:
    """The id of a message that died; the queue must be empty."""
    assert queues.enqueue(name, **ids)
    (message,) = client.receive_message(QueueUrl=queue.url, VisibilityTimeout=0)["Messages"]
    die(client, queue)
    return message["MessageId"]


def waiting(client: SQSClient, url: str) -> int:
    """Messages that anybody may receive now."""
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


def sent(front: Front, task: str) -> list[dict[str, Any]]:
    """The arguments of the messages for a task."""
    messages = [call.message for call in front.calls if call.action == "SendMessage"]
    return [message["body"][1] for message in messages if message["headers"]["task"] == task]


def foreign_message(client: SQSClient, queue: Queue) -> str:
    """One of another application, with a secret in its arguments."""
    body = base64.b64encode(json.dumps([[SECRET], {"name": SECRET}, {}]).encode()).decode()
    envelope = {
        "body": body,
        "headers": {"task": "mail.send", "id": str(uuid4()), "argsrepr": SECRET},
        "properties": {"body_encoding": "base64"},
        "content-type": "application/json",
    }
    text = base64.b64encode(json.dumps(envelope).encode()).decode()
    client.send_message(
        QueueUrl=queue.url,
        MessageBody=text,
        MessageGroupId="tenant-1",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "mail"}},
    )
    return text


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command("healthkit_ingest_dlq", *arguments, "--json")
    return json.loads(capsys.readouterr().out)


def test_list_says_what_failed_and_why_and_gives_it_back(
    batch_of: Callable[..., ImportBatch], client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = batch_of(status=Status.FAILED, finished=True, attempts=DIED_OF, error_code="attempts_exhausted")
    chunk = chunk_of(batch)
    died = dead_message(client, queue, chunk_id=chunk.pk)

    (told,) = command(capsys, "list")

    assert (told["id"], told["kind"], told["task"]) == (died, "ours", queues.PROCESS_CHUNK)
    assert told["ids"] == {"chunk_id": chunk.pk}
    assert (told["batch"], told["status"]) == (str(batch.uuid), "FAILED")
    assert (told["error"], told["attempts"]) == ("attempts_exhausted", DIED_OF)
    assert told["receives"] >= 1
    assert told["queue"] == f"{queue.name}-dead"
    assert waiting(client, queue.dead_letter_url) == 1, "hidden from the next who looks"


def test_no_payload_no_argument_and_no_foreign_secret_is_printed(
    batch_of: Callable[..., ImportBatch], client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    dead_message(client, queue, chunk_id=chunk_of(batch_of(status=Status.PENDING)).pk)
    foreign_message(client, queue)
    client.send_message(QueueUrl=queue.url, MessageBody=f'{{"headers": {{"task": "{SECRET} {SECRET}", "id": "1"}}}}')
    client.send_message(QueueUrl=queue.url, MessageBody=SECRET)
    die(client, queue)

    told = command(capsys, "list")
    call_command("healthkit_ingest_dlq", "list")
    for each in told:
        call_command("healthkit_ingest_dlq", "show", each["id"])
    printed = capsys.readouterr().out

    assert sorted(each["kind"] for each in told) == ["foreign", "ours", "unreadable", "unreadable"]
    assert [each["task"] for each in told if each["kind"] == "foreign"] == ["mail.send"]
    assert printed.count("unreadable") == 2
    assert SECRET not in json.dumps(told) + printed
    assert "61" not in {str(value) for each in told for value in each.values()}


@IN_ONE_ENVIRONMENT
def test_list_pages_through_all_and_stops_at_its_limit(
    client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        client.send_message(QueueUrl=queue.dead_letter_url, MessageBody=str(number))

    everything, some = command(capsys, "list"), command(capsys, "list", "--limit", "20")

    assert len({each["id"] for each in everything}) == len(everything) == 25
    assert len(some) == 20
    assert waiting(client, queue.dead_letter_url) == 25


AN_HOUR = timedelta(hours=1)
NOW = timezone.now()
CHUNKS: dict[str, list[dict[str, Any]]] = {
    "replayed": [
        {"status": Status.FAILED, "finished": True, "error_code": "attempts_exhausted"},
        {"status": Status.PENDING},
        {"status": Status.PENDING, "sent_at": NOW, "sent_count": 4},
        {"status": Status.PROCESSING, "lease_until": NOW - AN_HOUR, "claimed_by": "dead"},
    ],
    "done": [{"status": Status.COMPLETED, "finished": True, "inserted": 1}],
    "busy": [{"status": Status.PROCESSING, "lease_until": NOW + AN_HOUR}, {"status": Status.FAILED}],
    "unavailable": [{"status": Status.FAILED, "finished": True, "payload": None}],
}
"""What replay answers to a chunk in each state."""


def test_replay_is_decided_by_the_chunk(
    batch_of: Callable[..., ImportBatch],
    client: SQSClient,
    queue: Queue,
    front: Front,
    settings: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings.HEALTHKIT_INGEST = {**settings.HEALTHKIT_INGEST, "DISPATCH_WINDOW": 100}
    batches = [
        (outcome, state, batch_of(**state, attempts=DIED_OF)) for outcome, states in CHUNKS.items() for state in states
    ]
    for _, _, batch in batches:
        assert queues.enqueue(queues.PROCESS_CHUNK, chunk_id=chunk_of(batch).pk)
    die(client, queue)
    before = len(sent(front, queues.PROCESS_CHUNK))
    subjects = {each["id"]: each["ids"]["chunk_id"] for each in command(capsys, "list")}

    answer = command(capsys, "replay", *subjects)

    outcomes = {subjects[message["id"]]: message["outcome"] for message in answer["messages"]}
    for outcome, state, batch in batches:
        chunk = chunk_of(batch)
        assert outcomes[chunk.pk] == outcome, state
        assert chunk.status == (Status.PENDING if outcome == "replayed" else state["status"])
        assert chunk.attempts == (0 if outcome == "replayed" else DIED_OF)
        assert batch_is_finished(batch) is (state.get("finished", False) and outcome != "replayed")
        if outcome == "replayed":
            assert (chunk.sent_count, chunk.claimed_by, chunk.error_code, chunk.lease_until) == (1, "", "", None)
    assert answer["outcomes"] == {outcome: len(states) for outcome, states in CHUNKS.items()}
    again = [message["chunk_id"] for message in sent(front, queues.PROCESS_CHUNK)[before:]]
    assert set(again) == {chunk_of(batch).pk for outcome, _, batch in batches if outcome == "replayed"}
    assert waiting(client, queue.dead_letter_url) == len(CHUNKS["busy"]) + len(CHUNKS["unavailable"])


def batch_is_finished(batch: ImportBatch) -> bool:
    batch.refresh_from_db()
    return batch.finished_at is not None


@IN_ONE_ENVIRONMENT
def test_replay_of_what_was_erased_deletes_the_message(
    client: SQSClient, queue: Queue, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, key in ((queues.PROCESS_CHUNK, "chunk_id"), (queues.DISPATCH_BATCH, "batch_id")):
        dead_message(client, queue, name=name, **{key: 10**9})
    dead_message(client, queue, name=queues.SPLIT_UPLOAD, upload_id=10**9)
    dead_message(client, queue, name=queues.ERASE, erasure_id=10**9)
    dead_message(client, queue, name=queues.EXPORT, export_id=10**9)
    before = front.count("SendMessage")

    answer = command(capsys, "replay", "--all")

    assert answer["outcomes"] == {"gone": 5}
    assert front.count("SendMessage") == before
    assert waiting(client, queue.dead_letter_url) == 0


@IN_ONE_ENVIRONMENT
def test_dead_letters_of_a_user_who_was_erased_lead_nowhere_and_can_be_thrown_away(
    batch_of: Callable[..., ImportBatch],
    client: SQSClient,
    queue: Queue,
    user: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They are ids: nothing of the user is in them, and nothing is brought back by them."""
    subjects = [chunk_of(batch_of()).pk for _ in range(2)]
    for subject in subjects:
        dead_message(client, queue, chunk_id=subject)
    with queues.captured():
        erase_user(user_id=user.pk)
    one, other = command(capsys, "list")

    assert [(each["batch"], each["status"]) for each in (one, other)] == [(None, None)] * 2
    assert command(capsys, "replay", one["id"])["outcomes"] == {"gone": 1}
    assert command(capsys, "purge", other["id"]) == {"purged": 1}
    assert waiting(client, queue.dead_letter_url) == 0
    assert not ImportBatch.objects.using(database()).exists()


@IN_ONE_ENVIRONMENT
def test_erasures_and_exports_are_brought_back_to_work(
    client: SQSClient, queue: Queue, front: Front, user: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with queues.captured():
        order_export(user=user)
        order_erasure(user_id=user.pk)
    erasure, export = Erasure.objects.using(database()).get(), Export.objects.using(database()).get()
    dead_message(client, queue, name=queues.ERASE, erasure_id=erasure.pk)
    dead_message(client, queue, name=queues.EXPORT, export_id=export.pk)
    shown = command(capsys, "list")
    before = {name: len(sent(front, name)) for name in (queues.ERASE, queues.EXPORT)}

    answer = command(capsys, "replay", "--all")

    assert {(each["task"], each["kind"], each["status"]) for each in shown} == {
        (queues.ERASE, "ours", "PENDING"),
        (queues.EXPORT, "ours", "PENDING"),
    }
    assert answer["outcomes"] == {"replayed": 2}
    assert {name: len(sent(front, name)) for name in before} == {name: number + 1 for name, number in before.items()}
    assert sent(front, queues.ERASE)[-1]["erasure_id"] == erasure.pk


@IN_ONE_ENVIRONMENT
def test_replay_of_a_batch_sends_its_chunks_and_of_a_sweep_nothing(
    batch_of: Callable[..., ImportBatch],
    client: SQSClient,
    queue: Queue,
    front: Front,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batch = batch_of(chunks=3, status=Status.PENDING)
    dead_message(client, queue, name=queues.DISPATCH_BATCH, batch_id=batch.pk)
    dead_message(client, queue, name=queues.SWEEP)

    answer = command(capsys, "replay", "--all")

    assert answer["outcomes"] == {"replayed": 1, "done": 1}
    assert len(sent(front, queues.PROCESS_CHUNK)) == 2, "the window"
    assert waiting(client, queue.dead_letter_url) == 0


UPLOADS: dict[str, dict[str, Any]] = {
    "replayed": {"attempts": DIED_OF},
    "busy": {"attempts": DIED_OF, "lease_until": NOW + AN_HOUR},
    "done": {"finished_at": NOW},
    "unavailable": {"finished_at": NOW, "error_code": "attempts_exhausted"},
}


@IN_ONE_ENVIRONMENT
def test_replay_is_decided_by_the_upload(
    batch_of: Callable[..., ImportBatch],
    client: SQSClient,
    queue: Queue,
    front: Front,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uploads = {
        outcome: ImportUpload(batch=batch_of(status=Status.PENDING), size=1, **columns)
        for outcome, columns in UPLOADS.items()
    }
    for upload in uploads.values():
        upload.save(using=database())
        assert queues.enqueue(queues.SPLIT_UPLOAD, upload_id=upload.pk)
    die(client, queue)
    told = {each["ids"]["upload_id"]: each for each in command(capsys, "list")}

    answer = command(capsys, "replay", "--all")

    outcomes = {message["id"]: message["outcome"] for message in answer["messages"]}
    assert {told[upload.pk]["batch"] for upload in uploads.values()} == {
        str(upload.batch.uuid) for upload in uploads.values()
    }
    assert [told[upload.pk]["status"] for upload in uploads.values()] == [
        "PENDING",
        "PROCESSING",
        "COMPLETED",
        "FAILED",
    ]
    assert {outcomes[told[upload.pk]["id"]]: upload for upload in uploads.values()} == uploads
    replayed = uploads["replayed"]
    replayed.refresh_from_db()
    assert (replayed.attempts, replayed.sent_at is not None) == (0, True)
    assert sent(front, queues.SPLIT_UPLOAD)[len(uploads) :] == [
        {"upload_id": replayed.pk, "version": queues.MESSAGE_VERSION}
    ]


def test_two_dead_messages_of_one_chunk_are_one_replay(
    batch_of: Callable[..., ImportBatch],
    client: SQSClient,
    queue: Queue,
    front: Front,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chunk = chunk_of(batch_of(status=Status.PENDING))
    for _ in range(2):
        dead_message(client, queue, chunk_id=chunk.pk)
    before = len(sent(front, queues.PROCESS_CHUNK))

    answer = command(capsys, "replay", "--all")

    assert answer["outcomes"] == {"replayed": 2}
    assert len(sent(front, queues.PROCESS_CHUNK)) - before == 1
    assert waiting(client, queue.dead_letter_url) == 0


@IN_ONE_ENVIRONMENT
def test_a_chunk_is_due_again_though_sqs_takes_no_message(
    batch_of: Callable[..., ImportBatch], client: SQSClient, queue: Queue, front: Front
) -> None:
    chunk = chunk_of(batch_of(status=Status.PENDING))
    died = dead_message(client, queue, chunk_id=chunk.pk)
    front.breaks("SendMessage", Fault.DENIED)

    call_command("healthkit_ingest_dlq", "replay", died)

    chunk.refresh_from_db()
    assert (chunk.status, chunk.sent_at) == (Status.PENDING, None), "for sweep to send"


@IN_ONE_ENVIRONMENT
def test_only_named_messages_are_replayed_and_unknown_ids_refused(
    batch_of: Callable[..., ImportBatch], client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = batch_of(status=Status.PENDING), batch_of(status=Status.PENDING)
    died = dead_message(client, queue, chunk_id=chunk_of(first).pk)
    left = dead_message(client, queue, chunk_id=chunk_of(second).pk)

    with pytest.raises(CommandError, match="nobody"):
        call_command("healthkit_ingest_dlq", "replay", died, "nobody")
    answer = command(capsys, "replay", died)

    assert [message["id"] for message in answer["messages"]] == [died]
    assert [each["id"] for each in command(capsys, "list")] == [left]


@IN_ONE_ENVIRONMENT
def test_what_is_not_ours_is_left_unless_it_is_to_be_sent_back_as_it_is(
    client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    text = foreign_message(client, queue)
    die(client, queue)

    refused = command(capsys, "replay", "--all")
    is_left = waiting(client, queue.dead_letter_url)
    sent_back = command(capsys, "replay", "--all", "--raw")

    (message,) = client.receive_message(
        QueueUrl=queue.url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert refused["outcomes"] == {"left": 1}
    assert is_left == 1
    assert sent_back["outcomes"] == {"sent_back": 1}
    assert waiting(client, queue.dead_letter_url) == 0
    assert message["Body"] == text
    assert message["Attributes"]["MessageGroupId"] == "tenant-1"
    assert message["MessageAttributes"]["kind"]["StringValue"] == "mail"


def test_nothing_is_deleted_before_its_copy_is_sent(client: SQSClient, queue: Queue, front: Front) -> None:
    foreign_message(client, queue)
    die(client, queue)
    front.breaks("SendMessage", Fault.DENIED)

    with pytest.raises(CommandError, match=r"SendMessage \(AccessDenied\)"):
        call_command("healthkit_ingest_dlq", "replay", "--all", "--raw")
    is_left = waiting(client, queue.dead_letter_url)
    front.heal()
    call_command("healthkit_ingest_dlq", "replay", "--all", "--raw")

    actions = [call.action for call in front.calls]
    assert is_left == 1
    assert actions.index("SendMessage") < actions.index("DeleteMessage")
    assert front.count("DeleteMessage") == 1


@IN_ONE_ENVIRONMENT
def test_purge_deletes_what_is_named_and_everything_only_if_one_means_it(
    client: SQSClient, queue: Queue, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        client.send_message(QueueUrl=queue.dead_letter_url, MessageBody=str(number))
    (one, *_) = command(capsys, "list")

    for arguments in (["--all"], [], [one["id"], "--all", "--yes"]):
        with pytest.raises(CommandError):
            call_command("healthkit_ingest_dlq", "purge", *arguments)
    named = command(capsys, "purge", one["id"], one["id"])
    left = waiting(client, queue.dead_letter_url)
    everything = command(capsys, "purge", "--all", "--yes")

    assert (named, left, everything) == ({"purged": 1}, 11, {"purged": 11})
    assert waiting(client, queue.dead_letter_url) == 0


def place() -> DeadLetterQueue:
    (place,) = dead_letter_queues()
    return place


@IN_ONE_ENVIRONMENT
def test_sqs_moves_all_by_itself_where_it_can(client: SQSClient, queue: Queue) -> None:
    client.send_message(QueueUrl=queue.dead_letter_url, MessageBody="a")
    dead = place()
    with Stubber(dead.client) as amazon:
        amazon.add_response("start_message_move_task", {"TaskHandle": "t"}, {"SourceArn": dead.arn})

        moved = move(dead)

        amazon.assert_no_pending_responses()
    assert (moved.queue, moved.sent_back) == (f"{queue.name}-dead", None)
    assert dead.arn.endswith(f":{queue.name}-dead")


@IN_ONE_ENVIRONMENT
@pytest.mark.parametrize("code", ["AWS.SimpleQueueService.UnsupportedOperation", "AccessDenied", "InternalFailure"])
def test_a_move_that_sqs_refuses_is_not_done_by_hand(code: str, client: SQSClient, queue: Queue) -> None:
    client.send_message(QueueUrl=queue.dead_letter_url, MessageBody="a")
    dead = place()
    with Stubber(dead.client) as amazon:
        amazon.add_client_error("start_message_move_task", service_error_code=code)

        with pytest.raises(QueueUnavailable, match=code):
            move(dead)
    assert waiting(client, queue.dead_letter_url) == 1


@IN_ONE_ENVIRONMENT
@pytest.mark.parametrize("code", ["InvalidAction", "NotImplemented"])
def test_emulators_without_the_action_are_told_from_refusals(code: str, client: SQSClient, queue: Queue) -> None:
    dead = place()
    with Stubber(dead.client) as emulator:
        emulator.add_client_error("start_message_move_task", service_error_code=code)
        emulator.add_response("receive_message", {}, None)

        moved = move(dead)

    assert moved.sent_back == 0


@IN_ONE_ENVIRONMENT
def test_all_are_sent_back_one_by_one_where_sqs_cannot_move_them(
    client: SQSClient, queue: Queue, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        client.send_message(QueueUrl=queue.dead_letter_url, MessageBody=str(number))

    with pytest.raises(CommandError, match="--all"):
        call_command("healthkit_ingest_dlq", "replay", "some-id", "--move")
    answer = command(capsys, "replay", "--all", "--move")

    assert answer == [{"queue": f"{queue.name}-dead", "sent_back": 12}]
    assert waiting(client, queue.dead_letter_url) == 0
    assert waiting(client, queue.url) == 12


@IN_ONE_ENVIRONMENT
def test_queues_with_one_dead_letter_queue_are_looked_at_once_and_others_each(
    emulator: SQS, queue: Queue, client: SQSClient, broker_environment: dict[str, str], settings: Any
) -> None:
    other = create_queue(emulator, name=f"test-{uuid4().hex}")
    settings.HEALTHKIT_INGEST = {"QUEUES": {"default": "apple-health-imports", "backfill": "apple-health-backfill"}}
    app = Celery("test", set_as_current=False)
    app.config_from_object(
        celery_settings(queue_url=queue.url, backfill_queue_url=other.url, region=broker_environment["AWS_REGION"]),
        namespace="CELERY",
    )

    with current(app):
        each = dead_letter_queues()
        policy = client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["RedrivePolicy"])["Attributes"]
        client.set_queue_attributes(QueueUrl=other.url, Attributes=policy)
        (shared,) = dead_letter_queues()

    assert {place.url for place in each} == {queue.dead_letter_url, other.dead_letter_url}
    assert shared.url == queue.dead_letter_url
    assert {source.url for source in shared.sources} == {queue.url, other.url}


@IN_ONE_ENVIRONMENT
def test_a_message_of_a_shared_dead_letter_queue_goes_where_sqs_says_it_came_from(
    client: SQSClient, queue: Queue, emulator: SQS
) -> None:
    other = create_queue(emulator, name=f"test-{uuid4().hex}")
    client.send_message(QueueUrl=queue.dead_letter_url, MessageBody="a")
    (dead,) = dead_letter_queues()
    source = dead.sources[0]
    shared = DeadLetterQueue(
        url=dead.url, arn=dead.arn, sources=(source, type(source)(name="b", url=other.url, client=source.client))
    )

    with held([shared]) as letters:
        (letter,) = letters.values()
        letter.message["Attributes"] = {"DeadLetterQueueSourceArn": f"arn:aws:sqs:eu-west-1:1:{other.name}"}
        send_back(letter)

    assert (waiting(client, queue.url), waiting(client, other.url)) == (0, 1)


@IN_ONE_ENVIRONMENT
def test_another_dead_letter_queue_can_be_named(
    emulator: SQS, client: SQSClient, capsys: pytest.CaptureFixture[str]
) -> None:
    other = create_queue(emulator, name=f"test-{uuid4().hex}")
    client.send_message(QueueUrl=other.dead_letter_url, MessageBody="a")

    told = command(capsys, "list", "--queue-url", other.dead_letter_url)

    assert [each["queue"] for each in told] == [f"{other.name}-dead"]


@IN_ONE_ENVIRONMENT
def test_without_a_redrive_policy_the_command_says_so(client: SQSClient, queue: Queue) -> None:
    client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": ""})

    with pytest.raises(CommandError, match="redrive policy"):
        call_command("healthkit_ingest_dlq", "list")


@IN_ONE_ENVIRONMENT
def test_other_brokers_have_no_dead_letters() -> None:
    app = Celery("test", broker="memory://", set_as_current=False)

    with current(app), pytest.raises(CommandError, match="not SQS"):
        call_command("healthkit_ingest_dlq", "list")


@IN_ONE_ENVIRONMENT
def test_a_replay_that_ends_early_gives_back_what_it_had_not_reached(client: SQSClient, queue: Queue) -> None:
    for number in range(12):
        client.send_message(QueueUrl=queue.dead_letter_url, MessageBody=str(number))

    with held(dead_letter_queues(), seconds=300) as letters:
        next(replay(letters, raw=True))

    assert waiting(client, queue.url) == 1
    assert waiting(client, queue.dead_letter_url) == 11
