/** What every page starts with: who am I, what time is it, the live picture. */

import { Api } from "./api";
import { lang } from "./i18n";
import { LiveClient } from "./live";
import type { LinkInfo } from "./live";
import { Store } from "./store";
import { CityClock } from "./time";
import type { ClockState, Device, User } from "./types";

export interface Session {
  api: Api;
  user: User;
  clock: CityClock;
  clockState: ClockState;
  store: Store;
  live: LiveClient;
  /** registered devices by id, for thresholds; filled after the start */
  registry: Map<string, Device>;
  can: { operate: boolean };
}

export function toLogin(): void {
  const next = encodeURIComponent(location.pathname + location.search);
  location.replace(`/login?next=${next}`);
}

const START_RETRY_MS = 3_000;

/** The server may still be starting, or the wall came up before the network: try until it answers. */
async function untilAnswered<T>(ask: () => Promise<T>, onWait: (error: unknown) => void): Promise<T> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      onWait(error);
      await new Promise((resolve) => setTimeout(resolve, START_RETRY_MS));
    }
  }
}

export async function start(
  kind: "wall" | "console" | "phone",
  channels: readonly string[],
  onLink: (link: LinkInfo) => void,
  onWait: (error: unknown) => void,
): Promise<Session> {
  const api = new Api(undefined, toLogin);
  const { user } = await untilAnswered(() => api.me(), onWait);
  const clockState = await untilAnswered(() => api.get<ClockState>("/api/v1/clock"), onWait);
  const clock = new CityClock(clockState);
  const store = new Store(lang);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const live = new LiveClient({
    url: `${scheme}://${location.host}/api/v1/live`,
    kind,
    lang,
    sink: store,
    onLink,
    onRefused: (code) => {
      if (code === 3500 || code === 3507) toLogin();
    },
  });
  for (const ch of channels) live.subscribe(ch);
  const session: Session = {
    api,
    user,
    clock,
    clockState,
    store,
    live,
    registry: new Map(),
    can: { operate: user.roles.includes("operator") || user.roles.includes("leader") },
  };
  keepTime(session);
  window.addEventListener("online", () => live.wake());
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") live.wake();
  });
  live.start();
  return session;
}

interface ClockValue {
  city_us?: number;
  rate?: number;
  kind?: string;
}

/** The board's `clock` row keeps city time in step; once a minute the server is asked as well. */
function keepTime(session: Session): void {
  session.store.listen(["board"], () => {
    const value = session.store.board.get("clock")?.["value"] as ClockValue | undefined;
    if (typeof value?.city_us === "number") session.clock.sync(value.city_us, value.rate, value.kind);
  });
  setInterval(() => {
    session.api.get<ClockState>("/api/v1/clock").then(
      (state) => session.clock.sync(state.city_us, state.rate, state.kind),
      () => undefined, // the link state already tells that the server is away
    );
  }, 60_000);
}

export async function loadRegistry(session: Session): Promise<void> {
  for (const device of await session.api.all<Device>("/api/v1/devices")) session.registry.set(device.device_id, device);
}
