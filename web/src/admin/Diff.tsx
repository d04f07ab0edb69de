/** Before and after, line by line; what does not change is only counted. */

import { t } from "../core/i18n";
import { diffOf, differing } from "./diff";
import { machineTime, stepWord } from "./words";

/** Microseconds as a time that people read; everything else as it stands. */
function told(path: readonly string[], text: string): string {
  return path.at(-1)?.endsWith("_us") === true && /^\d{13,}$/.test(text) ? machineTime(Number(text)) : text;
}

export function Diff({ before, after, past = false }: { before: unknown; after: unknown; past?: boolean }) {
  const { lines, same } = differing(diffOf(before, after));
  if (lines.length === 0) return <p class="dim pad">{t("admin.noChange")}</p>;
  return (
    <table class="diff" data-testid="diff">
      <thead>
        <tr>
          <th>{t("admin.field")}</th>
          <th>{t(past ? "admin.wasBefore" : "admin.before")}</th>
          <th>{t(past ? "admin.wasAfter" : "admin.after")}</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.path.join(".")} class={line.change} data-path={line.path.join(".")}>
            <th scope="row" title={line.path.join(".")}>
              {line.path.length === 0 ? t("admin.whole") : line.path.map(stepWord).join(" · ")}
            </th>
            <td class="was">{told(line.path, line.before) || "—"}</td>
            <td class="will">{told(line.path, line.after) || "—"}</td>
          </tr>
        ))}
      </tbody>
      {same > 0 ? (
        <tfoot>
          <tr>
            <td colSpan={3}>{t("admin.unchanged", { n: same })}</td>
          </tr>
        </tfoot>
      ) : null}
    </table>
  );
}
