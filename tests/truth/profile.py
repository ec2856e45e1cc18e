from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = os.environ.get("HEALTHKIT_TEST_EXAMPLES")
"""A number: that many examples of each property, other ones every time. Without it few, and always the same."""
HISTORIES = 50
"""How many an ordinary run delivers."""


def examples(usual: int, *, shrink: bool = True) -> settings:
    return settings(
        max_examples=int(EXAMPLES) if EXAMPLES else usual,
        derandomize=EXAMPLES is None,
        deadline=None,
        database=None,
        phases=[phase for phase in Phase if shrink or phase in (Phase.explicit, Phase.generate)],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
