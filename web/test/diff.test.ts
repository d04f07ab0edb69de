import { describe, expect, it } from "vitest";
import { diffOf, differing, shown } from "../src/admin/diff";

describe("a proposal", () => {
  it("shows each value that would change, with the way to it", () => {
    const before = { stage_m: { on: { red: 5.1, blue: 3.2 }, source: "2018" }, rain: { on: { red: 80 } } };
    const after = { stage_m: { on: { red: 4.8, blue: 3.2 }, source: "2019" }, wind: { on: { red: 41.5 } } };
    const { lines, same } = differing(diffOf(before, after));
    expect(lines.map((line) => [line.path.join("."), line.change, line.before, line.after])).toEqual([
      ["stage_m.on.red", "changed", "5.1", "4.8"],
      ["stage_m.source", "changed", "2018", "2019"],
      ["wind.on.red", "added", "", "41.5"],
      ["rain.on.red", "removed", "80", ""],
    ]);
    expect(same).toBe(1);
  });

  it("of something new is all added, of something deleted all removed", () => {
    expect(diffOf(null, { a: 1, b: { c: [1, 2] } }).map((line) => line.change)).toEqual(["added", "added"]);
    expect(diffOf({ a: 1 }, null).map((line) => line.change)).toEqual(["removed"]);
  });

  it("that turns a value into a document does not lose either side", () => {
    expect(diffOf({ on: 5 }, { on: { red: 5 } })).toEqual([{ path: ["on"], change: "changed", before: "5", after: '{"red":5}' }]);
  });

  it("that changes nothing says so", () => {
    expect(differing(diffOf({ a: [1], b: null }, { a: [1] }))).toEqual({ lines: [], same: 2 });
    expect(diffOf({}, {})).toEqual([{ path: [], change: "same", before: "{}", after: "{}" }]);
  });

  it("false and zero are values, not gaps", () => {
    expect([shown(false), shown(0), shown(null), shown(["甲", "乙"])]).toEqual(["false", "0", "", "甲、乙"]);
    expect(diffOf({ a: 0 }, { a: false }).map((line) => line.change)).toEqual(["changed"]);
  });
});
