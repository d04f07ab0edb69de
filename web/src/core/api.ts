/** HTTP to our own server: cookie session, CSRF header and Idempotency-Key on writes, problem+json errors by name. */

import type { User } from "./types";

export interface Problem {
  type?: string;
  title?: string;
  status: number;
  detail?: string;
  errors?: unknown;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
    this.name = "ApiError";
  }

  /** Worth trying again later: the network, a busy server, or a database that is down. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

export interface Session {
  user: User;
  csrf: string;
}

const TIMEOUT_MS = 15_000;

/** A random key of 128 bits; `crypto.randomUUID` needs HTTPS, this does not. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Api {
  csrf = "";

  constructor(
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
    private readonly onUnauthorised: () => void = () => undefined,
  ) {}

  get<T>(path: string): Promise<T> {
    return this.send<T>("GET", path, undefined, undefined);
  }

  post<T>(path: string, body: unknown = {}, key: string = newKey()): Promise<T> {
    return this.send<T>("POST", path, body, key);
  }

  delete(path: string): Promise<void> {
    return this.send<void>("DELETE", path, undefined, newKey());
  }

  async login(username: string, password: string): Promise<Session> {
    const session = await this.post<Session>("/api/v1/sessions", { username, password });
    this.csrf = session.csrf;
    return session;
  }

  async me(): Promise<Session> {
    const answer = await this.get<{ user: User; csrf: string }>("/api/v1/me");
    this.csrf = answer.csrf;
    return answer;
  }

  /** All pages of a list. */
  async all<T>(path: string): Promise<T[]> {
    const items: T[] = [];
    const joint = path.includes("?") ? "&" : "?";
    let cursor: string | null = "";
    while (cursor !== null) {
      const tail: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { items: T[]; next: string | null } = await this.get(`${path}${joint}limit=500${tail}`);
      items.push(...page.items);
      cursor = page.next ?? null;
    }
    return items;
  }

  private async send<T>(method: string, path: string, body: unknown, key: string | undefined): Promise<T> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = this.csrf;
    if (key !== undefined) headers["Idempotency-Key"] = key;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const init: RequestInit = { method, headers, credentials: "same-origin", signal: timeout(TIMEOUT_MS) };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await this.fetcher(path, init).catch((error: unknown) => {
      const slow = error instanceof DOMException && error.name === "AbortError";
      throw new ApiError(0, { status: 0, type: slow ? "timeout" : "network", title: String(error) });
    });
    if (response.status === 401 && path !== "/api/v1/sessions") this.onUnauthorised();
    if (!response.ok) throw new ApiError(response.status, await problemOf(response));
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }
}

async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  try {
    const parsed: unknown = JSON.parse(text);
    if (parsed !== null && typeof parsed === "object") return { ...(parsed as Problem), status: response.status };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { status: response.status, title: response.statusText, detail: text.slice(0, 200) };
}

/** AbortSignal.timeout came with Chromium 103; our floor is 100. */
function timeout(ms: number): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), ms);
  return controller.signal;
}
