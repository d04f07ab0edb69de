import { describe, expect, it } from "vitest";
import { leavesOf, mayDecide, queued, unconfirmed, withLeaf, withoutSource } from "../src/admin/approvals";
import type { Approval } from "../src/admin/approvals";
import { ROLE_GROUPS, blockedBy, covered, needsUnit, needsVendor, toggledArea } from "../src/admin/roles";
import en from "../src/core/en.json";
import zh from "../src/core/zh-CN.json";

describe("roles", () => {
  it("that hand out rights, audit, or come from outside are held alone", () => {
    expect(blockedBy("security", ["admin"])).toBe("admin");
    expect(blockedBy("operator", ["auditor"])).toBe("auditor");
    expect(blockedBy("vendor", ["analyst"])).toBe("analyst");
    expect([blockedBy("leader", ["operator"]), blockedBy("security", ["security"]), blockedBy("auditor", [])]).toEqual(["", "", ""]);
  });

  it("say what they need", () => {
    expect([needsUnit(["responder"]), needsUnit(["operator"]), needsVendor(["vendor"]), needsVendor([])]).toEqual([true, false, true, false]);
  });

  it("each have a name and an explanation in both languages", () => {
    const codes = ROLE_GROUPS.flatMap(([, roles]) => roles);
    const missing = codes.flatMap((code) => [`role.${code}`, `roleHelp.${code}`]).filter((key) => !(key in zh) || !(key in en));
    expect(missing).toEqual([]);
    expect(new Set(codes).size).toBe(codes.length);
  });
});

describe("a scope of areas", () => {
  it("is a set of prefixes: a ticked area takes in what lies inside it", () => {
    expect(toggledArea(["339900001", "339900002001"], "339900")).toEqual(["339900"]);
    expect(toggledArea(["339900001"], "339900002")).toEqual(["339900001", "339900002"]);
    expect(toggledArea(["339900001", "339900002"], "339900002")).toEqual(["339900001"]);
    expect([covered(["339900"], "339900001"), covered(["339900001"], "339900"), covered([], "339900")]).toEqual([true, false, false]);
  });
});

describe("proposals", () => {
  const one = (id: string, extra: Partial<Approval>): Approval => ({ approval_id: id, state: "PENDING", emergency: false, proposed_by: "leader1", proposed_us: 0, until_us: null, decided_us: null, ...extra }) as unknown as Approval;

  it("stand in the order in which they cannot wait", () => {
    const list = [
      one("decided-old", { state: "EXECUTED", decided_us: 5 }),
      one("young", { proposed_us: 20 }),
      one("later", { emergency: true, until_us: 900 }),
      one("decided-new", { state: "REJECTED", decided_us: 8 }),
      one("sooner", { emergency: true, until_us: 100 }),
      one("old", { proposed_us: 10 }),
      one("confirmed", { emergency: true, state: "EXECUTED", until_us: 1, decided_us: 9 }),
    ];
    expect(queued(list).map((a) => a.approval_id)).toEqual(["sooner", "later", "old", "young", "confirmed", "decided-new", "decided-old"]);
    expect(unconfirmed(one("x", { emergency: true, state: "EXECUTED" }))).toBe(false);
  });

  it("are decided by another person with the right, while they wait", () => {
    const it_ = one("a", {});
    expect([mayDecide(it_, "leader2", true), mayDecide(it_, "leader1", true), mayDecide(it_, "leader2", false), mayDecide(one("a", { state: "EXPIRED" }), "leader2", true)]).toEqual([true, false, false, false]);
  });
});

describe("a threshold form", () => {
  const document = { direction: "rise", on: { blue: 3.2, red: 5.1 }, on_delay_s: 0, source: "2018" };

  it("has a field for every number and keeps the rest of the document", () => {
    expect(leavesOf(document).map((leaf) => [leaf.path.join("."), leaf.value])).toEqual([["on.red", 5.1], ["on.blue", 3.2], ["on_delay_s", 0]]);
    const changed = withLeaf(document, ["on", "red"], 4.8);
    expect(withoutSource(changed)).toEqual({ direction: "rise", on: { blue: 3.2, red: 4.8 }, on_delay_s: 0 });
    expect(document.on.red).toBe(5.1);
  });
});
