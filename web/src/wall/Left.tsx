import { useEffect, useRef } from "preact/hooks";
import { useTopics } from "../core/hooks";
import { lang, own, t, word } from "../core/i18n";
import type { Session } from "../core/session";
import { dayHm } from "../core/time";
import type { Colour, DeviceRow, Threshold, TrackPoint, TyphoonRow } from "../core/types";
import { HOME, MapAdapter } from "../map/adapter";
import { category, distanceKm } from "../map/storm";
import { DARK } from "../map/theme";
import { Chip, Panel, number } from "./parts";
import { remPx } from "./size";

export function Left({ session }: { session: Session }) {
  return (
    <aside class="left">
      <Typhoon session={session} />
      <Levels session={session} />
    </aside>
  );
}

function Typhoon({ session }: { session: Session }) {
  useTopics(session.store, ["typhoons", "alarms"]);
  const row = [...session.store.typhoons.values()][0];
  const alarm = session.store.queue().find((candidate) => candidate.hazard === "typhoon" && candidate.state === "firing");
  if (row === undefined) {
    return (
      <Panel title={t("typhoon.title")}>
        <p class="empty">{t("typhoon.none")}</p>
      </Panel>
    );
  }
  const [lon, lat] = [row.lon_e6 / 1e6, row.lat_e6 / 1e6];
  const grade = category(row.wind_ms);
  return (
    <Panel
      title={`${t("typhoon.title")} ${own(row.name_zh, row.name_en)}`}
      aside={<span class="issuer">{`${row.issuer} · ${t("typhoon.verbatim", { n: row.number })}`}</span>}
      testid="typhoon"
    >
      <div class="storm">
        <StormMap session={session} />
        <dl>
          <Fact name={t("typhoon.distance")} value={number(distanceKm(lon, lat, HOME[0], HOME[1]), 0)} uom="km" look="strong" />
          <Fact name={t("typhoon.category")} value={grade === null ? "—" : t(`cat.${grade}`)} look="text" />
          <Fact name={t("typhoon.wind")} value={row.wind_ms === null ? "—" : number(row.wind_ms, 0)} uom="m/s" />
          <Fact name={t("typhoon.pressure")} value={row.pressure_hpa === null ? "—" : number(row.pressure_hpa, 0)} uom="hPa" />
          <Fact name={t("typhoon.position")} value={`${lat.toFixed(1)}°N ${lon.toFixed(1)}°E`} look="fine" />
          <Fact name={t("typhoon.time")} value={dayHm(row.t_us)} look="fine" />
          <Radii row={row} />
        </dl>
      </div>
      {alarm === undefined ? null : (
        <p class={`assess e-${alarm.colour}`} data-testid="typhoon-assessment">
          <Chip colour={alarm.colour} />
          <span>
            <small>{t("typhoon.ours")}</small>
            {own(alarm.detail_zh, alarm.detail_en)}
          </span>
        </p>
      )}
    </Panel>
  );
}

function Radii({ row }: { row: TyphoonRow }) {
  const here: TrackPoint | undefined = [...row.track].reverse().find((point) => point[4] === 1 && point[0] <= row.t_us);
  const spans = ([5, 6, 7] as const).flatMap((index) => {
    const radii = (here?.[index] ?? []).filter((radius) => radius > 0);
    if (radii.length === 0) return [];
    return [`${({ 5: 7, 6: 10, 7: 12 } as const)[index]}${lang === "zh" ? "级" : "Bft"} ${Math.min(...radii)}–${Math.max(...radii)} km`];
  });
  if (spans.length === 0) return null;
  return <Fact name={t("typhoon.radii")} value={spans.join("\n")} look="fine stack" />;
}

function Fact({ name, value, uom = "", look = "" }: { name: string; value: string; uom?: string; look?: string }) {
  return (
    <div class={`fact ${look}`}>
      <dt>{name}</dt>
      <dd>
        {value}
        {uom === "" ? null : <small>{uom}</small>}
      </dd>
    </div>
  );
}

/** The storm at its own scale, beside a city map that cannot show it. */
function StormMap({ session }: { session: Session }) {
  const target = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (target.current === null) return undefined;
    const adapter = new MapAdapter(target.current, { theme: DARK, lang, unit: () => remPx() * 0.82, mode: "storm", interactive: false });
    const draw = (): void => {
      adapter.setTyphoons(session.store.typhoons.values());
      adapter.fitTyphoon(0);
    };
    draw();
    const stop = session.store.listen(["typhoons"], draw);
    return () => {
      stop();
      adapter.dispose();
    };
  }, [session]);
  return <div class="storm-map" ref={target} aria-hidden="true" />;
}

/** A warning colour, or a gas detector's own first or second alarm: another scale, never turned into a colour here. */
type Step = Colour | "first" | "second";

interface Level {
  key: string;
  row: DeviceRow;
  value: number;
  over: Step | null;
  ratio: number;
  marks: { code: Step; at: number }[];
  next: { code: Step; left: number } | null;
  suspect: boolean;
  stale: boolean;
}

interface Group {
  key: "river" | "underpass" | "rain" | "wind" | "gas";
  properties: string[];
  uom: string;
  digits: number;
  top: number;
}

/** Two blocks, side by side on a wide wall. */
const BLOCKS: Group[][] = [
  [
    { key: "river", properties: ["stage_m"], uom: "m", digits: 2, top: 4 },
    { key: "underpass", properties: ["depth_m"], uom: "m", digits: 2, top: 3 },
  ],
  [
    { key: "gas", properties: ["cl2_mg_m3", "nh3_mg_m3"], uom: "mg/m³", digits: 2, top: 3 },
    { key: "rain", properties: ["rain_1h_mm"], uom: "mm", digits: 1, top: 3 },
    { key: "wind", properties: ["gust_3s_ms"], uom: "m/s", digits: 1, top: 2 },
  ],
];

function Levels({ session }: { session: Session }) {
  useTopics(session.store, ["devices"]);
  return (
    <div class="levels">
      {BLOCKS.map((groups, index) => (
        <div key={index} class="level-block">
          {groups.map((group) => (
            <LevelPanel key={group.key} session={session} group={group} />
          ))}
        </div>
      ))}
    </div>
  );
}

function LevelPanel({ session, group }: { session: Session; group: Group }) {
  const levels = levelsOf(session, group.properties).slice(0, group.top);
  return (
    <Panel title={t(`levels.${group.key}`)} testid={`levels-${group.key}`} aside={<span>{group.uom}</span>}>
      {levels.length === 0 ? <p class="empty">{t("levels.none")}</p> : null}
      <ul class="level-list">
        {levels.map((level) => (
          <LevelRow key={level.key} level={level} digits={group.digits} />
        ))}
      </ul>
    </Panel>
  );
}

function LevelRow({ level, digits }: { level: Level; digits: number }) {
  const { over, next } = level;
  return (
    <li class={`level ${over === null ? "" : "over"} ${level.stale ? "old" : ""}`}>
      <span class="name">{level.row.name}</span>
      <span class="state">
        {level.stale ? <span class="flag">{t("levels.stale")}</span> : level.suspect ? <span class="flag">{t("levels.suspect")}</span> : null}
        {over !== null ? <StepChip code={over} /> : next === null ? null : <small>{t("levels.next", { c: stepWord(next.code), d: number(next.left, digits) })}</small>}
      </span>
      <b class="value">{number(level.value, digits)}</b>
      <span class="bar" aria-hidden="true">
        <i style={{ width: `${Math.min(100, level.ratio * 100)}%` }} />
        {level.marks.map((mark) => (
          <em key={mark.code} class={`c-${mark.code}`} style={{ left: `${Math.min(100, mark.at * 100)}%` }} />
        ))}
      </span>
    </li>
  );
}

const STEPS: Step[] = ["blue", "first", "yellow", "second", "orange", "red"];

const stepWord = (code: Step): string => (code === "first" || code === "second" ? t(`detector.${code}`) : word("colour", code));

function StepChip({ code }: { code: Step }) {
  if (code === "first" || code === "second") return <span class="chip detector">{t(`detector.${code}`)}</span>;
  return <Chip colour={code} />;
}

/** Values of these properties against their thresholds, the most dangerous first. */
function levelsOf(session: Session, properties: string[]): Level[] {
  const found: Level[] = [];
  for (const row of session.store.devices.values()) {
    for (const property of properties) {
      const observed = row.values?.[property];
      if (observed === undefined || typeof observed[0] !== "number") continue;
      const device = session.registry.get(row.id);
      const zero = property === "stage_m" ? Number(device?.attributes?.["gauge_zero_m"] ?? 0) : 0;
      const key = `${row.id}:${property}`;
      found.push(levelOf(key, session.clock.nowUs(), row, observed as [number, number, number], zero, device?.thresholds?.[property]));
    }
  }
  const danger = (level: Level): number => (level.over === null ? -1 : STEPS.indexOf(level.over));
  return found.sort((a, b) => danger(b) - danger(a) || b.ratio - a.ratio);
}

function stepsOf(threshold: Threshold | undefined): { code: Step; value: number }[] {
  const values: Partial<Record<Step, number | undefined>> = { ...threshold?.on, first: threshold?.first, second: threshold?.second };
  return STEPS.flatMap((code) => (values[code] === undefined ? [] : [{ code, value: values[code] as number }]));
}

function levelOf(key: string, nowUs: number, row: DeviceRow, [value, quality, tUs]: [number, number, number], zero: number, threshold: Threshold | undefined): Level {
  const steps = stepsOf(threshold);
  const top = steps.at(-1)?.value ?? Math.max(value, zero + 1);
  const scale = (top - zero) * 1.12; // a gauge counts from its own zero, which may lie metres above the datum
  const ahead = steps.find((step) => value < step.value);
  return {
    key,
    row,
    value,
    over: steps.filter((step) => value >= step.value).at(-1)?.code ?? null,
    ratio: Math.max(0, value - zero) / scale,
    marks: steps.map((step) => ({ code: step.code, at: (step.value - zero) / scale })),
    next: ahead === undefined ? null : { code: ahead.code, left: ahead.value - value },
    suspect: quality === 3 || quality === 4,
    stale: row.stale_s > 0 && (nowUs - tUs) / 1e6 > row.stale_s,
  };
}
