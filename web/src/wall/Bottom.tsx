import { useTopics } from "../core/hooks";
import { own, t, word } from "../core/i18n";
import type { Session } from "../core/session";
import { hms } from "../core/time";
import type { UnitRow } from "../core/types";
import { Chip } from "./parts";

const FREE = ["IN_QTRS", "AVAIL_MOBILE", "STANDBY", "RETURNING"];
const BUSY = ["DISPATCHED", "ACKED", "EN_ROUTE", "STAGING", "ON_SCENE", "WORKING", "TRANSPORT", "AT_DEST"];
const KIND_MARK: Record<string, [string, string]> = { fire: ["消", "F"], hazmat: ["化", "H"], flood: ["抢", "W"], medical: ["医", "M"], police: ["警", "P"], patrol: ["巡", "R"] };

export function Bottom({ session, onUnit }: { session: Session; onUnit: (unit: UnitRow) => void }) {
  return (
    <footer class="bottom">
      <Units session={session} onUnit={onUnit} />
      <Ticker session={session} />
    </footer>
  );
}

function Units({ session, onUnit }: { session: Session; onUnit: (unit: UnitRow) => void }) {
  useTopics(session.store, ["units", "tasks"]);
  const units = [...session.store.units.values()].sort((a, b) => order(a) - order(b) || (a.id < b.id ? -1 : 1));
  const free = units.filter((unit) => FREE.includes(unit.status)).length;
  const busy = units.filter((unit) => BUSY.includes(unit.status)).length;
  return (
    <section class="units" aria-label={t("units.title")}>
      <h2>
        {t("units.title")}
        <small>
          {t("units.busy", { n: busy })} · {t("units.free", { n: free })}
        </small>
      </h2>
      <ul data-testid="units">
        {units.map((unit) => {
          const speed = (unit.speed_cm_s ?? 0) * 0.036;
          const task = session.store.tasks.get(unit.task_id ?? "");
          return (
            <li
              key={unit.id}
              class={BUSY.includes(unit.status) ? "busy" : FREE.includes(unit.status) ? "free" : "off"}
              data-testid={`unit-${unit.id}`}
              data-lon={unit.lon_e6 / 1e6}
              data-lat={unit.lat_e6 / 1e6}
              data-status={unit.status}
              data-task={unit.task_id ?? ""}
            >
              <button type="button" class="plain" onClick={() => onUnit(unit)}>
                <i>{own(...(KIND_MARK[unit.kind] ?? ["队", "U"]))}</i>
                <span class="name">{unit.name}</span>
                <span class="status">{word("unit", unit.status)}</span>
                <small>{task !== undefined ? own(task.title_zh, task.title_en) : speed > 3 ? t("units.moving", { v: Math.round(speed) }) : ""}</small>
              </button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

const order = (unit: UnitRow): number => (BUSY.includes(unit.status) ? 0 : FREE.includes(unit.status) ? 1 : 2);

function Ticker({ session }: { session: Session }) {
  useTopics(session.store, ["ticker"]);
  return (
    <section class="ticker" aria-label={t("ticker.title")}>
      <h2>{t("ticker.title")}</h2>
      {session.store.ticker.length === 0 ? <p class="empty">{t("ticker.none")}</p> : null}
      <ol data-testid="ticker">
        {session.store.ticker.slice(0, 12).map((item) => (
          <li key={item.key}>
            <time>{hms(item.t_us)}</time>
            {item.colour === "" ? <span class="dot" /> : <Chip colour={item.colour} />}
            <span>{own(item.zh, item.en)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
