"""What is built is what is installed: each archive in an empty environment, away from the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "django_healthkit_ingest"
SUFFIXES = {"wheel": ".whl", "sdist": ".tar.gz"}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dist")
    run("uv", "build", "--out-dir", folder, ROOT, cwd=folder)
    return {
        kind: next(path for path in folder.iterdir() if path.name.endswith(suffix)) for kind, suffix in SUFFIXES.items()
    }


def shipped_files() -> set[str]:
    return {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_nothing_else(archives: dict[str, Path]) -> None:
    with zipfile.ZipFile(archives["wheel"]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert names == shipped_files()
    assert {"django_healthkit_ingest/py.typed", "django_healthkit_ingest/migrations/0001_initial.py"} <= names
    assert any(name.startswith("django_healthkit_ingest/core/catalogue/") and name.endswith(".json") for name in names)


def test_the_sdist_holds_what_its_tests_and_docs_need(archives: dict[str, Path]) -> None:
    with tarfile.open(archives["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    assert {f"src/{name}" for name in shipped_files()} <= names
    assert {"CHANGELOG.md", "LICENSE", "README.md", "tox.ini", "docs/conf.py", "tests/plugin.py"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".sqlite3"))]


@pytest.mark.parametrize("kind", SUFFIXES)
def test_it_works_as_installed_in_an_empty_environment(kind: str, archives: dict[str, Path], tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    smoke = shutil.copy(ROOT / "tests" / "smoke.py", tmp_path)
    run("uv", "venv", "--python", sys.executable, environment, cwd=tmp_path)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    run("uv", "pip", "install", "--python", python, archives[kind], cwd=tmp_path)

    output = run(python, "-W", "error", "-I", smoke, cwd=tmp_path)

    assert "smoke: PASS" in output
    assert str(environment) in output
