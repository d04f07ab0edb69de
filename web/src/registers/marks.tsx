/** What a clerk must see of an entry at a glance: who is missing, what is old, which grade. */

import { t } from "../core/i18n";
import { dayHm } from "../core/time";
import { Grade, Tag } from "../office/Badge";
import type { Entry, Kind } from "./types";
import { gradeOf, isVerified, lacksResponsible } from "./values";

/** Kinds that are checked each season; those without numbers (areas, addresses) say so. */
export const isChecked = (kind: Kind): boolean => kind.verify !== false;

export function Verified({ entry }: { entry: Entry }) {
  if (entry.verified_us === null) return <Tag kind="bad">{t("reg.neverVerified")}</Tag>;
  const when = dayOf(entry.verified_us);
  return isVerified(entry) ? <Tag kind="good">{t("reg.verifiedOn", { d: when })}</Tag> : <Tag kind="warn">{t("reg.unverifiedSince", { d: when })}</Tag>;
}

export function Missing({ kind, entry }: { kind: Kind; entry: Entry }) {
  return lacksResponsible(kind, entry) ? (
    <Tag kind="bad" testid="missing-responsible">
      {t("reg.noResponsible")}
    </Tag>
  ) : null;
}

/** `brief`: 红 without （重大风险）, for a cell. */
export function GradeOf({ kind, entry, brief = false }: { kind: Kind; entry: Entry; brief?: boolean }) {
  const grade = gradeOf(kind.fields, entry);
  if (grade === null) return null;
  const cut = (text: string): string => (brief ? (text.split(/[（(]/)[0] ?? text).trim() : text);
  return <Grade colour={grade.colour} zh={cut(grade.zh)} en={cut(grade.en)} />;
}

/** 2019-08-09 */
export function dayOf(us: number): string {
  return new Date(us / 1000 + 8 * 3600_000).toISOString().slice(0, 10);
}

/** 2019-08-09 20:40 */
export function dayTime(us: number): string {
  return `${dayOf(us)} ${dayHm(us).split(" ")[1] ?? ""}`;
}
