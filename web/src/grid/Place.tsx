/** Where it is: the phone's own position, or a press on the map. */

import { useState } from "preact/hooks";
import { t } from "../core/i18n";
import { Areas } from "../office/areas";
import { MapPane } from "../registers/MapPane";
import type { Street } from "./main";

export interface Point {
  lon: number;
  lat: number;
}

const NO_AREAS = new Areas([]);
const GPS_MS = 15_000;

export function Place({ street, point, onPoint }: { street: Street; point: Point | null; onPoint: (point: Point) => void }) {
  const [problem, setProblem] = useState("");
  const here = (): void => {
    setProblem(t("grid.locating"));
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        onPoint({ lon: coords.longitude, lat: coords.latitude });
        setProblem("");
      },
      () => setProblem(t("grid.noPosition")),
      { enableHighAccuracy: true, timeout: GPS_MS },
    );
  };
  const [office] = useState(() => ({ ...street, areas: NO_AREAS }));
  return (
    <fieldset class="place">
      <legend>{t("grid.place")}</legend>
      <div class="place-tools">
        <button type="button" class="button big" onClick={here} data-testid="grid-here">
          {t("grid.here")}
        </button>
        <span data-testid="grid-point">{point === null ? t("grid.orMap") : `${point.lon.toFixed(5)}, ${point.lat.toFixed(5)}`}</span>
      </div>
      {problem === "" ? null : <p class="dim">{problem}</p>}
      <MapPane office={office} onPlace={(lon, lat) => onPoint({ lon, lat })} draft={{ lon: point?.lon ?? null, lat: point?.lat ?? null, pan: true }} />
    </fieldset>
  );
}
