import { describe, expect, it } from "vitest";
import { NOTHING, placeOf, queryOf } from "../src/quality/data";
import type { Problem } from "../src/quality/data";

const problem = (subject: string, check: Problem["check"]): Problem => ({
  problem_id: "x", check, check_zh: "", zh: "", en: "", subject, subject_id: "s/1", name: "", area: "", whose: "", stage: "found", since_us: null, ticket_id: "", ticket_state_zh: "", due_us: null, overdue: false,
});

describe("the board of data quality", () => {
  it("asks for what is chosen and nothing else", () => {
    expect(queryOf(NOTHING, "", 1)).toBe("/api/v1/quality?limit=1");
    expect(queryOf({ ...NOTHING, whose: "某 公司&x", check: "silent" }, "silent/device/a b")).toBe("/api/v1/quality?limit=500&check=silent&whose=%E6%9F%90+%E5%85%AC%E5%8F%B8%26x&cursor=silent%2Fdevice%2Fa+b");
  });

  it("leads to where it is mended", () => {
    expect(placeOf(problem("device", "silent"))).toBe("");
    expect(placeOf(problem("school", "entry"))).toBe("/registers?kind=school&id=s%2F1");
    expect(placeOf(problem("school", "unverified"))).toBe("/registers?view=unverified&kind=school&id=s%2F1");
  });
});
