"""The image, the compose file and the production settings: read, and run as far as that goes without Docker."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands

from django_healthkit_ingest.conf import get_settings
from tests.deployment import DEPLOY, ROOT, compose, containers, instructions, production, python, resources

# Once is enough: little in it depends on the version of Python or Django.
pytestmark = pytest.mark.acceptance

READ = ("-c", "import example_project.settings_production")
CHECK = ("-m", "example_project.manage", "check", "--deploy", "--fail-level", "INFO")


def commands() -> list[list[str]]:
    from_services = [container["Command"] for container in containers().values() if "Command" in container]
    from_compose = [service["command"] for service in compose()["services"].values() if "command" in service]
    return [*from_services, *from_compose, [*containers()["worker"]["HealthCheck"]["Command"][1:]]]


def test_every_module_and_management_command_exists() -> None:
    lines = [" ".join(map(str, command)) for command in commands()]
    modules = {name for line in lines for name in re.findall(r"-m ([\w.]+)", line)}
    managed = {name for line in lines for name in re.findall(r"example_project\.manage (\w+)", line)}

    assert {module for module in modules if find_spec(module) is None} == set()
    assert managed <= set(get_commands())
    assert "healthkit_ingest_sweep" in managed


def test_every_variable_of_the_services_is_read_and_none_is_missing() -> None:
    files = ("settings.py", "settings_production.py", "gunicorn_conf.py")
    read = "\n".join((ROOT / "example_project" / file).read_text(encoding="utf-8") for file in files)
    given = {
        name: {pair["Name"] for pair in (*container["Environment"], *container["Secrets"])}
        for name, container in containers().items()
    }

    assert all(f'"{variable}"' in read for variables in given.values() for variable in variables)
    assert all(variables == set(production()) for variables in given.values())


def test_compose_runs_the_worker_as_ecs_does() -> None:
    here = compose()["services"]
    there = [word if isinstance(word, str) else get_settings().queues["default"] for word in worker_command()]

    assert here["worker"]["command"] == there
    assert here["migrate"]["command"] == containers()["migrate"]["Command"]
    assert "command" not in here["api"]
    assert "Command" not in containers()["api"]
    assert here["worker"]["stop_grace_period"] == f"{containers()['worker']['StopTimeout']}s"


def worker_command() -> list[Any]:
    command: list[Any] = containers()["worker"]["Command"]
    return command


def test_compose_holds_together() -> None:
    file = compose()
    services = file["services"]
    needed = {name for service in services.values() for name in service.get("depends_on", {})}
    ports = [port for service in services.values() for port in service.get("ports", [])]
    images = [service["image"] for service in services.values() if "build" not in service]
    volumes = [volume for service in services.values() for volume in service.get("volumes", [])]

    assert needed <= set(services)
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all(":" in image and not image.endswith(":latest") for image in images)
    assert all(volume.startswith("./") or volume.partition(":")[0] in file["volumes"] for volume in volumes)
    assert (DEPLOY / file["x-host"]["build"]["context"] / file["x-host"]["build"]["dockerfile"]).exists()


def test_the_image_is_small_and_its_process_hears_the_signal() -> None:
    steps = instructions()
    last_stage = steps[max(index for index, (word, _) in enumerate(steps) if word == "FROM") :]
    final = dict(last_stage)
    variables = dict(pair.split("=", 1) for word, rest in last_stage if word == "ENV" for pair in rest.split())

    assert [word for word, _ in steps].count("FROM") == 2
    assert not any(re.search(r"\bpip\b|\bapt", rest) for word, rest in last_stage if word == "RUN")
    assert int(final["USER"]) > 0
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(final["CMD"])[0] == "gunicorn"
    assert variables["REMAP_SIGTERM"] == "SIGQUIT"
    assert variables["DJANGO_SETTINGS_MODULE"] == "example_project.settings_production"


def test_the_image_is_made_of_files_that_are_there_and_let_through() -> None:
    copies = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = {source for copy in copies for source in copy}
    let_through = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("!") for line in let_through if line.startswith("!")]

    assert all((ROOT / source).exists() for source in sources)
    assert all(any(Path(source).match(pattern) for pattern in patterns) for source in sources)


def test_the_production_settings_pass_every_check() -> None:
    done = python(*CHECK)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout


def test_a_planted_trap_is_named() -> None:
    """The test above can fail."""
    done = python(
        "-m", "example_project.manage", "check", "--deploy", "--fail-level", "INFO", DJANGO_SECRET_KEY="short"
    )

    assert done.returncode != 0
    assert "security.W009" in done.stderr


@pytest.mark.parametrize("name", sorted({*production()} - {"AWS_REGION", "CELERY_APPLE_HEALTH_QUEUE_URL"}))
def test_a_missing_variable_is_named(name: str) -> None:
    done = python(*READ, **{name: ""})

    assert done.returncode != 0
    assert name in done.stderr


def test_production_refuses_to_debug() -> None:
    done = python(*READ, DJANGO_DEBUG="1")

    assert "DJANGO_DEBUG is set" in done.stderr


ASK = """
import json, socket
import django
django.setup()
from django.test import Client
own = socket.gethostbyname(socket.gethostname())
client = Client()
answers = {
    "health check": client.get("/healthz", headers={"host": f"{own}:8000"}),
    "plain": client.get("/health/imports/", headers={"host": "health.example.com"}),
    "tls": client.get("/health/imports/", headers={"host": "health.example.com", "x-forwarded-proto": "https"}),
    "stranger": client.get("/health/imports/", headers={"host": "elsewhere.example.com"}),
}
print(json.dumps({name: answer.status_code for name, answer in answers.items()}))
"""


def test_the_load_balancer_is_answered() -> None:
    """Its health check comes without TLS and with the task's address for a host name."""
    done = python("-W", "ignore", "-c", ASK)

    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers == {"health check": 200, "plain": 301, "tls": 401, "stranger": 400}
    check = resources("services", "AWS::ElasticLoadBalancingV2::TargetGroup")["TargetGroup"]["HealthCheckPath"]
    assert check == "/healthz"
