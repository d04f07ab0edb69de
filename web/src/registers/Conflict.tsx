/** Somebody else saved first: both versions side by side, and for each difference the clerk says which one holds. */

import { useState } from "preact/hooks";
import { lang, own, t } from "../core/i18n";
import { Dialog } from "../office/Dialog";
import { dayTime } from "./marks";
import type { Difference } from "./merge";
import type { Entry, Field } from "./types";
import { shownValue } from "./values";
import type { Lookup } from "./values";

export interface ConflictProps {
  fields: readonly Field[];
  theirs: Entry;
  found: readonly Difference[];
  names: Lookup;
  onSave: (chosen: { key: string; value: unknown }[]) => void;
  onReload: () => void;
  onClose: () => void;
}

export function ConflictDialog({ fields, theirs, found, names, onSave, onReload, onClose }: ConflictProps) {
  const [choice, setChoice] = useState<Record<string, "mine" | "theirs">>(() => Object.fromEntries(found.map((difference) => [difference.key, difference.proposed])));
  const foot = (
    <>
      <button type="button" class="button" onClick={onReload} data-testid="conflict-reload">
        {t("reg.conflictReload")}
      </button>
      <button type="button" class="button primary" data-testid="conflict-save" onClick={() => onSave(found.map((difference) => ({ key: difference.key, value: choice[difference.key] === "mine" ? difference.mine : difference.theirs })))}>
        {t("reg.conflictSave")}
      </button>
    </>
  );
  const cell = (difference: Difference, side: "mine" | "theirs"): string => {
    const field = fields.find((candidate) => candidate.key === difference.key);
    const value = field === undefined ? String(difference[side] ?? "") : wordsOf(field, difference[side], names);
    return value === "" ? t("reg.empty") : value;
  };
  return (
    <Dialog title={t("reg.conflictTitle")} wide onClose={onClose} foot={foot} testid="conflict">
      <p>{t("reg.conflictText", { who: theirs.changed_by, when: dayTime(theirs.changed_us) })}</p>
      {found.length === 0 ? <p>{t("reg.conflictNone")}</p> : null}
      <table class="compare">
        <thead>
          <tr>
            <th>{t("reg.field")}</th>
            <th>{t("reg.mine")}</th>
            <th>{t("reg.theirs", { who: theirs.changed_by })}</th>
          </tr>
        </thead>
        <tbody>
          {found.map((difference) => {
            const field = fields.find((candidate) => candidate.key === difference.key);
            return (
              <tr key={difference.key} class={difference.both ? "both" : ""}>
                <th scope="row">
                  {field === undefined ? difference.key : own(field.zh, field.en)}
                  {difference.both ? <small>{t("reg.bothChanged")}</small> : null}
                </th>
                {(["mine", "theirs"] as const).map((side) => (
                  <td key={side} class={choice[difference.key] === side ? "chosen" : ""}>
                    <label>
                      <input type="radio" name={`c-${difference.key}`} checked={choice[difference.key] === side} data-testid={`choose-${difference.key}-${side}`} onChange={() => setChoice({ ...choice, [difference.key]: side })} />
                      <span>{cell(difference, side)}</span>
                    </label>
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </Dialog>
  );
}

/** Rows are told in full here: "3 rows" against "3 rows" would not help. */
export function wordsOf(field: Field, value: unknown, names: Lookup): string {
  if (field.type !== "rows" || !Array.isArray(value)) return shownValue(field, value, lang, names);
  return value.map((row) => (field.fields ?? []).map((inner) => shownValue(inner, (row as Record<string, unknown>)[inner.key], lang, names)).filter((part) => part !== "").join(" ")).join("\n");
}
