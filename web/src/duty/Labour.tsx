/** Who stands how many hours in the span: to share the load, and to drag people into the grid. */

import { t } from "../core/i18n";
import { PERSON_TYPE, tintOf } from "./marks";
import { hoursOf } from "./roster";
import type { Shift, Span } from "./roster";
import type { Person } from "./types";

export function Labour({ people, shifts, span }: { people: Person[]; shifts: Shift[]; span: Span }) {
  const hours = hoursOf(shifts, span);
  const most = Math.max(1, ...hours.map((one) => one.hours));
  const idle = people.filter((person) => !hours.some((one) => one.username === person.username));
  return (
    <aside class="labour" aria-label={t("duty.hours")}>
      <h3>{t("duty.hours")}</h3>
      <p class="dim">{t("duty.dragHint")}</p>
      <ul>
        {[...hours, ...idle.map((person) => ({ ...person, hours: 0 }))].map((one) => (
          <li
            key={one.username || one.name}
            draggable={one.username !== ""}
            class={`p${tintOf(one.username || one.name)}`}
            data-testid={`person-${one.username}`}
            onDragStart={(event) => event.dataTransfer?.setData(PERSON_TYPE, one.username)}
          >
            <span>{one.name}</span>
            <meter min={0} max={most} value={one.hours} aria-label={`${one.hours}`} />
            <b>{Math.round(one.hours)}</b>
          </li>
        ))}
      </ul>
    </aside>
  );
}
