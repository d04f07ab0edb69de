/**
 * A development aid, not a test: serves web/dist and a small moving picture in the shapes of docs/interfaces.md, so that the
 * pages can be worked on and looked at without the Python side.    node dev/mock.mjs [port]     log in with anything
 * MOCK_DISTRICT=file.json ({layers, devices, units} of simulators.district) shows the real demo district instead of a grid.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { registers } from "./mock-registers.mjs";
import { officeMock } from "./mock-duty.mjs";

const PORT = Number(process.argv[2] ?? 8123);
const DIST = new URL("../dist", import.meta.url).pathname;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".geojson": "application/geo+json" };
const CSP = "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const GIVEN = process.env.MOCK_DISTRICT ? JSON.parse(readFileSync(process.env.MOCK_DISTRICT, "utf8")) : null;
const RATE = 60;
const T0 = Date.UTC(2019, 7, 9, 12, 40) * 1000;
const STARTED = Date.now();
const now = () => T0 + (Date.now() - STARTED) * 1000 * RATE;
const e6 = (v) => Math.round(v * 1e6);

// -- a district ---------------------------------------------------------------------------------------------------
const [LON, LAT] = [121.45, 28.68];
const feature = (id, type, coordinates, properties) => ({ type: "Feature", id, geometry: { type, coordinates }, properties });
const grid = [];
for (let i = 0; i <= 8; i += 1) {
  const [x, y] = [LON - 0.08 + i * 0.018, LAT - 0.05 + i * 0.011];
  grid.push(feature(`rd-n${i}`, "LineString", [[x, LAT - 0.05], [x + 0.003, LAT], [x, LAT + 0.045]], { name: `纬${i}路`, speed_kmh: i % 3 === 0 ? 60 : 40 }));
  grid.push(feature(`rd-e${i}`, "LineString", [[LON - 0.08, y], [LON, y + 0.002], [LON + 0.065, y]], { name: `经${i}路`, speed_kmh: i % 4 === 0 ? 60 : 40 }));
}
const river = [[LON - 0.12, LAT + 0.03], [LON - 0.05, LAT + 0.012], [LON + 0.01, LAT + 0.02], [LON + 0.05, LAT + 0.008], [LON + 0.1, LAT + 0.015]];
const LAYERS = {
  district: [feature("d", "Polygon", [[[LON - 0.1, LAT - 0.07], [LON + 0.07, LAT - 0.07], [LON + 0.085, LAT], [LON + 0.08, LAT + 0.06], [LON - 0.1, LAT + 0.06], [LON - 0.1, LAT - 0.07]]], { name_zh: "椒湾示范区" })],
  sea: [feature("s", "Polygon", [[[LON + 0.07, LAT - 0.1], [LON + 0.25, LAT - 0.1], [LON + 0.25, LAT + 0.1], [LON + 0.08, LAT + 0.1], [LON + 0.085, LAT], [LON + 0.07, LAT - 0.1]]], {})],
  river: [feature("r", "LineString", river, { name_zh: "椒湾江" })],
  coast: [feature("c", "LineString", [[LON + 0.07, LAT - 0.1], [LON + 0.085, LAT], [LON + 0.08, LAT + 0.1]], {})],
  roads: grid,
  bridges: [feature("b1", "Point", [LON + 0.01, LAT + 0.02], { name_zh: "椒湾大桥" })],
  underpasses: [feature("u1", "Point", [LON - 0.026, LAT - 0.006], { name_zh: "滨江路下穿" }), feature("u2", "Point", [LON + 0.03, LAT - 0.028], { name_zh: "铁路下穿" })],
  villages: [feature("v1", "Point", [LON - 0.07, LAT + 0.045], { name_zh: "上塘村" }), feature("v2", "Point", [LON - 0.06, LAT - 0.055], { name_zh: "下浦村" })],
  chem_park: [feature("p", "Polygon", [[[LON + 0.035, LAT + 0.022], [LON + 0.065, LAT + 0.022], [LON + 0.066, LAT + 0.042], [LON + 0.036, LAT + 0.043], [LON + 0.035, LAT + 0.022]]], { name_zh: "椒湾医化园区" })],
  shelters: [feature("sh1", "Point", [LON - 0.045, LAT - 0.03], { name_zh: "区体育馆避灾点" })],
  stations: [feature("st1", "Point", [LON - 0.01, LAT - 0.02], { name_zh: "特勤站" })],
  places: [feature("pl1", "Point", [LON - 0.03, LAT - 0.018], { name_zh: "海门街道" }), feature("pl2", "Point", [LON + 0.02, LAT - 0.012], { name_zh: "白云街道" })],
};

// -- devices, units, storm ----------------------------------------------------------------------------------------
const STAGE = { stage_m: { on: { blue: 3.2, yellow: 3.9, orange: 4.5, red: 5.1 } } };
const DEPTH = { depth_m: { on: { yellow: 0.15, orange: 0.3, red: 0.5 } } };
const RAIN = { rain_1h_mm: { on: { blue: 15, yellow: 30, orange: 50, red: 80 } } };
const GUST = { gust_3s_ms: { on: { blue: 17.2, yellow: 24.5, orange: 32.7, red: 41.5 } } };
const GAS = { cl2_mg_m3: { first: 1, second: 3 } };
const devices = [];
const add = (id, kind, name, dx, dy, values, thresholds = {}, status = "online", colour = "") => devices.push({ device_id: id, kind, name, lon: LON + dx, lat: LAT + dy, values, thresholds, status, colour });
add("WG-001", "water_gauge", "上塘水文站", -0.085, 0.024, { stage_m: 5.32 }, STAGE, "online", "red");
add("WG-002", "water_gauge", "椒湾大桥水位站", 0.01, 0.017, { stage_m: 4.61 }, STAGE, "online", "orange");
add("WG-003", "water_gauge", "江口闸水位站", 0.06, 0.009, { stage_m: 3.44 }, STAGE);
add("WG-004", "water_gauge", "下浦河水位站", -0.05, -0.05, { stage_m: 2.71 }, STAGE);
add("UP-001", "water_gauge", "滨江路下穿积水计", -0.026, -0.006, { depth_m: 0.62 }, DEPTH, "online", "red");
add("UP-002", "water_gauge", "铁路下穿积水计", 0.03, -0.028, { depth_m: 0.12 }, DEPTH);
for (let i = 0; i < 8; i += 1) add(`RW-00${i}`, "rain_wind_station", ["上塘", "海门", "白云", "下浦", "江口", "园区", "石塘", "大陈"][i] + "气象站", -0.08 + i * 0.02, (i % 3) * 0.03 - 0.04, { rain_1h_mm: 62 - i * 7.3, gust_3s_ms: 34 - i * 1.7 }, { ...RAIN, ...GUST }, i === 6 ? "no_data" : "online");
for (let i = 0; i < 6; i += 1) add(`GD-00${i}`, "gas_detector", `园区氯气探测器 ${i + 1}#`, 0.04 + (i % 3) * 0.009, 0.027 + Math.floor(i / 3) * 0.009, { cl2_mg_m3: i === 1 ? 3.8 : i === 2 ? 1.6 : 0.02 }, GAS, "online", i === 1 ? "orange" : "");
for (let i = 0; i < 10; i += 1) add(`CAM-0${i}`, "camera", `球机 ${i + 1}`, -0.07 + i * 0.013, ((i * 7) % 9) * 0.01 - 0.045, { fps: 25 }, {}, i === 4 ? "offline" : "online");
for (let i = 0; i < 4; i += 1) add(`AQ-0${i}`, "air_station", `空气站 ${i + 1}`, -0.05 + i * 0.03, 0.035 - i * 0.02, { pm25_1h_ug_m3: 18 }, {});
const OF_DEVICE = {};
if (GIVEN) {
  const kinds = {};
  for (const d of devices.splice(0)) (kinds[d.kind] ??= []).push(d.device_id);
  for (const d of GIVEN.devices) {
    const was = (d.kind === "water_gauge" && d.thresholds.depth_m ? ["UP-001", "UP-002"].find((id) => !OF_DEVICE[id]) : (kinds[d.kind] ?? []).find((id) => !OF_DEVICE[id] && !id.startsWith("UP"))) ?? "";
    if (was) OF_DEVICE[was] = d.device_id;
    const values = Object.fromEntries(Object.entries(d.thresholds ?? {}).map(([k, t]) => [k, t.on ? (t.on.blue ?? t.on.yellow ?? 1) * (k === "stage_m" ? 0.99 + Math.random() * 0.09 : 0.4 + Math.random()) : (t.first ?? 1) * Math.random() * 2]));
    devices.push({ ...d, values, status: Math.random() < 0.06 ? "no_data" : "online", colour: "" });
  }
}
const units = GIVEN ? GIVEN.units.map((u, i) => ({ id: u.unit_id, name: u.name, kind: u.kind, status: ["EN_ROUTE", "WORKING", "EN_ROUTE", "ON_SCENE"][i % 6] ?? "IN_QTRS", lon: u.lon + (i % 4) * 0.01, lat: u.lat + (i % 3) * 0.006, heading: 60 * i, speed: i % 6 === 0 || i % 6 === 2 ? 1100 : 0, task: "" })) : [
  ["unit-fire-1", "特勤一站", "fire", "IN_QTRS"], ["unit-hazmat-1", "危化处置一队", "hazmat", "EN_ROUTE"], ["unit-flood-1", "抗洪抢险一队", "flood", "EN_ROUTE"],
  ["unit-flood-2", "抗洪抢险二队", "flood", "WORKING"], ["unit-medical-1", "急救一组", "medical", "DISPATCHED"], ["unit-police-1", "交警一中队", "police", "ON_SCENE"],
  ["unit-police-2", "交警二中队", "police", "IN_QTRS"], ["unit-patrol-1", "海门巡查组", "patrol", "AVAIL_MOBILE"], ["unit-patrol-2", "白云巡查组", "patrol", "OFF"],
].map(([id, name, kind, status], i) => ({ id, name, kind, status, lon: LON - 0.05 + i * 0.012, lat: LAT - 0.03 + ((i * 5) % 7) * 0.008, heading: 60, speed: status === "EN_ROUTE" ? 1100 : 0, task: "" }));
const H = 3600e6;
const TRACK = [[-48, 129.6, 18.2, 40], [-36, 127.9, 19.9, 48], [-24, 125.9, 22.4, 58], [-12, 124.1, 24.9, 55], [-6, 123.2, 26.2, 52], [0, 122.4, 27.3, 50], [6, 121.5, 28.3, 45], [12, 120.9, 29.4, 33], [24, 120.1, 31.8, 25], [36, 119.9, 34.6, 20]]
  .map(([h, lon, lat, wind]) => [T0 + h * H, e6(lon), e6(lat), wind, h <= 0 ? 1 : 0, [350, 350, 280, 280], [180, 180, 130, 140], [80, 80, 60, 60]]);

// -- alarms, incidents, tasks -------------------------------------------------------------------------------------
let seq = 1000;
const ago = (minutes) => T0 - minutes * 60e6;
const alarm = (id, hazard, colour, title, detail, was, value, uom, minutes, extra = {}) => {
  const device = OF_DEVICE[was] ?? was;
  const found = devices.find((d) => d.device_id === device);
  return { alarm_id: id, rule_id: `${hazard}.x`, rule_version: "1", hazard, subject: { kind: "device", id: device, name: found?.name ?? title }, device_ids: [device], area: "339900", lon: found?.lon ?? null, lat: found?.lat ?? null, colour, peak_colour: colour, no_data: false, latched: false, state: "firing", title_zh: title, title_en: title, detail_zh: detail, detail_en: detail, value, uom, flags: [], raised_us: ago(minutes), event_time_us: ago(minutes), changed_us: ago(minutes), cleared_us: null, n: 1, acked: null, shelved_until_us: null, incident_id: "", stored: true, escalation: null, ...extra };
};
const ack = (by) => ({ by, at_us: ago(2), comment: "" });
const alarms = new Map([
  alarm("a1b2c3d4e5f60001", "flood", "red", "上塘水文站 水位超红色阈值", "水位 5.32 m，超过红色阈值 5.10 m，10 分钟上涨 0.18 m；阈值来源：区防汛预案 2019", "WG-001", 5.32, "m", 4, { incident_id: "I-20190809-001", escalation: { step: 1, to: "leader1", to_name: "带班领导 周岚", due_us: Date.now() * 1000 + 95e6 } }),
  alarm("a1b2c3d4e5f60002", "hazchem", "orange", "椒湾医化园区 氯气二级报警", "2# 探测器 3.8 mg/m³ 超二级 3.0；3# 探测器 1.6 mg/m³ 在 60 s 内同报。先联系企业中控室", "GD-001", 3.8, "mg/m³", 1, { incident_id: "I-20190809-002", flags: ["待核实"], stored: false }),
  alarm("a1b2c3d4e5f60003", "typhoon", "red", "台风“利奇马”达到红色预警标准（研判）", "距椒湾 178 km，预计 8 月 10 日 01:40 最近（约 22 km），10 级风圈 5.2 小时内影响本区；达到台风红色预警标准，以气象部门发布为准", "NONE", 178, "km", 31, { lon: LON, lat: LAT - 0.035, acked: ack("duty1"), incident_id: "I-20190809-003" }),
  alarm("a1b2c3d4e5f60004", "flood", "red", "滨江路下穿 积水超红色阈值", "积水 0.62 m，超过红色阈值 0.50 m；道路已自动标记封闭", "UP-001", 0.62, "m", 9, { acked: ack("duty1"), incident_id: "I-20190809-001", flags: ["时钟异常"] }),
  alarm("a1b2c3d4e5f60005", "flood", "orange", "椒湾大桥水位站 水位超橙色阈值", "水位 4.61 m，超过橙色阈值 4.50 m", "WG-002", 4.61, "m", 12, { acked: ack("duty2"), incident_id: "I-20190809-001" }),
  alarm("a1b2c3d4e5f60006", "rain", "yellow", "上塘气象站 小时雨量超黄色阈值", "1 小时雨量 48.1 mm", "RW-000", 48.1, "mm", 18),
  alarm("a1b2c3d4e5f60007", "wind", "yellow", "海门气象站 阵风 10 级", "阵风 26.3 m/s", "RW-001", 26.3, "m/s", 26, { acked: ack("duty1") }),
  alarm("a1b2c3d4e5f60008", "device", "blue", "石塘气象站 断数", "超过 3 个上报周期没有数据", "RW-006", null, "", 14, { no_data: true }),
].map((a) => [a.alarm_id, a]));
const line = (minutes, actor, kind, text) => ({ at_us: ago(minutes), actor, kind, text_zh: text, text_en: text });
const incident = (id, kind, colour, state, title, dx, dy, timeline, alarm_ids) => ({ incident_id: id, kind, title_zh: title, title_en: title, state, state_zh: { VERIFYING: "待核实", OPEN: "立案", RESPONDING: "响应" }[state], lon: LON + dx, lat: LAT + dy, area: "339900", colour, opened_us: timeline[0].at_us, changed_us: timeline.at(-1).at_us, rev: 3, alarm_ids, plan_id: `plan.${kind}`, plan_version: "2019.1", timeline, task_counts: {} });
const incidents = new Map([
  incident("I-20190809-001", "flood", "red", "OPEN", "椒湾江洪水与滨江路下穿积水", -0.06, 0.01, [line(12, "system", "opened", "由告警“椒湾大桥水位站 水位超橙色阈值”自动建立，待核实"), line(10, "duty1", "verified", "值班员核实：现场视频确认漫滩，立案"), line(9, "system", "alarm", "并入告警“滨江路下穿 积水超红色阈值”"), line(8, "duty1", "tasks_issued", "下达任务 3 项"), line(7, "unit-flood-2", "task", "抗洪抢险二队 受领：下穿抽排"), line(5, "unit-police-1", "task", "交警一中队 到场：滨江路交通管制"), line(4, "system", "alarm", "并入告警“上塘水文站 水位超红色阈值”，事件升为红色")], ["a1b2c3d4e5f60001", "a1b2c3d4e5f60004", "a1b2c3d4e5f60005"]),
  incident("I-20190809-002", "hazchem", "orange", "VERIFYING", "椒湾医化园区氯气泄漏", 0.049, 0.031, [line(1, "system", "opened", "由告警“氯气二级报警”自动建立，待核实；已生成企业中控室叫应")], ["a1b2c3d4e5f60002"]),
  incident("I-20190809-003", "typhoon", "red", "RESPONDING", "台风“利奇马”防御", 0, -0.035, [line(31, "system", "opened", "由台风接近告警自动建立"), line(28, "leader1", "verified", "带班领导核实并启动防御")], ["a1b2c3d4e5f60003"]),
].map((i) => [i.incident_id, i]));
const task = (id, inc, title, state, unit, place, dx, dy, eta = null) => ({ task_id: `${inc}-${id}`, incident_id: inc, title_zh: title, title_en: title, detail_zh: `${title}。注意上风向进入，保持通信，每 30 分钟报告一次。`, detail_en: title, capability: "pumping", state, state_zh: "", unit_id: unit, unit_name: units.find((u) => u.id === unit)?.name ?? "", unit_authority: unit.includes("police") ? "request" : "direct", lon: LON + dx, lat: LAT + dy, place, due_us: T0 + 40 * 60e6, issued_us: ago(8), changed_us: ago(5), rev: 1, eta_s: eta, history: [] });
const tasks = new Map([
  task("T01", "I-20190809-001", "下穿抽排与封控", "IN_PROGRESS", "unit-flood-2", "滨江路下穿", -0.026, -0.006),
  task("T02", "I-20190809-001", "滨江路交通管制", "ON_SCENE", "unit-police-1", "滨江路口", -0.02, -0.004),
  task("T03", "I-20190809-001", "上塘村低洼户转移", "EN_ROUTE", "unit-flood-1", "上塘村", -0.07, 0.045, 1560),
  task("T04", "I-20190809-001", "堤防巡查", "DRAFT", "unit-patrol-1", "江口闸", 0.055, 0.01, 900),
  task("T01", "I-20190809-002", "侦检与堵漏", "DRAFT", "unit-hazmat-1", "医化园区 3 号罐区", 0.049, 0.031, 660),
  task("T02", "I-20190809-002", "下风向 500 m 人员疏散", "DRAFT", "unit-fire-1", "园区南侧", 0.045, 0.018, 720),
  task("T03", "I-20190809-002", "医疗待命（上风向）", "DRAFT", "unit-medical-1", "园区北门", 0.05, 0.045, 540),
].map((t) => [t.task_id, t]));
const closures = [["C1", 1, e6(LON - 0.026), e6(LAT - 0.006), "积水", 0.62, ago(9), null, ["rd-n3"]]];

const SCHEMAS = {
  "obj/device": ["id", "ver", "lon_e6", "lat_e6", "kind", "name", "status", "colour", "t_us", "stale_s", "values"],
  "obj/unit": ["id", "ver", "lon_e6", "lat_e6", "heading", "speed_cm_s", "status", "t_us", "stale_s", "name", "kind", "task_id"],
  "obj/closure": ["id", "ver", "lon_e6", "lat_e6", "reason", "depth_m", "since_us", "expires_us", "edges"],
  "obj/typhoon": ["id", "ver", "lon_e6", "lat_e6", "name_zh", "name_en", "wind_ms", "pressure_hpa", "t_us", "issuer", "number", "track"],
  "kpi/board": ["id", "ver", "value"],
};
const deviceRow = (d) => [d.device_id, ++seq, e6(d.lon), e6(d.lat), d.kind, d.name, d.status, d.colour, now(), 900, Object.fromEntries(Object.entries(d.values).map(([k, v]) => [k, [Number((v * (1 + Math.random() * 0.004)).toFixed(2)), 1, now()]]))];
const unitRow = (u) => [u.id, ++seq, e6(u.lon), e6(u.lat), u.heading, u.speed, u.status, now(), 600, u.name, u.kind, u.task];
const ROWS = {
  "obj/device": () => devices.map(deviceRow),
  "obj/unit": () => units.map(unitRow),
  "obj/closure": () => closures,
  "obj/typhoon": () => [["1909", 1, e6(122.4), e6(27.3), "利奇马", "Lekima", 50, 930, T0, "中央气象台（演示回放）", 37, TRACK]],
  "kpi/board": () => [["clock", 1, { city_us: now(), rate: RATE, kind: "scaled" }], ["unstored", 1, 1]],
  alarm: () => [...alarms.values()], incident: () => [...incidents.values()], task: () => [...tasks.values()], sys: () => [],
};

// -- the wire -----------------------------------------------------------------------------------------------------
const sockets = new Set();
const encode = (text) => {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.from([0x81, body.length]) : body.length < 65536 ? Buffer.from([0x81, 126, body.length >> 8, body.length & 255]) : (() => { const b = Buffer.alloc(10); b[0] = 0x81; b[1] = 127; b.writeBigUInt64BE(BigInt(body.length), 2); return b; })();
  return Buffer.concat([head, body]);
};
const tell = (socket, ...messages) => socket.write(encode(JSON.stringify(messages)));
const event = (ch, kind, id, rev, data) => { seq += 1; for (const s of sockets) tell(s, { type: "ev", ch, seq, t: now(), kind, id, rev, data }); };
function hear(socket, message) {
  if (message.type === "hello") tell(socket, { type: "welcome", ping_s: 10, time: now() });
  if (message.type !== "sub") return;
  const sub = ++seq;
  socket.subs[message.ch] = sub;
  tell(socket, { type: "ok", i: message.i, sub, epoch: "mock", seq, recovered: false, schema: SCHEMAS[message.ch] }, { type: "snap", sub, seq, part: 0, more: false, rows: ROWS[message.ch]() });
}
setInterval(() => {
  for (const u of units) if (u.speed > 0) { u.heading = (u.heading + 8) % 360; u.lon += 0.0004 * Math.sin((u.heading * Math.PI) / 180); u.lat += 0.0004 * Math.cos((u.heading * Math.PI) / 180); }
  for (const s of sockets) for (const ch of ["obj/device", "obj/unit"]) if (s.subs[ch]) tell(s, { type: "delta", sub: s.subs[ch], seq: ++seq, t: now(), up: ROWS[ch](), rm: [] });
}, 500);
setInterval(() => { for (const s of sockets) tell(s, { type: "ping", t: Date.now() }); }, 10000);

const STATES = { deliver: "DELIVERED", accept: "ACCEPTED", decline: "DECLINED", depart: "EN_ROUTE", arrive: "ON_SCENE", start: "IN_PROGRESS", done: "REPORTED_DONE", verify: "VERIFIED", close: "CLOSED", recall: "RECALLED" };
let user = { username: "duty1", name: "值班员 陈海", roles: ["operator"] };
const moveTask = (id, state, extra = {}) => { const t = { ...tasks.get(id), ...extra, state, rev: tasks.get(id).rev + 1, changed_us: now() }; t.history = [...t.history, { at_us: now(), from: "", to: state, actor: user.username, comment: "" }]; tasks.set(id, t); event("task", state, id, t.rev, t); return t; };
function post(path, body) {
  const part = path.split("/").slice(3);
  if (part[0] === "sessions") { if (body.username?.startsWith("unit-")) user = { username: body.username, name: body.username, roles: ["responder"], unit_id: body.username }; return { token: "t", csrf: "c", user, expires_at: "" }; }
  if (part[0] === "alarms") { const a = { ...alarms.get(part[1]), acked: { by: user.username, at_us: now(), comment: "" }, escalation: null }; alarms.set(part[1], a); setTimeout(() => event("alarm", "ack", a.alarm_id, a.n, a), 80); return { position: seq }; }
  if (part[0] === "incidents" && part[2] === "tasks") return [...tasks.values()].filter((t) => t.incident_id === part[1] && t.state === "DRAFT" && (!body.task_ids || body.task_ids.includes(t.task_id))).map((t) => moveTask(t.task_id, "ISSUED"));
  if (part[0] === "incidents") { const i = incidents.get(part[1]); const state = { verify: "OPEN", reject: "REJECTED", controlled: "CONTROLLED", close: "TERMINATED" }[part[2]] ?? i.state; const n = { ...i, state, state_zh: "", rev: i.rev + 1, timeline: [...i.timeline, { at_us: now(), actor: user.username, kind: part[2], text_zh: `${user.username} ${part[2]} ${body.comment ?? ""}`, text_en: part[2] }] }; incidents.set(part[1], n); event("incident", part[2], part[1], n.rev, n); return n; }
  if (part[0] === "tasks" && part[2] === "assign") { const u = units.find((x) => x.id === body.unit_id); return moveTask(part[1], tasks.get(part[1]).state, { unit_id: u.id, unit_name: u.name }); }
  if (part[0] === "tasks") return moveTask(part[1], STATES[part[2]]);
  return {};
}
function get(path, query) {
  const part = path.split("/").slice(3);
  if (part[0] === "me") return { user, csrf: "c" };
  if (part[0] === "clock") return { tenant: "demo", kind: "scaled", rate: RATE, city_us: now(), city_time: "", run_id: "r", tick_us: 1e6, banner: { zh: "演示 · 数据为模拟，不得用于实际指挥", en: "DEMO · simulated data, not for real command" } };
  if (part[0] === "devices") return { items: devices, next: null };
  if (part[0] === "layers" && GIVEN) return GIVEN.layers[part[1].replace(".geojson", "")] ?? { type: "FeatureCollection", features: [] };
  if (part[0] === "layers") return { type: "FeatureCollection", features: LAYERS[part[1].replace(".geojson", "")] ?? [] };
  if (part[0] === "tasks" && part[2] === "route") { const t = tasks.get(part[1]); const u = units.find((x) => x.id === t.unit_id); return { eta_s: 1500, distance_m: 7400, geometry: { type: "LineString", coordinates: [[u.lon, u.lat], [u.lon, t.lat - 0.01], [t.lon + 0.01, t.lat - 0.01], [t.lon, t.lat]] }, avoided: ["C1"] }; }
  if (part[0] === "tasks" && part[2] === "candidates") return { items: units.slice(0, 4).map((u, i) => ({ unit: { unit_id: u.id, name: u.name, kind: u.kind, authority: i === 3 ? "request" : "direct", status: u.status }, eta_s: i === 2 ? null : 400 + i * 300, capable: i < 3, available: i !== 1, reasons_zh: [i === 2 ? "道路不通" : "能力符合", "涉水深度 0.3 m"], reasons_en: ["capable"] })) };
  if (part[0] === "tasks") return { items: [...tasks.values()].filter((t) => !query.get("unit") || t.unit_id === query.get("unit")), next: null };
  return { items: [], next: null };
}

const dutyMock = officeMock(now, devices);
createServer((request, response) => {
  const url = new URL(request.url, "http://mock");
  const answer = (status, body, type = "application/json") => { response.writeHead(status, { "Content-Type": type, "Content-Security-Policy": CSP }); response.end(body); };
  if (url.pathname.startsWith("/api/")) {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const found = registers(request.method, url, request.headers, body);
      if (found !== null) {
        const [status, value, headers = {}] = found;
        const raw = Buffer.isBuffer(value) || status === 204;
        response.writeHead(status, { "Content-Type": status >= 400 ? "application/problem+json" : "application/json", "Content-Security-Policy": CSP, ...headers });
        return response.end(raw ? value : JSON.stringify(value));
      }
      const text = body.toString();
      // Duty and administration know several people at once: the cookie says who asks.
      const who = /cb_mock=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1] ?? user.username;
      const known = dutyMock(request.method, url.pathname, url.searchParams, text ? JSON.parse(text) : {}, { ...user, username: who }, (name) => response.setHeader("Set-Cookie", `cb_mock=${name}; Path=/; HttpOnly; SameSite=Strict`));
      if (known?.problem) return answer(known.problem.status, JSON.stringify(known.problem), "application/problem+json");
      if (known !== undefined) return answer(200, JSON.stringify(known));
      answer(200, JSON.stringify(request.method === "POST" ? post(url.pathname, text ? JSON.parse(text) : {}) : get(url.pathname, url.searchParams)));
    });
    return;
  }
  if (url.pathname === "/healthz") return answer(200, JSON.stringify({ ok: true, banner: get("/api/v1/clock", url.searchParams).banner }));
  if (url.pathname === "/readyz") return answer(200, JSON.stringify({ ready: true, canary: true, broker: true, database: true, rules: true, unstored: 0, round_trip_s: 0.21 }));
  // MOCK_LOGIN=1: pages ask for a login, as the server does
  if (process.env.MOCK_LOGIN && !extname(url.pathname) && url.pathname !== "/login" && !/cb_mock=/.test(request.headers.cookie ?? "")) { response.writeHead(302, { Location: `/login?next=${url.pathname}` }); return response.end(); }
  const path = extname(url.pathname) ? url.pathname : `${url.pathname === "/" ? "/login" : url.pathname}.html`;
  const file = join(DIST, normalize(path));
  if (!file.startsWith(DIST) || !existsSync(file)) answer(404, "not found", "text/plain");
  else answer(200, readFileSync(file), TYPES[extname(file)] ?? "application/octet-stream");
}).on("upgrade", (request, socket) => {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: cb.live.v1.json\r\n\r\n`);
  socket.subs = {};
  sockets.add(socket);
  const leave = () => sockets.delete(socket);
  socket.on("close", leave).on("error", leave);
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 6) {
      const short = pending[1] & 127;
      const at = short === 126 ? 4 : 2; // requests are far below 64 KB
      const length = short === 126 ? pending.readUInt16BE(2) : short;
      if (pending.length < at + 4 + length) return;
      const mask = pending.subarray(at, at + 4);
      const body = Buffer.from(pending.subarray(at + 4, at + 4 + length).map((byte, i) => byte ^ mask[i % 4]));
      const code = pending[0] & 15;
      pending = pending.subarray(at + 4 + length);
      if (code === 8) return socket.end();
      if (code === 1) for (const message of JSON.parse(body.toString())) hear(socket, message);
    }
  });
}).listen(PORT, "127.0.0.1", () => console.log(`mock on http://127.0.0.1:${PORT}/wall`));
setTimeout(() => { const a = { ...alarms.get("a1b2c3d4e5f60006"), colour: "orange", peak_colour: "orange", n: 2, title_zh: "上塘气象站 小时雨量超橙色阈值", value: 53.4 }; alarms.set(a.alarm_id, a); event("alarm", "level_up", a.alarm_id, a.n, a); moveTask("I-20190809-001-T03", "EN_ROUTE"); }, 3000).unref();
