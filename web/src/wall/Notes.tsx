import { useTopics } from "../core/hooks";
import { t } from "../core/i18n";
import type { Session } from "../core/session";

/** What is wrong with the system itself, in one line under the header; nothing while all is well. */
export function Notes({ session }: { session: Session }) {
  useTopics(session.store, ["notes", "board"]);
  const { store } = session;
  const lines: string[] = [...store.banners.values()];
  for (const part of ["database", "broker"] as const) {
    if (isDown(store.board.get(part)?.["value"])) lines.push(part === "database" ? t("sys.database_down") : t("sys.child_down", { x: part }));
  }
  const unique = [...new Set(lines)];
  if (unique.length === 0) return null;
  return (
    <div class="notes" role="status" data-testid="notes">
      {unique.map((line) => (
        <span key={line}>{line}</span>
      ))}
    </div>
  );
}

function isDown(value: unknown): boolean {
  if (value === false || value === "down") return true;
  if (value === null || typeof value !== "object") return false;
  const state = value as { ok?: boolean; up?: boolean; state?: string };
  return state.ok === false || state.up === false || state.state === "down";
}
