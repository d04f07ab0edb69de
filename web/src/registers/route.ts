/** Which view stands in the address bar, so that a reload, a link and the back button lead to it. */

import { useEffect, useState } from "preact/hooks";

export interface Route {
  view: "list" | "edit" | "new" | "unverified" | "import";
  kind: string;
  id: string;
  /** of the import wizard */
  step: string;
}

export function readRoute(search: string): Route {
  const query = new URLSearchParams(search);
  const view = query.get("view") ?? "list";
  return {
    view: (["list", "edit", "new", "unverified", "import"] as const).find((known) => known === view) ?? "list",
    kind: query.get("kind") ?? "",
    id: query.get("id") ?? "",
    step: query.get("step") ?? "",
  };
}

export function writeRoute(route: Partial<Route>): string {
  const query = new URLSearchParams();
  if (route.view !== undefined && route.view !== "list") query.set("view", route.view);
  for (const key of ["kind", "id", "step"] as const) {
    const value = route[key] ?? "";
    if (value !== "") query.set(key, value);
  }
  const tail = query.toString();
  return tail === "" ? location.pathname : `${location.pathname}?${tail}`;
}

const CHANGED = "citybrain:route";

/** Goes there. `replace` for a change that the back button should pass over, as another chosen row. */
export function go(route: Partial<Route>, replace = false): void {
  const url = writeRoute(route);
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  window.dispatchEvent(new Event(CHANGED));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => readRoute(location.search));
  useEffect(() => {
    const read = (): void => setRoute(readRoute(location.search));
    window.addEventListener("popstate", read);
    window.addEventListener(CHANGED, read);
    return () => {
      window.removeEventListener("popstate", read);
      window.removeEventListener(CHANGED, read);
    };
  }, []);
  return route;
}
