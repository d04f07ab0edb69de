/** A new instruction: words, addressees, until when. */

import { useState } from "preact/hooks";
import { t, word } from "../core/i18n";
import { dayHm } from "../core/time";
import type { Option } from "../office/Combo";
import { AreaPicker } from "../office/Combo";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { PeoplePicker } from "./PeoplePicker";
import type { Picked } from "./PeoplePicker";
import { useLoaded } from "./data";
import type { Order } from "./orders";
import { listOf, optionsOf } from "./people";
import { DAY_US, HOUR_US, dayStart, isoMinute, parsed } from "./roster";
import type { Person } from "./types";

const FIELDS = ["text", "addressees", "due_us", "urgency", "area"];
const URGENCIES = ["normal", "pressing", "urgent"];

interface UnitRow {
  unit_id: string;
  name: string;
}

export interface OrderDialogProps {
  office: Office;
  people: Person[];
  /** `kind/id` of the entry of the registers that it is about, its name and area. */
  subject?: string;
  about?: string;
  place?: string;
  onDone: (made: Order) => void;
  onClose: () => void;
}

export function OrderDialog({ office, people, subject = "", about = "", place = "", onDone, onClose }: OrderDialogProps) {
  const now = office.clock.nowUs();
  const units = useLoaded(() => listOf<UnitRow>(office.api, "/api/v1/units"), [office], null);
  const [words, setWords] = useState(about === "" ? "" : `${about}：`);
  const [urgency, setUrgency] = useState("normal");
  const [picked, setPicked] = useState<Picked[]>([]);
  const [due, setDue] = useState<number | null>(now + 2 * HOUR_US);
  const [area, setArea] = useState(place);
  const [errors, setErrors] = useState(new Map<string, string>());
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const evening = dayStart(now) + 18 * HOUR_US;
  const dues: [string, number | null][] = [
    [t("duty.inHours", { n: 1 }), now + HOUR_US],
    [t("duty.inHours", { n: 2 }), now + 2 * HOUR_US],
    [t("duty.inHours", { n: 6 }), now + 6 * HOUR_US],
    [t("duty.atSix"), evening > now ? evening : evening + DAY_US],
    [t("duty.noDue"), null],
  ];
  const find = (query: string): Option[] => {
    const wanted = query.trim().toLowerCase();
    const teams = (units.value ?? []).filter((unit) => unit.name.toLowerCase().includes(wanted) || unit.unit_id.toLowerCase().includes(wanted));
    const found = people.filter((person) => person.username !== office.user.username && (person.name.toLowerCase().includes(wanted) || person.username.toLowerCase().includes(wanted)));
    const options = [
      ...found.map((person) => ({ value: `user/${person.username}`, text: person.name, note: person.username })),
      ...teams.map((unit) => ({ value: `unit/${unit.unit_id}`, text: unit.name, note: word("addressee", "unit") })),
    ];
    // Somebody whom the roster does not name is taken as he is written: an account, or an organisation that is told by telephone.
    if (options.length > 0 || wanted === "") return options;
    return [...optionsOf([], query).map((option) => ({ ...option, value: `user/${option.value}`, note: word("addressee", "user") })), { value: `organisation/${query.trim()}`, text: query.trim(), note: word("addressee", "organisation") }];
  };
  const issue = async (event: Event): Promise<void> => {
    event.preventDefault();
    const missing = new Map<string, string>();
    if (words.trim() === "") missing.set("text", t("duty.textNeeded"));
    if (picked.length === 0) missing.set("addressees", t("duty.whoNeeded"));
    setErrors(missing);
    if (missing.size > 0) return;
    setBusy(true);
    setProblem("");
    try {
      const addressees = picked.map((one) => ({ kind: one.value.slice(0, one.value.indexOf("/")), id: one.value.slice(one.value.indexOf("/") + 1) }));
      onDone(await office.api.post<Order>("/api/v1/instructions", { text: words.trim(), urgency, addressees, due_us: due === null ? null : Math.floor(due), area, ...(subject === "" ? {} : { subject }) }));
    } catch (error) {
      const refusal = refusalOf(error, FIELDS);
      setErrors(refusal.fields);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("duty.issue")} onClose={onClose} testid="instruction-dialog">
      <form class="stack" onSubmit={(event) => void issue(event)}>
        <Labelled id="order-text" label={t("duty.orderWords")} required error={errors.get("text")}>
          <textarea id="order-text" rows={4} value={words} autofocus onInput={(event) => setWords(event.currentTarget.value)} data-testid="order-text" />
        </Labelled>
        <Labelled id="order-to" label={t("duty.addressees")} required error={errors.get("addressees")} help={t("duty.addresseesHelp")}>
          <PeoplePicker id="order-to" picked={picked} find={find} onChange={setPicked} testid="order-to" />
        </Labelled>
        <fieldset class="choices">
          <legend>{t("duty.urgency")}</legend>
          {URGENCIES.map((code) => (
            <label key={code}>
              <input type="radio" name="urgency" checked={urgency === code} onChange={() => setUrgency(code)} data-testid={`urgency-${code}`} /> {word("urgency", code)}
            </label>
          ))}
        </fieldset>
        <Labelled id="order-due" label={t("duty.due")} error={errors.get("due_us")} aside={<span class="dim">{due === null ? "" : dayHm(due)}</span>}>
          <div class="usual">
            {dues.map(([title, us]) => (
              <button key={title} type="button" class="button small" aria-pressed={us === null ? due === null : due !== null && Math.abs(us - due) < 60e6} onClick={() => setDue(us)}>
                {title}
              </button>
            ))}
          </div>
          <input id="order-due" type="datetime-local" value={due === null ? "" : isoMinute(due)} onChange={(event) => setDue(parsed(event.currentTarget.value))} data-testid="order-due" />
        </Labelled>
        <Labelled id="order-area" label={t("duty.area")} error={errors.get("area")}>
          <AreaPicker id="order-area" areas={office.areas} value={area} onChange={setArea} placeholder={t("duty.everywhere")} />
        </Labelled>
        <Failure text={problem} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" class="button primary" disabled={busy} data-testid="order-issue">
            {busy ? t("office.busy") : t("duty.issueNow")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
