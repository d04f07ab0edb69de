/** Lists of the server, and the people that a roster can name. */

import { useMemo } from "preact/hooks";
import type { Api } from "../core/api";
import type { Option } from "../office/Combo";
import type { Office } from "../office/session";
import { useLoaded } from "./data";
import { mayPlan } from "./rights";
import { DAY_US } from "./roster";
import type { Shift } from "./roster";
import type { Person } from "./types";

const KNOWN_DAYS = 31;

/** The accounts that a roster can name, for whoever plans it (nobody else is told them), and everybody who stands in it a month back and ahead. */
export function usePeople(office: Office): Person[] {
  const users = useLoaded(() => (mayPlan(office.user) ? listOf<Person>(office.api, "/api/v1/duty/people") : Promise.resolve([])), [office], null);
  const shifts = useLoaded(() => {
    const now = Math.floor(office.clock.nowUs());
    return listOf<Shift>(office.api, `/api/v1/duty/shifts?from=${now - KNOWN_DAYS * DAY_US}&to=${now + KNOWN_DAYS * DAY_US}`);
  }, [office], null);
  return useMemo(() => merged([{ username: office.user.username, name: office.user.name }], users.value ?? [], shifts.value ?? []), [users.value, shifts.value]);
}

/** All items of a list. */
export function listOf<T>(api: Api, path: string): Promise<T[]> {
  return api.all<T>(path);
}

/** Those whom we know, by name then user name: from the accounts that a roster can name, and from the roster. */
export function merged(...lists: readonly (readonly Person[])[]): Person[] {
  const found = new Map<string, Person>();
  for (const person of lists.flat()) if (person.username !== "" && !found.has(person.username)) found.set(person.username, { username: person.username, name: person.name || person.username });
  return [...found.values()].sort((a, b) => collator.compare(a.name, b.name) || (a.username < b.username ? -1 : 1));
}

const collator = new Intl.Collator("zh-CN");

export function nameOf(people: readonly Person[], username: string): string {
  return people.find((person) => person.username === username)?.name ?? username;
}

/** For a box that offers people; somebody whom we do not know is taken by user name, and the server judges. */
export function optionsOf(people: readonly Person[], query: string): Option[] {
  const wanted = query.trim().toLowerCase();
  const found = people.filter((person) => person.name.toLowerCase().includes(wanted) || person.username.toLowerCase().includes(wanted));
  const options = found.map((person) => ({ value: person.username, text: person.name, note: person.username }));
  return options.length === 0 && wanted !== "" ? [{ value: query.trim(), text: query.trim() }] : options;
}
