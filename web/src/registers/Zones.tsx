/** 泄漏影响范围: what the loaded table and the wind of now say around the plant, and who is inside. Advice that a person confirms. */

import { useEffect, useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { Tag } from "../office/Badge";
import { Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { dayTime } from "./marks";
import { insideOf, shapesOf, windWords } from "./zones";
import type { LeakZones, Spill, ZoneShape } from "./zones";
import type { Entry } from "./types";

const REFRESH_MS = 60_000;

export function Zones({ office, entry, onShow }: { office: Office; entry: Entry; onShow: (shapes: readonly ZoneShape[]) => void }) {
  const [found, setFound] = useState<LeakZones | null>(null);
  const [spill, setSpill] = useState<Spill>("small");
  const [problem, setProblem] = useState("");
  const path = `/api/v1/registers/plant/${encodeURIComponent(entry.entry_id)}/zones`;
  useEffect(() => {
    let stopped = false;
    const load = (): void => {
      office.api.get<LeakZones>(path).then(
        (answer) => {
          if (stopped) return;
          setFound(answer);
          setProblem("");
        },
        (error: unknown) => stopped || setProblem(explain(error)),
      );
    };
    load();
    const timer = setInterval(load, REFRESH_MS); // the wind turns
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [path]);
  useEffect(() => {
    onShow(found === null ? [] : shapesOf(found, spill));
  }, [found, spill]);
  useEffect(() => () => onShow([]), []);
  if (found === null) return problem === "" ? <p class="dim">{t("reg.loading")}</p> : <Failure text={problem} />;
  const zones = found.zones.filter((zone) => zone.spill === spill);
  const inside = insideOf(found, spill);
  return (
    <div class="stack zones" data-testid="zones">
      <p class="advice" role="note">
        {own(found.advice_zh, found.advice_en)}
      </p>
      <Failure text={problem} />
      <p>
        {t(found.day ? "reg.zoneDay" : "reg.zoneNight")} · {found.wind === null ? t("reg.zoneNoWind") : windWords(found.wind, t("reg.zoneFrom"))}
      </p>
      {found.zones.length === 0 ? null : (
        <div class="segments" role="group" aria-label={t("reg.zoneSpill")}>
          {(["small", "large"] as const).map((size) => (
            <button key={size} type="button" class="button small" aria-pressed={spill === size} disabled={!found.zones.some((zone) => zone.spill === size)} onClick={() => setSpill(size)} data-testid={`spill-${size}`}>
              {t(size === "small" ? "reg.spillSmall" : "reg.spillLarge")}
            </button>
          ))}
        </div>
      )}
      <ul class="zone-list">
        {zones.map((zone) => (
          <li key={zone.tank}>
            <b>
              {zone.tank} {zone.substance} UN {zone.un_number}
            </b>
            <br />
            {t("reg.zoneDistances", { isolate: zone.isolate_m, protect: zone.protect_km })} {zone.all_around ? <Tag kind="warn">{t("reg.zoneAround")}</Tag> : null}
            <br />
            <small class="dim">{zone.edition}</small>
          </li>
        ))}
        {found.unknown.map((one) => (
          <li key={`unknown-${one.tank}`}>
            <b>
              {one.tank} {one.substance}
            </b>
            <br />
            <Tag kind="bad">{own(one.zh, one.en)}</Tag>
          </li>
        ))}
      </ul>
      {zones.length === 0 ? null : (
        <>
          <h3>{t("reg.zoneInside", { n: inside.length })}</h3>
          <ol class="zone-inside" data-testid="zone-inside">
            {inside.map((one) => (
              <li key={`${one.kind}/${one.entry_id}`}>
                <a href={`/registers?kind=${encodeURIComponent(one.kind)}&id=${encodeURIComponent(one.entry_id)}`}>{one.name}</a> <span class="dim">{one.kind_zh}</span> {Math.round(one.distance_m)} m {one.isolated ? <Tag kind="bad">{t("reg.zoneIsolated")}</Tag> : null}
              </li>
            ))}
          </ol>
        </>
      )}
      <p class="dim">{t("reg.zoneAt", { at: dayTime(found.at_us) })}</p>
    </div>
  );
}
