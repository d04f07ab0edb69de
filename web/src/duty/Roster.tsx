/** The roster as a grid of posts and days. Click or drag to enter; arrow keys walk the cells. */

import { useMemo, useState } from "preact/hooks";
import { lang, own, t } from "../core/i18n";
import { hm } from "../core/time";
import { Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { Labour } from "./Labour";
import { MoveDialog } from "./MoveDialog";
import type { Move } from "./MoveDialog";
import { PostsDialog } from "./PostsDialog";
import { RotationDialog } from "./RotationDialog";
import { ShiftDialog } from "./ShiftDialog";
import type { ShiftDraft } from "./ShiftDialog";
import { useLoaded } from "./data";
import { PERSON_TYPE, SHIFT_TYPE, tintOf } from "./marks";
import { listOf, merged, usePeople } from "./people";
import { mayPlan } from "./rights";
import { DAY_US, HOUR_US, dayStart, gridOf, isoDay, moved, onDay, parsed, personOf, spanOf, usualStart } from "./roster";
import type { Cell, Post, Row, Shift, Span } from "./roster";

type View = "week" | "month";
type Open = { kind: "shift"; draft: ShiftDraft } | { kind: "move"; move: Move } | { kind: "rotation" } | { kind: "posts" } | null;


export function Roster({ office }: { office: Office }) {
  const [view, setView] = useState<View>("week");
  const [at, setAt] = useState(() => dayStart(office.clock.nowUs()));
  const [open, setOpen] = useState<Open>(null);
  const span = spanOf(view, at);
  const posts = useLoaded(() => listOf<Post>(office.api, "/api/v1/duty/posts"), [office], null);
  // A day more on each side: who comes off a night shift clashes with the next one.
  const shifts = useLoaded(() => listOf<Shift>(office.api, `/api/v1/duty/shifts?from=${span.from - DAY_US}&to=${span.to + DAY_US}`), [office, span.from, span.to]);
  const known = usePeople(office);
  const all = shifts.value ?? [];
  const people = useMemo(() => merged(known, all), [known, all]);
  const now = office.clock.nowUs();
  const rows = useMemo(() => gridOf(posts.value ?? [], all, span, now, ""), [posts.value, all, span.from, span.to, Math.floor(now / 60e6)]);
  const missing = rows.reduce((sum, row) => sum + row.cells.filter((cell) => cell.gaps.length > 0).length, 0);

  const done = (words: string): void => {
    setOpen(null);
    toast(words);
    void shifts.reload();
  };
  const add = (row: Pick<Row, "post" | "area">, from: number, to: number, username = ""): void =>
    setOpen({ kind: "shift", draft: { shift_id: "", post: row.post.post, area: row.area, username, name: "", phone: "", from_us: from, to_us: to, rev: 0 } });
  const first = posts.value?.[0];
  const start = usualStart(all);
  const plans = mayPlan(office.user);
  return (
    <div class="roster">
      <header class="roster-tools">
        <div class="segments" role="group" aria-label={t("duty.view")}>
          {(["week", "month"] as const).map((name) => (
            <button key={name} type="button" class="button" aria-pressed={view === name} data-testid={`view-${name}`} onClick={() => setView(name)}>
              {t(name === "week" ? "duty.week" : "duty.month")}
            </button>
          ))}
        </div>
        <div class="segments">
          <button type="button" class="button" aria-label={t("duty.earlier")} title={t("duty.earlier")} data-testid="earlier" onClick={() => setAt(moved(view, at, -1))}>
            ‹
          </button>
          <button type="button" class="button" onClick={() => setAt(dayStart(office.clock.nowUs()))} data-testid="this-day">
            {t("duty.todayShort")}
          </button>
          <button type="button" class="button" aria-label={t("duty.later")} title={t("duty.later")} data-testid="later" onClick={() => setAt(moved(view, at, 1))}>
            ›
          </button>
        </div>
        <input type="date" class="day" value={isoDay(at)} aria-label={t("duty.goTo")} onChange={(event) => setAt(parsed(event.currentTarget.value) ?? at)} />
        <strong class="span-words">{spanWords(span, view)}</strong>
        {missing > 0 ? (
          <span class="missing" data-testid="missing">
            {t("duty.missing", { n: missing })}
          </span>
        ) : posts.value !== null && shifts.value !== null ? (
          <span class="complete">{t("duty.complete")}</span>
        ) : null}
        <span class="spring" />
        {plans ? null : <span class="dim">{t("duty.planners")}</span>}
        {plans ? (
          <a class="button" href="/registers?view=import&kind=shift" data-testid="import-roster">
            {t("duty.import")}
          </a>
        ) : null}
        {plans ? (
          <button type="button" class="button" data-testid="posts" disabled={posts.value === null} onClick={() => setOpen({ kind: "posts" })}>
            {t("duty.posts")}
          </button>
        ) : null}
        <button type="button" class="button" data-testid="rotation" disabled={first === undefined || !plans} onClick={() => setOpen({ kind: "rotation" })}>
          {t("duty.rotation")}
        </button>
        <button type="button" class="button primary" data-testid="add-shift" disabled={first === undefined || !plans} onClick={() => first !== undefined && add({ post: first, area: "" }, ...hoursFor(Math.max(dayStart(now), span.from), start))}>
          {t("duty.addShift")}
        </button>
      </header>
      <Failure text={posts.problem || shifts.problem} />
      <div class={`roster-body ${view}`}>
        {posts.value === null || shifts.value === null ? (
          <p class="empty">{t("link.connecting")}</p>
        ) : (
        <Grid office={office} rows={rows} view={view} now={now} start={start} onAdd={add} onEdit={(shift) => setOpen({ kind: "shift", draft: { phone: "", ...shift } })} onMove={(move) => setOpen({ kind: "move", move })} />
        )}
        <Labour people={people} shifts={all} span={span} />
      </div>
      {open?.kind === "shift" ? <ShiftDialog office={office} posts={posts.value ?? []} shifts={all} people={people} draft={open.draft} onSwap={(move) => setOpen({ kind: "move", move })} onDone={done} onClose={() => setOpen(null)} /> : null}
      {open?.kind === "move" ? <MoveDialog office={office} posts={posts.value ?? []} shifts={all} move={open.move} onDone={done} onClose={() => setOpen(null)} /> : null}
      {open?.kind === "posts" ? <PostsDialog office={office} posts={posts.value ?? []} onDone={(words) => { void posts.reload(); done(words); }} onClose={() => setOpen(null)} /> : null}
      {open?.kind === "rotation" ? <RotationDialog office={office} posts={posts.value ?? []} people={people} from={Math.max(dayStart(now), span.from)} start={start} onDone={done} onClose={() => setOpen(null)} /> : null}
    </div>
  );
}

/** A day of twelve hours from the district's usual hour. */
function hoursFor(day: number, start: number): [number, number] {
  return [day + start * HOUR_US, day + (start + 12) * HOUR_US];
}

function spanWords(span: Span, view: View): string {
  const [from, to] = [isoDay(span.from), isoDay(span.to - DAY_US)];
  const [year, month] = from.split("-") as [string, string];
  if (view === "month") return t("duty.monthOf", { y: year, m: Number(month) });
  return `${from} – ${to.slice(from.slice(0, 4) === to.slice(0, 4) ? 5 : 0)}`;
}

interface GridProps {
  office: Office;
  rows: Row[];
  view: View;
  now: number;
  /** hour at which a new shift begins */
  start: number;
  onAdd: (row: Row, from: number, to: number, username?: string) => void;
  onEdit: (shift: Shift) => void;
  onMove: (move: Move) => void;
}

const WEEKDAYS = { zh: "一二三四五六日", en: ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] };

function Grid({ office, rows, view, now, start, onAdd, onEdit, onMove }: GridProps) {
  const today = dayStart(now);
  const plans = mayPlan(office.user);
  const days = rows[0]?.cells.map((cell) => cell.day_us) ?? [];
  const drop = (event: DragEvent, row: Row, cell: Cell, onto: Shift | null): void => {
    event.preventDefault();
    event.stopPropagation();
    (event.currentTarget as HTMLElement).classList.remove("over");
    const person = event.dataTransfer?.getData(PERSON_TYPE) ?? "";
    const dragged = event.dataTransfer?.getData(SHIFT_TYPE) ?? "";
    if (person !== "") return onAdd(row, ...freeHours(cell, start), person);
    if (dragged === "") return;
    const { shift, day } = JSON.parse(dragged) as { shift: Shift; day: number };
    if (onto !== null) return onto.shift_id === shift.shift_id ? undefined : onMove({ kind: "swap", one: shift, other: onto });
    const to = { ...onDay(shift, day, cell.day_us), post: row.post.post, area: row.area };
    if (to.from_us !== shift.from_us || to.post !== shift.post || to.area !== shift.area) onMove({ kind: "to", one: shift, to });
  };
  return (
    <div class={`grid-scroll ${view}`} onKeyDown={walk}>
      <table class="grid" aria-label={t("duty.roster")} data-testid="roster-grid">
        <thead>
          <tr>
            <th class="corner" scope="col">
              {t("duty.post")}
            </th>
            {days.map((day, index) => (
              <th key={day} scope="col" class={`${day === today ? "today-col " : ""}${index % 7 >= 5 && view === "week" ? "weekend" : ""}`}>
                <b>{Number(isoDay(day).slice(8))}</b> <small>{weekday(day)}</small>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, y) => (
            <tr key={`${row.post.post}/${row.area}`} data-post={row.post.post} data-area={row.area}>
              <th scope="row">
                <span>{own(row.post.zh, row.post.en)}</span>
                {row.area === "" ? row.post.required ? null : <small>{t("duty.optional")}</small> : <small>{office.areas.name(row.area)}</small>}
              </th>
              {row.cells.map((cell, x) => (
                <td
                  key={cell.day_us}
                  class={`${cell.day_us === today ? "today-col " : ""}${cell.gaps.length > 0 ? "lacking" : ""}`}
                  data-day={isoDay(cell.day_us)}
                  onDragOver={(event) => {
                    event.preventDefault();
                    event.currentTarget.classList.add("over");
                  }}
                  onDragLeave={(event) => event.currentTarget.classList.remove("over")}
                  onDrop={(event) => plans && drop(event, row, cell, null)}
                >
                  <div class="cell">
                    {pieces(cell).map((piece) =>
                      "shift" in piece ? (
                        <button
                          key={piece.shift.shift_id}
                          type="button"
                          draggable={plans}
                          disabled={!plans}
                          class={`shift p${tintOf(personOf(piece.shift))} ${piece.shift.to_us <= now ? "past" : ""}`}
                          title={`${piece.shift.name || piece.shift.username} ${hours(piece.shift)}`}
                          data-testid={`shift-${piece.shift.shift_id}`}
                          data-username={piece.shift.username}
                          data-walk={`${x},${y}`}
                          onClick={() => onEdit(piece.shift)}
                          onDragStart={(event) => event.dataTransfer?.setData(SHIFT_TYPE, JSON.stringify({ shift: piece.shift, day: cell.day_us }))}
                          onDragOver={(event) => event.preventDefault()}
                          onDrop={(event) => plans && drop(event, row, cell, piece.shift)}
                        >
                          <b>{piece.shift.name || piece.shift.username}</b>
                          <small>{hoursIn(piece.shift, cell.day_us)}</small>
                        </button>
                      ) : (
                        <button
                          key={`gap${piece.gap.from_us}`}
                          type="button"
                          class="gap"
                          disabled={!plans}
                          title={t("duty.gapHint", { from: hm(piece.gap.from_us), to: endHm(piece.gap.to_us) })}
                          data-testid={`gap-${row.post.post}-${isoDay(cell.day_us)}`}
                          data-walk={`${x},${y}`}
                          onClick={() => onAdd(row, piece.gap.from_us, piece.gap.to_us)}
                        >
                          <b>{t("duty.gap")}</b>
                          <small>
                            {hm(piece.gap.from_us)}–{endHm(piece.gap.to_us)}
                          </small>
                        </button>
                      ),
                    )}
                    {cell.gaps.length === 0 && plans ? (
                      <button type="button" class="plus" aria-label={t("duty.addOn", { post: own(row.post.zh, row.post.en), day: isoDay(cell.day_us) })} data-walk={`${x},${y}`} onClick={() => onAdd(row, ...freeHours(cell, start))}>
                        +
                      </button>
                    ) : null}
                  </div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 0 ? <p class="empty">{t("duty.noPosts")}</p> : plans ? <p class="dim hint">{t("duty.gridHint")}</p> : null}
    </div>
  );
}

type Piece = { shift: Shift } | { gap: { from_us: number; to_us: number } };

/** Shifts and gaps of a day in the order of the clock. */
function pieces(cell: Cell): Piece[] {
  const all: [number, Piece][] = [...cell.shifts.map((shift): [number, Piece] => [shift.from_us, { shift }]), ...cell.gaps.map((gap): [number, Piece] => [gap.from_us, { gap }])];
  return all.sort(([a], [b]) => a - b).map(([, piece]) => piece);
}

function freeHours(cell: Cell, start: number): [number, number] {
  const gap = cell.gaps[0];
  return gap === undefined ? hoursFor(cell.day_us, start) : [gap.from_us, gap.to_us];
}

const weekday = (day: number): string => {
  const index = Math.round((day - spanOf("week", day).from) / DAY_US);
  return WEEKDAYS[lang][index] ?? "";
};

const endHm = (us: number): string => (us === dayStart(us) ? "24:00" : hm(us));
const hours = (shift: Shift): string => `${isoDay(shift.from_us)} ${hm(shift.from_us)} – ${isoDay(shift.to_us)} ${hm(shift.to_us)}`;

/** The hours of a shift as this day sees them: ‹ and › where it goes on beyond it. */
function hoursIn(shift: Shift, day: number): string {
  const from = shift.from_us < day ? "‹" : hm(shift.from_us);
  const to = shift.to_us > day + DAY_US ? "›" : endHm(shift.to_us);
  return from === "‹" && to === "›" ? "‹ 24h ›" : `${from}–${to}`;
}

/** Arrow keys go from cell to cell; inside a cell Tab does. */
function walk(event: KeyboardEvent): void {
  const step: Record<string, [number, number]> = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
  const by = step[event.key];
  const place = (event.target as HTMLElement).dataset["walk"];
  if (by === undefined || place === undefined) return;
  event.preventDefault();
  const [x, y] = place.split(",").map(Number) as [number, number];
  (event.currentTarget as HTMLElement).querySelector<HTMLElement>(`[data-walk="${x + by[0]},${y + by[1]}"]`)?.focus();
}
