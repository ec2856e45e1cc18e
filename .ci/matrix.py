"""Runs tox over the interpreters found, and says what it found, what it missed and what the tests skipped.

``python .ci/matrix.py [tox options] [-- pytest options]``. With CI=true the interpreters in REQUIRED must be there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / ".tox" / "reports"
SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
REQUIRED = ("3.11", "3.12", "3.13")


def search_path() -> str:
    """PATH with pyenv's versions before its shims, which exist for every version and fail for all but the chosen."""
    versions: list[Path] = []
    if (pyenv := shutil.which("pyenv")) is not None:
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()
        versions = sorted(Path(root, "versions").glob("*/bin"))
    return os.pathsep.join([*map(str, versions), os.environ["PATH"]])


def interpreters_are_enough(path: str) -> bool:
    found = {version: shutil.which(f"python{version}", path=path) for version in SUPPORTED}
    for version, program in found.items():
        print(f"Python {version}: {program or 'MISSING, its environments are left out'}")
    lacking = [version for version in REQUIRED if found[version] is None]
    if lacking and os.environ.get("CI") == "true":
        print(f"CI needs Python {', '.join(lacking)} on PATH (pyenv's versions are looked through as well).")
        return False
    return True


def run_tox(path: str, arguments: list[str]) -> int:
    environment = {**os.environ, "PATH": path, "UV_PYTHON_DOWNLOADS": "never"}
    command = [sys.executable, "-m", "tox", "run-parallel", "--parallel", "2", "--parallel-no-spinner", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def summarise() -> None:
    """What tox hides of the environments that passed: how many tests ran, which were skipped and why."""
    passed = failed = skipped = 0
    for report in sorted(REPORTS.glob("*.xml")):
        cases = ET.parse(report).getroot().findall(".//testcase")  # noqa: S314 - written by pytest, above
        broken = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
        left_out = [case for case in cases if case.find("skipped") is not None]
        print(f"{report.stem}: {len(cases)} tests, {len(broken)} failed, {len(left_out)} skipped")
        for case in left_out:
            reason = case.find("skipped")
            assert reason is not None
            print(f"  skipped {case.get('classname')}::{case.get('name')}: {reason.get('message')}")
        failed += len(broken)
        skipped += len(left_out)
        passed += len(cases) - len(broken) - len(left_out)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


def main() -> int:
    path = search_path()
    if not interpreters_are_enough(path):
        return 1
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    start = time.monotonic()
    code = run_tox(path, sys.argv[1:])
    summarise()
    print(f"tox ended with {code} after {time.monotonic() - start:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
