/** What the pieces of the roster are dragged as, and how people are told apart. */

export const SHIFT_TYPE = "application/x-citybrain-shift";
export const PERSON_TYPE = "application/x-citybrain-person";

const TINTS = 8;

/** A person has one tint in all cells, so that a row can be read without reading names. */
export function tintOf(person: string): number {
  let sum = 0;
  for (const letter of person) sum = (sum * 31 + letter.charCodeAt(0)) % 997;
  return sum % TINTS;
}
