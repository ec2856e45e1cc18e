"""Behind a transaction pooler, every transaction may run on another server connection."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connections

from django_healthkit_ingest.models import HealthSample, database
from django_healthkit_ingest.testing import healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import quantity

pytestmark = pytest.mark.django_db(databases="__all__", transaction=True)


def test_merges_need_nothing_from_the_session(user: Any, settings: Any) -> None:
    connection: Any = connections[database()]
    if connection.vendor != "postgresql":
        pytest.skip("poolers stand before PostgreSQL; this environment runs on SQLite")
    from tests.integration.pooler import transaction_pooler

    settings.HEALTHKIT_INGEST = {"CHUNK_SIZE": 10}
    direct = dict(connection.settings_dict)
    parameters = connection.get_connection_params()
    connect = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
    records = [quantity(uuid=None if n % 2 else quantity()["uuid"], value=n) for n in range(40)]

    with transaction_pooler(servers=3, **connect) as pooler:
        connection.close()
        connection.settings_dict.update(HOST="127.0.0.1", PORT=pooler.port, DISABLE_SERVER_SIDE_CURSORS=True)
        try:
            first = ingest(healthkit_body(*records), user=user)
            again = ingest(healthkit_body(*records, deletions=[records[0]["uuid"]]), user=user)
        finally:
            connection.close()
            connection.settings_dict.update(direct)

    assert (first.inserted, again.inserted, again.duplicate, again.rows_removed) == (40, 0, 40, 1)
    assert HealthSample.objects.using(database()).for_user(user).count() == 39
    assert len(pooler.transactions) == 3
    assert min(pooler.transactions.values()) > 10
