"""A client in the standard library alone: what an app does with HealthKit's data, to read and to translate."""

from __future__ import annotations

from example_project.client.connection import Connection, Refused, SignInNeeded, TryLater
from example_project.client.health_store import Changes, HealthStore
from example_project.client.outbox import Outbox
from example_project.client.sync import Client, Contract

__all__ = [
    "Changes",
    "Client",
    "Connection",
    "Contract",
    "HealthStore",
    "Outbox",
    "Refused",
    "SignInNeeded",
    "TryLater",
]
