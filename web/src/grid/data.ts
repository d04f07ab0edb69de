/** What /api/v1/grid says (command_center/grid/model.py). */

export interface EventKind {
  kind: string;
  zh: string;
  en: string;
  near_m: number;
  within_min: number;
  sign_min: number;
  urgent: boolean;
}

export interface Receipt {
  organisation_id: string;
  organisation: string;
  authority: string;
  state: "SENT" | "SIGNED" | "DONE";
  state_zh: string;
  sent_us: number;
  signed_by: string;
  signed_us: number | null;
  result: string;
  done_us: number | null;
}

export interface Report {
  report_id: string;
  client_id: string;
  kind: string;
  kind_zh: string;
  urgent: boolean;
  text: string;
  lon: number;
  lat: number;
  address: string;
  area: string;
  reported_by: string;
  reported_us: number;
  state: "OPEN" | "JOINED" | "CLOSED";
  state_zh: string;
  joined_to: string;
  witnesses: number;
  receipts: Receipt[];
  closed_comment: string;
  rev: number;
}

export interface DueVisit {
  subject: string;
  kind_zh: string;
  name: string;
  area: string;
  lon: number | null;
  lat: number | null;
  organisations: string[];
  checklist: string[];
  every_days: number;
  last_us: number | null;
  due_us: number;
  overdue: boolean;
}

export interface Answer {
  item: string;
  ok: boolean;
  note: string;
}

/** Open and urgent first, then open, then the others; the newest of each first. */
export function inOrder(reports: readonly Report[]): Report[] {
  const rank = (report: Report): number => (report.state !== "OPEN" ? 2 : report.urgent ? 0 : 1);
  return [...reports].sort((a, b) => rank(a) - rank(b) || (a.report_id < b.report_id ? 1 : -1));
}

/** Organisations that were asked, have not signed, and should have by now. */
export function lateOf(report: Report, kinds: readonly EventKind[], nowUs: number): string[] {
  const kind = kinds.find((one) => one.kind === report.kind);
  if (kind === undefined || report.state !== "OPEN") return [];
  return report.receipts.filter((receipt) => receipt.authority !== "notify" && receipt.state === "SENT" && nowUs - receipt.sent_us > kind.sign_min * 60e6).map((receipt) => receipt.organisation);
}

/** Answers to a list, as far as they are given; null while one is missing. */
export function wholeAnswers(checklist: readonly string[], given: ReadonlyMap<string, Answer>): Answer[] | null {
  const answers = checklist.map((item) => given.get(item));
  return answers.every((answer): answer is Answer => answer !== undefined) ? (answers as Answer[]) : null;
}
