/** 数据质量: what is wrong with the data now, whose it is, and how far its mending is. */

import { render } from "preact";
import { useState } from "preact/hooks";
import { explain, lang, own, t } from "../core/i18n";
import { dayHm } from "../core/time";
import { CityTime } from "../duty/CityTime";
import { useLoaded } from "../duty/data";
import { Tag } from "../office/Badge";
import { AreaPicker } from "../office/Combo";
import { Failure } from "../office/Dialog";
import { Opening, Shell } from "../office/Shell";
import { Table } from "../office/Table";
import { csv, saveAs } from "../office/save";
import { openOffice } from "../office/session";
import type { Office } from "../office/session";
import { toast } from "../office/toast";
import { TicketDialog } from "./TicketDialog";
import { CHECKS, NOTHING, STAGES, checkWord, placeOf, queryOf, stageWord } from "./data";
import type { Board, Filter, Problem, Stage } from "./data";
import "../duty/duty.css";
import "./quality.css";

const REFRESH_MS = 60_000;
const STAGE_TAG: Record<Stage, "bad" | "warn" | "good"> = { found: "bad", fed_back: "warn", mended: "good" };

/** Who may open a ticket: command_center/authority.py OPEN_TICKET. */
const feedsBack = (office: Office): boolean => office.user.roles.some((role) => ["operator", "leader", "admin", "registrar", "vendor"].includes(role));

function Quality({ office }: { office: Office }) {
  const [filter, setFilter] = useState<Filter>(NOTHING);
  const [chosen, setChosen] = useState("");
  const [telling, setTelling] = useState<Problem | null>(null);
  // The counts of the chips are of everything in the area and of one owner, whatever chip is pressed.
  const whole = useLoaded(() => office.api.get<Board>(queryOf({ ...filter, check: "", stage: "" }, "", 1)), [office, filter.area, filter.whose], REFRESH_MS);
  const board = useLoaded(() => office.api.get<Board>(queryOf(filter)), [office, filter], REFRESH_MS);
  const set = (part: Partial<Filter>): void => {
    setFilter({ ...filter, ...part });
    setChosen("");
  };
  const rows = board.value?.items ?? [];
  const problem = rows.find((row) => row.problem_id === chosen);
  const done = (words: string): void => {
    setTelling(null);
    toast(words);
    void board.reload();
    void whole.reload();
  };
  const download = async (): Promise<void> => {
    const lines: (string | number)[][] = [];
    let cursor = "";
    do {
      const page: Board = await office.api.get<Board>(queryOf(filter, cursor));
      lines.push(...page.items.map((row) => [checkWord(row.check), row.subject, row.subject_id, row.name, own(row.zh, row.en), office.areas.name(row.area), row.whose, stageWord(row.stage), row.ticket_id, row.due_us === null ? "" : dayHm(row.due_us)]));
      cursor = page.next ?? "";
    } while (cursor !== "");
    const head = ["quality.check", "quality.kind", "quality.id", "quality.name", "quality.what", "quality.area", "quality.whose", "quality.stage", "quality.ticket", "quality.due"] as const;
    saveAs(new Blob([csv([head.map((key) => t(key)), ...lines])], { type: "text/csv" }), "data-quality.csv");
  };
  const counts = whole.value;
  return (
    <Shell office={office} page="quality" aside={<CityTime clock={office.clock} />}>
      <main class="duty quality">
        <section class="quality-top" aria-label={t("quality.counts")}>
          <Figure label={t("quality.total")} value={counts?.total} bad={(counts?.total ?? 0) > 0} testid="quality-total" pressed={filter.check === "" && filter.stage === ""} onPress={() => set({ check: "", stage: "" })} />
          {STAGES.map((stage) => (
            <Figure key={stage} label={stageWord(stage)} value={counts?.by_stage[stage]} bad={stage === "found" && (counts?.by_stage[stage] ?? 0) > 0} testid={`stage-${stage}`} pressed={filter.stage === stage} onPress={() => set({ stage: filter.stage === stage ? "" : stage })} />
          ))}
          <Figure label={t("quality.overdue")} value={counts?.overdue} bad={(counts?.overdue ?? 0) > 0} testid="quality-overdue" />
          <Figure label={t("quality.closed")} value={counts?.closed} testid="quality-closed" />
        </section>
        <div class="quality-tools">
          <div class="chips" role="group" aria-label={t("quality.check")}>
            {CHECKS.map((check) => (
              <button key={check} type="button" class="chip" aria-pressed={filter.check === check} disabled={(counts?.by_check[check] ?? 0) === 0 && filter.check !== check} onClick={() => set({ check: filter.check === check ? "" : check })} data-testid={`check-${check}`}>
                {checkWord(check)} <b>{counts?.by_check[check] ?? 0}</b>
              </button>
            ))}
          </div>
          <span class="spring" />
          <label class="whose">
            <span class="hidden">{t("quality.whose")}</span>
            <select value={filter.whose} onChange={(event) => set({ whose: event.currentTarget.value })} data-testid="quality-whose">
              <option value="">{t("quality.everybody")}</option>
              {Object.entries(counts?.by_whose ?? {}).filter(([name]) => name !== "").map(([name, count]) => (
                <option key={name} value={name}>
                  {name} ({count})
                </option>
              ))}
            </select>
          </label>
          <div class="area">
            <AreaPicker id="quality-area" areas={office.areas} value={filter.area} onChange={(area) => set({ area })} placeholder={t("quality.everywhere")} />
          </div>
          <button type="button" class="button" disabled={rows.length === 0} onClick={() => void download()} data-testid="quality-download">
            {t("duty.download")}
          </button>
          {office.user.roles.includes("vendor") ? null : (
            <a class="button" href="/api/v1/dictionary.xlsx" data-testid="dictionary">
              {t("quality.dictionary")}
            </a>
          )}
        </div>
        <Failure text={board.problem || whole.problem} />
        <div class={problem === undefined ? "quality-body" : "quality-body with-card"}>
          <Table
            label={t("office.quality")}
            testid="quality"
            rows={rows}
            rowKey={(row) => row.problem_id}
            selected={chosen}
            onSelect={(row) => setChosen(row.problem_id)}
            empty={board.value === null ? t("link.connecting") : t("quality.nothing")}
            columns={[
              { key: "check", title: t("quality.check"), width: "7.5rem", cell: (row) => checkWord(row.check), value: (row) => CHECKS.indexOf(row.check) },
              { key: "name", title: t("quality.name"), width: "minmax(10rem, 1.4fr)", cell: (row) => row.name, hint: (row) => `${row.name} ${row.subject_id}`, value: (row) => row.name },
              { key: "what", title: t("quality.what"), width: "minmax(12rem, 2.4fr)", cell: (row) => own(row.zh, row.en), hint: (row) => own(row.zh, row.en) },
              { key: "area", title: t("quality.area"), width: "minmax(6rem, 0.8fr)", cell: (row) => office.areas.name(row.area), value: (row) => row.area },
              { key: "whose", title: t("quality.whose"), width: "minmax(7rem, 1fr)", cell: (row) => row.whose || "—", value: (row) => row.whose },
              { key: "stage", title: t("quality.stage"), width: "10rem", cell: (row) => <StageTag row={row} />, value: (row) => STAGES.indexOf(row.stage) },
            ]}
          />
          {problem === undefined ? null : <Card office={office} problem={problem} onTell={() => setTelling(problem)} />}
        </div>
        {telling === null ? null : <TicketDialog office={office} problem={telling} onDone={done} onClose={() => setTelling(null)} />}
      </main>
    </Shell>
  );
}

function Figure({ label, value, bad = false, pressed, onPress, testid }: { label: string; value: number | undefined; bad?: boolean; pressed?: boolean; onPress?: () => void; testid: string }) {
  const inside = (
    <>
      <b class={bad ? "bad" : ""}>{value ?? "…"}</b>
      <span>{label}</span>
    </>
  );
  return onPress === undefined ? (
    <div class="figure" data-testid={testid}>
      {inside}
    </div>
  ) : (
    <button type="button" class="figure" aria-pressed={pressed === true} onClick={onPress} data-testid={testid}>
      {inside}
    </button>
  );
}

function StageTag({ row }: { row: Problem }) {
  return (
    <>
      <Tag kind={STAGE_TAG[row.stage]}>{stageWord(row.stage)}</Tag> {row.overdue ? <Tag kind="bad">{t("quality.supervised")}</Tag> : null}
    </>
  );
}

function Card({ office, problem, onTell }: { office: Office; problem: Problem; onTell: () => void }) {
  const place = placeOf(problem);
  return (
    <aside class="user-card" aria-label={problem.name} data-testid="quality-card">
      <h2>{problem.name}</h2>
      <dl class="facts">
        <dt>{t("quality.check")}</dt>
        <dd>{checkWord(problem.check)}</dd>
        <dt>{t("quality.what")}</dt>
        <dd>{own(problem.zh, problem.en)}</dd>
        <dt>{t("quality.id")}</dt>
        <dd>
          <code>{problem.subject_id}</code>
        </dd>
        <dt>{t("quality.area")}</dt>
        <dd>{office.areas.name(problem.area) || "—"}</dd>
        <dt>{t("quality.whose")}</dt>
        <dd>{problem.whose || "—"}</dd>
        <dt>{t("quality.since")}</dt>
        <dd>{problem.since_us === null ? "—" : dayHm(problem.since_us)}</dd>
        <dt>{t("quality.stage")}</dt>
        <dd>
          <StageTag row={problem} />
        </dd>
        <dt>{t("quality.ticket")}</dt>
        <dd>{problem.ticket_id === "" ? "—" : `${problem.ticket_id} ${lang === "zh" ? problem.ticket_state_zh : ""}`}</dd>
        <dt>{t("quality.due")}</dt>
        <dd>{problem.due_us === null ? "—" : dayHm(problem.due_us)}</dd>
      </dl>
      {place !== "" ? (
        <a class="button primary" href={place} data-testid="quality-mend">
          {t("quality.mend")}
        </a>
      ) : problem.stage === "found" && feedsBack(office) ? (
        <button type="button" class="button primary" onClick={onTell} data-testid="quality-tell">
          {t("quality.feedBack")}
        </button>
      ) : null}
    </aside>
  );
}

document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
const root = document.getElementById("app");
if (root !== null) {
  const show = (problem: string): void => render(<Opening problem={problem} />, root);
  show("");
  void openOffice((error) => show(explain(error))).then((office) => render(<Quality office={office} />, root));
}
