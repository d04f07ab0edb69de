/** The nouns as they travel (docs/interfaces.md sections 7 and 8). Times are city microseconds since 1970 UTC. */

export type Colour = "blue" | "yellow" | "orange" | "red";
export type AnyColour = Colour | "";

export interface Alarm {
  alarm_id: string;
  rule_id: string;
  rule_version: string;
  hazard: string;
  subject: { kind: string; id: string; name: string };
  device_ids: string[];
  area: string;
  lon: number | null;
  lat: number | null;
  colour: AnyColour;
  peak_colour: AnyColour;
  no_data: boolean;
  latched: boolean;
  state: "firing" | "cleared";
  title_zh: string;
  title_en: string;
  detail_zh: string;
  detail_en: string;
  value: number | null;
  uom: string;
  flags: string[];
  raised_us: number;
  event_time_us: number;
  changed_us: number;
  cleared_us: number | null;
  n: number;
  acked: { by: string; at_us: number; comment: string } | null;
  shelved_until_us: number | null;
  incident_id: string;
  stored: boolean;
  escalation: { step: number; to: string; to_name?: string; due_us: number | null } | null;
}

export interface TimelineEntry {
  at_us: number;
  actor: string;
  kind: string;
  text_zh: string;
  text_en: string;
  ref?: string;
}

export interface Incident {
  incident_id: string;
  kind: string;
  title_zh: string;
  title_en: string;
  state: string;
  state_zh: string;
  lon: number | null;
  lat: number | null;
  area: string;
  colour: AnyColour;
  opened_us: number;
  changed_us: number;
  rev: number;
  alarm_ids: string[];
  plan_id: string;
  plan_version: string;
  timeline: TimelineEntry[];
  task_counts: Record<string, number>;
}

export interface Task {
  task_id: string;
  incident_id: string;
  title_zh: string;
  title_en: string;
  detail_zh: string;
  detail_en: string;
  capability: string;
  state: string;
  state_zh: string;
  unit_id: string;
  unit_name: string;
  unit_authority: string;
  lon: number;
  lat: number;
  place: string;
  due_us: number | null;
  issued_us: number | null;
  changed_us: number;
  rev: number;
  eta_s: number | null;
  history: { at_us: number; from: string; to: string; actor: string; comment: string }[];
}

export interface Candidate {
  unit: { unit_id: string; name: string; kind: string; authority: string; status: string };
  eta_s: number | null;
  capable: boolean;
  available: boolean;
  reasons_zh: string[];
  reasons_en: string[];
}

export interface Device {
  device_id: string;
  kind: string;
  name: string;
  lon: number;
  lat: number;
  thresholds?: Record<string, Threshold>;
  attributes?: Record<string, unknown>;
}

export interface Threshold {
  on?: Partial<Record<Colour, number>>;
  first?: number;
  second?: number;
}

export interface User {
  username: string;
  name: string;
  roles: string[];
  unit_id?: string;
  /** firm of a vendor's people */
  vendor?: string;
  /** left out: everywhere */
  scope?: { areas?: string[]; organisations?: string[]; hazards?: string[] };
}

export interface ClockState {
  tenant: string;
  kind: string;
  rate: number;
  city_us: number;
  city_time: string;
  run_id: string;
  tick_us: number;
  banner?: { zh: string; en: string } | null;
}

export interface RouteAnswer {
  eta_s: number;
  distance_m: number;
  geometry: { type: "LineString"; coordinates: [number, number][] } | null;
  avoided: string[];
}

/** One row of a state channel, by the column names of its schema. Values are what the row carried. */
export type StateRow = { id: string; ver: number } & Record<string, unknown>;

export interface Observed {
  value: number | string | null;
  quality: number;
  t_us: number;
}

export interface DeviceRow extends StateRow {
  lon_e6: number;
  lat_e6: number;
  kind: string;
  name: string;
  status: string;
  colour: AnyColour;
  t_us: number;
  stale_s: number;
  values: Record<string, [number | string | null, number, number]>;
}

export interface UnitRow extends StateRow {
  lon_e6: number;
  lat_e6: number;
  heading: number | null;
  speed_cm_s: number | null;
  status: string;
  t_us: number;
  stale_s: number;
  name: string;
  kind: string;
  task_id: string;
}

export interface ClosureRow extends StateRow {
  lon_e6: number;
  lat_e6: number;
  reason: string;
  depth_m: number | null;
  since_us: number;
  expires_us: number | null;
  edges: string[];
}

/** `track` points: t_us, lon_e6, lat_e6, wind_ms, analysis 0/1, then the circles r7, r10, r12 in km (NE SE SW NW) or null. */
export type TrackPoint = [number, number, number, number | null, 0 | 1, Quadrants?, Quadrants?, Quadrants?];
export type Quadrants = number[] | null;

export interface TyphoonRow extends StateRow {
  lon_e6: number;
  lat_e6: number;
  name_zh: string;
  name_en: string;
  wind_ms: number | null;
  pressure_hpa: number | null;
  t_us: number;
  issuer: string;
  number: number;
  track: TrackPoint[];
}
