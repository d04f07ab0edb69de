/** The list of posts while somebody edits it. */

import type { Post } from "./roster";

export function inOrder(posts: readonly Post[]): Post[] {
  return [...posts].sort((a, b) => a.step - b.step || (a.post < b.post ? -1 : 1));
}

export function moveUp(posts: readonly Post[], index: number): Post[] {
  const next = [...posts];
  const [one] = next.splice(index, 1);
  if (one !== undefined) next.splice(Math.max(0, index - 1), 0, one);
  return next;
}

/** A code that no post has. Codes stand in shifts and the journal: they are made once, and people see names. */
export function codeFor(posts: readonly Post[]): string {
  const taken = new Set(posts.map((post) => post.post));
  let n = 1;
  while (taken.has(`post_${n}`)) n += 1;
  return `post_${n}`;
}
