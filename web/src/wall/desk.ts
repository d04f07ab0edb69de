/** What the operator's page holds beside the live picture: selection, and the writes that the keys and buttons share. */

import { explain } from "../core/i18n";
import type { Session } from "../core/session";
import { rank } from "../core/store";
import type { Alarm, Candidate, Incident, Task } from "../core/types";

const OPEN_STATES = ["REPORTED", "VERIFYING", "OPEN", "GRADED", "RESPONDING", "CONTROLLED", "TERMINATED", "RECOVERY", "REVIEW"];

/** After this long without a touch the panel follows events by itself again. */
const PIN_MS = 120_000;

export class Desk {
  alarmId = "";
  incidentId = "";
  /** acknowledgements that were sent and have not come back as an event yet */
  readonly sent = new Set<string>();
  problem = "";
  private pinnedUntilMs = 0;
  private readonly listeners = new Set<() => void>();

  constructor(
    readonly session: Pick<Session, "store" | "api" | "can" | "clock" | "registry">,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  listen(run: () => void): () => void {
    this.listeners.add(run);
    return () => this.listeners.delete(run);
  }

  selectAlarm(alarmId: string): void {
    this.alarmId = alarmId;
    const incident = this.session.store.alarms.get(alarmId)?.incident_id ?? "";
    if (incident !== "") this.selectIncident(incident);
    this.changed();
  }

  selectIncident(incidentId: string): void {
    this.incidentId = incidentId;
    this.pinnedUntilMs = this.nowMs() + PIN_MS;
    this.changed();
  }

  /** Somebody works in the panel: it must not change under the hand. */
  touch(incidentId: string): void {
    this.incidentId = incidentId;
    this.pinnedUntilMs = this.nowMs() + PIN_MS;
  }

  /** Incidents that still want attention first, the worst and newest of them on top. */
  incidents(): Incident[] {
    const order = (incident: Incident): number => OPEN_STATES.indexOf(incident.state);
    const open = (incident: Incident): number => (order(incident) >= 0 && order(incident) <= 5 ? 1 : 0);
    return [...this.session.store.incidents.values()].sort(
      (a, b) => open(b) - open(a) || rank(b.colour) - rank(a.colour) || b.opened_us - a.opened_us,
    );
  }

  /**
   * The incident of the panel: the chosen one while somebody works on it; else the one on show as long as it waits for a
   * person; else one that does; else the one on show.
   */
  incident(): Incident | undefined {
    const shown = this.session.store.incidents.get(this.incidentId);
    if (shown !== undefined && (this.nowMs() < this.pinnedUntilMs || shown.state === "VERIFYING")) return shown;
    const list = this.incidents();
    const next = list.find((incident) => incident.state === "VERIFYING") ?? shown ?? list[0];
    this.incidentId = next?.incident_id ?? "";
    return next;
  }

  /** The live feed leaves closed tasks out; whoever looks at an incident wants to see them. */
  async loadTasks(incidentId: string): Promise<void> {
    const detail = await this.session.api.get<{ tasks?: Task[] }>(`/api/v1/incidents/${encodeURIComponent(incidentId)}`);
    for (const task of detail.tasks ?? []) this.session.store.putTask(task);
  }

  tasksOf(incidentId: string): Task[] {
    return [...this.session.store.tasks.values()]
      .filter((task) => task.incident_id === incidentId)
      .sort((a, b) => (a.task_id < b.task_id ? -1 : 1));
  }

  /** For the one key: the selected alarm if it waits, else the worst, and of those the oldest. */
  nextToAck(): Alarm | undefined {
    const waiting = (alarm: Alarm): boolean => alarm.acked === null && !this.sent.has(alarm.alarm_id);
    const selected = this.session.store.alarms.get(this.alarmId);
    if (selected !== undefined && waiting(selected)) return selected;
    return this.session.store
      .queue()
      .filter(waiting)
      .sort((a, b) => rank(b.colour) - rank(a.colour) || a.raised_us - b.raised_us)[0];
  }

  async acknowledge(alarm: Alarm): Promise<void> {
    if (!this.session.can.operate || alarm.acked !== null || this.sent.has(alarm.alarm_id)) return;
    this.sent.add(alarm.alarm_id);
    this.problem = "";
    this.changed();
    try {
      await this.session.api.post(`/api/v1/alarms/${encodeURIComponent(alarm.alarm_id)}/ack`);
    } catch (error) {
      this.sent.delete(alarm.alarm_id);
      this.problem = explain(error);
    }
    this.changed();
  }

  async incidentAct(incidentId: string, act: "verify" | "reject" | "controlled" | "close" | "notes", comment: string): Promise<void> {
    const body = comment === "" ? {} : { comment };
    const incident = await this.session.api.post<Incident>(`/api/v1/incidents/${encodeURIComponent(incidentId)}/${act}`, body);
    this.session.store.putIncident(incident);
  }

  async issue(incidentId: string, taskIds: string[]): Promise<void> {
    const body = taskIds.length === 0 ? {} : { task_ids: taskIds };
    const path = `/api/v1/incidents/${encodeURIComponent(incidentId)}/tasks/issue`;
    const answer = await this.session.api.post<Task[] | { items?: Task[]; tasks?: Task[] }>(path, body);
    const tasks = Array.isArray(answer) ? answer : (answer.items ?? answer.tasks ?? []);
    for (const task of tasks) this.session.store.putTask(task);
  }

  async taskAct(taskId: string, act: "verify" | "close" | "recall"): Promise<void> {
    this.session.store.putTask(await this.session.api.post<Task>(`/api/v1/tasks/${encodeURIComponent(taskId)}/${act}`));
  }

  async assign(taskId: string, unitId: string): Promise<void> {
    const path = `/api/v1/tasks/${encodeURIComponent(taskId)}/assign`;
    this.session.store.putTask(await this.session.api.post<Task>(path, { unit_id: unitId }));
  }

  async candidates(taskId: string): Promise<Candidate[]> {
    const path = `/api/v1/tasks/${encodeURIComponent(taskId)}/candidates`;
    const answer = await this.session.api.get<Candidate[] | { items: Candidate[] }>(path);
    return Array.isArray(answer) ? answer : answer.items;
  }

  private changed(): void {
    for (const run of this.listeners) run();
  }
}
