"""In a demonstration, an exercise or a test the only sink that can be made sends nothing, whatever one tries."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from dataclasses import replace as with_fields
from pathlib import Path
from typing import Any, cast

import pytest

from command_center.outbox import RealSink, Swallow, sink_for
from command_center.reality import NotReal, RealTenant, require_real
from runtime.outbox_sinks import FileOut, Webhook, build
from runtime.settings import Settings, WrongSetting, check
from runtime.up import refuse_other_tenant

UNREAL = ("demo", "exercise", "test")


def settings(kind: str, **fields: Any) -> Settings:
    return check(Settings(tenant_kind=kind, outbox_webhooks="https://sms.example/send", **fields))


def never(_: RealTenant) -> RealSink:
    raise AssertionError("a builder of real sinks was asked")


@pytest.mark.parametrize("kind", UNREAL)
def test_the_factory_makes_only_what_swallows(kind: str) -> None:
    assert type(sink_for(kind, None, never)) is Swallow
    with pytest.raises(NotReal, match=kind):
        settings(kind).real_tenant()


@pytest.mark.parametrize("kind", UNREAL)
def test_even_with_a_real_ones_proof_the_factory_refuses(kind: str) -> None:
    proof = settings("real").real_tenant()
    with pytest.raises(NotReal, match="no use for a proof"):
        sink_for(kind, proof, never)


class _Pretender:
    tenant = "main"


def _bare() -> object:
    return object.__new__(RealTenant)


def _bare_with_a_name() -> object:
    made = object.__new__(RealTenant)
    object.__setattr__(made, "tenant", "main")
    return made


WAYS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "true": lambda: True,
    "word": lambda: "real",
    "another class": _Pretender,
    "constructor": RealTenant,
    "bare object": _bare,
    "bare object with a name": _bare_with_a_name,
    "subclass": lambda: type("Mine", (RealTenant,), {}),
    "copy": lambda: copy.copy(settings("real").real_tenant()),
    "deep copy": lambda: copy.deepcopy(settings("real").real_tenant()),
    "pickle": lambda: pickle.loads(pickle.dumps(settings("real").real_tenant())),
    "settings of a demo": lambda: settings("demo").real_tenant(),
    "settings of an exercise": lambda: settings("exercise").real_tenant(),
    "kind changed afterwards": lambda: with_fields(settings("real"), tenant_kind="demo").real_tenant(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sink", ["webhook", "file", "factory", "build"])
def test_no_other_way_leads_to_a_sink_that_reaches_outside(way: str, sink: str, tmp_path: Path) -> None:
    def attempt() -> object:
        proof = cast(RealTenant, WAYS[way]())
        if sink == "webhook":
            return Webhook(proof, ["https://sms.example/send"], "key")
        if sink == "file":
            return FileOut(proof, tmp_path)
        if sink == "factory":
            return sink_for("real", proof, lambda given: FileOut(given, tmp_path))
        return build(settings("real"), "key", proof)

    with pytest.raises((NotReal, TypeError)):
        attempt()


def test_a_proof_does_not_change() -> None:
    proof = settings("real").real_tenant()
    assert require_real(proof) is proof
    with pytest.raises(AttributeError):
        proof.tenant = "other"


def test_a_builder_that_does_not_ask_for_the_proof_is_refused() -> None:
    class Mine:
        name = "mine"

        async def send(self, message: object, to: object) -> None: ...

    with pytest.raises(NotReal, match="without asking"):
        sink_for("real", settings("real").real_tenant(), lambda _: cast(RealSink, Mine()))


def test_a_real_tenant_without_a_way_out_keeps_its_messages() -> None:
    plain = check(Settings(tenant_kind="real"))
    assert sink_for("real", plain.real_tenant(), lambda proof: build(plain, "key", proof)) is None
    with pytest.raises(WrongSetting, match="http"):
        build(with_fields(plain, outbox_webhooks="ftp://x"), "key", plain.real_tenant())
    with pytest.raises(WrongSetting, match="absolute"):
        build(with_fields(plain, outbox_file="out"), "key", plain.real_tenant())


def test_what_swallows_takes_everything_and_does_nothing() -> None:
    asyncio.run(Swallow().send(cast(Any, None), cast(Any, None)))


@pytest.mark.parametrize(("name", "value"), [("tenant", "main"), ("tenant_kind", "real")])
def test_a_data_directory_keeps_its_tenant_and_its_kind_for_life(tmp_path: Path, name: str, value: str) -> None:
    from runtime.settings import save

    drill = Settings(data_dir=tmp_path, tenant="drill1", tenant_kind="exercise")
    refuse_other_tenant(drill)
    drill.run_dir.mkdir()
    save(drill, drill.run_dir / "settings.json")
    refuse_other_tenant(drill)
    with pytest.raises(WrongSetting, match="a directory of its own"):
        refuse_other_tenant(with_fields(drill, **{name: value}))
