"""The files of ``example_project/deploy`` as data."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "example_project" / "deploy"
REGION = "eu-west-1"
QUEUE_URL = f"https://sqs.{REGION}.amazonaws.com/123456789012/apple-health-imports"


def template(name: str) -> dict[str, Any]:
    """With the short forms (``!Ref``) written out."""
    loaded: dict[str, Any] = json.loads(json.dumps(cfn_yaml.load(str(DEPLOY / f"{name}.yaml"))))
    return loaded


def resources(name: str, kind: str) -> dict[str, dict[str, Any]]:
    found = template(name)["Resources"].items()
    return {logical: resource["Properties"] for logical, resource in found if resource["Type"] == kind}


def containers() -> dict[str, dict[str, Any]]:
    definitions = resources("services", "AWS::ECS::TaskDefinition").values()
    return {container["Name"]: container for task in definitions for container in task["ContainerDefinitions"]}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return loaded


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def production() -> dict[str, str]:
    """Every variable the production settings need, and no other."""
    return {
        "AWS_REGION": REGION,
        "CELERY_APPLE_HEALTH_QUEUE_URL": QUEUE_URL,
        "DATABASE_URL": "postgres://user:password@127.0.0.1:1/name",
        "DJANGO_ALLOWED_HOSTS": "health.example.com",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(64),
        "REDIS_URL": "rediss://127.0.0.1:1/0",
        "UPLOAD_BUCKET": "uploads",
    }


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    machine = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    image = {"DJANGO_SETTINGS_MODULE": "example_project.settings_production", "REMAP_SIGTERM": "SIGQUIT"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**machine, **image, **production(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
