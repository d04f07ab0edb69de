"""A change of an alarm threshold, as a kind of approval: the register writes it when a second person has decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from command_center.access.approvals import Prepared
from command_center.access.records import Approval
from command_center.authority import Action
from command_center.device_register import RegisterService
from command_center.errors import Invalid
from command_center.model import Actor
from command_center.work import Work
from stream.errors import LogError

log = structlog.get_logger(__name__)


class ThresholdChange:
    """Subject `{device_id}/{property}`; the payload is the thresholds as `devices.documents` wants them."""

    name = "threshold"
    propose = Action.SET_THRESHOLD
    decide = Action.APPROVE_THRESHOLD
    override: Action | None = Action.OVERRIDE_THRESHOLD

    def __init__(self, registers: RegisterService) -> None:
        self._registers = registers

    async def prepare(self, actor: Actor, subject: str, payload: Mapping[str, Any]) -> Prepared:
        device_id, _, prop = subject.partition("/")
        if not prop:
            raise Invalid(f"subject {subject!r}: expected device/property")
        device = self._registers.checked_thresholds(device_id, prop, dict(payload))
        payload = _without_source(payload)
        zh, en = self._registers.property_name(device, prop)
        return Prepared(
            subject=subject,
            area=device.area,
            title_zh=f"{device.name} 阈值变更（{zh}）",
            title_en=f"Thresholds of {device.device_id}, {en}",
            payload=payload,
            before=_without_source(device.thresholds.get(prop, {})),
        )

    async def apply(self, work: Work, approval: Approval, values: Mapping[str, Any], approver: str) -> dict[str, Any]:
        device_id, _, prop = approval.subject.partition("/")
        taken_back = values != approval.payload
        revision = await self._registers.write_thresholds(
            work,
            device_id,
            prop,
            dict(values),
            author=approval.proposed_by,
            approver=approver,
            source=f"{approval.approval_id} taken back" if taken_back else approval.source,
        )
        return {"revision": revision, **({"taken_back": True} if taken_back else {})}

    async def settle(self) -> None:
        try:
            await self._registers.flush()
        except (LogError, ConnectionError, TimeoutError) as error:
            log.warning(
                "threshold_waits_for_the_log", reason=str(error)
            )  # decided and stored; it goes with the next flush


def _without_source(thresholds: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared: the source names the document, and does not alarm."""
    return {key: value for key, value in thresholds.items() if key != "source"}
