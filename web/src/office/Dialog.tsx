/** Dialogs on the browser's own <dialog>: focus stays inside, Escape closes, the page behind is inert. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../core/i18n";
import { refusalOf } from "./problems";

export interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** Buttons, the main one last. */
  foot?: ComponentChildren;
  wide?: boolean;
  testid?: string;
}

export function Dialog({ title, onClose, children, foot, wide = false, testid }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    if (dialog !== null && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "dialog wide" : "dialog"}
      aria-label={title}
      data-testid={testid}
      onCancel={(event) => {
        event.preventDefault(); // the page decides, so that its state and the dialog's never differ
        onClose();
      }}
    >
      <header>
        <h2>{title}</h2>
        <button type="button" class="icon" aria-label={t("office.close")} onClick={onClose}>
          ×
        </button>
      </header>
      <div class="dialog-body">{children}</div>
      {foot === undefined ? null : <footer>{foot}</footer>}
    </dialog>
  );
}

export interface ReasonProps {
  title: string;
  /** What will happen, in a sentence. */
  text: ComponentChildren;
  action: string;
  danger?: boolean;
  /** Whether a reason must be given (removals) or may be. */
  required?: boolean;
  label?: string;
  run: (reason: string) => Promise<unknown>;
  onClose: () => void;
}

/** Asks for a reason and does it; an error stays in the dialog beside what was written. */
export function ReasonDialog({ title, text, action, danger = false, required = true, label, run, onClose }: ReasonProps) {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (required && reason.trim() === "") return setProblem(t("office.reasonNeeded"));
    setBusy(true);
    try {
      await run(reason.trim());
      onClose();
    } catch (error) {
      const refusal = refusalOf(error);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose} testid="reason-dialog">
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <p>{text}</p>
        <label class="field">
          <span class="field-label">{label ?? t("office.reason")}</span>
          <textarea rows={3} value={reason} autofocus data-testid="reason" onInput={(event) => setReason(event.currentTarget.value)} />
        </label>
        <Failure text={problem} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" class={danger ? "button danger" : "button primary"} disabled={busy} data-testid="reason-submit">
            {busy ? t("office.busy") : action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** What went wrong, where it was done; nothing while all is well. */
export function Failure({ text }: { text: string }) {
  if (text === "") return null;
  return (
    <p class="failure" role="alert" data-testid="failure">
      {text}
    </p>
  );
}
