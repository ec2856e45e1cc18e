from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from zoneinfo import ZoneInfo


class Door(Enum):
    REST = "Django REST framework, with a token of the host's"
    GRAPHQL = "GraphQL, with a token of the device's own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A made-up user, the phone's dialect and the habits that change what it sends."""

    name: str
    format: str
    time_zone: str
    watch: str
    door: Door = Door.REST
    has_cycle: bool = False
    energy_unit: str = "kcal"
    mass_unit: str = "kg"
    names_zones: bool = False
    """Sends the zone's name with each sample, not only its offset."""
    withholds_uuids: bool = False
    """Sends some samples without their uuid, as apps do that keep none."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    @property
    def device_id(self) -> str:
        return f"phone-of-{self.name}"

    @property
    def bundle_id(self) -> str:
        return f"com.apple.health.{self.name.upper()}"


PEOPLE = (
    Person(
        name="ada",
        format="healthkit",
        time_zone="Europe/Berlin",
        watch="Ada’s Apple Watch",
        has_cycle=True,
        energy_unit="kJ",
    ),
    Person(name="ben", format="flutter", time_zone="Europe/Berlin", watch="Apple Watch von Ben", door=Door.GRAPHQL),
    Person(
        name="cleo",
        format="flutter",
        time_zone="America/New_York",
        watch="Cleo’s Watch",
        door=Door.GRAPHQL,
        has_cycle=True,
        withholds_uuids=True,
    ),
    Person(
        name="dev",
        format="healthkit",
        time_zone="Asia/Kolkata",
        watch="घड़ी",
        mass_unit="lb",
        names_zones=True,
        withholds_uuids=True,
    ),
)
