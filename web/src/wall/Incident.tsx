import { useEffect, useState } from "preact/hooks";
import { useAction, useTick, useTopics } from "../core/hooks";
import { explain, lang, own, t, word } from "../core/i18n";
import { hm, hms, span } from "../core/time";
import type { Candidate, Incident, Task } from "../core/types";
import { useDesk } from "./Alarms";
import type { Desk } from "./desk";
import { Chip, Panel } from "./parts";

const LISTED_MAX = 12;
const NONE: ReadonlySet<string> = new Set();

export function Incidents({ desk }: { desk: Desk }) {
  useTopics(desk.session.store, ["incidents", "tasks"]);
  useDesk(desk);
  const incidents = desk.incidents();
  const current = desk.incident();
  return (
    <Panel title={t("incidents.title")} testid="incidents" aside={<span>{incidents.length}</span>}>
      {incidents.length === 0 ? <p class="empty">{t("incidents.none")}</p> : null}
      <ul class="incident-list">
        {incidents.slice(0, LISTED_MAX).map((incident) => (
          <li key={incident.incident_id} class={`${incident.incident_id === current?.incident_id ? "selected" : ""} s-${incident.state}`}>
            <button type="button" class="plain" data-testid={`incident-${incident.incident_id}`} data-state={incident.state} onClick={() => desk.selectIncident(incident.incident_id)}>
              <Chip colour={incident.colour} />
              <span class="name">{own(incident.title_zh, incident.title_en)}</span>
              <Stage incident={incident} />
            </button>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Stage({ incident }: { incident: Incident }) {
  return <span class={`stage s-${incident.state}`}>{lang === "zh" ? incident.state_zh || word("incidentState", incident.state) : word("incidentState", incident.state)}</span>;
}

export function IncidentPanel({ desk }: { desk: Desk }) {
  useTopics(desk.session.store, ["incidents", "tasks", "alarms", "units"]);
  useDesk(desk);
  useTick(1000);
  const incident = desk.incident();
  const tasks = incident === undefined ? [] : desk.tasksOf(incident.incident_id);
  const all = Object.values(incident?.task_counts ?? {}).reduce((sum, count) => sum + count, 0);
  useEffect(() => {
    if (incident !== undefined && tasks.length < all) void desk.loadTasks(incident.incident_id).catch(() => undefined);
  }, [incident?.incident_id, all, tasks.length]);
  if (incident === undefined) {
    return (
      <section class="panel grow incident-panel" data-testid="incident-panel">
        <p class="empty">{t("incident.select")}</p>
      </section>
    );
  }
  return (
    <section
      class={`panel grow incident-panel e-${incident.colour || "none"}`}
      onPointerDownCapture={() => desk.touch(incident.incident_id)}
      onKeyDownCapture={() => desk.touch(incident.incident_id)}
      data-testid="incident-panel"
      data-incident={incident.incident_id} data-state={incident.state}
    >
      <header class="incident-head">
        <Chip colour={incident.colour} big />
        <div>
          <h2>{own(incident.title_zh, incident.title_en)}</h2>
          <div class="meta">
            <Stage incident={incident} />
            <span>{incident.incident_id}</span>
            <span>{t("incident.opened", { t: hm(incident.opened_us) })}</span>
            {incident.plan_id === "" ? null : <span>{t("incident.plan", { p: `${incident.plan_id} ${incident.plan_version}` })}</span>}
          </div>
        </div>
      </header>
      {desk.session.can.operate ? <Actions key={incident.incident_id} desk={desk} incident={incident} tasks={tasks} /> : (
        <>
          <p class="readonly">{t("incident.readonly")}</p>
          <Tasks desk={desk} tasks={tasks} chosen={NONE} toggle={null} />
        </>
      )}
      <Timeline incident={incident} />
    </section>
  );
}

/** What the desk may do in this state; the server has the last word and its reason is shown. */
function Actions({ desk, incident, tasks }: { desk: Desk; incident: Incident; tasks: Task[] }) {
  const action = useAction(explain);
  const [comment, setComment] = useState("");
  const [problem, setProblem] = useState("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const drafts = tasks.filter((task) => task.state === "DRAFT");
  const picked = drafts.filter((task) => chosen.has(task.task_id)).map((task) => task.task_id);
  const early = ["REPORTED", "VERIFYING"].includes(incident.state);
  const active = ["OPEN", "GRADED", "RESPONDING"].includes(incident.state);
  const open = early || active || incident.state === "CONTROLLED";

  function act(name: "verify" | "reject" | "controlled" | "close" | "notes", needsReason: boolean): void {
    if (needsReason && comment.trim() === "") {
      setProblem(t("incident.commentNeeded"));
      return;
    }
    setProblem("");
    action.run(async () => {
      await desk.incidentAct(incident.incident_id, name, comment.trim());
      setComment("");
    });
  }

  const toggle = (taskId: string): void => {
    const next = new Set(chosen);
    if (!next.delete(taskId)) next.add(taskId);
    setChosen(next);
  };

  return (
    <>
      {open ? (
        <div class="actions">
          {early ? (
            <button type="button" class="primary" data-testid="verify" disabled={action.busy} onClick={() => act("verify", false)}>
              {t("incident.verify")}
            </button>
          ) : null}
          {active && drafts.length > 0 ? (
            <button type="button" class="primary" data-testid="issue" disabled={action.busy} onClick={() => action.run(() => desk.issue(incident.incident_id, picked))}>
              {picked.length === 0 ? t("incident.issue") : t("incident.issueSome", { n: picked.length })}
            </button>
          ) : null}
          {active ? (
            <button type="button" data-testid="controlled" disabled={action.busy} onClick={() => act("controlled", false)}>
              {t("incident.controlled")}
            </button>
          ) : null}
          {early ? (
            <button type="button" data-testid="reject" disabled={action.busy} onClick={() => act("reject", true)}>
              {t("incident.reject")}
            </button>
          ) : (
            <button type="button" data-testid="close" disabled={action.busy} onClick={() => act("close", true)}>
              {t("incident.close")}
            </button>
          )}
          <button type="button" data-testid="note" disabled={action.busy} onClick={() => act("notes", true)}>
            {t("incident.note")}
          </button>
          <input
            class={problem === "" ? "" : "wanted"}
            value={comment}
            placeholder={t("incident.comment")}
            aria-label={t("incident.comment")}
            data-testid="comment"
            onInput={(event) => {
              setComment(event.currentTarget.value);
              setProblem("");
            }}
          />
        </div>
      ) : null}
      {problem === "" && action.problem === "" ? null : (
        <p class="problem" role="alert" data-testid="action-problem">
          {problem || action.problem}
        </p>
      )}
      <Tasks desk={desk} tasks={tasks} chosen={chosen} toggle={active || early ? toggle : null} />
    </>
  );
}

function Tasks({ desk, tasks, chosen, toggle }: { desk: Desk; tasks: Task[]; chosen: ReadonlySet<string>; toggle: ((taskId: string) => void) | null }) {
  const done = tasks.filter((task) => ["REPORTED_DONE", "VERIFIED", "CLOSED"].includes(task.state)).length;
  return (
    <div class="tasks">
      <h3>
        {t("incident.tasks")} {tasks.length === 0 ? null : <small>{t("task.progress", { done, all: tasks.length })}</small>}
      </h3>
      {tasks.length === 0 ? <p class="empty">{t("incident.noTasks")}</p> : null}
      <ul>
        {tasks.map((task) => (
          <TaskRow key={task.task_id} desk={desk} task={task} chosen={chosen.has(task.task_id)} toggle={toggle} />
        ))}
      </ul>
    </div>
  );
}

const STEPS = ["ISSUED", "ACCEPTED", "EN_ROUTE", "ON_SCENE", "REPORTED_DONE", "VERIFIED"];
const REACHED: Record<string, number> = { DRAFT: 0, ISSUED: 1, DELIVERED: 1, ACKED: 1, ACCEPTED: 2, EN_ROUTE: 3, ON_SCENE: 4, IN_PROGRESS: 4, REPORTED_DONE: 5, VERIFIED: 6, CLOSED: 6 };
const RUNNING = ["ISSUED", "DELIVERED", "ACKED", "ACCEPTED", "EN_ROUTE"];

function TaskRow({ desk, task, chosen, toggle }: { desk: Desk; task: Task; chosen: boolean; toggle: ((taskId: string) => void) | null }) {
  const action = useAction(explain);
  const [assigning, setAssigning] = useState(false);
  const operate = desk.session.can.operate;
  const running = RUNNING.includes(task.state);
  const assignable = operate && (task.state === "DRAFT" || running || ["DECLINED", "FAILED", "EXPIRED"].includes(task.state));
  const move = (act: "verify" | "close" | "recall"): void => action.run(() => desk.taskAct(task.task_id, act));
  return (
    <li class={`task s-${task.state}`} data-testid={`task-${task.task_id}`} data-state={task.state} data-unit={task.unit_id}>
      <div class="line">
        {task.state === "DRAFT" && operate && toggle !== null ? (
          <input type="checkbox" aria-label={t("task.select")} checked={chosen} onChange={() => toggle(task.task_id)} data-testid={`pick-${task.task_id}`} />
        ) : null}
        <span class="name">{own(task.title_zh, task.title_en)}</span>
        <span class={`state s-${task.state}`}>{lang === "zh" ? task.state_zh || word("taskState", task.state) : word("taskState", task.state)}</span>
      </div>
      <div class="line sub">
        <span class="who">{task.unit_name || t("task.unassigned")}</span>
        {task.unit_authority === "direct" || task.unit_authority === "" ? null : <span class="flag">{word("authority", task.unit_authority)}</span>}
        <span class="where" title={task.place}>{task.place}</span>
        <Timing desk={desk} task={task} running={running} />
        {operate && task.state === "REPORTED_DONE" ? <Small testid={`verify-task-${task.task_id}`} text={t("task.verify")} busy={action.busy} run={() => move("verify")} /> : null}
        {operate && task.state === "VERIFIED" ? <Small testid={`close-task-${task.task_id}`} text={t("task.close")} busy={action.busy} run={() => move("close")} /> : null}
        {operate && running ? <Small testid={`recall-task-${task.task_id}`} text={t("task.recall")} busy={action.busy} run={() => move("recall")} /> : null}
        {assignable ? <Small testid={`assign-${task.task_id}`} text={t("task.assign")} busy={false} run={() => setAssigning(!assigning)} pressed={assigning} /> : null}
      </div>
      <div class="steps" aria-hidden="true">
        {STEPS.map((step, index) => (
          <i key={step} class={index < (REACHED[task.state] ?? 0) ? "on" : ""} />
        ))}
      </div>
      {action.problem === "" ? null : (
        <p class="problem" role="alert">
          {action.problem}
        </p>
      )}
      {assigning && assignable ? <Candidates desk={desk} task={task} onDone={() => setAssigning(false)} /> : null}
    </li>
  );
}

function Small({ text, testid, busy, run, pressed }: { text: string; testid: string; busy: boolean; run: () => void; pressed?: boolean }) {
  return (
    <button type="button" class="mini" data-testid={testid} disabled={busy} aria-pressed={pressed} onClick={run}>
      {text}
    </button>
  );
}

const DAY_US = 86_400e6;

function Timing({ desk, task, running }: { desk: Desk; task: Task; running: boolean }) {
  const now = desk.session.clock.nowUs();
  const left = task.eta_s === null || task.eta_s === undefined ? null : task.eta_s * 1e6 - (task.state === "EN_ROUTE" ? now - task.changed_us : 0);
  const due = task.due_us === null ? null : task.due_us - now;
  return (
    <>
      {running && left !== null ? <span class="eta">{t("task.eta", { t: span(left, lang) })}</span> : null}
      {due !== null && running && Math.abs(due) < DAY_US ? <span class={due < 0 ? "late" : ""}>{due < 0 ? t("task.overdue", { t: span(-due, lang) }) : t("task.due", { t: span(due, lang) })}</span> : null}
    </>
  );
}

function Candidates({ desk, task, onDone }: { desk: Desk; task: Task; onDone: () => void }) {
  const [list, setList] = useState<Candidate[] | null>(null);
  const action = useAction(explain);
  useEffect(() => action.run(async () => setList(await desk.candidates(task.task_id))), [task.task_id]);
  return (
    <div class="candidates" data-testid={`candidates-${task.task_id}`}>
      {action.problem === "" ? null : <p class="problem">{action.problem}</p>}
      {(list ?? []).slice(0, 6).map((candidate) => (
        <button
          type="button"
          key={candidate.unit.unit_id}
          class={`candidate ${candidate.capable && candidate.available ? "" : "poor"}`}
          disabled={action.busy || candidate.unit.unit_id === task.unit_id}
          onClick={() => action.run(() => desk.assign(task.task_id, candidate.unit.unit_id).then(onDone))}
        >
          <b>{candidate.unit.name}</b>
          <span>{word("unit", candidate.unit.status)}</span>
          {candidate.unit.authority === "direct" ? null : <span class="flag">{word("authority", candidate.unit.authority)}</span>}
          <span class="eta">{candidate.eta_s === null ? t("task.noWay") : span(candidate.eta_s * 1e6, lang)}</span>
          <small>{(lang === "zh" ? candidate.reasons_zh : candidate.reasons_en).join(lang === "zh" ? "；" : "; ")}</small>
        </button>
      ))}
    </div>
  );
}

function Timeline({ incident }: { incident: Incident }) {
  return (
    <div class="timeline" data-testid="timeline">
      <h3>{t("incident.timeline")}</h3>
      <ol>
        {[...incident.timeline].reverse().map((entry, index) => (
          <li key={`${entry.at_us}:${entry.kind}:${incident.timeline.length - index}`} class={`k-${entry.kind}`}>
            <time>{hms(entry.at_us)}</time>
            <span>{own(entry.text_zh, entry.text_en)}</span>
            {entry.actor === "" || entry.actor === "system" ? null : <small>{entry.actor}</small>}
          </li>
        ))}
      </ol>
    </div>
  );
}

