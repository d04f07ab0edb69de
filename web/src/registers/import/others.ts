/**
 * What can be imported beside the registers: devices, units, shifts. They have pages of their own and are no entries, so
 * `GET /registers` does not list them; their fields are those that the server matched.
 */

import type { User } from "../../core/types";
import type { DryRun, Kind } from "../types";

interface Other {
  kind: string;
  zh: string;
  en: string;
  located: Kind["located"];
  roles: readonly string[];
}

const OTHERS: readonly Other[] = [
  { kind: "device", zh: "设备", en: "Devices", located: "point", roles: ["admin"] },
  { kind: "unit", zh: "队伍（可调度）", en: "Units", located: "point", roles: ["registrar", "admin"] },
  { kind: "shift", zh: "值班班次", en: "Shifts", located: "no", roles: ["leader", "registrar", "admin"] },
];

const asKind = ({ kind, zh, en, located }: Other): Kind => ({ kind, zh, en, group: "other", located, fields: [], count: 0, may_write: true, verify: false });

/** Those that this user may import; the server decides. */
export const othersFor = (user: User): Kind[] => OTHERS.filter((other) => other.roles.some((role) => user.roles.includes(role))).map(asKind);

export function otherKind(kind: string): Kind | undefined {
  const found = OTHERS.find((other) => other.kind === kind);
  return found === undefined ? undefined : asKind(found);
}

/** A kind whose fields nobody described: the matched columns under their own headings. */
export function withMatched(kind: Kind, run: Pick<DryRun, "columns">): Kind {
  if (kind.fields.length > 0) return kind;
  const matched = run.columns.filter((column) => column.field !== null && column.field !== "" && !BESIDE.includes(column.field));
  return { ...kind, fields: matched.map((column) => ({ key: column.field ?? "", zh: column.source, en: column.source })) };
}

const BESIDE = ["entry_id", "area", "lon", "lat", "lonlat", "geometry"];
