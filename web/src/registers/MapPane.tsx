/** The map of the registers in a page: made once, told of changes. */

import { useEffect, useRef } from "preact/hooks";
import { lang, t } from "../core/i18n";
import { RegisterMap } from "../map/register";
import type { MapEntry, PreviewPoint } from "../map/register";
import type { Office } from "../office/session";
import { remPx } from "../office/Table";
import type { ZoneShape } from "./zones";

export interface MapPaneProps {
  office: Office;
  entries?: readonly MapEntry[];
  selected?: string;
  area?: string;
  onPick?: (id: string) => void;
  /** Where it is set, a click puts the draft there. */
  onPlace?: (lon: number, lat: number) => void;
  draft?: { lon: number | null; lat: number | null; pan: boolean };
  preview?: readonly PreviewPoint[];
  zones?: readonly ZoneShape[];
  /** Show all when this changes: another list was loaded. */
  fitKey?: string;
}

export function MapPane({ office, entries, selected, area, onPick, onPlace, draft, preview, zones, fitKey }: MapPaneProps) {
  const target = useRef<HTMLDivElement>(null);
  const map = useRef<RegisterMap | null>(null);
  useEffect(() => {
    if (target.current === null) return undefined;
    const made = new RegisterMap(target.current, lang, remPx);
    map.current = made;
    void made.loadBase(office.api);
    return () => made.dispose();
  }, [office]);
  useEffect(() => {
    if (map.current === null) return;
    map.current.onPick = onPick ?? null;
    map.current.onPlace = onPlace ?? null;
  });
  useEffect(() => map.current?.setEntries(entries ?? []), [entries]);
  useEffect(() => {
    if (entries !== undefined && entries.length > 0) map.current?.fitEntries();
  }, [fitKey]);
  useEffect(() => map.current?.select(selected ?? ""), [selected, entries]);
  useEffect(() => map.current?.setArea(area ?? ""), [area]);
  useEffect(() => map.current?.setDraft(draft?.lon ?? null, draft?.lat ?? null, draft?.pan ?? false), [draft?.lon, draft?.lat]);
  useEffect(() => map.current?.setZones(zones ?? []), [zones]);
  useEffect(() => {
    if (preview !== undefined) map.current?.setPreview(preview);
  }, [preview]);
  return (
    <div class={onPlace === undefined ? "register-map" : "register-map placing"} data-testid="register-map" data-count={entries?.length ?? preview?.length ?? 0} data-selected={selected ?? ""}>
      <div class="map-target" ref={target} />
      <button type="button" class="button small map-fit" onClick={() => (entries === undefined || entries.length === 0 ? map.current?.fitHome() : map.current?.fitEntries())}>
        {t("reg.mapAll")}
      </button>
      <span class="map-credit">{t("reg.mapCredit")}</span>
    </div>
  );
}
