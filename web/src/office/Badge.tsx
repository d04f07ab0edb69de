/** Small marks. A four-colour grade always has its word beside the hue. */

import type { ComponentChildren } from "preact";
import { own, word } from "../core/i18n";

const HUES = ["red", "orange", "yellow", "blue"];

/** `colour` is a warning hue; the word is the choice's own, or the colour's name. */
export function Grade({ colour, zh = "", en = "" }: { colour: string; zh?: string; en?: string }) {
  const known = HUES.includes(colour);
  const text = own(zh, en) || (known ? word("colour", colour) : colour);
  return <span class={`grade ${known ? `g-${colour}` : ""}`}>{text}</span>;
}

/** `bad` asks for something to be done, `warn` for a look, `good` is settled, `plain` is a fact. */
export function Tag({ kind = "plain", children, title, testid }: { kind?: "bad" | "warn" | "good" | "plain"; children: ComponentChildren; title?: string; testid?: string }) {
  return (
    <span class={`tag ${kind}`} title={title} data-testid={testid}>
      {children}
    </span>
  );
}
