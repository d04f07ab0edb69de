"""Scopes by code prefix, sealed personal data, masks."""

from __future__ import annotations

import pytest

from command_center.access.personal import Sealer, Unsealable, mask_name, mask_phone
from command_center.access.scope import EVERYWHERE, Scope
from command_center.authority import Action, require
from command_center.errors import Forbidden
from command_center.model import Actor, Role

OLD, NEW = b"o" * 32, b"n" * 32


@pytest.mark.parametrize(
    ("scope", "area", "inside"),
    [
        (EVERYWHERE, "", True),
        (Scope(areas=("331002",)), "331002001003", True),
        (Scope(areas=("331002",)), "331002", True),
        (Scope(areas=("331002001",)), "331002", False),
        (Scope(areas=("331002",)), "", False),
        (Scope(areas=("331002",)), None, True),
        (Scope(areas=("331003", "331002")), "331002001", True),
    ],
)
def test_an_area_lies_in_a_scope_by_its_prefix(scope: Scope, area: str | None, inside: bool) -> None:
    assert scope.covers(area=area) is inside


def test_every_part_of_a_scope_must_cover() -> None:
    scope = Scope(areas=("33",), organisations=("water",), hazards=("flood",))
    assert scope.covers(area="3310", organisation="water", hazard="flood")
    assert not scope.covers(area="3310", organisation="water", hazard="hazchem")
    assert not scope.covers(area="3310", organisation="fire")


def test_an_act_outside_the_scope_is_refused_by_name() -> None:
    actor = Actor(username="town", roles=frozenset({Role.OPERATOR}), scope=Scope(areas=("331002001",)))
    require(actor, Action.READ_ALARMS, area="331002001007")
    with pytest.raises(Forbidden, match="331002002 lies outside your scope"):
        require(actor, Action.READ_ALARMS, area="331002002")


def test_what_is_sealed_opens_only_where_it_belongs() -> None:
    sealer = Sealer({"k1": OLD}, "k1")
    sealed = sealer.seal("13805761234", "contact/K-1/phone")
    assert "1380576" not in sealed
    assert sealer.seal("13805761234", "contact/K-1/phone") != sealed
    assert sealer.unseal(sealed, "contact/K-1/phone") == "13805761234"
    with pytest.raises(Unsealable, match="contact/K-2/phone"):
        sealer.unseal(sealed, "contact/K-2/phone")
    assert sealer.seal("", "x") == sealer.unseal("", "x") == ""


def test_a_rotated_key_still_opens_and_the_new_one_seals() -> None:
    sealed = Sealer({"k1": OLD}, "k1").seal("李", "p")
    both = Sealer({"k1": OLD, "k2": NEW}, "k2")
    assert both.unseal(sealed, "p") == "李"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("李", "p"))
    with pytest.raises(Unsealable, match="unknown key 'k1'"):
        Sealer({"k2": NEW}, "k2").unseal(sealed, "p")


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="k1"):
        Sealer({"k1": b"short"}, "k1")


@pytest.mark.parametrize(
    ("phone", "shown"), [("13805761234", "138****1234"), ("0576-88881234", "****34"), ("", ""), ("x", "")]
)
def test_a_masked_number_cannot_be_called(phone: str, shown: str) -> None:
    assert mask_phone(phone) == shown


def test_a_masked_name_keeps_the_family_name() -> None:
    assert mask_name("王建国") == "王**"
