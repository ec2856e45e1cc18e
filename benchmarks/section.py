"""``python -m benchmarks.section NAME SCALE``: one section's figures, a JSON object per line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmarks.sections import Scale, find


def main() -> None:
    name, scale = sys.argv[1:]
    for figure in find(name).figures(scale=Scale(scale)):
        sys.stdout.write(json.dumps(asdict(figure)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
