/** Propose other thresholds of a device: the numbers as fields, the source document named, another person decides. */

import { useState } from "preact/hooks";
import { t } from "../core/i18n";
import type { Device } from "../core/types";
import { useLoaded } from "../duty/data";
import { Combo } from "../office/Combo";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import type { Office } from "../office/session";
import { leavesOf, withLeaf, withoutSource } from "./approvals";
import type { Approval } from "./approvals";
import { differing, diffOf } from "./diff";
import { explained, stepWord } from "./words";

export function ThresholdDialog({ office, onDone, onClose }: { office: Office; onDone: (made: Approval) => void; onClose: () => void }) {
  const devices = useLoaded(() => office.api.all<Device>("/api/v1/devices"), [office], null);
  const [deviceId, setDeviceId] = useState("");
  const [property, setProperty] = useState("");
  const [edited, setEdited] = useState<Record<string, unknown> | null>(null);
  const [texts, setTexts] = useState(new Map<string, string>());
  const [source, setSource] = useState("");
  const [reason, setReason] = useState("");
  const [emergency, setEmergency] = useState(false);
  const [hours, setHours] = useState(6);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const known = (devices.value ?? []).filter((device) => Object.keys(device.thresholds ?? {}).length > 0);
  const device = known.find((one) => one.device_id === deviceId);
  const properties = Object.keys(device?.thresholds ?? {});
  const chosen = properties.includes(property) ? property : (properties[0] ?? "");
  const before = withoutSource((device?.thresholds?.[chosen] ?? {}) as Record<string, unknown>);
  const after = edited ?? before;
  const changed = differing(diffOf(before, after)).lines.length;
  const restart = (): void => {
    setEdited(null);
    setTexts(new Map());
    setProblem("");
  };
  const find = (query: string) => {
    const wanted = query.trim().toLowerCase();
    return known.filter((one) => one.name.toLowerCase().includes(wanted) || one.device_id.toLowerCase().includes(wanted)).map((one) => ({ value: one.device_id, text: one.name, note: one.device_id }));
  };
  const propose = async (event: Event): Promise<void> => {
    event.preventDefault();
    const wrong = [...texts].find(([, text]) => text.trim() === "" || !Number.isFinite(Number(text)));
    if (device === undefined) return setProblem(t("admin.deviceNeeded"));
    if (wrong !== undefined) return setProblem(t("admin.numberNeeded", { f: wrong[0].split(".").map(stepWord).join(" · ") }));
    if (changed === 0) return setProblem(t("admin.noChange"));
    if (source.trim() === "") return setProblem(t("admin.sourceNeeded"));
    if (emergency && reason.trim() === "") return setProblem(t("office.reasonNeeded"));
    setBusy(true);
    try {
      const body = { kind: "threshold", subject: `${device.device_id}/${chosen}`, payload: after, source: source.trim(), reason: reason.trim(), ...(emergency ? { emergency, hours } : {}) };
      onDone(await office.api.post<Approval>("/api/v1/approvals", body));
    } catch (error) {
      setProblem(explained(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("admin.propose")} onClose={onClose} testid="propose-dialog">
      <form class="stack" onSubmit={(event) => void propose(event)}>
        <div class="two">
          <Labelled id="threshold-device" label={t("admin.device")} required>
            <Combo
              id="threshold-device"
              value={deviceId}
              shown={device?.name ?? deviceId}
              find={find}
              onChange={(option) => {
                setDeviceId(option?.value ?? "");
                restart();
              }}
              placeholder={t("admin.deviceHint")}
              disabled={devices.value === null}
              testid="threshold-device"
            />
          </Labelled>
          <Labelled id="threshold-property" label={t("admin.property")} required>
            <select
              id="threshold-property"
              value={chosen}
              disabled={properties.length < 2}
              onChange={(event) => {
                setProperty(event.currentTarget.value);
                restart();
              }}
            >
              {properties.map((name) => (
                <option key={name} value={name}>
                  {stepWord(name)}
                </option>
              ))}
            </select>
          </Labelled>
        </div>
        {device === undefined ? null : (
          <div class="levels" data-testid="levels">
            {leavesOf(before).map((leaf) => {
              const id = leaf.path.join(".");
              const text = texts.get(id) ?? String(leaf.value);
              const differs = text !== String(leaf.value);
              return (
                <label key={id} class={differs ? "differs" : ""}>
                  <span>
                    {leaf.path.map(stepWord).join(" · ")} {differs ? <small>{t("admin.was", { v: leaf.value })}</small> : null}
                  </span>
                  <input
                    type="text"
                    inputMode="decimal"
                    value={text}
                    data-testid={`level-${id}`}
                    onInput={(event) => {
                      const typed = event.currentTarget.value;
                      setTexts(new Map(texts).set(id, typed));
                      if (typed.trim() !== "" && Number.isFinite(Number(typed))) setEdited(withLeaf(after, leaf.path, Number(typed)));
                    }}
                  />
                </label>
              );
            })}
          </div>
        )}
        <Labelled id="threshold-source" label={t("admin.source")} required help={t("admin.sourceHelp")}>
          <input id="threshold-source" type="text" value={source} onInput={(event) => setSource(event.currentTarget.value)} data-testid="threshold-source" />
        </Labelled>
        <Labelled id="threshold-reason" label={t("office.reason")} required={emergency}>
          <input id="threshold-reason" type="text" value={reason} onInput={(event) => setReason(event.currentTarget.value)} data-testid="threshold-reason" />
        </Labelled>
        <label class="check">
          <input type="checkbox" checked={emergency} onChange={(event) => setEmergency(event.currentTarget.checked)} data-testid="threshold-emergency" /> {t("admin.emergency")}
        </label>
        {emergency ? (
          <p class="late-band slim">
            {t("admin.emergencyText")}
            <select value={hours} aria-label={t("admin.hours")} onChange={(event) => setHours(Number(event.currentTarget.value))}>
              {[1, 3, 6, 12, 24].map((n) => (
                <option key={n} value={n}>
                  {t("admin.hoursN", { n })}
                </option>
              ))}
            </select>
          </p>
        ) : null}
        <Failure text={problem || devices.problem} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" class={emergency ? "button danger" : "button primary"} disabled={busy} data-testid="threshold-propose">
            {busy ? t("office.busy") : t(emergency ? "admin.applyNow" : "admin.submit")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

