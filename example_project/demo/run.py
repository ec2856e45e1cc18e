"""The demo itself, once Django is set up."""

from __future__ import annotations

import secrets
import statistics
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management import call_command
from rest_framework.authtoken.models import Token
from rich.console import Console

import example_project.celery  # noqa: F401 - sweep sends tasks from this process
from example_project.demo.bodies import Body, Story, tell
from example_project.demo.client import Receipt, post, sign_in
from example_project.demo.compare import differences
from example_project.demo.host import api, worker
from example_project.demo.people import PEOPLE, Door
from example_project.demo.watch import watch

PHONES_AT_ONCE = 4
RESENT_EVERY = 3
"""Every third body is sent again as a new import, and every third with the key of the first sending."""
DIFFERENCES_SHOWN = 10


def run(*, days: int, seed: int, keep: bool, console: Console) -> int:
    """The exit code: 0 if the database holds the ground truth, row for row."""
    run_name = secrets.token_hex(3)
    call_command("migrate", verbosity=0)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(PHONES_AT_ONCE))
        starting_worker = pool.submit(stack.enter_context, worker())
        starting_api = pool.submit(stack.enter_context, api())
        stories = [tell(person, days=days, seed=seed) for person in PEOPLE]
        users = {story.person.name: new_user(f"{story.person.name}-{run_name}") for story in stories}
        process, url = starting_worker.result(), starting_api.result()
        tokens = {name: Token.objects.create(user=user).key for name, user in users.items()}
        signed_in = {person.name: sign_in(person, url=url, token=tokens[person.name]) for person in PEOPLE}
        console.print(f"{url} answers, a worker with two processes waits on SQS")
        for door in Door:
            names = ", ".join(person.name for person in PEOPLE if person.door is door)
            console.print(f"{names}: {door.value}")

        def send(body: Body, *, key: str) -> Receipt:
            return post(body, url=url, authorization=signed_in[body.person.name], idempotency_key=key)

        def round_of(bodies: list[Body], *, title: str, key_prefix: str = "", new: bool = True) -> list[Receipt]:
            posts = [pool.submit(send, body, key=f"{key_prefix}{body.idempotency_key}") for body in bodies]
            watch(
                posts,
                title=title,
                users=list(users.values()),
                records=sum(body.record_count for body in bodies) if new else 0,
                console=console,
                is_alive=lambda: process.is_running,
            )
            return [future.result() for future in posts]

        bodies = in_turn(stories)
        again = bodies[::RESENT_EVERY]
        start = time.monotonic()
        receipts = round_of(bodies, title=f"{days} days of {len(stories)} people, posted as {len(bodies)} requests")
        seconds = time.monotonic() - start
        resent = round_of(again, title="Some of it again, as phones do", key_prefix="again-")
        replayed = round_of(again, title="And again with the first sending's Idempotency-Key", new=False)

        console.print("Comparing the database with the ground truth, row for row")
        faults = compare(stories, users, [*receipts, *resent])
        faults += replay_faults(receipts, replayed)
        rows = sum(sum(story.rows.values()) for story in stories)
        for fault in faults[:DIFFERENCES_SHOWN]:
            console.print(fault, style="red", markup=False)
        figures = summary([*receipts, *resent], rows=rows, faults=len(faults), seconds=seconds)
        if keep:
            console.print(figures, soft_wrap=True)
            show(url, console=console)
    # After everything is down: this is the last line.
    console.print(f"demo: {'FAIL' if faults else 'PASS'} {figures}", soft_wrap=True)
    return 1 if faults else 0


def new_user(name: str) -> Any:
    return get_user_model().objects.create_user(name)


def in_turn(stories: list[Story]) -> list[Body]:
    """One body of each person after the other, as phones would send them side by side."""
    longest = max(len(story.bodies) for story in stories)
    return [story.bodies[index] for index in range(longest) for story in stories if index < len(story.bodies)]


def compare(stories: list[Story], users: dict[str, Any], receipts: list[Receipt]) -> list[str]:
    imports: dict[str, dict[UUID, Body]] = defaultdict(dict)
    for receipt in receipts:
        imports[receipt.body.person.name][receipt.import_id] = receipt.body
    return [
        fault
        for story in stories
        for fault in differences(story, user=users[story.person.name], imports=imports[story.person.name])
    ]


def replay_faults(receipts: list[Receipt], replayed: list[Receipt]) -> list[str]:
    first = {receipt.body.idempotency_key: receipt.import_id for receipt in receipts}
    return [
        f"the repeat of {receipt.body.idempotency_key} made a new import"
        for receipt in replayed
        if not receipt.replayed or receipt.import_id != first[receipt.body.idempotency_key]
    ]


def summary(receipts: list[Receipt], *, rows: int, faults: int, seconds: float) -> str:
    """``seconds``: from the first POST to the last batch closed, of the first sending alone."""
    milliseconds = [receipt.seconds * 1000 for receipt in receipts]
    percentiles = statistics.quantiles(milliseconds, n=100, method="inclusive")
    sent = sum(receipt.body.record_count for receipt in receipts)
    first_sent = sum(receipt.body.record_count for receipt in {r.body.idempotency_key: r for r in receipts}.values())
    rejected = sum(len(receipt.body.rejections) for receipt in receipts)
    return (
        f"{sent} records in {len(receipts)} imports, {rows} rows, {rejected} rejected, {faults} differences; "
        f"accept p50 {percentiles[49]:.0f} ms, p99 {percentiles[98]:.0f} ms; {first_sent / seconds:.0f} samples/s"
    )


def show(url: str, *, console: Console) -> None:
    """Hold everything open for a look around."""
    password = secrets.token_urlsafe(9)
    name = f"admin-{secrets.token_hex(2)}"
    get_user_model().objects.create_superuser(name, password=password)
    console.print(f"Look around: {url}/admin/ as {name} with {password}. Ctrl-C ends it.", markup=False)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("Closing")
