"""What running on Amazon SQS needs. Importing this package imports nothing else: settings.py may do it."""

from __future__ import annotations
