/** 交接班: what is open goes from one officer to the next, and both sign. A signed sheet never changes. */

import { useState } from "preact/hooks";
import { explain, own, t, word } from "../core/i18n";
import { dayHm } from "../core/time";
import { Grade, Tag } from "../office/Badge";
import { Combo } from "../office/Combo";
import { Dialog, Failure, ReasonDialog } from "../office/Dialog";
import { Labelled } from "../office/Labelled";
import { refusalOf } from "../office/problems";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { postWord } from "./ShiftDialog";
import { useLoaded } from "./data";
import { grouped, isOpen, signsNext } from "./handover";
import { listOf, nameOf, optionsOf, usePeople } from "./people";
import { atDesk } from "./rights";
import { DAY_US, HOUR_US } from "./roster";
import type { Post, Shift } from "./roster";
import type { Handover, OpenItem, Person, Signature } from "./types";

const SHOWN = 60;

export function Handovers({ office }: { office: Office }) {
  const list = useLoaded(() => office.api.get<{ items: Handover[] }>(`/api/v1/duty/handovers?limit=${SHOWN}`), [office]);
  const posts = useLoaded(() => listOf<Post>(office.api, "/api/v1/duty/posts"), [office], null);
  const people = usePeople(office);
  const [chosen, setChosen] = useState("");
  const [drafting, setDrafting] = useState(false);
  const items = list.value?.items ?? [];
  // A sheet that was chosen or drafted stays, also while the list does not have it yet; else the one that waits for me.
  const current = chosen !== "" ? items.find((one) => one.handover_id === chosen) : items.find((one) => signsNext(one, office.user.username)) ?? items.find(isOpen) ?? items[0];
  const changed = (words: string): void => {
    toast(words);
    void list.reload();
  };
  return (
    <div class="split">
      <section class="list" aria-label={t("duty.handovers")}>
        <header>
          <button type="button" class="button primary" data-testid="draft-handover" disabled={!atDesk(office.user)} onClick={() => setDrafting(true)}>
            {t("duty.draftHandover")}
          </button>
        </header>
        <Failure text={list.problem || posts.problem} />
        {list.value !== null && items.length === 0 ? <p class="empty">{t("duty.handoverNone")}</p> : null}
        <ul>
          {items.map((one) => (
            <li key={one.handover_id}>
              <button type="button" aria-current={one === current} data-testid={`handover-${one.handover_id}`} data-state={one.state} onClick={() => setChosen(one.handover_id)}>
                <span class="row-head">
                  <b>
                    {nameOf(people, one.from_user)} → {nameOf(people, one.to_user)}
                  </b>
                  <StateTag handover={one} />
                </span>
                <small>
                  {postWord(posts.value ?? [], one.post)}
                  {one.area === "" ? "" : ` · ${office.areas.name(one.area)}`} · {dayHm(one.created_us)}
                </small>
              </button>
            </li>
          ))}
        </ul>
      </section>
      {current === undefined ? <section class="detail" /> : <Sheet key={`${current.handover_id}/${current.rev}`} office={office} handover={current} posts={posts.value ?? []} people={people} onChanged={(words) => {
        setChosen(current.handover_id);
        changed(words);
      }} />}
      {drafting ? (
        <DraftDialog
          office={office}
          posts={posts.value ?? []}
          people={people}
          onDone={(made) => {
            setDrafting(false);
            setChosen(made.handover_id);
            changed(t("duty.drafted"));
          }}
          onClose={() => setDrafting(false)}
        />
      ) : null}
    </div>
  );
}

function StateTag({ handover }: { handover: Handover }) {
  const kind = handover.state === "SIGNED_IN" ? "good" : isOpen(handover) ? "warn" : "plain";
  return <Tag kind={kind}>{word("handoverState", handover.state)}</Tag>;
}

function Sheet({ office, handover, posts, people, onChanged }: { office: Office; handover: Handover; posts: Post[]; people: Person[]; onChanged: (words: string) => void }) {
  const [comment, setComment] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [withdrawing, setWithdrawing] = useState(false);
  const [substituting, setSubstituting] = useState(false);
  const me = office.user.username;
  const mine = signsNext(handover, me);
  // Somebody else of the desk may take over in place of the one who was named, with a reason.
  const stands = handover.state === "SIGNED_OUT" && !mine && handover.from_user !== me && atDesk(office.user);
  const path = `/api/v1/duty/handovers/${encodeURIComponent(handover.handover_id)}`;
  const sign = async (): Promise<void> => {
    setBusy(true);
    try {
      await office.api.post(`${path}/sign`, { comment: comment.trim() });
      onChanged(t(handover.state === "DRAFT" ? "duty.signedOut" : "duty.signedIn"));
    } catch (error) {
      setProblem(explain(error));
    }
    setBusy(false);
  };
  const side = (name: "out" | "in"): Signature | undefined => handover.signatures.find((one) => one.side === name);
  return (
    <section class="detail sheet" data-testid="handover-sheet" data-handover={handover.handover_id} data-state={handover.state}>
      <header class="sheet-head">
        <div>
          <h2>
            {t("duty.handoverTitle", { post: postWord(posts, handover.post) })} <StateTag handover={handover} />
          </h2>
          <p class="dim">
            {handover.handover_id} · {t("duty.asOf", { t: dayHm(handover.created_us) })}
            {handover.area === "" ? "" : ` · ${office.areas.path(handover.area)}`}
          </p>
        </div>
        <span class="spring" />
        <button type="button" class="button" onClick={() => window.print()} data-testid="print">
          {t("duty.print")}
        </button>
      </header>
      {handover.substitute_reason === "" ? null : (
        <p class="warning">
          {t("duty.substitute")}：{handover.substitute_reason}
        </p>
      )}
      <h3>
        {t("duty.openItems")} <Tag kind={handover.open_items.length > 0 ? "warn" : "good"}>{handover.open_items.length}</Tag>
      </h3>
      {handover.open_items.length === 0 ? <p class="dim pad">{t("duty.openNone")}</p> : null}
      {grouped(handover.open_items).map(([kind, items]) => (
        <div key={kind} class="open-group">
          <h4>
            {word("openItem", kind)} <small>{items.length}</small>
          </h4>
          <ul>
            {items.map((item) => (
              <Item key={`${item.kind}/${item.ref}`} office={office} item={item} />
            ))}
          </ul>
        </div>
      ))}
      <h3>{t("duty.remarks")}</h3>
      <p class="remarks">{handover.remarks || t("duty.remarksNone")}</p>
      <div class="signatures">
        {(["out", "in"] as const).map((name) => (
          <SignatureBox key={name} side={name} signature={side(name)} who={nameOf(people, name === "out" ? handover.from_user : handover.to_user)} />
        ))}
      </div>
      {mine ? (
        <div class="sign-bar">
          <input type="text" value={comment} placeholder={t("duty.signComment")} aria-label={t("duty.signComment")} onInput={(event) => setComment(event.currentTarget.value)} data-testid="sign-comment" />
          <button type="button" class="button primary big" disabled={busy} onClick={() => void sign()} data-testid="sign">
            {t(handover.state === "DRAFT" ? "duty.signOut" : "duty.signIn")}
          </button>
        </div>
      ) : isOpen(handover) ? (
        <p class="dim pad">{t("duty.waitsForSignature", { name: nameOf(people, handover.state === "DRAFT" ? handover.from_user : handover.to_user) })}</p>
      ) : null}
      <Failure text={problem} />
      {isOpen(handover) && (handover.from_user === me || stands) ? (
        <div class="actions no-print">
          {stands ? (
            <button type="button" class="button" onClick={() => setSubstituting(true)} data-testid="substitute">
              {t("duty.standIn")}
            </button>
          ) : null}
          {handover.from_user === me ? (<button type="button" class="button danger-quiet" onClick={() => setWithdrawing(true)} data-testid="withdraw">
            {t("duty.withdraw")}
          </button>) : null}
        </div>
      ) : null}
      {substituting ? (
        <ReasonDialog
          title={t("duty.standIn")}
          text={t("duty.standInText", { name: nameOf(people, handover.to_user) })}
          action={t("duty.signIn")}
          label={t("duty.substitute")}
          run={async (reason) => {
            await office.api.post(`${path}/sign`, { comment: "", substitute_reason: reason });
            onChanged(t("duty.signedIn"));
          }}
          onClose={() => setSubstituting(false)}
        />
      ) : null}
      {withdrawing ? (
        <ReasonDialog
          title={t("duty.withdraw")}
          text={t("duty.withdrawText")}
          action={t("duty.withdraw")}
          danger
          run={async (reason) => {
            await office.api.post(`${path}/withdraw`, { comment: reason });
            onChanged(t("duty.withdrawn"));
          }}
          onClose={() => setWithdrawing(false)}
        />
      ) : null}
    </section>
  );
}

function Item({ office, item }: { office: Office; item: OpenItem }) {
  return (
    <li>
      {item.colour === "" ? null : <Grade colour={item.colour} />}
      <span>{own(item.text_zh, item.text_en)}</span>
      {item.until_us === null ? null : <small>{t("duty.untilShort", { t: dayHm(item.until_us) })}</small>}
      {item.area === "" ? null : <small>{office.areas.name(item.area)}</small>}
    </li>
  );
}

function SignatureBox({ side, signature, who }: { side: "out" | "in"; signature: Signature | undefined; who: string }) {
  return (
    <div class={`signature ${signature === undefined ? "" : "signed"}`} data-testid={`signature-${side}`} data-signed={signature !== undefined}>
      <small>{t(side === "out" ? "duty.goes" : "duty.comes")}</small>
      <b>{signature?.name || who}</b>
      {signature === undefined ? <span class="dim">{t("duty.notSigned")}</span> : <span>{t("duty.signedAt", { t: dayHm(signature.at_us) })}</span>}
      {signature === undefined || signature.comment === "" ? null : <span class="dim">{signature.comment}</span>}
    </div>
  );
}

const FIELDS = ["post", "to_user", "remarks", "substitute_reason"];

function DraftDialog({ office, posts, people, onDone, onClose }: { office: Office; posts: Post[]; people: Person[]; onDone: (made: Handover) => void; onClose: () => void }) {
  const now = Math.floor(office.clock.nowUs());
  const me = office.user.username;
  const shifts = useLoaded(() => listOf<Shift>(office.api, `/api/v1/duty/shifts?from=${now - DAY_US}&to=${now + 2 * DAY_US}`), [office], null);
  const own_ = (shifts.value ?? []).filter((shift) => shift.username === me && shift.from_us <= now && shift.to_us > now - DAY_US / 4).sort((a, b) => b.from_us - a.from_us)[0];
  const signed = posts.filter((post) => post.hand_over);
  const [picked, setPost] = useState("");
  const post = picked || own_?.post || signed[0]?.post || posts[0]?.post || "";
  const next = (shifts.value ?? []).filter((shift) => shift.post === post && shift.username !== "" && shift.username !== me && shift.to_us > now).sort((a, b) => Math.abs(a.from_us - (own_?.to_us ?? now)) - Math.abs(b.from_us - (own_?.to_us ?? now)))[0];
  const [typed, setTo] = useState<string | null>(null);
  const to = typed ?? next?.username ?? "";
  // The server takes somebody who is on the roster now or within the hour; anybody else is a substitute with a reason.
  const expected = (shifts.value ?? []).some((shift) => shift.post === post && shift.username === to && shift.from_us <= now + HOUR_US && shift.to_us > now);
  const [remarks, setRemarks] = useState("");
  const [substitute, setSubstitute] = useState("");
  const [errors, setErrors] = useState(new Map<string, string>());
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const run = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (to === "") return setErrors(new Map([["to_user", t("duty.whoNeeded")]]));
    setBusy(true);
    setProblem("");
    try {
      onDone(await office.api.post<Handover>("/api/v1/duty/handovers", { post, area: own_?.post === post ? own_.area : "", to_user: to, remarks: remarks.trim(), substitute_reason: substitute.trim() }));
    } catch (error) {
      const refusal = refusalOf(error, FIELDS);
      setErrors(refusal.fields);
      setProblem([refusal.summary, ...refusal.other].join("\n"));
      setBusy(false);
    }
  };
  return (
    <Dialog title={t("duty.draftHandover")} onClose={onClose} testid="draft-dialog">
      <form class="stack" onSubmit={(event) => void run(event)}>
        <p class="dim">{t("duty.draftHint")}</p>
        <div class="two">
          <Labelled id="draft-post" label={t("duty.post")} required error={errors.get("post")}>
            <select id="draft-post" value={post} onChange={(event) => setPost(event.currentTarget.value)} data-testid="draft-post">
              {posts.map((one) => (
                <option key={one.post} value={one.post}>
                  {own(one.zh, one.en)}
                </option>
              ))}
            </select>
          </Labelled>
          <Labelled id="draft-to" label={t("duty.comes")} required error={errors.get("to_user")}>
            <Combo id="draft-to" value={to} shown={to === "" ? "" : nameOf(people, to)} find={(query) => optionsOf(people, query).filter((option) => option.value !== me)} onChange={(option) => setTo(option?.value ?? "")} placeholder={t("duty.whoPlaceholder")} testid="draft-to" />
          </Labelled>
        </div>
        <Labelled id="draft-remarks" label={t("duty.remarks")} error={errors.get("remarks")} help={t("duty.remarksHelp")}>
          <textarea id="draft-remarks" rows={4} value={remarks} autofocus onInput={(event) => setRemarks(event.currentTarget.value)} data-testid="draft-remarks" />
        </Labelled>
        {shifts.value !== null && to !== "" && !expected ? (
          <Labelled id="draft-substitute" label={t("duty.substitute")} required error={errors.get("substitute_reason")} help={t("duty.substituteHelp", { name: nameOf(people, to) })}>
            <input id="draft-substitute" type="text" required value={substitute} onInput={(event) => setSubstitute(event.currentTarget.value)} />
          </Labelled>
        ) : null}
        <Failure text={problem} />
        <div class="actions">
          <button type="button" class="button" onClick={onClose}>
            {t("office.cancel")}
          </button>
          <button type="submit" class="button primary" disabled={busy} data-testid="draft-submit">
            {busy ? t("office.busy") : t("duty.draftSubmit")}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
