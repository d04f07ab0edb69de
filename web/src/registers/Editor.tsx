/** The form of one entry, made from the fields of its kind, with the map to put it where it is. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { lang, own, t } from "../core/i18n";
import { AreaPicker, Combo } from "../office/Combo";
import { Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { isConflict, refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { ConflictDialog } from "./Conflict";
import type { EntryBody, Registers } from "./data";
import { FieldInput } from "./Input";
import { MapPane } from "./MapPane";
import { differences, merged } from "./merge";
import type { Difference } from "./merge";
import { mayReadClear } from "./rights";
import { go } from "./route";
import type { Entry, Field, Kind, Place, Values } from "./types";
import { faults, isMasked, rowFromForm, rowToForm, withoutEmptyLines } from "./values";
import type { FormRow } from "./values";

export interface EditorProps {
  office: Office;
  registers: Registers;
  kind: Kind;
  /** null: a new one */
  entry: Entry | null;
  onSaved: () => void;
}

interface Where {
  entry_id: string;
  area: string;
  lon: string;
  lat: string;
}

/** Beside the fields: these stand in the conflict dialog as well. */
const PLACE_FIELDS: Field[] = [
  { key: "area", zh: "区划", en: "Area", type: "area" },
  { key: "lon", zh: "经度", en: "Longitude", type: "number" },
  { key: "lat", zh: "纬度", en: "Latitude", type: "number" },
];

const whereOf = (entry: Entry | null): Where => ({ entry_id: entry?.entry_id ?? "", area: entry?.area ?? "", lon: entry?.lon?.toFixed(6) ?? "", lat: entry?.lat?.toFixed(6) ?? "" });
const degrees = (text: string, most: number): number | null => {
  const value = Number(text);
  return text.trim() === "" || !Number.isFinite(value) || Math.abs(value) > most ? null : value;
};

export function Editor({ office, registers, kind, entry, onSaved }: EditorProps) {
  const [base, setBase] = useState(entry);
  const [row, setRow] = useState<FormRow>(() => rowToForm(kind.fields, entry?.values ?? {}));
  const [where, setWhere] = useState(() => whereOf(entry));
  const [follow, setFollow] = useState(true); // a click stays where the clerk looks; an address leads there
  const [areaChosen, setAreaChosen] = useState(false);
  const [reason, setReason] = useState("");
  const [errors, setErrors] = useState<ReadonlyMap<string, string>>(new Map());
  const [summary, setSummary] = useState("");
  const [busy, setBusy] = useState(false);
  const [dirty, setDirty] = useState(false);
  const [conflict, setConflict] = useState<{ theirs: Entry; found: Difference[] } | null>(null);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    const warn = (event: BeforeUnloadEvent): void => {
      if (dirty) event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);
  useEffect(() => form.current?.querySelector<HTMLElement>("input,select,textarea")?.focus(), []);

  const put = (key: string, value: FormRow[string]): void => {
    setRow((now) => ({ ...now, [key]: value }));
    setErrors((now) => new Map([...now].filter(([at]) => at !== key && !at.startsWith(`${key}[`))));
    setDirty(true);
  };
  const place = (change: Partial<Where>): void => {
    if (change.area !== undefined) setAreaChosen(change.area !== "");
    // Another position may lie in another area: unless the clerk chose one, the server finds it anew.
    const area = change.area ?? (areaChosen || change.lon === undefined || change.entry_id !== undefined ? undefined : "");
    setWhere((now) => ({ ...now, ...change, ...(area === undefined ? {} : { area }) }));
    setErrors((now) => new Map([...now].filter(([at]) => !(at in change) && at !== "position")));
    setDirty(true);
  };
  const body = (values: Values, from: Where): EntryBody => ({
    ...(base === null && from.entry_id.trim() !== "" ? { entry_id: from.entry_id.trim() } : {}),
    ...(from.area === "" ? {} : { area: from.area }),
    ...(kind.located === "no" ? {} : { lon: degrees(from.lon, 180), lat: degrees(from.lat, 90) }),
    ...(base?.geometry == null ? {} : { geometry: base.geometry }),
    values,
    reason: reason.trim(),
  });
  const show = (found: Map<string, string>, sentence: string): void => {
    setErrors(found);
    setSummary(sentence);
    requestAnimationFrame(() => form.current?.querySelector<HTMLElement>(".field.wrong input,.field.wrong select,.field.wrong textarea,.wrong input")?.focus());
  };
  const check = (tidy: FormRow): boolean => {
    const found = new Map([...faults(kind.fields, tidy)].map(([key, wrong]) => [key, own(wrong.zh, wrong.en)]));
    if (kind.located !== "no") {
      const [lon, lat] = [degrees(where.lon, 180), degrees(where.lat, 90)];
      if (where.lon.trim() !== "" && lon === null) found.set("lon", t("reg.lonWrong"));
      if (where.lat.trim() !== "" && lat === null) found.set("lat", t("reg.latWrong"));
      if (kind.position_required === true && lon === null && lat === null && base?.geometry == null && !found.has("lon")) found.set("lon", t("reg.positionNeeded"));
    }
    if (base !== null && reason.trim() === "") found.set("reason", t("office.reasonNeeded"));
    if (found.size > 0) show(found, t("reg.faults", { n: found.size }));
    return found.size === 0;
  };
  const save = async (values: Values, from: Where, rev: number | null): Promise<void> => {
    setBusy(true);
    setSummary("");
    try {
      const saved = base === null || rev === null ? await registers.create(kind.kind, body(values, from)) : await registers.change(kind.kind, base.entry_id, body(values, from), rev);
      setDirty(false);
      toast(t("reg.saved", { x: saved.name }));
      onSaved();
      go({ kind: kind.kind, id: saved.entry_id });
    } catch (error) {
      const told = isConflict(error) && base !== null ? await confront(values, error).then(() => true, () => false) : false;
      if (told) return;
      const refusal = refusalOf(error, [...kind.fields.map((field) => field.key), "area", "lon", "lat", "position", "geometry", "entry_id", "reason"]);
      const position = refusal.fields.get("position") ?? refusal.fields.get("geometry");
      if (position !== undefined) refusal.fields.set("lon", position);
      const sentence = refusal.fields.size > 0 ? t("reg.faults", { n: refusal.fields.size }) : refusal.summary;
      show(refusal.fields, [sentence, ...refusal.other].join("\n"));
    } finally {
      setBusy(false);
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const tidy = withoutEmptyLines(kind.fields, row);
    setRow(tidy);
    if (check(tidy)) void save(rowFromForm(kind.fields, tidy), where, base?.rev ?? null);
  };
  /** Reads what stands there now and asks which of the two holds. */
  const confront = async (values: Values, refused: unknown): Promise<void> => {
    if (base === null) return;
    const theirs = await registers.one(kind.kind, base.entry_id);
    if (theirs.rev === base.rev) throw refused; // it was another conflict than a newer version
    const flat = (from: Entry): Values => ({ ...from.values, area: from.area, lon: from.lon, lat: from.lat });
    const mine: Values = { ...values, area: where.area, lon: degrees(where.lon, 180), lat: degrees(where.lat, 90) };
    const hidden = kind.fields.filter((field) => isMasked(theirs.values[field.key]) || isMasked(values[field.key])).map((field) => field.key);
    const compared = [...kind.fields, ...PLACE_FIELDS].filter((field) => !hidden.includes(field.key));
    const round = (values_: Values): Values => ({ ...values_, lon: rounded(values_["lon"]), lat: rounded(values_["lat"]) });
    setConflict({ theirs, found: differences(compared, round(flat(base)), round(mine), round(flat(theirs))) });
  };
  const resolve = (chosen: { key: string; value: unknown }[]): void => {
    if (conflict === null) return;
    const { theirs } = conflict;
    const all = merged({ ...theirs.values, area: theirs.area, lon: theirs.lon, lat: theirs.lat }, chosen);
    const from: Where = { entry_id: theirs.entry_id, area: String(all["area"] ?? ""), lon: all["lon"] == null ? "" : String(all["lon"]), lat: all["lat"] == null ? "" : String(all["lat"]) };
    const values = Object.fromEntries(kind.fields.filter((field) => all[field.key] !== undefined).map((field) => [field.key, all[field.key]]));
    setConflict(null);
    setBase(theirs);
    setRow(rowToForm(kind.fields, values));
    setWhere(from);
    void save(values, from, theirs.rev);
  };
  const clear = (): void => {
    if (base === null) return;
    registers.one(kind.kind, base.entry_id, true).then(
      (found) => {
        const typed = Object.fromEntries(Object.entries(row).filter(([key, value]) => !isMasked(value) && key in row));
        setRow({ ...rowToForm(kind.fields, found.values), ...typed });
        setBase({ ...base, values: found.values });
        toast(t("reg.clearNoted"));
      },
      (error: unknown) => toast(refusalOf(error).summary, "bad"),
    );
  };
  const leave = (): void => {
    if (!dirty || confirm(t("reg.leave"))) go({ kind: kind.kind, id: base?.entry_id ?? "" });
  };
  const context = { registers, areas: office.areas, errors, onClear: base === null || !mayReadClear(office.user) ? undefined : clear };
  const draft = { lon: degrees(where.lon, 180), lat: degrees(where.lat, 90), pan: follow };
  const old = useMemo(() => (base === null ? [] : [{ id: base.entry_id, name: base.name, lon: base.lon, lat: base.lat, colour: "", geometry: base.geometry ?? null }]), [base]);
  const title = base === null ? t("reg.newOf", { x: own(kind.zh, kind.en) }) : t("reg.editOf", { x: base.name });
  return (
    <section class={kind.located === "no" ? "editor plain" : "editor"} aria-label={title}>
      <form ref={form} class="editor-form" onSubmit={submit} data-testid="entry-form" noValidate>
        <header>
          <h1>{title}</h1>
          <small>{own(kind.zh, kind.en)}</small>
        </header>
        <div class="editor-scroll">
          <Failure text={summary} />
          <div class="grid">
            {kind.fields.map((field) => (
              <FieldInput key={field.key} field={field} value={row[field.key] ?? ""} context={context} onChange={(value) => put(field.key, value)} />
            ))}
          </div>
        </div>
        <footer>
          <Labelled label={t("reg.reasonOf")} id="reason" required={base !== null} error={errors.get("reason")}>
            <input
              id="reason"
              type="text"
              value={reason}
              placeholder={base === null ? t("reg.reasonNew") : t("reg.reasonChange")}
              data-testid="input-reason"
              onInput={(event) => {
                setReason(event.currentTarget.value);
                setErrors((now) => new Map([...now].filter(([at]) => at !== "reason")));
                setDirty(true);
              }}
            />
          </Labelled>
          <button type="button" class="button" onClick={leave} data-testid="cancel">
            {t("office.cancel")}
          </button>
          <button type="submit" class="button primary" disabled={busy} data-testid="save">
            {busy ? t("office.busy") : t("reg.save")}
          </button>
        </footer>
      </form>
      <aside class="editor-place">
        <div class="place-fields">
          {base === null ? (
            <Labelled label={t("reg.id")} id="entry_id" help={t("reg.idHelp")} error={errors.get("entry_id")}>
              <input id="entry_id" type="text" value={where.entry_id} data-testid="input-entry_id" onInput={(event) => place({ entry_id: event.currentTarget.value })} />
            </Labelled>
          ) : null}
          <Labelled label={t("reg.area")} id="area" help={kind.located === "no" ? "" : t("reg.areaHelp")} error={errors.get("area")}>
            <AreaPicker areas={office.areas} id="area" value={where.area} testid="input-area" onChange={(area) => place({ area })} />
          </Labelled>
          {kind.located === "no" ? null : (
            <PlaceFields
              where={where}
              errors={errors}
              registers={registers}
              onPlace={(change) => {
                setFollow(true);
                place(change);
              }}
            />
          )}
        </div>
        {kind.located === "no" ? null : (
          <>
            <p class="hint">{t("reg.placeHint")}</p>
            <MapPane office={office} entries={old} draft={draft} onPlace={(lon, lat) => {
                setFollow(false);
                place({ lon: lon.toFixed(6), lat: lat.toFixed(6) });
              }} />
          </>
        )}
      </aside>
      {conflict === null ? null : (
        <ConflictDialog
          fields={[...kind.fields, ...PLACE_FIELDS]}
          theirs={conflict.theirs}
          found={conflict.found}
          names={registers.nameOf}
          onSave={resolve}
          onClose={() => setConflict(null)}
          onReload={() => {
            setBase(conflict.theirs);
            setRow(rowToForm(kind.fields, conflict.theirs.values));
            setWhere(whereOf(conflict.theirs));
            setConflict(null);
            setDirty(false);
          }}
        />
      )}
    </section>
  );
}

/** Positions are compared to the centimetre and a bit: 1e-6 degrees. */
const rounded = (value: unknown): unknown => (typeof value === "number" ? Math.round(value * 1e6) / 1e6 : (value ?? null));

function PlaceFields({ where, errors, registers, onPlace }: { where: Where; errors: ReadonlyMap<string, string>; registers: Registers; onPlace: (change: Partial<Where>) => void }) {
  const places = useRef(new Map<string, Place>());
  const find = async (query: string) => {
    if (query.trim().length < 2) return [];
    const lon = degrees(where.lon, 180);
    const lat = degrees(where.lat, 90);
    const found = await registers.places(query.trim(), lon === null || lat === null ? null : [lon, lat]);
    places.current = new Map(found.map((place, index) => [String(index), place]));
    return found.map((place, index) => ({ value: String(index), text: place.name, note: place.address }));
  };
  return (
    <>
      <Labelled label={t("reg.findAddress")} id="find-address">
        <Combo
          id="find-address"
          testid="find-address"
          value=""
          shown=""
          find={find}
          placeholder={t("reg.findAddressHint")}
          onChange={(option) => {
            const place = places.current.get(option?.value ?? "");
            if (place !== undefined) onPlace({ lon: place.lon.toFixed(6), lat: place.lat.toFixed(6), });
          }}
        />
      </Labelled>
      <div class="pair" lang={lang === "zh" ? "zh-CN" : "en"}>
        <Labelled label={t("reg.lon")} id="lon" error={errors.get("lon")}>
          <input id="lon" type="text" inputMode="decimal" value={where.lon} placeholder="121.453200" data-testid="input-lon" onInput={(event) => onPlace({ lon: event.currentTarget.value })} />
        </Labelled>
        <Labelled label={t("reg.lat")} id="lat" error={errors.get("lat")}>
          <input id="lat" type="text" inputMode="decimal" value={where.lat} placeholder="28.684100" data-testid="input-lat" onInput={(event) => onPlace({ lat: event.currentTarget.value })} />
        </Labelled>
      </div>
    </>
  );
}
