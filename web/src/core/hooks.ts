import { useEffect, useReducer, useState } from "preact/hooks";
import type { Store, Topic } from "./store";

/** Draw again when one of these topics changed. */
export function useTopics(store: Store, topics: readonly Topic[]): void {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useEffect(() => store.listen(topics, () => again(undefined as never)), [store, topics.join(",")]);
}

/** Draw again every `ms` of machine time, for clocks and ages. */
export function useTick(ms: number): void {
  const [, again] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(() => again(undefined as never), ms);
    return () => clearInterval(timer);
  }, [ms]);
}

/** Runs one request at a time and keeps what went wrong for the screen. */
export function useAction(explain: (error: unknown) => string): {
  busy: boolean;
  problem: string;
  run: (work: () => Promise<unknown>) => void;
  clear: () => void;
} {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState("");
  const run = (work: () => Promise<unknown>): void => {
    if (busy) return;
    setBusy(true);
    setProblem("");
    work()
      .catch((error: unknown) => setProblem(explain(error)))
      .finally(() => setBusy(false));
  };
  return { busy, problem, run, clear: () => setProblem("") };
}
