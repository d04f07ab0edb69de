/** Who is on duty now and who would be called, in what order; what waits for me; what has no one. */

import { useMemo, useState } from "preact/hooks";
import { useTick } from "../core/hooks";
import { lang, own, t, word } from "../core/i18n";
import { dayHm, hm, span } from "../core/time";
import { Tag } from "../office/Badge";
import { AreaPicker } from "../office/Combo";
import { Failure } from "../office/Dialog";
import type { Office } from "../office/session";
import { useLoaded } from "./data";
import { signsNext } from "./handover";
import { arranged, overdueBy, waitsFor } from "./orders";
import type { Order } from "./orders";
import { listOf, nameOf, usePeople } from "./people";
import { atDesk } from "./rights";
import { DAY_US, HOUR_US, gapsIn } from "./roster";
import type { Post, Shift } from "./roster";
import type { DutyGap, DutyNow, Handover, LogEntry, OnDuty } from "./types";

const AHEAD_US = 24 * HOUR_US;

export function Today({ office, orders }: { office: Office; orders: Order[] }) {
  useTick(5_000);
  const [area, setArea] = useState("");
  const now = office.clock.nowUs();
  const [clear, setClear] = useState(false);
  const path = `/api/v1/duty/now?area=${encodeURIComponent(area)}`;
  // Numbers in clear are asked for once, by a press: each such reading stands in the journal.
  const masked = useLoaded(() => office.api.get<DutyNow>(path), [office, area]);
  const open = useLoaded(() => (clear ? office.api.get<DutyNow>(`${path}&clear=true`) : Promise.resolve(null)), [office, area, clear], null);
  const duty = clear && open.value !== null ? open : masked;
  const posts = useLoaded(() => listOf<Post>(office.api, "/api/v1/duty/posts"), [office]);
  const shifts = useLoaded(() => {
    const from = Math.floor(office.clock.nowUs());
    return listOf<Shift>(office.api, `/api/v1/duty/shifts?from=${from - DAY_US}&to=${from + 2 * DAY_US}`);
  }, [office]);
  const next = useMemo(() => followers(posts.value ?? [], shifts.value ?? [], now), [posts.value, shifts.value, Math.floor(now / 60e6)]);
  return (
    <div class="today">
      <section class="today-chain" aria-label={t("duty.chain")}>
        <header class="section-head">
          <div>
            <h2>{t("duty.chain")}</h2>
            <p class="dim">{t("duty.chainHint")}</p>
          </div>
          <span class="spring" />
          {atDesk(office.user) ? (<button type="button" class="button" aria-pressed={clear} title={t("duty.phonesHint")} data-testid="phones" onClick={() => setClear(!clear)}>
            {t(clear ? "duty.phonesHide" : "duty.phonesShow")}
          </button>) : null}
          <div class="today-area">
            <AreaPicker areas={office.areas} value={area} onChange={setArea} placeholder={t("duty.everywhere")} testid="duty-area" />
          </div>
        </header>
        <Failure text={masked.problem || open.problem || posts.problem} />
        <Chain office={office} duty={duty.value} posts={posts.value ?? []} shifts={shifts.value ?? []} now={now} />
      </section>
      <aside class="today-side">
        <Mine office={office} orders={orders} now={now} />
        <section class="card side-card" aria-label={t("duty.nextShifts")}>
          <h3>{t("duty.nextShifts")}</h3>
          {next.length === 0 ? <p class="dim pad">{t("duty.nextNone")}</p> : null}
          <ul class="lines">
            {next.map((line) => (
              <li key={`${line.post.post}${line.at}`} class={line.shift === null ? "bad-line" : ""}>
                <time>{dayHm(line.at)}</time>
                <span>{own(line.post.zh, line.post.en)}</span>
                <b>{line.shift === null ? t("duty.nobody") : line.shift.name || line.shift.username}</b>
              </li>
            ))}
          </ul>
        </section>
        <LatestLog office={office} />
      </aside>
    </div>
  );
}

/** In the order of the server, which is the order of the calls; what has no one stands below. */
function Chain({ office, duty, posts, shifts, now }: { office: Office; duty: DutyNow | null; posts: Post[]; shifts: Shift[]; now: number }) {
  if (duty === null) return <p class="dim pad">{t("link.connecting")}</p>;
  if (duty.chain.length + duty.gaps.length === 0) return <p class="empty">{t("duty.noRoster")}</p>;
  return (
    <ol class="chain" data-testid="chain">
      {duty.last_resort ? (
        <li class="last-resort" role="alert" data-testid="last-resort">
          {t("duty.lastResort")}
        </li>
      ) : null}
      {duty.chain.map((one, index) => {
        const post = posts.find((known) => known.post === one.post);
        const title = post === undefined ? one.post_zh || t("duty.chainStep", { n: index + 1 }) : own(post.zh, post.en);
        return <Called key={`${one.shift_id}/${one.username}/${one.name}`} order={index + 1} title={title} one={one} where={areaWord(office, one.area)} now={now} />;
      })}
      {duty.gaps.map((gap) => (
        <Missing key={gap.post} gap={gap} shifts={shifts} now={now} />
      ))}
    </ol>
  );
}

const areaWord = (office: Office, area: string): string => (area === "" ? "" : office.areas.name(area));

function Called({ order, title, one, where, now }: { order: number; title: string; one: OnDuty; where: string; now: number }) {
  const until = one.until_us;
  return (
    <li class={order === 1 ? "called first" : "called"} data-testid={`on-duty-${one.post}`} data-username={one.username} data-order={order}>
      <span class="order">{order}</span>
      <div class="who">
        <p class="post">
          {title}
          {where === "" ? null : <small> · {where}</small>}
        </p>
        <p class="name">{one.name || one.username}</p>
      </div>
      <div class="how">
        <p class="phone">{one.phone === "" ? <Tag kind="warn">{t("duty.noPhone")}</Tag> : one.phone}</p>
        {until === null ? null : <p class="dim">{t("duty.until", { t: dayHm(until), d: span(until - now, lang) })}</p>}
      </div>
      <span class="turn">{order === 1 ? t("duty.first") : t("duty.nth", { n: order })}</span>
    </li>
  );
}

function Missing({ gap, shifts, now }: { gap: DutyGap; shifts: Shift[]; now: number }) {
  const next = shifts.filter((shift) => shift.post === gap.post && shift.from_us > now).sort((a, b) => a.from_us - b.from_us)[0];
  return (
    <li class="called gap" data-testid={`gap-${gap.post}`}>
      <span class="order">!</span>
      <div class="who">
        <p class="post">{own(gap.zh, gap.en)}</p>
        <p class="name">{t("duty.nobody")}</p>
      </div>
      <div class="how">
        <p class="dim">{next === undefined ? t("duty.nobodyLater") : t("duty.from", { t: dayHm(next.from_us), name: next.name || next.username })}</p>
      </div>
      <a class="button danger" href="#/roster">
        {t("duty.fill")}
      </a>
    </li>
  );
}

interface Follower {
  post: Post;
  at: number;
  shift: Shift | null;
}

/** What changes in the next 24 h: who comes, and where nobody does. */
function followers(posts: readonly Post[], shifts: readonly Shift[], now: number): Follower[] {
  const lines: Follower[] = [];
  for (const post of posts) {
    const own = shifts.filter((shift) => shift.post === post.post);
    if (own.length === 0) continue;
    for (const shift of own) if (shift.from_us > now && shift.from_us <= now + AHEAD_US) lines.push({ post, at: shift.from_us, shift });
    if (post.required) for (const gap of gapsIn(own, now, now + AHEAD_US)) if (gap.from_us > now) lines.push({ post, at: gap.from_us, shift: null });
  }
  return lines.sort((a, b) => a.at - b.at).slice(0, 8);
}

function Mine({ office, orders, now }: { office: Office; orders: Order[]; now: number }) {
  const handovers = useLoaded(() => listOf<Handover>(office.api, "/api/v1/duty/handovers"), [office]);
  const people = usePeople(office);
  const me = office.user.username;
  const mine = arranged(orders, office.user, now).filter((order) => waitsFor(order, office.user));
  const unsigned = (handovers.value ?? []).filter((h) => signsNext(h, me));
  return (
    <section class="card side-card" aria-label={t("duty.mine")} data-testid="mine">
      <h3>
        {t("duty.mine")} {mine.length + unsigned.length > 0 ? <Tag kind="warn">{mine.length + unsigned.length}</Tag> : null}
      </h3>
      {mine.length + unsigned.length === 0 ? <p class="dim pad">{t("duty.mineNone")}</p> : null}
      <ul class="lines">
        {mine.map((order) => {
          const late = overdueBy(order, now);
          return (
            <li key={order.instruction_id} class={late === null ? "" : "bad-line"}>
              <a href={`#/instructions/${encodeURIComponent(order.instruction_id)}`}>
                <Tag kind={late === null ? "warn" : "bad"}>{late === null ? t("duty.instruction") : t("duty.supervised")}</Tag> {order.text}
              </a>
            </li>
          );
        })}
        {unsigned.map((handover) => (
          <li key={handover.handover_id}>
            <a href="#/handovers">
              <Tag kind="warn">{t("duty.handovers")}</Tag> {t("duty.handoverWaits", { from: nameOf(people, handover.from_user), to: nameOf(people, handover.to_user) })}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function LatestLog({ office }: { office: Office }) {
  const log = useLoaded(() => office.api.get<{ items: LogEntry[] }>("/api/v1/duty/log?limit=6"), [office]);
  const items = [...(log.value?.items ?? [])].sort((a, b) => b.at_us - a.at_us).slice(0, 6);
  return (
    <section class="card side-card" aria-label={t("duty.latestLog")}>
      <h3>{t("duty.latestLog")}</h3>
      {items.length === 0 ? <p class="dim pad">{t("duty.logNone")}</p> : null}
      <ul class="lines">
        {items.map((entry) => (
          <li key={entry.entry_id}>
            <time>{hm(entry.at_us)}</time>
            <span>
              <Tag>{word("dutyLog", entry.kind)}</Tag> {entry.text}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
