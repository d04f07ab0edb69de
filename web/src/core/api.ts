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

/** What a request may carry beside its path. */
export interface RequestOptions {
  body?: unknown;
  /** A file, sent as it is. */
  file?: Blob;
  key?: string;
  /** The revision that was read: another one means that somebody else was faster. */
  ifMatch?: number | string;
  timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
const FILE_TIMEOUT_MS = 180_000; // a large file over a weak office line, then a dry run of it

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
    return this.request<T>("GET", path);
  }

  post<T>(path: string, body: unknown = {}, key: string = newKey()): Promise<T> {
    return this.request<T>("POST", path, { body, key });
  }

  put<T>(path: string, body: unknown, ifMatch?: number | string): Promise<T> {
    return this.request<T>("PUT", path, { body, key: newKey(), ...(ifMatch === undefined ? {} : { ifMatch }) });
  }

  delete(path: string, options: RequestOptions = {}): Promise<void> {
    return this.request<void>("DELETE", path, { key: newKey(), ...options });
  }

  upload<T>(path: string, file: Blob): Promise<T> {
    return this.request<T>("POST", path, { file, key: newKey(), timeoutMs: FILE_TIMEOUT_MS });
  }

  /** A file of the server and the name that it gave it. */
  async download(path: string): Promise<{ blob: Blob; filename: string }> {
    const response = await this.fetched("GET", path, { timeoutMs: FILE_TIMEOUT_MS });
    return { blob: await response.blob(), filename: filenameOf(response.headers.get("Content-Disposition") ?? "", path) };
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

  async request<T>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const response = await this.fetched(method, path, options);
    if (response.status === 204) return undefined as T;
    return (await response.json()) as T;
  }

  private async fetched(method: string, path: string, options: RequestOptions): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = this.csrf;
    if (options.key !== undefined) headers["Idempotency-Key"] = options.key;
    if (options.ifMatch !== undefined) headers["If-Match"] = `"${options.ifMatch}"`;
    const init: RequestInit = { method, headers, credentials: "same-origin", signal: timeout(options.timeoutMs ?? TIMEOUT_MS) };
    if (options.file !== undefined) {
      headers["Content-Type"] = "application/octet-stream";
      init.body = options.file;
    } else if (options.body !== undefined) {
      headers["Content-Type"] = "application/json";
      init.body = JSON.stringify(options.body);
    }
    const response = await this.fetcher(path, init).catch((error: unknown) => {
      const slow = error instanceof DOMException && error.name === "AbortError";
      throw new ApiError(0, { status: 0, type: slow ? "timeout" : "network", title: String(error) });
    });
    if (response.status === 401 && path !== "/api/v1/sessions") this.onUnauthorised();
    if (!response.ok) throw new ApiError(response.status, await problemOf(response));
    return response;
  }
}

/** The name in a Content-Disposition header, RFC 5987 first; else the end of the path. */
export function filenameOf(disposition: string, path: string): string {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  if (extended !== undefined) return decodeURIComponent(extended);
  const plain = /filename="?([^";]+)"?/i.exec(disposition)?.[1];
  return plain ?? (path.split("?")[0] ?? "").split("/").at(-1) ?? "download";
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
