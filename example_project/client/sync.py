"""The story of a sync: read into the outbox, send it in order, know what became of it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from example_project.client.answers import Advice, Answer
from example_project.client.bodies import Body, encode, halve, pieces
from example_project.client.connection import Connection, Refused
from example_project.client.health_store import HealthStore
from example_project.client.outbox import Outbox, Parcel

MOST_RECORDS = 5000
FINISHED = ("COMPLETED", "FAILED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What the server wants next; without one, everything."""

    types: tuple[str, ...] | None = None
    start: datetime | None = None
    records_per_request: int = MOST_RECORDS
    max_body_bytes: int | None = None
    withheld: frozenset[str] = frozenset()
    """Types the user has switched off: not to be sent, for they would be dropped."""


@dataclass(slots=True, kw_only=True)
class Client:
    """Every method may raise TryLater and SignInNeeded: then nothing is lost, and the next call goes on from there."""

    store: HealthStore
    outbox: Outbox
    connection: Connection
    device: str
    """This installation's id. It outlives a reinstall, and goes to no other phone: its anchors are of this phone."""
    wait: int = 20
    """Seconds that the server may keep a poll waiting."""

    def sync(self) -> list[str]:
        """Send all that is new; the imports' ids. What is read is sent before more is read, so the disk stays small."""
        imports = self.send()
        contract = self.contract()
        while self.fill(contract):
            imports += self.send()
        return imports

    def contract(self) -> Contract:
        try:
            told = self.connection.get("contract/", device=self.device)
        except Refused as refused:
            if refused.answer.status == 404:
                return Contract()
            raise
        return Contract(
            types=None if told["types"] is None else tuple(told["types"]),
            start=datetime.fromisoformat(told["start"]) if told["start"] else None,
            records_per_request=told["records_per_request"],
            max_body_bytes=told["max_body_bytes"],
            withheld=frozenset(told["withheld"]),
        )

    def fill(self, contract: Contract) -> bool:
        """Put one body with the next changes; False if there are none."""
        anchors = self._anchors()
        body: dict[str, Any] = {"samples": [], "deletions": [], "anchors": {}}
        room = contract.records_per_request
        for identifier in self._wanted(contract):
            changes = self.store.changes(identifier, anchor=anchors.get(identifier), start=contract.start, limit=room)
            body["samples"] += changes.samples
            body["deletions"] += changes.deletions
            body["anchors"][identifier] = changes.anchor
            room -= len(changes.samples) + len(changes.deletions)
            if room <= 0:
                break
        if not (body["samples"] or body["deletions"]):
            return False
        self._put({**body, "lane": "LIVE" if room > 0 else "BACKFILL"}, contract)
        self.outbox.keep_anchors({**anchors, **body["anchors"]})
        return True

    def send_window(self, types: Iterable[str], *, start: datetime, end: datetime, readable: bool) -> list[str]:
        """Send a period whole, so that what is gone from the phone goes from the server: for those without deletions.

        ``readable`` vouches that the app may read these types: a type that may not be read looks empty.
        """
        types = list(types)
        samples = [sample for identifier in types for sample in self.store.samples(identifier, start=start, end=end)]
        period = {"start": start.isoformat(), "end": end.isoformat()}
        window = {"types": types, **period, "complete": True, "readable": readable}
        self._put({"samples": samples, "windows": [window]}, self.contract())
        return self.send()

    def send(self) -> list[str]:
        """Everything that waits, one after the other, each after the answer to the last."""
        imports: list[str] = []
        while waiting := self.outbox.waiting():
            parcel = self._harmless(waiting[0])
            try:
                answer = self.connection.patiently(partial(self._deliver, parcel))
            except Refused as refused:
                self._give_way(parcel, refused.answer)
            else:
                imports.append(answer.content["id"])
                self.outbox.drop(parcel)
        return imports

    def follow(self, import_id: str, *, rounds: int = 100) -> Mapping[str, Any]:
        """The import once it is finished, or as it is after so many polls. A status we do not know is not an end."""
        for _ in range(rounds):
            shape: Mapping[str, Any] = self.connection.get(f"imports/{import_id}/", wait=str(self.wait))
            if shape["status"] in FINISHED:
                break
            self.connection.sleep(shape["retry_after"] or 1)
        return shape

    def _anchors(self) -> dict[str, str]:
        """Where the app is; where the server says it is safe, if the app does not know: after a reinstall."""
        anchors = self.outbox.anchors
        if anchors is None:
            told = self.connection.get("sync-state/", device=self.device)
            anchors = {each["type"]: each["anchor"] for each in told["results"] if each["anchor"]}
            self.outbox.keep_anchors(anchors)
        return anchors

    def _wanted(self, contract: Contract) -> list[str]:
        mine = list(self.store.types())
        wanted = mine if contract.types is None else [each for each in contract.types if each in mine]
        return [each for each in wanted if each not in contract.withheld]

    def _put(self, body: Body, contract: Contract) -> None:
        def fits(part: Body) -> bool:
            records = sum(len(part.get(section, ())) for section in ("samples", "deletions"))
            most = contract.max_body_bytes
            is_short = most is None or len(gzip.compress(encode(part))) <= most
            return is_short and ("windows" not in part or records <= contract.records_per_request)

        envelope = {"format": "healthkit", "version": 1, "device": {"id": self.device}}
        self.outbox.put(*pieces({**envelope, **body}, fits=fits))

    def _harmless(self, parcel: Parcel) -> Parcel:
        """Without anchors while a body is parked, or they would make safe what never arrived."""
        if not self.outbox.has_parked() or "anchors" not in (body := parcel.body):
            return parcel
        del body["anchors"]
        self.outbox.replace(parcel, body)
        return self.outbox.waiting()[0]

    def _deliver(self, parcel: Parcel) -> Answer:
        """One try. If the answer to an earlier one was lost, ask for the receipt first: it is smaller than the body."""
        is_repeat = parcel.mark.exists()
        if is_repeat:
            receipt = self.connection.once("GET", "imports/", query={"body_sha256": parcel.key})
            if receipt.advice in (Advice.LATER, Advice.AUTH):
                return receipt
            if receipt.advice is Advice.DONE and receipt.content["results"]:
                return Answer(status=receipt.status, content=receipt.content["results"][0])
        parcel.mark.touch()
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Idempotency-Key": parcel.key}
        answer = self.connection.once("POST", "imports/", content=parcel.content, headers=headers)
        if answer.is_a_problem and not is_repeat:
            parcel.mark.unlink()
        return answer

    def _give_way(self, parcel: Parcel, answer: Answer) -> None:
        """Make room for the next body: in halves, or kept for whoever can mend it."""
        halves = halve(parcel.body) if answer.advice is Advice.SPLIT else None
        if halves is None:
            self.outbox.park(parcel, answer.content or {"status": answer.status})
        else:
            self.outbox.replace(parcel, *halves)
