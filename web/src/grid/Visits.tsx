/** 走访: what is due, one visit for everybody who asks; the list is answered item by item and kept until the server has it. */

import { useState } from "preact/hooks";
import { newKey } from "../core/api";
import { t } from "../core/i18n";
import { dayHm } from "../core/time";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { toast } from "../office/toast";
import { wholeAnswers } from "./data";
import type { Answer, DueVisit } from "./data";
import type { Street } from "./main";

const AHEAD_DAYS = 3;

export function Visits({ street, sent }: { street: Street; sent: number }) {
  const due = useLoaded(() => street.api.get<{ items: DueVisit[] }>(`/api/v1/grid/visits/due?days=${AHEAD_DAYS}`), [street, sent], 60_000);
  const [open, setOpen] = useState("");
  const waiting = new Set(street.outbox.pending.filter((entry) => entry.path === "/api/v1/grid/visits").map((entry) => String(entry.body["subject"])));
  const items = (due.value?.items ?? []).filter((one) => !waiting.has(one.subject));
  return (
    <ul class="cards" data-testid="grid-visits">
      {due.value !== null && items.length === 0 ? <li class="dim">{t("grid.noVisits")}</li> : null}
      {due.problem === "" ? null : <li class="failure">{due.problem}</li>}
      {items.map((one) => (
        <li key={one.subject} data-testid="grid-visit">
          <button type="button" class="visit-head" aria-expanded={open === one.subject} onClick={() => setOpen(open === one.subject ? "" : one.subject)}>
            <b>{one.name}</b> <span class="dim">{one.kind_zh}</span> {one.overdue ? <Tag kind="bad">{t("grid.overdue")}</Tag> : null}
            <small>
              {t("grid.wantedBy", { who: one.organisations.join("、") })} · {one.last_us === null ? t("grid.never") : t("grid.last", { at: dayHm(one.last_us) })}
            </small>
          </button>
          {open === one.subject ? <Checklist street={street} visit={one} onDone={() => setOpen("")} /> : null}
        </li>
      ))}
    </ul>
  );
}

function Checklist({ street, visit, onDone }: { street: Street; visit: DueVisit; onDone: () => void }) {
  const [given, setGiven] = useState<ReadonlyMap<string, Answer>>(new Map());
  const [place, setPlace] = useState<{ lon: number; lat: number } | null>(null);
  const set = (item: string, part: Partial<Answer>): void => setGiven(new Map(given).set(item, { item, ok: true, note: "", ...given.get(item), ...part }));
  const answers = wholeAnswers(visit.checklist, given);
  const keep = async (): Promise<void> => {
    if (answers === null) return;
    await street.outbox.add("status", "/api/v1/grid/visits", { client_id: newKey(), subject: visit.subject, answers, ...(place ?? {}) }, Date.now());
    toast(t("grid.visitKept"));
    onDone();
  };
  return (
    <div class="checklist">
      {visit.checklist.map((item) => (
        <div key={item} class="item">
          <span>{item}</span>
          <button type="button" class="button" aria-pressed={given.get(item)?.ok === true} onClick={() => set(item, { ok: true })} data-testid="item-ok">
            {t("grid.ok")}
          </button>
          <button type="button" class="button" aria-pressed={given.get(item)?.ok === false} onClick={() => set(item, { ok: false })} data-testid="item-bad">
            {t("grid.bad")}
          </button>
          {given.get(item)?.ok === false ? <input type="text" placeholder={t("grid.note")} maxLength={2000} value={given.get(item)?.note ?? ""} onInput={(event) => set(item, { note: event.currentTarget.value })} data-testid="item-note" /> : null}
        </div>
      ))}
      <label class="with-place">
        <input
          type="checkbox"
          checked={place !== null}
          onChange={(event) => {
            if (!event.currentTarget.checked) return setPlace(null);
            navigator.geolocation.getCurrentPosition(({ coords }) => setPlace({ lon: coords.longitude, lat: coords.latitude }), () => toast(t("grid.noPosition"), "bad"));
          }}
        />{" "}
        {t("grid.withPlace")}
      </label>
      <button type="button" class="button primary big" disabled={answers === null} onClick={() => void keep()} data-testid="visit-done">
        {t("grid.visitDone")}
      </button>
    </div>
  );
}
