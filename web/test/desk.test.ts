import { beforeEach, describe, expect, it } from "vitest";
import { ApiError } from "../src/core/api";
import type { Api } from "../src/core/api";
import { Store } from "../src/core/store";
import { CityClock } from "../src/core/time";
import type { Alarm, Incident } from "../src/core/types";
import { Desk } from "../src/wall/desk";

let now = 0;
let posts: string[] = [];
let fail: number | null = null;

const post = async (path: string): Promise<unknown> => {
  posts.push(path);
  if (fail !== null) throw new ApiError(fail, { status: fail });
  return {};
};

function desk(operate = true): Desk {
  const clock = new CityClock({ city_us: 0, rate: 1, kind: "real" }, () => now);
  return new Desk({ store: new Store("zh", (run) => run()), api: { post } as unknown as Api, can: { operate }, clock, registry: new Map() }, () => now);
}

const alarm = (id: string, colour: string, raised: number, acked = false): Alarm =>
  ({ alarm_id: id, colour, peak_colour: colour, state: "firing", raised_us: raised, n: 1, acked: acked ? { by: "x", at_us: 1, comment: "" } : null, incident_id: "" }) as unknown as Alarm;
const incident = (id: string, state: string, colour = "orange"): Incident => ({ incident_id: id, state, colour, opened_us: 1, rev: 1, timeline: [] }) as unknown as Incident;

beforeEach(() => {
  now = 0;
  posts = [];
  fail = null;
});

describe("the one key", () => {
  it("takes the selected alarm, else the worst and of those the oldest, and not one twice", async () => {
    const one = desk();
    one.session.store.snapshot("alarm", [alarm("y", "yellow", 1), alarm("new", "red", 9), alarm("old", "red", 5), alarm("done", "red", 1, true)], null);
    expect(one.nextToAck()?.alarm_id).toBe("old");
    await one.acknowledge(one.nextToAck() as Alarm);
    expect(one.nextToAck()?.alarm_id).toBe("new");
    one.selectAlarm("y");
    expect(one.nextToAck()?.alarm_id).toBe("y");
    one.selectAlarm("done");
    expect(one.nextToAck()?.alarm_id).toBe("new");
    expect(posts).toEqual(["/api/v1/alarms/old/ack"]);
  });

  it("offers the alarm again when the acknowledgement failed, and says why", async () => {
    const one = desk();
    one.session.store.snapshot("alarm", [alarm("a", "red", 1)], null);
    fail = 503;
    await one.acknowledge(one.nextToAck() as Alarm);
    expect(one.nextToAck()?.alarm_id).toBe("a");
    expect(one.problem).not.toBe("");
  });

  it("does nothing for those who may not", async () => {
    const one = desk(false);
    one.session.store.snapshot("alarm", [alarm("a", "red", 1)], null);
    await one.acknowledge(one.nextToAck() as Alarm);
    expect(posts).toEqual([]);
  });
});

describe("the incident panel", () => {
  it("shows what waits for a person", () => {
    const one = desk();
    one.session.store.snapshot("incident", [incident("open", "OPEN", "red"), incident("wait", "VERIFYING")], null);
    expect(one.incident()?.incident_id).toBe("wait");
  });

  it("does not change under the hand of somebody who works in it, and follows again later", () => {
    const one = desk();
    one.session.store.snapshot("incident", [incident("a", "VERIFYING")], null);
    expect(one.incident()?.incident_id).toBe("a");
    one.touch("a");
    one.session.store.snapshot("incident", [incident("a", "OPEN"), incident("b", "VERIFYING", "red")], null);
    expect(one.incident()?.incident_id).toBe("a");
    now = 121_000;
    expect(one.incident()?.incident_id).toBe("b");
  });

  it("does not jump from one that waits to a worse one that waits", () => {
    const one = desk();
    one.session.store.snapshot("incident", [incident("a", "VERIFYING")], null);
    one.incident();
    one.session.store.snapshot("incident", [incident("a", "VERIFYING"), incident("b", "VERIFYING", "red")], null);
    expect(one.incident()?.incident_id).toBe("a");
  });
});
