from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

# Requests send tasks: without the app they would go to Celery's default broker.
import example_project.celery  # noqa: F401

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_project.settings")

application = get_wsgi_application()
# Imports the views now and not in the first request, which would take half a second longer.
get_resolver().url_patterns  # noqa: B018
