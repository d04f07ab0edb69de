/** What /duty says (docs/decisions/0005, command_center/duty/model.py). Times are city microseconds. */

export interface OnDuty {
  step: number;
  post: string;
  post_zh?: string;
  username: string;
  name: string;
  phone: string;
  area: string;
  shift_id: string;
  until_us: number | null;
}

export interface DutyGap {
  post: string;
  zh: string;
  en: string;
  area: string;
  from_us: number;
  to_us: number | null;
}

export interface DutyNow {
  area: string;
  at_us: number;
  chain: OnDuty[];
  gaps: DutyGap[];
  /** nobody of the roster is there: these are the names of deadlines.yaml */
  last_resort: boolean;
}

export interface Signature {
  side: "out" | "in";
  username: string;
  name: string;
  at_us: number;
  comment: string;
}

export interface OpenItem {
  kind: string;
  ref: string;
  text_zh: string;
  text_en: string;
  area: string;
  state: string;
  colour: string;
  until_us: number | null;
}

export interface Handover {
  handover_id: string;
  post: string;
  area: string;
  shift_id: string;
  from_user: string;
  to_user: string;
  substitute_reason: string;
  state: string;
  state_zh: string;
  remarks: string;
  /** how many open items by kind */
  summary: Record<string, number>;
  open_items: OpenItem[];
  signatures: Signature[];
  created_us: number;
  changed_us: number;
  rev: number;
}

export interface LogEntry {
  entry_id: string;
  at_us: number;
  actor: string;
  kind: string;
  kind_zh: string;
  text: string;
  area: string;
  alarm_id: string;
  incident_id: string;
  instruction_id: string;
  /** entry that this one corrects */
  corrects: string;
  /** written by the system itself */
  auto: boolean;
}

export interface Person {
  username: string;
  name: string;
}
