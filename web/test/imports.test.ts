import { describe, expect, it } from "vitest";
import { filtered, grouped, problemsCsv, ranges } from "../src/registers/findings";
import { otherKind, othersFor, withMatched } from "../src/registers/import/others";
import { changeLines, pointsOf, tablesOf } from "../src/registers/import/preview";
import { suspected, toGcj02 } from "../src/registers/import/shift";
import { guess, judge, targetsOf } from "../src/registers/matching";
import type { ImportChange, Kind } from "../src/registers/types";

const KIND = {
  located: "any" as const,
  fields: [
    { key: "name", zh: "企业名称", en: "Name", required: true, aliases: ["企业"] },
    { key: "contact_a", zh: "责任人A", en: "Responsible A", required: true },
    { key: "phone", zh: "控制室电话", en: "Control room", aliases: ["中控室电话"] },
    { key: "tanks", zh: "储罐", en: "Tanks", type: "rows" as const },
  ],
};
const targets = targetsOf(KIND);
const NONE = new Set<string>();

describe("columns of a file", () => {
  it("may be the kind's fields, id, area and position, but no table of its own", () => {
    expect(targets.map((target) => target.key)).toEqual(["name", "contact_a", "phone", "entry_id", "area", "lon", "lat", "lonlat", "geometry"]);
    expect(targetsOf({ ...KIND, located: "no" }).map((target) => target.key)).toEqual(["name", "contact_a", "phone", "entry_id", "area"]);
    expect(targetsOf({ located: "no", fields: [{ key: "area", zh: "辖区", en: "Area", type: "area" }] }).map((target) => target.zh)).toEqual(["辖区", "编号"]);
  });

  it("are proposed by label, key or alias, whatever the brackets and widths", () => {
    expect(guess("企业名称*", targets, NONE)).toBe("name");
    expect(guess("中控室 电话", targets, NONE)).toBe("phone");
    expect(guess("ＬＯＮ", targets, NONE)).toBe("lon");
    expect(guess("经度(东)", targets, NONE)).toBe("lon");
  });

  it("are not proposed where two fields could be meant, or the field is taken", () => {
    expect(guess("电话", targetsOf({ located: "no", fields: [{ key: "p1", zh: "手机电话", en: "A" }, { key: "p2", zh: "办公电话", en: "B" }] }), NONE)).toBe("");
    expect(guess("企业名称", targets, new Set(["name"]))).toBe("");
    expect(guess("备用", targets, NONE)).toBe("");
  });

  it("are judged: what is missing, what is filled twice, what stays out", () => {
    const found = judge([{ source: "A", field: "name" }, { source: "B", field: "name" }, { source: "C", field: null }], targets);
    expect(found.missing.map((target) => target.key)).toEqual(["contact_a"]);
    expect([...found.twice]).toEqual([["name", ["A", "B"]]]);
    expect(found.unused).toEqual(["C"]);
  });
});

describe("problems of a dry run", () => {
  const problem = (row: number, column: string, value: string, zh: string) => ({ row, column, value, zh, en: zh });
  const problems = [problem(5, "手机", "138", "位数不对"), problem(6, "手机", "139", "位数不对"), problem(9, "等级", "紫", "应为红橙黄蓝"), problem(0, "", "", "缺少必填列")];

  it("of one kind are one line with its rows; what stops the whole file stands first", () => {
    expect(grouped(problems, "zh").map((group) => [group.text, group.rows, group.values])).toEqual([
      ["缺少必填列", [0], []],
      ["位数不对", [5, 6], ["138", "139"]],
      ["应为红橙黄蓝", [9], ["紫"]],
    ]);
  });

  it("name rows as ranges", () => {
    expect(ranges([9, 7, 3, 8, 15, 15])).toBe("3, 7-9, 15");
    expect(ranges([])).toBe("");
  });

  it("are found by row, column, value and sentence", () => {
    expect([filtered(problems, "紫", "zh").length, filtered(problems, "手机", "zh").length, filtered(problems, "", "zh").length]).toEqual([1, 2, 4]);
  });

  it("leave as a file that a spreadsheet opens", () => {
    expect(problemsCsv(problems.slice(0, 1), ["行", "列", "内容", "错在哪里"], "zh")).toBe("\ufeff行,列,内容,错在哪里\r\n5,手机,138,位数不对\r\n");
  });
});

describe("changes of a dry run", () => {
  const change = (row: number, what: "new" | "changed", extra: Partial<ImportChange> = {}): ImportChange => ({ row, entry_id: `E-${row}`, name: "", what, fields: [{ key: "a", before: 1, after: 2 }, { key: "b", before: null, after: 3 }], ...extra });

  it("are a line for a new entry and a line per field for a changed one", () => {
    expect(changeLines([change(2, "new"), change(3, "changed")]).map((line) => [line.row, line.field?.key ?? ""])).toEqual([[2, ""], [3, "a"], [3, "b"]]);
  });

  it("are drawn where they would stand, with the place that the detected system gives", () => {
    const crs = { declared: "EPSG:4326", used: "EPSG:4326", detected: "GCJ-02", offset_m: 500, warning_zh: "", warning_en: "" };
    const points = pointsOf({ crs, changes: [change(2, "new", { lon: 121.45, lat: 28.68 }), change(3, "new", { lon: null, lat: null })] });
    expect(points).toHaveLength(1);
    expect(points[0]?.suspect).not.toBeNull();
    expect(pointsOf({ crs: { ...crs, detected: "EPSG:4326" }, changes: [change(2, "new", { lon: 121.45, lat: 28.68 })] })[0]?.suspect).toBeNull();
  });

  it("are thinned where a map cannot show them all", () => {
    const crs = { declared: "", used: "EPSG:4326", detected: "EPSG:4326", offset_m: null, warning_zh: "", warning_en: "" };
    const many = Array.from({ length: 5_000 }, (_, index) => change(index, "new", { lon: 121, lat: 28 }));
    expect(pointsOf({ crs, changes: many }).length).toBeLessThanOrEqual(2_000);
  });
});

describe("a coordinate that was named wrongly", () => {
  it("is shifted as the published formula says", () => {
    // Tian'anmen in the vectors of wandergis/coordtransform (MIT): 116.404, 39.915 -> 116.41024449916938, 39.91640428150164
    const [lon, lat] = toGcj02([116.404, 39.915]);
    expect(lon).toBeCloseTo(116.41024449916938, 9);
    expect(lat).toBeCloseTo(39.91640428150164, 9);
  });

  it("is where the other reading puts it: a GCJ-02 number read as WGS 84 lies that far off", () => {
    const truth: [number, number] = [121.45, 28.68];
    const back = suspected(toGcj02(truth), "EPSG:4326", "GCJ-02");
    expect(back?.[0]).toBeCloseTo(truth[0], 7);
    expect(back?.[1]).toBeCloseTo(truth[1], 7);
  });

  it("cannot be told for metres, nor where both readings are the same", () => {
    expect(suspected([121, 28], "EPSG:4549", "EPSG:4326")).toBeNull();
    expect(suspected([121, 28], "EPSG:4326", "EPSG:4490")).toBeNull();
  });
});

describe("devices, units and shifts", () => {
  it("are offered to whom the server lets import them", () => {
    const kinds = (role: string): string[] => othersFor({ username: "x", name: "", roles: [role] }).map((kind) => kind.kind);
    expect([kinds("admin"), kinds("registrar"), kinds("leader"), kinds("operator")]).toEqual([["device", "unit", "shift"], ["unit", "shift"], ["shift"], []]);
  });

  it("have the fields that the server matched, under the headings of the file", () => {
    const run = { columns: [{ source: "设备编号", field: "device_id" }, { source: "经度", field: "lon" }, { source: "备注", field: null }] };
    const kind = withMatched(otherKind("device") as Kind, run);
    expect(kind.fields).toEqual([{ key: "device_id", zh: "设备编号", en: "设备编号" }]);
    expect(judge(run.columns, targetsOf(kind)).missing).toEqual([]);
  });
});

describe("what a commit shows once", () => {
  it("becomes tables, whether it came as a list, as a mapping or as one word", () => {
    expect(tablesOf({ credentials: [{ device_id: "WG-1", password: "x" }], passwords: { duty9: "y" }, users: { u1: { password: "z" } }, empty: [], note: "kept" })).toEqual([
      { name: "credentials", columns: ["device_id", "password"], rows: [["WG-1", "x"]] },
      { name: "passwords", columns: ["id", "value"], rows: [["duty9", "y"]] },
      { name: "users", columns: ["id", "password"], rows: [["u1", "z"]] },
      { name: "note", columns: ["value"], rows: [["kept"]] },
    ]);
  });
});
