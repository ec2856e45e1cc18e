"""Thirty days of one type of one user, out of a large table: the pipeline's page against the same rows by plain SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from benchmarks.databases import turn_to
from benchmarks.growth import Table
from benchmarks.measure import Figure, ratio, take_turns, timed
from benchmarks.quantiles import milliseconds
from django_healthkit_ingest.models import HealthSample, Source
from django_healthkit_ingest.pipeline.pages import MAX_SIZE
from django_healthkit_ingest.pipeline.samples import list_samples

TYPE = "HKQuantityTypeIdentifierHeartRate"
DAYS = timedelta(days=30)
SIZES = {"page": MAX_SIZE, "default_page": 500}
URL = "/health/samples/"
TABLE = HealthSample._meta.db_table
INDEX = "hki_sample_user_type_start"
PLAN = {"Limit", "Incremental Sort", "Index Scan"}
"""Rows of one instant are put in the order of their keys: that is what the incremental sort is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    user: Any
    type_id: int
    start: datetime
    end: datetime
    size: int

    def by_product(self) -> list[Any]:
        return list(list_samples(user=self.user, type=TYPE, start=self.start, end=self.end, size=self.size).rows)

    def by_sql(self) -> list[tuple[Any, ...]]:
        """What is shown of a sample and its source, without making anything of it. One row more says whether there is
        a next page, as in the product."""
        with connection.cursor() as cursor:
            cursor.execute(
                'SELECT s.uuid, s.start, s."end", s.value, s.id, s.time_zone, s.raw_unit, s.category, s.metadata,'
                " s.details, o.key, o.name, o.bundle_id, o.product_type, o.version, o.system_version, o.device,"
                f" o.precedence FROM {TABLE} AS s LEFT JOIN {Source._meta.db_table} AS o ON o.id = s.source_id"
                " WHERE s.user_id = %s AND s.type_id = %s AND s.start >= %s AND s.start < %s"
                " ORDER BY s.start, s.id LIMIT %s",
                [self.user.pk, self.type_id, self.start, self.end, self.size + 1],
            )
            return list(cursor.fetchall())

    def by_http(self, client: APIClient) -> Any:
        period = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        answer = client.get(URL, {"type": TYPE, "page_size": str(self.size), **period}, headers={"Host": "127.0.0.1"})
        if answer.status_code != 200:
            raise RuntimeError(f"{URL} answered {answer.status_code}")
        return answer.json()


def figures(table: Table, *, repeats: int) -> Iterator[Figure]:
    turn_to(table.database)
    client = APIClient()
    for name, size in SIZES.items():
        question = _question(next(table.users), size=size)
        client.force_authenticate(question.user)
        check(question, client)
        seconds = take_turns(
            {
                "product": partial(timed, question.by_product),
                "sql": partial(timed, question.by_sql),
                "http": partial(timed, partial(question.by_http, client)),
            },
            repeats=repeats,
        )
        baseline = f"{size} of 30 days' rows, {table.rows:,} in the table"
        yield milliseconds(f"read.{name}_ms", seconds["product"], baseline=baseline)
        yield ratio(
            f"read.{name}_vs_raw_sql",
            of=seconds["sql"],
            to=seconds["product"],
            baseline=f"one SQL query, {size} rows fetched",
            target=2 if name == "page" else None,
            at_least=False,
        )
        yield milliseconds(f"read.{name}_over_http_ms", seconds["http"], baseline=baseline)


def _question(user: Any, *, size: int) -> Question:
    """About the last thirty days that this user has."""
    newest = HealthSample.objects.for_user(user).of_type(TYPE).order_by("-start")[0]
    start, end = newest.start - DAYS, newest.start
    return Question(user=user, type_id=newest.type_id, start=start, end=end, size=size)


def check(question: Question, client: APIClient) -> None:
    """The same rows three times, found through the index. Raises RuntimeError."""
    with CaptureQueriesContext(connection) as captured:
        page = question.by_product()
    _check_plan([query["sql"] for query in captured if f'FROM "{TABLE}"' in query["sql"]])
    plain = question.by_sql()[: question.size]
    shown = question.by_http(client)["results"]
    if len(page) != question.size:
        raise RuntimeError(f"{len(page)} rows on a page of {question.size}")
    if [(row.uuid, row.start, row.end, row.value) for row in page] != [row[:4] for row in plain]:
        raise RuntimeError("The page and the plain query have other rows")
    if [row["id"] for row in shown] != [row.id for row in page]:
        raise RuntimeError("The page over HTTP has other rows")


def _check_plan(statements: list[str]) -> None:
    (statement,) = statements
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
        (answer,) = cursor.fetchone()
    nodes = list(_nodes((json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]))
    scans = [node.get("Index Name") for node in nodes if "Scan" in node["Node Type"]]
    if scans != [INDEX] or not {node["Node Type"] for node in nodes} <= PLAN:
        raise RuntimeError(f"A page is not one scan of {INDEX}: {[node['Node Type'] for node in nodes]}")


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
