/** Small pieces that several panels share. */

import type { ComponentChildren } from "preact";
import { t, word } from "../core/i18n";
import type { AnyColour } from "../core/types";

/** A warning colour, always with its word. */
export function Chip({ colour, big = false }: { colour: AnyColour | string; big?: boolean }) {
  const known = ["red", "orange", "yellow", "blue"].includes(colour);
  return <span class={`chip ${known ? `c-${colour}` : "c-none"} ${big ? "big" : ""}`}>{known ? word("colour", colour) : "—"}</span>;
}

export function Panel({ title, aside, children, grow = false, testid }: { title: string; aside?: ComponentChildren; children: ComponentChildren; grow?: boolean; testid?: string }) {
  return (
    <section class={`panel ${grow ? "grow" : ""}`} data-testid={testid} aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {aside === undefined ? null : <div class="aside">{aside}</div>}
      </header>
      <div class="panel-body">{children}</div>
    </section>
  );
}

const FLAG_WORDS: Record<string, "flag.unverified" | "flag.clock"> = { unverified: "flag.unverified", clock_fault: "flag.clock", 待核实: "flag.unverified", 时钟异常: "flag.clock" };

/** Everything about an alarm that a person must know before trusting it. */
export function Flags({ flags, noData, stored, latched }: { flags: string[]; noData: boolean; stored: boolean; latched: boolean }) {
  const words = flags.map((flag) => {
    const key = FLAG_WORDS[flag];
    return key === undefined ? flag : t(key);
  });
  if (noData) words.push(t("flag.no_data"));
  if (!stored) words.push(t("flag.unstored"));
  if (latched) words.push(t("flag.latched"));
  return (
    <>
      {[...new Set(words)].map((text) => (
        <span class="flag" key={text}>
          {text}
        </span>
      ))}
    </>
  );
}

export function number(value: number, digits = 2): string {
  const places = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? Math.min(1, digits) : digits;
  return value.toFixed(places);
}
