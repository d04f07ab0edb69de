import { describe, expect, it } from "vitest";
import { ApiError } from "../src/core/api";
import { Areas } from "../src/office/areas";
import { refusalOf } from "../src/office/problems";
import { csv } from "../src/office/save";
import { sorted } from "../src/office/Table";
import { columnsOf, usualColumns } from "../src/registers/columns";
import { differences, merged } from "../src/registers/merge";
import { readRoute } from "../src/registers/route";
import type { Field } from "../src/registers/types";
import { faults, fromForm, gradeOf, isMasked, isVerified, lacksResponsible, localTime, rowFromForm, rowToForm, shownValue, toForm, withoutEmptyLines } from "../src/registers/values";

const field = (key: string, extra: Partial<Field> = {}): Field => ({ key, zh: key, en: key, ...extra });
const TANKS = field("tanks", { type: "rows", zh: "储罐", fields: [field("name", { zh: "罐号", required: true }), field("volume_m3", { type: "number", minimum: 0 }), field("hot", { type: "bool" })] });
const GRADE = field("grade", { type: "choice", choices: [{ value: "red", zh: "红（重大风险）", en: "Red", colour: "red" }, { value: "blue", zh: "蓝（低风险）", en: "Blue", colour: "blue" }] });
const PLANT: Field[] = [
  field("name", { required: true, zh: "名称" }),
  GRADE,
  field("contact_a", { type: "ref", ref: "contact", zh: "责任人A" }),
  field("staff", { type: "integer", minimum: 0, maximum: 500 }),
  field("night", { type: "bool" }),
  field("hazards", { type: "choices", choices: [{ value: "toxic", zh: "有毒", en: "Toxic" }, { value: "fire", zh: "易燃", en: "Flammable" }] }),
  field("seen_at", { type: "datetime" }),
  field("devices", { type: "refs", ref: "device" }),
  field("phone", { type: "phone", personal: true }),
  TANKS,
];
const VALUES = { name: "江口化工", grade: "red", contact_a: "C-1", staff: 40, night: false, hazards: ["toxic"], seen_at: "2019-08-09T20:40:00+08:00", devices: ["GD-1"], phone: "138****1234", tanks: [{ name: "V-101", volume_m3: 50, hot: true }] };

describe("a form of an entry", () => {
  it("gives back what it was filled with", () => {
    expect(rowFromForm(PLANT, rowToForm(PLANT, VALUES))).toEqual(VALUES);
  });

  it("leaves out what nobody filled in, and keeps a No", () => {
    const row = rowToForm(PLANT, { name: "x" });
    expect(rowFromForm(PLANT, row)).toEqual({ name: "x" });
    expect(rowFromForm(PLANT, { ...row, night: false })).toEqual({ name: "x", night: false });
  });

  it("sends a number as a number, and what is none as it was typed, so that the server can name it", () => {
    const staff = PLANT[3] as Field;
    expect([fromForm(staff, " 12 "), fromForm(staff, "十二"), fromForm(staff, "")]).toEqual([12, "十二", undefined]);
  });

  it("shows a time in China Standard Time wherever the page is", () => {
    expect(localTime("2019-08-09T12:40:00Z")).toBe("2019-08-09T20:40");
    expect(toForm(field("at", { type: "datetime" }), "not a time")).toBe("");
  });

  it("numbers the lines that are sent like the lines that are shown", () => {
    const row = { ...rowToForm(PLANT, VALUES), tanks: [rowToForm(TANKS.fields ?? [], {}), rowToForm(TANKS.fields ?? [], { name: "V-2" })] };
    expect(withoutEmptyLines(PLANT, row)["tanks"]).toHaveLength(1);
  });
});

describe("faults of a form", () => {
  it("name the field, and the cell inside a table by its line", () => {
    const row = { ...rowToForm(PLANT, VALUES), name: "  ", staff: "1.5", tanks: [rowToForm(TANKS.fields ?? [], { name: "V-1", volume_m3: -3 }), rowToForm(TANKS.fields ?? [], { volume_m3: 2 })] };
    expect([...faults(PLANT, row).keys()].sort()).toEqual(["name", "staff", "tanks[1].volume_m3", "tanks[2].name"]);
  });

  it("do not touch a masked number or an empty line of a table", () => {
    const row = { ...rowToForm(PLANT, VALUES), phone: "****34", tanks: [rowToForm(TANKS.fields ?? [], {})] };
    expect(faults(PLANT, row).size).toBe(0);
    expect([isMasked("138****1234"), isMasked("王**"), isMasked("13805760000")]).toEqual([true, true, false]);
  });

  it("say the limit with its unit", () => {
    const found = faults([field("depth_m", { type: "number", maximum: 3, uom: "m" })], { depth_m: "4" });
    expect(found.get("depth_m")?.zh).toBe("不得大于 3 m");
  });
});

describe("an entry in the list", () => {
  it("is read as people say it", () => {
    const names = (ref: string, id: string): string => (ref === "contact" ? "王建国" : id);
    expect(PLANT.map((one) => shownValue(one, VALUES[one.key as keyof typeof VALUES], "zh", names))).toEqual(["江口化工", "红（重大风险）", "王建国", "40", "否", "有毒", "2019-08-09 20:40", "GD-1", "138****1234", "1 行"]);
  });

  it("carries the colour of its grade", () => {
    expect(gradeOf(PLANT, { values: VALUES })).toEqual({ colour: "red", zh: "红（重大风险）", en: "Red" });
    expect(gradeOf(PLANT, { values: {} })).toBeNull();
  });

  it("lacks somebody who answers for it only where the kind asks for one", () => {
    const lacks = (group: string, fields: Field[], values: object): boolean => lacksResponsible({ group, fields }, { values: { ...values } });
    expect([lacks("risk", PLANT, {}), lacks("risk", PLANT, VALUES), lacks("area", PLANT, {}), lacks("risk", [field("name")], {})]).toEqual([true, false, false, false]);
  });

  it("is verified when the server says so; never, where nobody ever looked", () => {
    expect([isVerified({ verified: false, verified_us: 5 }), isVerified({ verified: true, verified_us: null }), isVerified({ verified_us: null })]).toEqual([false, true, false]);
  });

  it("is sorted by number or by Chinese reading, with empty cells last both ways", () => {
    const rows = [{ n: 10 }, { n: null }, { n: 9 }];
    const columns = [{ key: "n", title: "", cell: () => null, value: (row: { n: number | null }) => row.n }];
    expect(sorted(rows, columns, { key: "n", down: false }).map((row) => row.n)).toEqual([9, 10, null]);
    expect(sorted(rows, columns, { key: "n", down: true }).map((row) => row.n)).toEqual([10, 9, null]);
  });
});

describe("columns", () => {
  it("begin with grade and 责任人, without what does not fit into a cell", () => {
    expect(usualColumns(PLANT)).toEqual(["grade", "contact_a", "staff", "night", "hazards"]);
  });

  it("are those that the clerk chose, without fields that are gone", () => {
    const keep = { getItem: (key: string) => (key.endsWith(".plant") ? "staff,gone" : null) };
    expect(columnsOf("plant", PLANT, keep)).toEqual(["staff"]);
    expect(columnsOf("other", PLANT, keep)).toEqual(usualColumns(PLANT));
  });
});

describe("two people at one entry", () => {
  const base = { a: 1, b: 1, c: 1, d: 1 };

  it("are asked only where they differ; the one who changed it is proposed", () => {
    const found = differences([{ key: "a" }, { key: "b" }, { key: "c" }, { key: "d" }], base, { a: 2, b: 1, c: 3, d: 1 }, { a: 1, b: 2, c: 4, d: 1 });
    expect(found.map(({ key, proposed, both }) => [key, proposed, both])).toEqual([["a", "mine", false], ["b", "theirs", false], ["c", "mine", true]]);
  });

  it("end with what was chosen, and a chosen nothing is nothing", () => {
    expect(merged({ a: 1, b: 2 }, [{ key: "a", value: 9 }, { key: "b", value: undefined }])).toEqual({ a: 9 });
  });
});

describe("a refusal", () => {
  it("puts each error beside its field, and the others on top", () => {
    const error = new ApiError(422, {
      status: 422,
      detail: "2 wrong",
      errors: [
        { field: "body.values.phone", zh: "号码不对", en: "not a number", expected: "digits" },
        { field: "tanks[2].un", expected: "4 digits" },
        { field: "geometry", expected: "GeoJSON" },
      ],
    });
    const refusal = refusalOf(error, ["phone", "tanks"]);
    expect([...refusal.fields]).toEqual([["phone", "号码不对"], ["tanks[2].un", "4 digits"]]);
    expect(refusal.other).toEqual(["geometry: GeoJSON"]);
  });

  it("without a list is its sentence", () => {
    expect(refusalOf(new ApiError(404, { status: 404 })).fields.size).toBe(0);
  });
});

describe("areas", () => {
  const areas = Areas.of({ items: [{ code: "331002", name: "椒湾区", children: [{ code: "331002001", name: "海门街道", children: [{ code: "331002001001", name: "一村" }] }] }] });

  it("are a list in tree order with depth and path", () => {
    expect(areas.list.map((area) => [area.name, areas.depth(area), area.parent])).toEqual([["椒湾区", 0, ""], ["海门街道", 1, "331002"], ["一村", 2, "331002001"]]);
    expect(areas.path("331002001001")).toBe("椒湾区 / 海门街道 / 一村");
    expect(areas.path("44")).toBe("44");
  });

  it("are found by name and by code", () => {
    expect(areas.search("海门").map((area) => area.code)).toEqual(["331002001"]);
    expect(areas.search("331002001").map((area) => area.name)).toEqual(["海门街道", "一村"]);
  });
});

describe("a file that leaves the browser", () => {
  it("carries no formula and quotes what needs it", () => {
    expect(csv([["=1+1", "a,b", 'say "x"', -3]])).toBe('\ufeff\'=1+1,"a,b","say ""x""",-3\r\n');
  });
});

describe("the address bar", () => {
  it("leads to a view, and an unknown one to the list", () => {
    expect(readRoute("?view=import&id=im-1&step=check")).toEqual({ view: "import", kind: "", id: "im-1", step: "check" });
    expect(readRoute("?view=nonsense&kind=plant").view).toBe("list");
  });
});
