/** The kinds by group, with how many there are of each. */

import { own, t, word } from "../core/i18n";
import { go } from "./route";
import type { Route } from "./route";
import type { Kind } from "./types";

export function groupsOf(kinds: readonly Kind[]): [string, Kind[]][] {
  const groups = new Map<string, Kind[]>();
  for (const kind of kinds) groups.set(kind.group, [...(groups.get(kind.group) ?? []), kind]);
  return [...groups];
}

export function Kinds({ kinds, route, imports }: { kinds: readonly Kind[]; route: Route; imports: boolean }) {
  const link = (to: Partial<Route>) => (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(to);
  };
  return (
    <nav class="kinds" aria-label={t("reg.kinds")}>
      <div class="kinds-tools">
        {imports ? (
          <a href="?view=import" class={route.view === "import" ? "chosen" : ""} onClick={link({ view: "import", kind: route.kind })} data-testid="open-import">
            <span>⇪ {t("reg.import")}</span>
          </a>
        ) : null}
        <a href="?view=unverified" class={route.view === "unverified" ? "chosen" : ""} onClick={link({ view: "unverified" })} data-testid="open-unverified">
          <span>◷ {t("reg.unverifiedList")}</span>
        </a>
      </div>
      {groupsOf(kinds).map(([group, members]) => (
        <section key={group}>
          <h2>{word("regGroup", group)}</h2>
          <ul>
            {members.map((kind) => {
              const chosen = kind.kind === route.kind && route.view !== "unverified" && route.view !== "import";
              return (
                <li key={kind.kind}>
                  <a href={`?kind=${kind.kind}`} class={chosen ? "chosen" : ""} aria-current={chosen ? "page" : undefined} onClick={link({ kind: kind.kind })} data-testid={`kind-${kind.kind}`} data-count={kind.count}>
                    <span>{own(kind.zh, kind.en)}</span>
                    <b class={kind.count === 0 ? "none" : ""}>{kind.count}</b>
                  </a>
                </li>
              );
            })}
          </ul>
        </section>
      ))}
    </nav>
  );
}
