/** The tree of areas with ticks: a ticked area takes in everything inside it. Nothing ticked limits nothing. */

import { useState } from "preact/hooks";
import { t } from "../core/i18n";
import { Tag } from "../office/Badge";
import type { Areas } from "../office/areas";
import { covered, toggledArea } from "./roles";

const ALL_SHOWN = 200; // more areas than this are found by typing

export function AreaTree({ areas, codes, onChange }: { areas: Areas; codes: string[]; onChange: (codes: string[]) => void }) {
  const [query, setQuery] = useState("");
  const unknown = codes.filter((code) => !areas.list.some((area) => area.code === code));
  const found = query.trim() === "" ? areas.list : areas.search(query);
  return (
    <div class="area-tree" data-testid="area-tree">
      <input type="search" value={query} placeholder={t("office.area")} aria-label={t("office.area")} onInput={(event) => setQuery(event.currentTarget.value)} />
      <p>
        {codes.length === 0 ? <Tag kind="warn">{t("admin.everywhere")}</Tag> : null}
        {unknown.map((code) => (
          <button key={code} type="button" class="button small" onClick={() => onChange(codes.filter((other) => other !== code))}>
            {code} ×
          </button>
        ))}
      </p>
      <ul>
        {found.slice(0, ALL_SHOWN).map((area) => {
          const own = codes.includes(area.code);
          const inside = !own && covered(codes, area.code);
          return (
            <li key={area.code} class={`d${Math.min(4, areas.depth(area))}`}>
              <label>
                <input type="checkbox" checked={own || inside} disabled={inside} data-testid={`area-${area.code}`} onChange={() => onChange(toggledArea(codes, area.code))} /> {area.name}
                <small>{area.code}</small>
              </label>
            </li>
          );
        })}
        {/^[0-9A-Za-z]{2,32}$/.test(query.trim()) && found.length === 0 ? (
          <li>
            <button type="button" class="button small" onClick={() => onChange(toggledArea(codes, query.trim()))}>
              {t("admin.addCode", { c: query.trim() })}
            </button>
          </li>
        ) : null}
      </ul>
    </div>
  );
}
