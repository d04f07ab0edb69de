/** What the duty pages read, kept fresh by asking again: lists of an office need no live feed. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../core/api";
import { explain } from "../core/i18n";

export interface Loaded<T> {
  value: T | null;
  problem: string;
  reload: () => Promise<void>;
}

export const REFRESH_MS = 15_000;
const RETRY_MS = 4_000;

/** Asks now, whenever `deps` change, every `everyMs`, and when the page comes back into sight. The last answer stays while a newer one fails. */
export function useLoaded<T>(ask: () => Promise<T>, deps: readonly unknown[], everyMs: number | null = REFRESH_MS): Loaded<T> {
  const [value, setValue] = useState<T | null>(null);
  const [problem, setProblem] = useState("");
  const asked = useRef(0);
  const again = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const load = useCallback(async (): Promise<void> => {
    clearTimeout(again.current);
    const mine = ++asked.current;
    try {
      const answer = await ask();
      if (mine !== asked.current) return; // a later question has overtaken this answer
      setValue(answer);
      setProblem("");
    } catch (error) {
      if (mine !== asked.current) return;
      setProblem(explain(error));
      // A busy server answers later; what it refuses it refuses again.
      if (error instanceof ApiError && error.temporary) again.current = setTimeout(() => void load(), RETRY_MS);
    }
  }, [...deps]);
  useEffect(() => {
    let alive = true;
    const run = (): void => {
      if (alive && document.visibilityState === "visible") void load();
    };
    void load();
    const timer = everyMs === null ? undefined : setInterval(run, everyMs);
    document.addEventListener("visibilitychange", run);
    return () => {
      alive = false;
      clearInterval(timer);
      clearTimeout(again.current);
      asked.current += 1; // an answer that comes now has nobody to read it
      document.removeEventListener("visibilitychange", run);
    };
  }, [load, everyMs]);
  return { value, problem, reload: load };
}
