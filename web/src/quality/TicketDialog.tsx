/** Feed a device's problem back to its firm: a repair ticket with a date. */

import { useState } from "preact/hooks";
import { explain, own, t } from "../core/i18n";
import { DAY_US, isoDay } from "../duty/roster";
import { Dialog, Failure } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import type { Office } from "../office/session";
import { checkWord } from "./data";
import type { Problem } from "./data";

const USUAL_DAYS = 3;

export function TicketDialog({ office, problem, onDone, onClose }: { office: Office; problem: Problem; onDone: (words: string) => void; onClose: () => void }) {
  const [title, setTitle] = useState(`${problem.name}：${checkWord(problem.check)}`);
  const [detail, setDetail] = useState(own(problem.zh, problem.en));
  const [day, setDay] = useState(isoDay(office.clock.nowUs() + USUAL_DAYS * DAY_US));
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const send = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const due = day === "" ? null : `${day}T18:00:00+08:00`;
      const made = await office.api.post<{ ticket_id: string }>(`/api/v1/devices/${encodeURIComponent(problem.subject_id)}/tickets`, { title, detail, due });
      onDone(t("quality.ticketMade", { id: made.ticket_id, whose: problem.whose }));
    } catch (error) {
      setFailure(explain(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t("quality.feedBack")}
      onClose={onClose}
      testid="ticket-dialog"
      foot={
        <>
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" form="ticket-form" class="button primary" disabled={busy} data-testid="ticket-send">
            {busy ? t("office.busy") : t("quality.send", { whose: problem.whose })}
          </button>
        </>
      }
    >
      <form id="ticket-form" class="stack" onSubmit={(event) => void send(event)}>
        <Labelled id="ticket-title" label={t("quality.ticketTitle")} required>
          <input id="ticket-title" type="text" value={title} maxLength={200} required onInput={(event) => setTitle(event.currentTarget.value)} />
        </Labelled>
        <Labelled id="ticket-detail" label={t("quality.ticketDetail")}>
          <textarea id="ticket-detail" rows={3} value={detail} maxLength={2000} onInput={(event) => setDetail(event.currentTarget.value)} />
        </Labelled>
        <Labelled id="ticket-due" label={t("quality.due")} help={t("quality.dueHelp")}>
          <input id="ticket-due" type="date" value={day} onInput={(event) => setDay(event.currentTarget.value)} />
        </Labelled>
        <Failure text={failure} />
      </form>
    </Dialog>
  );
}
