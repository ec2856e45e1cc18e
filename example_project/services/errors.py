from __future__ import annotations


class ServiceFailed(RuntimeError):
    """A service could not be found or did not start; the text says what to do, or ends with the service's log."""
