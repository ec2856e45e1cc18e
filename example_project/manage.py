"""``python -m example_project.manage <command>``, from the repository's root."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")
    # Commands send tasks too (sweep, import): the app must be there before the first of them.
    import example_project.celery  # noqa: F401

    execute_from_command_line(sys.argv)
