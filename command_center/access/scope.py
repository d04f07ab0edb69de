"""Where, for whom and about what a person may act: area codes x organisations x hazards.

Administrative codes nest by prefix (GB/T 2260 2/4/6 digits, then 9 for a street, 12 for a village, and the grid's own number
after that), so an area that begins with a code of the scope lies inside it. An empty part of a scope limits nothing.
"""

from __future__ import annotations

import msgspec


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A person's limits. The default limits nothing: the whole tenant."""

    areas: tuple[str, ...] = ()  # code prefixes
    organisations: tuple[str, ...] = ()  # ids of the register's organisations
    hazards: tuple[str, ...] = ()  # typhoon, flood, hazchem, ...

    def covers(self, *, area: str | None = None, organisation: str | None = None, hazard: str | None = None) -> bool:
        """Whether an object lies inside. None: the object has no such property, and nothing is asked about it.

        An object whose area is "" (unknown) lies outside every limited area: what nobody placed is nobody's by prefix.

        >>> Scope(areas=("331002",)).covers(area="331002001")
        True
        >>> Scope(areas=("331002",)).covers(area="331003")
        False
        """
        return (
            (area is None or not self.areas or any(area.startswith(prefix) for prefix in self.areas))
            and (organisation is None or not self.organisations or organisation in self.organisations)
            and (hazard is None or not self.hazards or hazard in self.hazards)
        )


EVERYWHERE = Scope()
