/**
 * The registers, areas, imports and addresses of the mock, in the shapes of docs/decisions/0005. In memory; gone with the process.
 * MOCK_KINDS=file.json (a list as GET /registers gives it) shows other kinds, with a few entries made up for each.
 */
import { readFileSync } from "node:fs";

const GRADES = [["red", "重大风险（红）", "Major (red)"], ["orange", "较大风险（橙）", "Serious (orange)"], ["yellow", "一般风险（黄）", "Moderate (yellow)"], ["blue", "低风险（蓝）", "Low (blue)"]].map(([value, zh, en]) => ({ value, zh, en, colour: value }));
const f = (key, zh, en, type = "text", extra = {}) => ({ key, zh, en, type, ...extra });
const NAME = f("name", "名称", "Name", "text", { required: true, example: "上塘水库" });
const ADDRESS = f("address", "地址", "Address");
const PERSONS = [f("contact_a", "责任人A", "Responsible A", "ref", { ref: "contact", required: true }), f("contact_b", "责任人B", "Responsible B", "ref", { ref: "contact" })];
const NOTE = f("note", "备注", "Note", "long_text");
const CHECKED = f("inspected_on", "最近检查日期", "Last inspection", "date");
const GRADE = f("grade", "风险等级", "Risk grade", "choice", { choices: GRADES, help_zh: "按四色分级填写", help_en: "One of the four colours" });
const DEVICES = f("devices", "关联设备", "Devices", "refs", { ref: "device" });
const kind = (name, group, zh, en, located, fields) => ({ kind: name, group, zh, en, located, fields, may_write: true, statement: name === "plant", verify: name !== "area", position_required: group === "risk" });
const KINDS = [
  kind("area", "area", "区域", "Areas", "any", [NAME, f("level", "级别", "Level", "choice", { choices: [{ value: "street", zh: "街道", en: "Street" }, { value: "grid", zh: "网格", en: "Grid" }] })]),
  kind("reservoir", "risk", "水库", "Reservoirs", "any", [NAME, ADDRESS, GRADE, ...PERSONS, f("dam_type", "坝型", "Dam type", "choice", { choices: [{ value: "earth", zh: "土石坝", en: "Earth fill" }, { value: "gravity", zh: "重力坝", en: "Gravity" }] }), f("capacity_10k_m3", "总库容", "Capacity", "number", { uom: "万m³", minimum: 0, maximum: 100000 }), f("flood_limit_m", "汛限水位", "Flood limit level", "number", { uom: "m", minimum: -10, maximum: 900 }), f("datum", "高程基准", "Datum", "choice", { choices: [{ value: "1985", zh: "1985国家高程基准", en: "1985 National" }, { value: "wusong", zh: "吴淞高程", en: "Wusong" }] }), DEVICES, CHECKED, NOTE]),
  kind("plant", "risk", "危化企业", "Major hazard plants", "any", [NAME, f("credit_code", "统一社会信用代码", "Credit code", "text", { example: "91331002MA2AL00000" }), ADDRESS, GRADE, f("hazard_level", "重大危险源级别", "Major hazard class", "choice", { choices: [{ value: "1", zh: "一级", en: "Class 1" }, { value: "2", zh: "二级", en: "Class 2" }, { value: "none", zh: "不构成", en: "None" }] }), ...PERSONS, f("control_room_phone", "中控室电话", "Control room telephone", "phone", { required: true, personal: true, example: "0576-88880000", help_zh: "告警先打这个电话：须24小时有人接听", help_en: "Called first on an alarm; must be staffed day and night" }), f("staff", "员工人数", "Staff", "integer", { minimum: 0, maximum: 20000, uom: "人" }), f("night_shift", "夜间生产", "Works at night", "bool"), f("hazards", "主要危害", "Hazards", "choices", { choices: [{ value: "toxic", zh: "有毒", en: "Toxic" }, { value: "fire", zh: "易燃", en: "Flammable" }, { value: "explosive", zh: "易爆", en: "Explosive" }, { value: "corrosive", zh: "腐蚀", en: "Corrosive" }] }), f("tanks", "储罐", "Tanks", "rows", { fields: [f("no", "罐号", "Tank", "text", { required: true }), f("substance", "物质", "Substance", "text", { required: true }), f("un", "UN号", "UN number", "text", { example: "1017" }), f("volume_m3", "容积", "Volume", "number", { uom: "m³", minimum: 0 }), f("pressure", "带压", "Pressurised", "bool")] }), f("licence_until", "许可证有效期", "Licence until", "date"), DEVICES, CHECKED, NOTE]),
  kind("slope", "risk", "地灾点", "Slopes", "any", [NAME, ADDRESS, GRADE, ...PERSONS, f("households", "威胁户数", "Households", "integer", { minimum: 0 }), CHECKED, NOTE]),
  kind("underpass", "risk", "下穿通道", "Underpasses", "point", [NAME, ADDRESS, ...PERSONS, f("close_depth_m", "封闭水深", "Closing depth", "number", { uom: "m", minimum: 0, maximum: 3 }), DEVICES, CHECKED, NOTE]),
  kind("village", "risk", "洪涝威胁村", "Villages in flood areas", "any", [NAME, ...PERSONS, f("people", "人口", "People", "integer", { minimum: 0 }), NOTE]),
  kind("contact", "people", "责任人", "Contacts", "no", [f("name", "姓名", "Name", "text", { required: true, personal: true }), f("organisation", "单位", "Organisation"), f("post", "职务", "Post"), f("phone", "手机", "Mobile", "phone", { required: true, personal: true, example: "13805760000" }), f("phone_2", "备用电话", "Second telephone", "phone", { personal: true }), NOTE]),
  kind("team", "resource", "救援队伍", "Teams", "point", [NAME, f("authority", "调度权限", "Authority", "choice", { required: true, choices: [{ value: "direct", zh: "直接调度", en: "Direct" }, { value: "request", zh: "协调请求", en: "Request" }, { value: "notify", zh: "仅通报", en: "Notify only" }] }), ...PERSONS, f("people", "人数", "People", "integer"), f("ready_at", "最近拉动时间", "Last drill", "datetime"), NOTE]),
  kind("shelter", "place", "避灾场所", "Shelters", "point", [NAME, ADDRESS, f("capacity", "容量", "Capacity", "integer", { uom: "人", minimum: 0 }), ...PERSONS, CHECKED, NOTE]),
  kind("warehouse", "place", "物资仓库", "Warehouses", "point", [NAME, ADDRESS, ...PERSONS, f("stock", "物资清单", "Stock", "rows", { fields: [f("item", "物资", "Item", "text", { required: true }), f("count", "数量", "Count", "integer", { minimum: 0 }), f("uom", "单位", "Unit")] }), NOTE]),
];
const GIVEN = process.env.MOCK_KINDS ? JSON.parse(readFileSync(process.env.MOCK_KINDS, "utf8")) : null;
if (GIVEN) KINDS.splice(0, KINDS.length, ...GIVEN);
const AREAS = [["331002", "椒湾示范区", "county", ""], ["331002001", "海门街道", "street", "331002"], ["331002002", "白云街道", "street", "331002"], ["331002003", "下浦街道", "street", "331002"], ["331002004", "上塘镇", "street", "331002"]].map(([code, name, level, parent]) => ({ code, name, level, parent }));
for (const street of AREAS.filter((a) => a.level === "street")) for (let i = 1; i <= 4; i += 1) AREAS.push({ code: `${street.code}00${i}`, name: `${street.name.slice(0, 2)}第${"一二三四"[i - 1]}网格`, level: "grid", parent: street.code });
const user = "duty1";
const [LON, LAT] = [121.45, 28.68];
const BOX = { "331002001": [-0.09, -0.01, 0, 0.05], "331002002": [-0.01, -0.01, 0.07, 0.05], "331002003": [-0.09, -0.065, -0.01, -0.01], "331002004": [-0.01, -0.065, 0.065, -0.01] };
const square = ([x, y, X, Y]) => [[[LON + x, LAT + y], [LON + X, LAT + y], [LON + X - 0.004, LAT + (y + Y) / 2], [LON + X, LAT + Y], [LON + x, LAT + Y], [LON + x, LAT + y]]];
const AREA_FEATURES = AREAS.filter((a) => BOX[a.code]).map((a) => ({ type: "Feature", id: a.code, geometry: { type: "Polygon", coordinates: square(BOX[a.code]) }, properties: a }));

// -- entries ------------------------------------------------------------------------------------------------------
const T = Date.UTC(2019, 7, 9, 12, 40) * 1000;
const DAY = 86400e6;
let state = 20190809;
const random = () => ((state = (state * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff);
const one = (list) => list[Math.floor(random() * list.length)];
const SURNAMES = [..."王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗"];
const GIVEN_NAMES = ["建国", "海涛", "敏", "志强", "春燕", "国平", "晓东", "永福", "丽华", "根土", "阿明", "美珍"];
const PLACES = ["上塘", "下浦", "海门", "白云", "江口", "石塘", "前所", "章安", "葭沚", "洪家", "三甲", "下陈", "枫山", "栅浦", "岩头", "赤山"];
const store = new Map(KINDS.map((k) => [k.kind, new Map()]));
const histories = new Map();
const statements = new Map();
const put = (kindName, entry_id, name, values, at, extra = {}) => store.get(kindName).set(entry_id, { kind: kindName, entry_id, name, area: one(AREAS.filter((a) => a.level !== "county")).code, lon: at?.[0] ?? null, lat: at?.[1] ?? null, values: { name, ...values }, verified_us: random() < 0.7 ? T - random() * 60 * DAY : random() < 0.5 ? T - 150 * DAY : null, verified_by: "clerk1", rev: 1, changed_us: T - random() * 90 * DAY, changed_by: "clerk1", ...extra });
const somewhere = () => [LON - 0.085 + random() * 0.145, LAT - 0.06 + random() * 0.105];
if (!GIVEN) for (let i = 1; i <= 120; i += 1) put("contact", `C-${String(i).padStart(3, "0")}`, one(SURNAMES) + one(GIVEN_NAMES), { organisation: one(PLACES) + one(["街道办", "村委会", "化工有限公司", "水库管理所"]), post: one(["网格员", "副主任", "安全总监", "巡查员"]), phone: `138${String(Math.floor(random() * 1e8)).padStart(8, "0")}` }, null);
const people = () => ({ contact_a: random() < 0.93 ? one([...store.get("contact").keys()]) : "", contact_b: random() < 0.6 ? one([...store.get("contact").keys()]) : "" });
const LIST = { reservoir: ["水库", 42], plant: ["化工有限公司", 36], slope: ["滑坡点", 5200], underpass: ["路下穿", 14], village: ["村", 88], team: ["抢险队", 12], shelter: ["避灾安置点", 60], warehouse: ["物资仓库", 9] };
if (!GIVEN) {
for (const [name, [suffix, count]] of Object.entries(LIST)) for (let i = 1; i <= count; i += 1) {
  const n = String(i).padStart(count > 999 ? 4 : 3, "0");
  const values = { ...people(), address: `${one(PLACES)}路${Math.ceil(random() * 300)}号`, inspected_on: "2019-07-1" + Math.floor(random() * 9), grade: one(["red", "orange", "orange", "yellow", "yellow", "blue", "blue"]), capacity: Math.ceil(random() * 600), people: Math.ceil(random() * 900), households: Math.ceil(random() * 40), authority: one(["direct", "direct", "request", "notify"]), close_depth_m: 0.3, capacity_10k_m3: Math.round(random() * 900) / 10, flood_limit_m: Math.round(random() * 800) / 10, datum: "1985", dam_type: "earth" };
  if (name === "plant") Object.assign(values, { control_room_phone: `0576-8888${1000 + i}`, staff: 40 + i * 7, night_shift: i % 2 === 0, hazards: ["toxic", "corrosive"], hazard_level: one(["1", "2", "none"]), credit_code: `91331002MA2AL${String(10000 + i)}`, licence_until: "2020-06-30", devices: ["GD-001"], tanks: [{ no: "V-101", substance: "液氯", un: "1017", volume_m3: 50, pressure: true }, { no: "V-102", substance: "盐酸", un: "1789", volume_m3: 120, pressure: false }] });
  if (name === "warehouse") values.stock = [{ item: "水泵", count: 12, uom: "台" }, { item: "沙袋", count: 8000, uom: "只" }];
  const own = new Set(KINDS.find((k) => k.kind === name).fields.map((x) => x.key));
  put(name, `${name.slice(0, 2).toUpperCase()}-${n}`, `${one(PLACES)}${suffix}${count > 40 ? i : ""}`, Object.fromEntries(Object.entries(values).filter(([key]) => own.has(key))), somewhere());
}
}
const madeUp = (field) => {
  switch (field.type ?? "text") {
    case "number": case "integer": return Math.round((field.minimum ?? 0) + random() * 60);
    case "bool": return random() < 0.5;
    case "date": return "2019-06-2" + Math.floor(random() * 9);
    case "datetime": return "2019-07-02T09:30:00+08:00";
    case "choice": return one(field.choices).value;
    case "choices": return [one(field.choices).value];
    case "phone": return `138${String(Math.floor(random() * 1e8)).padStart(8, "0")}`;
    case "area": return one(AREAS).code;
    case "ref": return one([...(store.get(field.ref)?.keys() ?? [])]) ?? "";
    case "refs": return ["GD-001"];
    case "rows": return [0, 1].map(() => Object.fromEntries(field.fields.map((x) => [x.key, madeUp(x)])));
    default: return field.example || `${one(PLACES)}${field.zh}`;
  }
};
if (GIVEN) for (const k of [...KINDS].sort((a, b) => (b.group === "people") - (a.group === "people"))) for (let i = 1; i <= 24; i += 1) put(k.kind, `${k.kind}-${i}`, k.kind === "contact" ? one(SURNAMES) + one(GIVEN_NAMES) : one(PLACES) + k.zh.split("（")[0] + i, { ...Object.fromEntries(k.fields.filter((x) => x.key !== "name" && random() < 0.8).map((x) => [x.key, madeUp(x)])) }, k.located === "no" ? null : somewhere());
for (const a of AREAS) store.get("area").set(a.code, { kind: "area", entry_id: a.code, name: a.name, area: a.code, lon: null, lat: null, geometry: AREA_FEATURES.find((x) => x.id === a.code)?.geometry ?? null, values: { name: a.name, level: a.level }, verified_us: T, verified_by: "clerk1", rev: 1, changed_us: T, changed_by: "system" });

// -- answers ------------------------------------------------------------------------------------------------------
class Refuse extends Error { constructor(status, slug, detail, errors) { super(detail); Object.assign(this, { status, slug, errors }); } }
const maskPhone = (p) => (p ? (/^1\d{10}$/.test(p) ? `${p.slice(0, 3)}****${p.slice(-4)}` : `****${p.slice(-2)}`) : "");
const refsOf = (k, entry) => Object.fromEntries([...new Set(k.fields.filter((x) => x.ref && store.has(x.ref)).map((x) => x.ref))].map((ref) => [ref, Object.fromEntries(k.fields.filter((x) => x.ref === ref).flatMap((x) => entry.values[x.key] ?? []).filter((id) => store.get(ref).has(id)).map((id) => [id, store.get(ref).get(id).name]))]));
const shown = (k, entry, clear) => ({ ...entry, verified: k.verify === false || (entry.verified_us ?? 0) > quarter(), refs: refsOf(k, entry), warnings: k.fields.filter((x) => x.key === "contact_b" && !entry.values.contact_b).map((x) => ({ key: x.key, value: "", zh: "建议填写责任人B：A联系不上时由B负责", en: "A second responsible person is missing" })), area_name: AREAS.find((a) => a.code === entry.area)?.name ?? entry.area, name: k.kind === "contact" && !clear ? entry.name[0] + "**" : entry.name, values: Object.fromEntries(Object.entries(entry.values).map(([key, v]) => { const field = k.fields.find((x) => x.key === key); return [key, clear || !field?.personal ? v : field.type === "phone" ? maskPhone(v) : v ? v[0] + "**" : v]; })) });
const kindOf = (name) => KINDS.find((k) => k.kind === name) ?? (() => { throw new Refuse(404, "not-found", `there is no register ${name}`); })();
const entryOf = (name, id) => store.get(name).get(id) ?? (() => { throw new Refuse(404, "not-found", `${name} ${id}`); })();
const quarter = () => T - 90 * DAY;
function check(k, values) {
  const errors = [];
  for (const field of k.fields) {
    const v = values[field.key];
    if (field.required && (v === undefined || v === null || v === "")) errors.push({ field: `values.${field.key}`, zh: `${field.zh}不能为空`, en: `${field.en} is required`, expected: "a value" });
    if (field.type === "phone" && v && !/^[\d*+ -]{7,20}$/.test(v)) errors.push({ field: `values.${field.key}`, zh: `“${v}”不是电话号码：手机11位，或区号-号码`, en: `"${v}" is not a telephone number`, expected: "a telephone number" });
  }
  if (errors.length) throw new Refuse(422, "invalid", "some fields cannot be taken", errors);
}
const dotted = (values) => values && Object.fromEntries(Object.entries(values).map(([key, v]) => [`values.${key}`, v]));
const note = (entry, what, reason, was, is) => { const differs = (a, b) => a && Object.fromEntries(Object.entries(a).filter(([key, v]) => !b || JSON.stringify(b[key]) !== JSON.stringify(v))); const [before, after] = [dotted(differs(was, is)), dotted(differs(is, was))]; const key = `${entry.kind}/${entry.entry_id}`; histories.set(key, [{ seq: Date.now(), at_us: T, actor: "clerk1", action: what, reason, before, after }, ...(histories.get(key) ?? [])]); };
const imports = new Map();
const dry = (run) => {
  const k = kindOf(run.kind);
  const mapped = new Set(run.columns.map((c) => c.field));
  const problems = run.rows.flatMap((row) => row.problems).concat(k.fields.filter((x) => x.required && !mapped.has(x.key)).map((x) => ({ row: 0, column: "", value: "", zh: `缺少必填列“${x.zh}”`, en: `the required column ${x.en} is missing` })));
  const changes = run.rows.filter((r) => r.what === "new" || r.what === "changed").map(({ row, entry_id, name, what, fields, lon, lat }) => ({ row, entry_id, name, what, fields, lon, lat }));
  const gcj = run.crs === "EPSG:4326";
  return { import_id: run.import_id, kind: run.kind, filename: run.filename, format: "xlsx", sheet: run.sheet, sheets: ["汇总", "明细"], crs: { declared: run.crs, detected: gcj || !run.crs ? "GCJ-02" : run.crs, used: run.crs || "GCJ-02", offset_m: gcj ? 512 : 0, warning_zh: gcj ? "坐标与GCJ-02（高德、腾讯地图）吻合：按WGS 84导入，位置会偏移约512米" : "", warning_en: gcj ? "The coordinates fit GCJ-02 (Amap, Tencent): taken as WGS 84 every place would be off by about 512 m" : "" }, columns: run.columns, counts: { rows: run.rows.length, new: changes.filter((c) => c.what === "new").length, changed: changes.filter((c) => c.what === "changed").length, same: run.rows.filter((r) => r.what === "same").length, wrong: new Set(problems.map((p) => p.row)).size }, problems, changes, state: run.state };
};
function start(query) {
  const k = kindOf(query.get("kind"));
  const rows = Array.from({ length: 56 }, (_, i) => {
    const [lon, lat] = somewhere();
    const base = { row: i + 2, entry_id: `N-${i + 1}`, name: `${one(PLACES)}${k.zh}${i + 1}`, lon, lat, problems: [] };
    if (i % 14 === 3) return { ...base, what: "wrong", problems: [{ row: i + 2, column: "责任人手机", value: "1380576", zh: "电话号码位数不对：手机应为11位", en: "not a telephone number: a mobile has 11 digits" }] };
    if (i % 14 === 9) return { ...base, what: "wrong", problems: [{ row: i + 2, column: "风险等级", value: "紫", zh: "风险等级应为：红、橙、黄、蓝", en: "Risk grade: expected red, orange, yellow, blue" }, { row: i + 2, column: "检查日期", value: "2019/13/40", zh: "不是日期，应如 2019-08-09", en: "not a date, expected 2019-08-09" }] };
    if (i % 5 === 0) return { ...base, what: "changed", fields: [{ key: "address", before: "塘下路12号", after: "塘下路18号" }, { key: "grade", before: "yellow", after: "orange" }] };
    if (i % 5 === 1) return { ...base, what: "same" };
    return { ...base, what: "new", fields: k.fields.slice(0, 5).map((x) => ({ key: x.key, before: null, after: x.key === "name" ? base.name : x.type === "choice" ? x.choices[0].value : "示例" })) };
  });
  const columns = [...k.fields.slice(0, 6).map((x) => ({ source: x.zh, field: x.key })), { source: "经度", field: "lon" }, { source: "纬度", field: "lat" }, { source: "编号", field: "entry_id" }, { source: "责任人手机", field: null, how: "" }, { source: "检查日期", field: k.fields.some((x) => x.key === "inspected_on") ? "inspected_on" : null }, { source: "旧编码", field: null }];
  const run = { import_id: `IMP-${imports.size + 1}`, kind: k.kind, filename: query.get("filename"), crs: (query.get("crs") ?? "auto") === "auto" ? "" : query.get("crs"), sheet: query.get("sheet") || "明细", columns, rows, state: "DRY", at: T };
  imports.set(run.import_id, run);
  return run;
}
const ADDRESSES = PLACES.flatMap((p) => ["镇政府", "小学", "卫生院", "菜场", "大桥"].map((s) => ({ name: p + s, kind: "place", entry_id: "", address: `椒湾区${p}路`, area: one(AREAS).code, at: somewhere() })));

/** [status, body, headers] or null where the path is not ours. */
export function registers(method, url, headers, body) {
  try {
    return answer(method, url.pathname.split("/").slice(3).map(decodeURIComponent), url.searchParams, headers, body);
  } catch (error) {
    if (!(error instanceof Refuse)) throw error;
    return [error.status, { type: `urn:citybrain:problem:${error.slug}`, title: "", status: error.status, detail: error.message, ...(error.errors ? { errors: error.errors } : {}) }];
  }
}
function answer(method, part, query, headers, body) {
  const json = () => (body.length ? JSON.parse(body.toString()) : {});
  const at = part.join("/");
  if (at === "areas") return [200, { items: AREAS, next: null }];
  if (at === "areas.geojson") return [200, { type: "FeatureCollection", features: AREA_FEATURES }];
  if (at === "addresses") { const q = query.get("q") ?? ""; return [200, { items: ADDRESSES.filter((a) => a.name.includes(q) || a.address.includes(q)).slice(0, 10).map(({ at: [lon, lat], ...a }) => ({ ...a, lon, lat, score: 0.9 })) }]; }
  if (part[0] === "imports") return importAnswer(method, part, query, body, json);
  if (part[0] !== "registers") return null;
  if (part.length === 1) return [200, { items: KINDS.map((k) => ({ ...k, count: store.get(k.kind).size })), next: null }];
  if (at === "registers/unverified") {
    const [before, after] = (query.get("cursor") ?? "").split("/");
    const found = KINDS.flatMap((k, i) => (k.verify === false || i < KINDS.findIndex((x) => x.kind === before) ? [] : [...store.get(k.kind).values()].filter((e) => e.area.startsWith(query.get("area") ?? "") && (e.verified_us ?? 0) < quarter() && (k.kind !== before || e.entry_id > after)).map((e) => shown(k, e, false))));
    const limit = Number(query.get("limit") ?? 200);
    const last = found[limit - 1];
    return [200, { items: found.slice(0, limit), next: found.length > limit ? `${last.kind}/${last.entry_id}` : null, total: found.length }];
  }
  const k = kindOf(part[1]);
  const all = store.get(k.kind);
  if (part[2] === "template.xlsx" || part[2] === "export") return [200, Buffer.from("mock file"), { "Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename*=UTF-8''${encodeURIComponent(`${k.zh}${part[2] === "export" ? `.${query.get("format")}` : "模板.xlsx"}`)}` }];
  if (part.length === 2 && method === "GET") {
    const [q, area, cursor, limit] = [query.get("q") ?? "", query.get("area") ?? "", query.get("cursor") ?? "", Number(query.get("limit") ?? 200)];
    const found = [...all.values()].filter((e) => (!q || e.name.includes(q) || e.entry_id.toLowerCase().includes(q.toLowerCase()) || String(e.values.address ?? "").includes(q)) && e.area.startsWith(area) && (query.get("unverified") !== "true" || (e.verified_us ?? 0) < quarter())).sort((a, b) => (a.entry_id < b.entry_id ? -1 : 1));
    const rest = found.filter((e) => e.entry_id > cursor);
    return [200, { items: rest.slice(0, limit).map((e) => shown(k, e, false)), next: rest.length > limit ? rest[limit - 1].entry_id : null, total: found.length }];
  }
  if (part.length === 2) {
    const asked = json();
    check(k, asked.values);
    const id = asked.entry_id || `${k.kind.slice(0, 2).toUpperCase()}-N${all.size + 1}`;
    if (all.has(id)) throw new Refuse(409, "conflict", `${id} exists already`);
    put(k.kind, id, asked.values.name, asked.values, asked.lon == null ? null : [asked.lon, asked.lat], { area: asked.area ?? "", verified_us: null, changed_us: T });
    note(all.get(id), "create", asked.reason, null, asked.values);
    return [201, shown(k, all.get(id), false)];
  }
  const entry = entryOf(k.kind, part[2]);
  if (part[3] === "history") return [200, { items: histories.get(`${k.kind}/${part[2]}`) ?? [{ seq: 1, at_us: entry.changed_us, actor: "clerk1", action: "create", reason: "首次导入", before: null, after: dotted(entry.values) }], next: null }];
  if (part[3] === "verify") { Object.assign(entry, { verified_us: T, verified_by: "clerk1", rev: entry.rev + 1 }); note(entry, "verify", json().comment, null, null); return [200, shown(k, entry, false)]; }
  if (part[3] === "statements") {
    const key = `${k.kind}/${part[2]}`;
    if (method === "POST") { const { date, grade, text } = json(); const old = statements.get(key) ?? []; statements.set(key, [{ date, edition: 1 + old.filter((x) => x.date === date).length, grade, text, signed_by: "clerk1", signed_name: "张文书", signed_us: T }, ...old]); }
    return [method === "POST" ? 201 : 200, method === "POST" ? statements.get(key)[0] : { items: statements.get(key) ?? [], next: null }];
  }
  if (method === "GET") return [200, shown(k, entry, query.get("clear") === "true")];
  const match = (headers["if-match"] ?? "").replaceAll('"', "");
  if (match !== String(entry.rev)) throw new Refuse(409, "conflict", `it was changed by ${entry.changed_by} since you read it (rev ${entry.rev})`);
  if (method === "DELETE") { all.delete(part[2]); return [204, ""]; }
  const asked = json();
  const merged = { ...entry.values, ...Object.fromEntries(Object.entries(asked.values).filter(([, v]) => !String(v).includes("*"))) };
  check(k, merged);
  note(entry, "change", asked.reason, entry.values, merged);
  Object.assign(entry, { values: merged, name: merged.name, area: asked.area ?? entry.area, lon: asked.lon ?? null, lat: asked.lat ?? null, rev: entry.rev + 1, changed_us: T });
  return [200, shown(k, entry, false)];
}
function importAnswer(method, part, query, body, json) {
  if (part.length === 1 && method === "GET") return [200, { items: [...imports.values()].reverse().map((r) => ({ import_id: r.import_id, kind: r.kind, filename: r.filename, state: r.state, owner: user, created_us: r.at, counts: dry(r).counts })), next: null }];
  if (part.length === 1) { if (!body.length) throw new Refuse(422, "invalid", "the file is empty"); return [201, dry(start(query))]; }
  const run = imports.get(part[1]) ?? (() => { throw new Refuse(404, "not-found", `import ${part[1]}`); })();
  if (part[2] === "commit") {
    const asked = json();
    const counts = dry(run).counts;
    if (counts.wrong && !asked.skip_wrong) throw new Refuse(422, "invalid", `${counts.wrong} rows cannot be taken`);
    run.state = "COMMITTED";
    return [200, { created: counts.new, changed: counts.changed, same: counts.same, skipped: counts.wrong, extra: run.kind === "team" ? { credentials: [{ device_id: "WG-101", username: "WG-101", password: "k3v9-x2mp-77qa" }, { device_id: "WG-102", username: "WG-102", password: "p8d1-zz4c-05ty" }] } : {} }];
  }
  if (run.state !== "DRY") throw new Refuse(409, "conflict", `import ${part[1]} is committed or expired: upload the file again`);
  if (method === "PUT") { const asked = json(); if (asked.crs) run.crs = asked.crs; if (asked.sheet) run.sheet = asked.sheet; for (const c of run.columns) if (asked.columns && c.source in asked.columns) c.field = asked.columns[c.source]; }
  return [200, dry(run)];
}
