import { describe, expect, it } from "vitest";
import { arranged, lateOne, overdueBy, stageOf, stepsOf, waitsFor } from "../src/duty/orders";
import type { Addressee, Order } from "../src/duty/orders";

const leader = { username: "leader1", roles: ["leader"] };
const duty = { username: "duty1", roles: ["operator"] };
const flood = { username: "flood", roles: ["responder"], unit_id: "unit-flood-1" };
const one = (state: string, kind = "user", id = "duty1"): Addressee => ({ n: 1, kind, id, name: id, state, state_zh: "", report: "", overdue: false, received_us: null, reported_us: null, changed_us: 0 });
const order = (addressees: Addressee[], extra: Partial<Order> = {}): Order =>
  ({ instruction_id: "P1", text: "", issued_by: "leader1", issued_us: 0, due_us: 100, open: true, addressees, timeline: [], ...extra }) as unknown as Order;
const steps = (state: string, user: Parameters<typeof stepsOf>[1], kind = "user", id = "duty1"): string[] => stepsOf(one(state, kind, id), user);

describe("the buttons of an instruction", () => {
  it("let the addressee sign for it and report, and nobody else in his place", () => {
    expect(["ISSUED", "RECEIVED", "IN_PROGRESS", "RETURNED", "REPORTED", "CHECKED", "CLOSED"].map((state) => steps(state, duty))).toEqual([["receive"], ["report"], ["report"], ["report"], [], [], []]);
    expect(steps("ISSUED", { username: "duty2", roles: ["operator"] })).toEqual([]);
    expect(steps("REPORTED", { username: "x", roles: ["analyst"] })).toEqual([]);
  });

  it("let the desk check, return and close what others reported, and leaders recall", () => {
    expect(["ISSUED", "REPORTED", "CHECKED", "CLOSED", "RECALLED"].map((state) => steps(state, leader))).toEqual([["recall"], ["check", "return", "recall"], ["return", "close"], [], []]);
    expect(steps("REPORTED", { username: "duty2", roles: ["operator"] })).toEqual(["check", "return"]);
  });

  it("let a unit answer its own, and the desk for those who report by telephone", () => {
    expect(steps("ISSUED", flood, "unit", "unit-flood-1")).toEqual(["receive"]);
    expect(steps("ISSUED", flood, "unit", "unit-flood-2")).toEqual([]);
    expect(steps("RECEIVED", duty, "organisation", "water")).toEqual(["report"]);
    expect(steps("ISSUED", { username: "wei", roles: ["liaison"], scope: { organisations: ["water"] } }, "organisation", "water")).toEqual(["receive"]);
    expect(steps("ISSUED", { username: "x", roles: ["responder"] }, "unit", "")).toEqual([]);
  });
});

describe("whose move it is", () => {
  it("is the addressee's until he has reported, then the issuer's", () => {
    expect([waitsFor(order([one("ISSUED")]), duty), waitsFor(order([one("ISSUED")]), leader)]).toEqual([true, false]);
    expect([waitsFor(order([one("REPORTED")]), duty), waitsFor(order([one("REPORTED")]), leader)]).toEqual([false, true]);
    expect(waitsFor(order([one("ISSUED")], { open: false }), duty)).toBe(false);
  });
});

describe("an overdue instruction", () => {
  it("is one whose report is owed after its time", () => {
    expect(overdueBy(order([one("RECEIVED")]), 130)).toBe(30);
    expect([overdueBy(order([one("RECEIVED")]), 100), overdueBy(order([one("REPORTED")]), 130), overdueBy(order([one("RECEIVED")], { due_us: null }), 130)]).toEqual([null, null, null]);
  });

  it("stays marked at the addressee who was late, also when he has reported since", () => {
    expect([lateOne(order([]), { ...one("REPORTED"), overdue: true }, 50), lateOne(order([]), one("REPORTED"), 130), lateOne(order([]), one("RECEIVED"), 130)]).toEqual([true, false, true]);
  });

  it("stands above everything else", () => {
    const orders = [
      order([one("CLOSED")], { instruction_id: "done", open: false, issued_us: 9 }),
      order([one("RECEIVED", "user", "duty2")], { instruction_id: "other", due_us: 400 }),
      order([one("RECEIVED")], { instruction_id: "mine", due_us: 500 }),
      order([one("RECEIVED", "user", "duty2")], { instruction_id: "late", due_us: 10 }),
    ];
    expect(arranged(orders, duty, 200).map((o) => o.instruction_id)).toEqual(["late", "mine", "other", "done"]);
  });
});

it("a returned task stands again where it was signed for", () => {
  expect(["ISSUED", "RETURNED", "REPORTED", "CLOSED", "RECALLED"].map(stageOf)).toEqual([0, 1, 2, 4, -1]);
});
