"""Who recorded: one row per combination, one key per recorder, and the host's say in whom to trust."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from django_healthkit_ingest import conf
from django_healthkit_ingest.core import samples
from django_healthkit_ingest.core.identity import recorder_key
from django_healthkit_ingest.core.precedence import precedence
from django_healthkit_ingest.models import ImportChunk, Source, database
from django_healthkit_ingest.pipeline.failures import ChunkCrashed
from django_healthkit_ingest.testing import flutter_body, healthkit_body, ingest
from django_healthkit_ingest.testing.payloads import SOURCE, flutter_point, quantity

pytestmark = pytest.mark.django_db(databases="__all__")

HERE = "tests.integration.test_sources"


def sources(user: Any) -> list[Source]:
    return list(Source.objects.using(database()).filter(user_id=user.pk).order_by("pk"))


def trust_acme(source: samples.Source) -> int:
    return 7 if source.bundle_id == "com.acme.app" else 9


def answers_nothing(source: samples.Source) -> Any:
    return None


def answers_zero(source: samples.Source) -> int:
    return 0


def answers_too_much(source: samples.Source) -> int:
    return 32_768


def answers_truth(source: samples.Source) -> int:
    return True


def fails(source: samples.Source) -> int:
    raise ValueError(source.name)


NO_FUNCTION = 3


def test_one_recorder_in_two_dialects_and_versions_has_one_key(user: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    ingest(healthkit_body(quantity(source={**SOURCE, "version": "11.2"})), user=user)

    ingest(flutter_body(flutter_point(sourceName="TEST\u00a0Watch")), user=user)

    rows = sources(user)
    assert len({row.key for row in rows}) == len(rows) == 3
    assert {row.recorder for row in rows} == {recorder_key(samples.Source(name="Test Watch"))}
    assert {row.precedence for row in rows} == {1}


def test_nobody_in_particular_is_stored_without_a_recorder(user: Any) -> None:
    ingest(healthkit_body(quantity(source={"product_type": "Watch7,11"})), user=user)

    (row,) = sources(user)
    assert row.recorder is None


def test_a_source_seen_again_is_not_stored_again(user: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    before = sources(user)

    ingest(healthkit_body(quantity(), quantity()), user=user)

    assert sources(user) == before


def test_two_users_do_not_share_a_source(user: Any, other_user: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    ingest(healthkit_body(quantity()), user=other_user)

    assert len(sources(user)) == len(sources(other_user)) == 1


def test_the_host_says_whom_to_trust(user: Any, settings: Any) -> None:
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": f"{HERE}.trust_acme"}
    acme = {"name": "Acme", "bundle_id": "com.acme.app"}

    ingest(healthkit_body(quantity(), quantity(source=acme)), user=user)

    assert {row.name: row.precedence for row in sources(user)} == {"Test Watch": 9, "Acme": 7}


def test_a_stored_source_keeps_its_precedence(user: Any, settings: Any) -> None:
    ingest(healthkit_body(quantity()), user=user)
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": f"{HERE}.trust_acme"}

    ingest(healthkit_body(quantity()), user=user)

    assert [row.precedence for row in sources(user)] == [1]


def test_the_setting_is_live_in_both_directions(settings: Any) -> None:
    watch = samples.Source(name="Test Watch", bundle_id="com.apple.health", product_type="Watch7,11")
    before = conf.get_precedence()
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": f"{HERE}.trust_acme"}
    during = conf.get_precedence()(watch)

    settings.HEALTHKIT_INGEST = {}

    assert before is conf.get_precedence() is precedence
    assert (precedence(watch), during) == (1, 9)


@pytest.mark.parametrize("path", ["no.such.function", f"{HERE}.no_such", "nothing", f"{HERE}.NO_FUNCTION", 3, ""])
def test_a_path_to_nothing_is_refused_by_name_and_by_the_checks(settings: Any, path: Any) -> None:
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": path}

    with pytest.raises(ImproperlyConfigured, match="SOURCE_PRECEDENCE"):
        conf.get_precedence()
    assert "healthkit_ingest.E001" in {message.id for message in run_checks(tags=["healthkit_ingest"])}


@pytest.mark.parametrize("name", ["answers_nothing", "answers_zero", "answers_too_much", "answers_truth"])
def test_an_answer_out_of_range_is_refused_without_a_name_in_it(settings: Any, name: str) -> None:
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": f"{HERE}.{name}"}

    with pytest.raises(ImproperlyConfigured, match=r"SOURCE_PRECEDENCE.*from 1 to 32767") as caught:
        conf.get_precedence()(samples.Source(name="Ada's Watch"))

    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize(("name", "error"), [("fails", ChunkCrashed), ("answers_zero", ImproperlyConfigured)])
def test_a_failing_function_stores_nothing_and_tells_no_name(
    user: Any, settings: Any, caplog: Any, name: str, error: type[Exception]
) -> None:
    settings.HEALTHKIT_INGEST = {"SOURCE_PRECEDENCE": f"{HERE}.{name}"}
    record = quantity(uuid=str(uuid4()), source={**SOURCE, "name": "Ada's Watch"})

    with pytest.raises(error) as caught:
        ingest(healthkit_body(record), user=user)

    told = [str(caught.value), caplog.text]
    told += [str(row) for row in ImportChunk.objects.using(database()).values("status", "error_code")]
    assert not any("Ada" in text for text in told)
    assert sources(user) == []
