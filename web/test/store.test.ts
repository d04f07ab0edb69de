import { describe, expect, it } from "vitest";
import { Store, namedRow } from "../src/core/store";
import type { Alarm, Incident, Task } from "../src/core/types";

const UNIT = ["id", "ver", "lon_e6", "lat_e6", "heading", "speed_cm_s", "status", "t_us", "stale_s", "name", "kind", "task_id"];
const unit = (id: string, ver: number, lon: number): unknown[] => [id, ver, lon, 28_000_000, 90, 500, "EN_ROUTE", 1, 60, "队", "fire", ""];

function store(): Store {
  return new Store("zh", (run) => run());
}

function alarm(id: string, change: Partial<Alarm> = {}): Alarm {
  return {
    alarm_id: id, rule_id: "r", rule_version: "1", hazard: "flood", subject: { kind: "device", id: "d", name: "d" }, device_ids: [], area: "", lon: 121, lat: 28,
    colour: "orange", peak_colour: "orange", no_data: false, latched: false, state: "firing", title_zh: id, title_en: id, detail_zh: "", detail_en: "", value: 1, uom: "m",
    flags: [], raised_us: 1, event_time_us: 1, changed_us: 1, cleared_us: null, n: 1, acked: null, shelved_until_us: null, incident_id: "", stored: true, escalation: null, ...change,
  };
}

const task = (id: string, rev: number, state: string): Task => ({
  task_id: id, incident_id: "I", title_zh: "抽排", title_en: "pump", detail_zh: "", detail_en: "", capability: "pumping", state, state_zh: "", unit_id: "u", unit_name: "一队",
  unit_authority: "direct", lon: 121, lat: 28, place: "", due_us: null, issued_us: null, changed_us: 1, rev, eta_s: null, history: [],
});

const ev = (kind: string, id: string, rev: number, data: unknown, seq = 1) => ({ seq, t: 5, kind, id, rev, data });

describe("rows", () => {
  it("get their names from the schema", () => {
    expect(namedRow(["a", 1, 5], ["id", "ver", "x"])).toEqual({ id: "a", ver: 1, x: 5 });
    expect(namedRow([1, 2], ["id", "ver"])).toBeNull();
    expect(namedRow(["a", 1], null)).toBeNull();
  });

  it("a stale picture plus its deltas is the fresh picture, in any order of arrival", () => {
    const one = store();
    one.snapshot("obj/unit", [unit("a", 1, 100), unit("b", 1, 200)], UNIT);
    one.delta("obj/unit", [unit("a", 3, 300)], ["b"], UNIT);
    one.delta("obj/unit", [unit("a", 2, 250)], [], UNIT); // overlap of an older delta
    const other = store();
    other.snapshot("obj/unit", [unit("a", 3, 300)], UNIT);
    expect([...one.units]).toEqual([...other.units]);
  });

  it("a snapshot replaces everything that was there", () => {
    const one = store();
    one.snapshot("obj/unit", [unit("a", 1, 100)], UNIT);
    one.snapshot("obj/unit", [unit("c", 1, 100)], UNIT);
    expect([...one.units.keys()]).toEqual(["c"]);
  });

  it("a moving unit leaves a bounded trail", () => {
    const one = store();
    for (let step = 0; step < 300; step += 1) one.delta("obj/unit", [unit("a", step, step * 1000)], [], UNIT);
    expect(one.trails.get("a")?.length).toBe(80);
    expect(one.trails.get("a")?.at(-1)).toEqual([0.299, 28]);
  });
});

describe("alarms", () => {
  it("rise by event and tell the sound once, not for a snapshot", () => {
    const one = store();
    const heard: string[] = [];
    one.onAlarm = (found, kind) => heard.push(`${found.alarm_id}:${kind}`);
    one.snapshot("alarm", [alarm("old")], null);
    one.event("alarm", ev("raised", "new", 1, alarm("new", { colour: "red" })));
    expect(heard).toEqual(["new:raised"]);
    expect(one.highest()).toBe("red");
  });

  it("an older state of an episode does not overwrite a newer one; an acknowledgement has the same n", () => {
    const one = store();
    one.event("alarm", ev("level_up", "a", 2, alarm("a", { n: 2, colour: "red" })));
    one.event("alarm", ev("raised", "a", 1, alarm("a", { n: 1 })));
    expect(one.alarms.get("a")?.colour).toBe("red");
    one.event("alarm", ev("ack", "a", 2, alarm("a", { n: 2, colour: "red", acked: { by: "duty1", at_us: 1, comment: "" } })));
    expect(one.alarms.get("a")?.acked?.by).toBe("duty1");
  });

  it("stand worst first, then unacknowledged, then newest", () => {
    const one = store();
    const acked = { by: "x", at_us: 1, comment: "" };
    one.snapshot("alarm", [alarm("y", { colour: "yellow" }), alarm("r1", { colour: "red", acked }), alarm("r2", { colour: "red" }), alarm("o1", { raised_us: 1 }), alarm("o2", { raised_us: 9 })], null);
    expect(one.queue().map((found) => found.alarm_id)).toEqual(["r2", "r1", "o2", "o1", "y"]);
  });

  it("a cleared alarm stays a minute and then leaves the queue", () => {
    const one = store();
    one.snapshot("alarm", [alarm("a")], null);
    one.event("alarm", ev("cleared", "a", 2, alarm("a", { n: 2, state: "cleared", colour: "", cleared_us: 9 })));
    expect(one.queue().map((found) => found.alarm_id)).toEqual(["a"]);
    expect(one.queue(Date.now() + 61_000)).toEqual([]);
    expect(one.highest()).toBe("");
  });
});

describe("tasks, incidents and notes", () => {
  it("the answer of a write and the event that follows it agree, whichever comes first", () => {
    const one = store();
    one.event("task", ev("ISSUED", "t", 3, task("t", 3, "ACCEPTED")));
    one.putTask(task("t", 2, "ISSUED"));
    expect(one.tasks.get("t")?.state).toBe("ACCEPTED");
  });

  it("a task that went to another unit leaves", () => {
    const one = store();
    one.snapshot("task", [task("t", 1, "ISSUED")], null);
    one.event("task", ev("removed", "t", 2, { id: "t" }));
    expect(one.tasks.size).toBe(0);
  });

  it("tells a new task to the phone", () => {
    const one = store();
    const heard: boolean[] = [];
    one.onTask = (_task, _kind, isNew) => heard.push(isNew);
    one.event("task", ev("ISSUED", "t", 1, task("t", 1, "ISSUED")));
    one.event("task", ev("DELIVERED", "t", 2, task("t", 2, "DELIVERED"), 2));
    expect(heard).toEqual([true, false]);
  });

  it("the ticker remembers what was before the page opened, without repeating it after a reconnect", () => {
    const one = store();
    const incident = { incident_id: "I", timeline: [{ at_us: 3, actor: "", kind: "opened", text_zh: "建立", text_en: "opened" }] } as unknown as Incident;
    one.snapshot("incident", [incident], null);
    one.snapshot("incident", [incident], null);
    expect(one.ticker.map((item) => item.zh)).toEqual(["建立"]);
  });

  it("a system note stands until it is taken back", () => {
    const one = store();
    one.event("sys", ev("child_down", "child-rules", 1, { id: "child-rules", kind: "child_down", active: true, text_zh: "规则引擎进程中断", text_en: "" }));
    expect([...one.banners.values()]).toEqual(["规则引擎进程中断"]);
    one.event("sys", ev("child_down", "child-rules", 2, { id: "child-rules", kind: "child_down", active: false, text_zh: "", text_en: "" }));
    expect(one.banners.size).toBe(0);
  });

  it("listeners hear of a burst once", () => {
    const waiting: (() => void)[] = [];
    const one = new Store("zh", (run) => waiting.push(run));
    let heard = 0;
    const stop = one.listen(["units", "alarms"], () => (heard += 1));
    for (let step = 0; step < 50; step += 1) one.delta("obj/unit", [unit("a", step, step)], [], UNIT);
    one.event("alarm", ev("raised", "a", 1, alarm("a")));
    for (const run of waiting) run();
    expect(heard).toBe(1);
    stop();
    one.delta("obj/unit", [unit("a", 99, 1)], [], UNIT);
    for (const run of waiting) run();
    expect(heard).toBe(1);
  });
});
