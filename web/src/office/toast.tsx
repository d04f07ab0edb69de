/** Short news at the edge of the page. A failure stays until it is closed, a success goes by itself. */

import { useEffect, useReducer } from "preact/hooks";
import { t } from "../core/i18n";

interface Toast {
  id: number;
  kind: "good" | "bad";
  text: string;
}

const SHOWN_MS = 5_000;
let toasts: Toast[] = [];
let ids = 0;
const listeners = new Set<() => void>();

function put(next: Toast[]): void {
  toasts = next;
  for (const run of listeners) run();
}

const close = (id: number): void => put(toasts.filter((toast) => toast.id !== id));

export function toast(text: string, kind: "good" | "bad" = "good"): void {
  ids += 1;
  const id = ids;
  put([...toasts.slice(-3), { id, kind, text }]);
  if (kind === "good") setTimeout(() => close(id), SHOWN_MS);
}

export function Toasts() {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const run = (): void => again(undefined as never);
    listeners.add(run);
    return () => void listeners.delete(run);
  }, []);
  return (
    <div class="toasts" aria-live="polite">
      {toasts.map((item) => (
        <div key={item.id} class={`toast ${item.kind}`} role={item.kind === "bad" ? "alert" : "status"} data-testid="toast" data-kind={item.kind}>
          <span>{item.text}</span>
          <button type="button" class="icon" aria-label={t("office.close")} onClick={() => close(item.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
