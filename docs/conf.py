from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "django-healthkit-ingest"
author = "The django-healthkit-ingest authors"
project_copyright = author
release = version = installed_version("django-healthkit-ingest")

extensions = ["myst_parser", "pages"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
nitpicky = True
html_theme = "furo"
