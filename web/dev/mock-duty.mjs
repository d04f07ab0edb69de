/** Mock of /duty, /instructions, /users, /sessions, /approvals, /api-keys, /journal, /audit: several people can be logged in at once. */
import { createHash, randomBytes } from "node:crypto";

const DAY = 86400e6, HOUR = 3600e6, CST = 8 * HOUR;
const fail = (status, slug, detail) => ({ problem: { type: `urn:citybrain:problem:${slug}`, title: slug, status, detail } });
const machine = () => Date.now() * 1000;
const mask = (phone) => (phone ? `${phone.slice(0, 3)}****${phone.slice(-4)}` : "");

export function officeMock(now, devices = []) {
  const today = Math.floor((now() + CST) / DAY) * DAY - CST;
  const user = (username, name, roles, extra = {}) => [username, { username, name, roles, unit_id: "", vendor: "", phone: mask(extra.phone ?? ""), area: "", scope: { areas: [], organisations: [], hazards: [] }, enabled: true, second_factor: false, last_login_us: machine() - 3 * HOUR, locked_until_us: null, rev: 1, ...extra, ...(extra.phone ? { phone: mask(extra.phone) } : {}) }];
  const users = new Map([
    user("duty1", "林晓", ["operator"], { phone: "13805760001" }), user("duty2", "陈海", ["operator"], { phone: "13805760002" }), user("duty3", "王珊", ["operator"], { phone: "13805760003" }),
    user("duty4", "赵一鸣", ["operator"], { phone: "13805760004" }), user("leader1", "周岚", ["leader"], { phone: "13805760011", second_factor: true }), user("leader2", "吴建平", ["leader"], { phone: "13805760012" }),
    user("admin", "系统管理员", ["admin"], { second_factor: true }), user("security", "沈安", ["security"], { second_factor: true }), user("auditor", "方正", ["auditor"]),
    user("registrar1", "何文", ["registrar"], { scope: { areas: ["331002001", "331002002"], organisations: [], hazards: ["flood"] } }), user("tech-zhou", "周工（运维）", ["admin"]), user("analyst1", "徐研", ["analyst"]),
    user("vendor-hk", "海康驻场", ["vendor"], { vendor: "hikvision", last_login_us: null }), user("unit-flood-1", "抗洪抢险一队", ["responder"], { unit_id: "unit-flood-1" }), user("old1", "退休人员", ["operator"], { enabled: false }), user("grid7", "网格员 吴霞", ["grid"], { scope: { areas: ["331002001001"], organisations: [], hazards: [] }, locked_until_us: machine() + HOUR / 4 }),
  ]);
  const nameOf = (username) => users.get(username)?.name ?? username;
  const totp = new Set(["leader1", "security", "admin"]);
  const P = (post, zh, en, step, required = true, hand_over = false) => ({ post, zh, en, step, required, hand_over, hazards: [] });
  const posts = [P("duty_officer", "值班员", "Duty officer", 1, true, true), P("deputy", "副值班", "Deputy duty officer", 2, false), P("duty_chief", "值班长", "Duty chief", 3, false, true), P("duty_leader", "带班领导", "Leader on duty", 4), P("tech", "技术保障", "Technical support", 5, true)];
  const shifts = new Map();
  let n = 0;
  const id = (prefix) => `${prefix}-${String(++n).padStart(4, "0")}`;
  const shift = (post, username, day, from, hours, area = "") => { const s = { shift_id: id("S"), post, username, name: nameOf(username), phone: "", phone_mask: "", area, from_us: today + day * DAY + from * HOUR, to_us: today + day * DAY + (from + hours) * HOUR, rev: 1 }; shifts.set(s.shift_id, s); };
  const duty = ["duty1", "duty2", "duty3", "duty4"];
  for (let d = -9; d < 21; d += 1) {
    shift("duty_officer", duty[(d * 2 + 40) % 4], d, 8.5, 12);
    if (d !== 2) shift("duty_officer", duty[(d * 2 + 41) % 4], d, 20.5, 12);
    if (d !== 4 && d !== 5) shift("duty_leader", d % 2 === 0 ? "leader1" : "leader2", d, 8.5, 24);
    if (d < 3) shift("deputy", duty[(d * 2 + 42) % 4], d, 8.5, 24);
  }
  for (let d = 1; d < 12; d += 1) shift("tech", "tech-zhou", d, 8, 10);
  shift("duty_officer", "duty3", 0, 8.5, 24, "331002003");
  shift("duty_officer", "duty4", 1, 8.5, 24, "331002003");
  const areas = [{ code: "331002", name: "椒湾示范区", level: "county", parent: "3399" }, ...["海门街道", "白云街道", "江口镇", "上塘乡"].map((name, i) => ({ code: `33100200${i + 1}`, name, level: "street", parent: "331002" })), { code: "331002001001", name: "海门东网格", level: "grid", parent: "331002001" }, { code: "331002001002", name: "海门西网格", level: "grid", parent: "331002001" }];
  const item = (kind, ref, zh, en, state = "", colour = "", until_us = null) => ({ kind, ref, text_zh: zh, text_en: en, area: "", state, colour, until_us });
  const openItems = () => [
    item("alarm", "a1b2c3d4e5f60001", "上塘水文站 水位超红色阈值（未确认）", "Shangtang gauge over red (not acknowledged)", "UNACKED", "red"),
    item("alarm", "a1b2c3d4e5f60005", "椒湾大桥水位站 水位超橙色阈值（duty2 已确认）", "Bridge gauge over orange", "ACKED", "orange"),
    item("no_data", "a1b2c3d4e5f60008", "断数：石塘气象站", "No data: Shitang station", "", "blue"),
    item("shelved", "a1b2c3d4e5f60007", "搁置：海门气象站 阵风 10 级（duty1）", "Shelved by duty1", "", "yellow", now() + 2 * HOUR),
    item("incident", "I-20190809-001", "椒湾江洪水与滨江路下穿积水（响应）", "River flood and underpass", "RESPONDING", "red"),
    item("task", "I-20190809-001-T03", "上塘村低洼户转移：抗洪抢险一队（赶赴途中）", "Move low-lying households", "EN_ROUTE", "", now() + HOUR),
    item("task", "I-20190809-001-T01", "下穿抽排与封控：抗洪抢险二队（处置中）", "Pump the underpass", "IN_PROGRESS"),
    item("instruction", "P-2019-014", "批示（加急）：加强沿江堤防巡查，两小时一报（签收）", "Patrol the dykes", "RECEIVED"),
  ];
  const HZ = { DRAFT: "草拟", SIGNED_OUT: "交班已签", SIGNED_IN: "接班已签", WITHDRAWN: "撤回" };
  const handovers = new Map();
  const handover = (from, to, state, ago, remarks, signed, items) => { const h = { handover_id: `H-20190809-${String(handovers.size + 1).padStart(3, "0")}`, post: "duty_officer", area: "", shift_id: "", from_user: from, to_user: to, substitute_reason: "", state, state_zh: HZ[state], remarks, summary: {}, open_items: items, signatures: signed.map((u, i) => ({ side: i === 0 ? "out" : "in", username: u, name: nameOf(u), at_us: now() - ago + i * 180e6, comment: "" })), created_us: now() - ago - 300e6, changed_us: now(), rev: 1 }; handovers.set(h.handover_id, h); return h; };
  handover("duty2", "duty4", "WITHDRAWN", 24 * HOUR, "", [], []);
  handover("duty4", "duty1", "SIGNED_IN", 12 * HOUR, "夜班平稳；2 号泵站检修中，预计 14 时恢复。", ["duty4", "duty1"], openItems().slice(2, 4));
  handover("duty1", "duty2", "DRAFT", 200e6, "台风“利奇马”逼近，滨江路下穿已封闭，上塘村正在转移。\n2 号泵站 18 时 05 分恢复；石塘气象站断数，厂商 22 时到场。", [], openItems());
  const log = [];
  const LZ = { call: "来电", paper: "来文", instruction: "指令", patrol: "巡查", weather: "天气", other: "其他", shift: "换班", handover: "交接班", incident: "事件" };
  const write = (kind, actor, ago, text, extra = {}) => { const e = { entry_id: `L-20190809-${String(log.length + 1).padStart(3, "0")}`, at_us: now() - ago, actor, kind, kind_zh: LZ[kind], text, area: "", alarm_id: "", incident_id: "", instruction_id: "", corrects: "", auto: ["shift", "handover", "incident"].includes(kind), ...extra }; log.push(e); return e; };
  write("shift", "system", 12.2 * HOUR, "值班员：赵一鸣 下班，林晓 上班");
  write("handover", "system", 12 * HOUR, "交接班 H-20190809-002：duty4 交班，duty1 接班；移交 2 项");
  write("call", "duty1", 9 * HOUR, "上塘乡来电：村口老桥漫水，已安排网格员劝返行人。");
  write("weather", "duty1", 7.5 * HOUR, "区气象台：“利奇马”预计 10 日凌晨登陆，椒湾今夜到明晨暴雨到大暴雨，阵风 12 级以上。");
  write("paper", "duty1", 7 * HOUR, "收市防指〔2019〕31 号：防台风应急响应提升为 I 级。已送周岚阅示。");
  write("other", "duty1", 5 * HOUR, "2 号泵站 17 时前恢复。");
  write("instruction", "leader1", 3 * HOUR, "带班领导周岚到岗，要求沿江巡查加密至每小时一次。");
  write("other", "duty1", 2 * HOUR, "2 号泵站恢复时间为 18 时。", { corrects: "L-20190809-006" });
  write("incident", "system", 70 * 60e6, "事件 I-20190809-001 立案：椒湾江洪水与滨江路下穿积水");
  write("call", "duty1", 40 * 60e6, "医化园区中控室：3 号罐区已停止进料。");
  const OZ = { ISSUED: "下达", RECEIVED: "签收", IN_PROGRESS: "办理中", REPORTED: "反馈", RETURNED: "退回", CHECKED: "核查", CLOSED: "办结", RECALLED: "撤回" };
  const UZ = { urgent: "特急", pressing: "加急", normal: "平件" };
  const FAR = ["ISSUED", "RECEIVED", "RETURNED", "IN_PROGRESS", "REPORTED", "CHECKED", "CLOSED", "RECALLED"];
  const instructions = new Map();
  const settle = (i) => { i.state = FAR.find((s) => i.addressees.some((a) => a.state === s)); i.state_zh = OZ[i.state]; i.open = !["CLOSED", "RECALLED"].includes(i.state); i.rev += 1; i.changed_us = now(); };
  const UNITS = { "unit-flood-1": "抗洪抢险一队" };
  const instruction = (number, text, by, to, ago, due, urgency, events) => { const at = now() - ago; const i = { instruction_id: `P-2019-${number}`, text, urgency, urgency_zh: UZ[urgency], issued_by: by, issued_us: at, due_us: due === null ? null : at + due, incident_id: "", area: "", rev: 0, addressees: to.map(([kind, who, state, report], k) => ({ n: k + 1, kind, id: who, name: UNITS[who] ?? nameOf(who), state, state_zh: OZ[state], report: report ?? "", overdue: due !== null && at + due < now() && ["ISSUED", "RECEIVED"].includes(state), received_us: state === "ISSUED" ? null : at + 300e6, reported_us: report ? at + 900e6 : null, changed_us: at })), timeline: [{ at_us: at, actor: by, kind: "issue", text_zh: `${nameOf(by)} 下达批示`, text_en: `issued by ${by}`, n: 0 }, ...events.map(([kind, zh], k) => ({ at_us: at + (k + 1) * 900e6, actor: "", kind, text_zh: zh, text_en: zh, n: 1 }))] }; settle(i); instructions.set(i.instruction_id, i); return i; };
  instruction("012", "各街道避灾点开放情况汇总。", "leader1", [["user", "duty2", "CLOSED", "全部 14 处已开放。"]], 20 * HOUR, 6 * HOUR, "normal", [["received", "duty2 陈海 签收"], ["reported", "duty2 陈海 反馈：全部 14 处已开放。"], ["checked", "leader1 陈海 核查：抽查 3 处属实"], ["closed", "leader1 陈海 办结"]]);
  instruction("013", "核实 2 号泵站恢复时间并报我。", "leader1", [["user", "duty1", "REPORTED", "已恢复，18 时 05 分并网运行。"]], 6 * HOUR, 8 * HOUR, "normal", [["received", "duty1 林晓 签收"], ["reported", "duty1 林晓 反馈：已恢复，18 时 05 分并网运行。"]]);
  instruction("014", "加强沿江堤防巡查，发现险情立即上报，两小时一报。", "leader1", [["user", "duty1", "RECEIVED"], ["unit", "unit-flood-1", "ISSUED"], ["organisation", "区水利局", "REPORTED", "已派 4 组巡堤，暂无险情。"]], 2 * HOUR, HOUR, "pressing", [["received", "duty1 林晓 签收"], ["reminder", "提醒：林晓 办理时限已过半，19:40 前请反馈"], ["reported", "duty1 代 区水利局 反馈：已派 4 组巡堤，暂无险情。"], ["prompt", "督办：抗洪抢险一队 15 分钟未签收批示，请 leader1 过问"], ["prompt", "督办：林晓 逾期未反馈（时限 19:40），请 leader1 过问"]]);
  instruction("015", "上塘村低洼户 23 时前全部转移完毕，一户不漏。", "leader1", [["user", "duty1", "ISSUED"]], 30 * 60e6, 3 * HOUR, "urgent", []);
  const approvals = new Map();
  const approval = (kind, subject, zh, en, before, payload, source, reason, by, state, extra = {}) => { const a = { approval_id: `A-${String(approvals.size + 1).padStart(6, "0")}`, kind, subject, area: "331002001", title_zh: zh, title_en: en, before, payload, source, reason, state, proposed_by: by, proposed_us: now() - 50 * 60e6, decided_by: "", decided_us: null, comment: "", expires_us: machine() + 23 * HOUR, asked: "", emergency: false, until_us: null, result: {}, rev: 1, ...extra }; approvals.set(a.approval_id, a); return a; };
  const stage = (red) => ({ direction: "rise", on: { blue: 3.2, yellow: 3.9, orange: 4.5, red }, on_delay_s: 0 });
  approval("threshold", "GD-001/cl2_mg_m3", "氯气探测器 1# 阈值变更（cl2_mg_m3）", "Alarm values of GD-001", { first: 1, second: 3 }, { first: 1, second: 2.5 }, "GB/T 50493-2019", "", "leader2", "EXECUTED", { decided_by: "leader1", decided_us: now() - 20 * HOUR, comment: "同意" });
  approval("threshold", "WG-004/stage_m", "下浦河水位站 阈值变更（stage_m）", "Thresholds of Xiapu", stage(5.1), stage(6), "口头", "减少误报", "leader2", "REJECTED", { decided_by: "leader1", decided_us: now() - 30 * HOUR, comment: "没有依据文件，不同意放宽" });
  approval("threshold", "WG-001/stage_m", "上塘水文站 阈值变更（stage_m）", "Thresholds of Shangtang gauge", stage(5.1), { ...stage(4.8), on: { ...stage(4.8).on, orange: 4.2 } }, "区防指〔2019〕12 号", "保证水位下调", "leader2", "PENDING", { asked: "leader1" });
  approval("threshold", "UP-001/depth_m", "滨江路下穿 阈值变更（depth_m）", "Thresholds of Binjiang underpass", { on: { yellow: 0.15, orange: 0.3, red: 0.5 } }, { on: { yellow: 0.1, orange: 0.25, red: 0.4 } }, "现场处置", "积水计安装位置偏高", "leader1", "PENDING", { emergency: true, until_us: now() + 5 * HOUR });
  const keyOf = (n, name, roles, created, used, expires, revoked = null) => [`K${n}`, { key_id: `K${n}`, name, roles, created_by: "security", created_machine_us: machine() - created * DAY, expires_machine_us: machine() + expires * DAY, scope: {}, vendor: "", unit_id: "", revoked_machine_us: revoked, revoked_by: "", last_used_machine_us: used }];
  const keys = new Map([keyOf("0001", "区气象局报文推送", ["met"], 40, machine() - 60e6, 325), keyOf("0002", "省平台取数", ["upstream"], 400, machine() - 90 * DAY, -35), keyOf("0003", "旧大屏", ["analyst"], 200, null, 165, machine() - DAY)]);
  const sessions = new Map();
  const journal = [];
  let head = "0".repeat(64);
  const note = (actor, entity, entity_id, action, before, after, reason = "") => { const prev_hash = head; const row = { seq: journal.length + 1, at_us: now(), machine_us: machine(), actor, on_behalf_of: "", entity, entity_id, action, before, after, reason }; head = createHash("sha256").update(head + JSON.stringify(row)).digest("hex"); journal.push({ ...row, prev_hash, hash: head }); };
  for (let i = 0; i < 60; i += 1) note(["duty1", "leader1", "security", "system"][i % 4], ["alarm", "user", "shift", "task"][i % 4], ["a1b2c3d4e5f60001", "duty3", "S-0004", "I-20190809-001-T01"][i % 4], ["ack", "changed", "created", "issued"][i % 4], i % 4 === 1 ? { roles: ["operator"] } : null, i % 4 === 1 ? { roles: ["operator", "leader"] } : { state: "x" }, i % 5 === 0 ? "台风防御" : "");

  const ROUTES = { receive: "RECEIVED", report: "REPORTED", check: "CHECKED", return: "RETURNED", close: "CLOSED", recall: "RECALLED" };
  const SOURCES = { receive: ["ISSUED"], report: ["RECEIVED", "IN_PROGRESS", "RETURNED"], check: ["REPORTED"], return: ["REPORTED", "CHECKED"], close: ["CHECKED"], recall: ["ISSUED", "RECEIVED", "IN_PROGRESS", "REPORTED", "RETURNED"] };
  /** Answers, or undefined for a path that is not ours. `cookie` names who is logged in. */
  for (const d of ["leader1", "security"]) totp.delete(d); // log in as admin to be asked for a code
  return function answer(method, path, query, body, me, setMe) {
    const part = path.split("/").slice(3);
    const [first, second, third] = part;
    const actor = me.username;
    const listed = (items) => ({ items, next: null });
    if (first === "sessions" && method === "POST") {
      const found = users.get(body.username) ?? (body.username?.startsWith("unit-") ? user(body.username, body.username, ["responder"], { unit_id: body.username })[1] : null);
      if (!found || body.password === "wrong") return fail(401, "login-refused", "user name or password is wrong");
      if (totp.has(found.username) && !body.otp) return fail(401, "second-factor-required", "this account has a second factor: send `otp`");
      if (totp.has(found.username) && body.otp === "000000") return fail(401, "login-refused", "the code is wrong, or was used already");
      const sid = randomBytes(6).toString("hex");
      sessions.set(sid, { sid, username: found.username, created_us: machine(), seen_us: machine(), expires_us: machine() + 12 * HOUR, address: "10.0.0.7", agent: "Chromium 100 / Windows" });
      setMe(found.username);
      return { token: "t", csrf: "c", user: found, expires_at: "" };
    }
    if (first === "me" && !second) return { user: users.get(actor) ?? me, csrf: "c" };
    const iso = (us) => new Date(us / 1000).toISOString();
    if (first === "me" && second === "sessions" && method === "DELETE") { sessions.clear(); return {}; }
    if (first === "me" && second === "sessions") return listed([{ sid: "cur", current: true, issued_at: iso(machine() - HOUR), seen_at: iso(machine()), expires_at: iso(machine() + 11 * HOUR), address: "10.0.0.7", client: "Mozilla/5.0 (Windows NT 10.0) Chrome/100.0 Safari/537.36", second_factor: totp.has(actor) }, { sid: "old", current: false, issued_at: iso(machine() - 6 * HOUR), seen_at: iso(machine() - 2 * HOUR), expires_at: iso(machine() + 6 * HOUR), address: "10.0.3.21", client: "Mozilla/5.0 (Linux; Android 12) Chrome/120.0", second_factor: false }]);
    if (first === "me" && second === "password") return body.old === "wrong" ? fail(403, "forbidden", `${actor} may not change the password: the old one is wrong`) : {};
    if (first === "me" && second === "totp" && method === "DELETE") { totp.delete(actor); users.get(actor).second_factor = false; return {}; }
    if (first === "me" && second === "totp" && third === "confirm") { if (body.code === "000000") return fail(422, "invalid", "code: it does not fit; is the phone's clock right?"); totp.add(actor); users.get(actor).second_factor = true; return { recovery_codes: Array.from({ length: 10 }, () => randomBytes(6).toString("hex")) }; }
    if (first === "me" && second === "totp") { let cells = ""; for (let y = 0; y < 33; y += 1) for (let x = 0; x < 33; x += 1) if ((x * 7 + y * 13 + x * y) % 5 < 2) cells += `M${x} ${y}h1v1h-1z`; return { secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", uri: `otpauth://totp/CityBrain:${actor}`, qr_svg: `<svg width="165" height="165" viewBox="0 0 33 33"><path d="${cells}"/></svg>` }; }
    if (first === "sessions" && method === "DELETE") return {};
    if (first === "areas") return listed(areas);
    if (first === "duty" && second === "posts") { if (method === "PUT") { posts.splice(0, posts.length, ...(body.posts ?? body.items ?? body)); } return listed(posts); }
    if (first === "duty" && second === "shifts") {
      if (method === "GET") { const [from, to] = [Number(query.get("from")), Number(query.get("to"))]; return listed([...shifts.values()].filter((s) => s.from_us < to && s.to_us > from)); }
      if (method === "DELETE") { shifts.delete(third); return {}; }
      if (third === "generate") { const made = []; const step = body.shift_hours * HOUR; for (let k = 0, at = body.start_us; at < body.until_us; k += 1, at += step) { const u = body.usernames[k % body.usernames.length]; const s = { shift_id: id("S"), post: body.post, username: u, name: nameOf(u), phone: "", phone_mask: "", area: body.area, from_us: at, to_us: at + step, rev: 1 }; shifts.set(s.shift_id, s); made.push(s); } return listed(made); }
      if (part[3] === "reassign") { const s = shifts.get(third); s.username = body.to; s.name = nameOf(body.to); s.rev += 1; return listed([s]); }
      if (body.to_us <= body.from_us) return fail(422, "invalid", "to_us: must be after from_us");
      const saved = { ...(shifts.get(third) ?? {}), ...body, shift_id: third ?? id("S"), name: body.username ? nameOf(body.username) : body.name, phone: "", phone_mask: mask(body.phone ?? ""), rev: (shifts.get(third)?.rev ?? 0) + 1 };
      shifts.set(saved.shift_id, saved);
      note(actor, "shift", saved.shift_id, third ? "changed" : "created", null, saved);
      return saved;
    }
    if (first === "duty" && second === "now") {
      const area = query.get("area") ?? "";
      const chain = posts.flatMap((p) => [...shifts.values()].filter((s) => s.post === p.post && s.from_us <= now() && s.to_us > now() && area.startsWith(s.area)).sort((a, b) => b.area.length - a.area.length).map((s) => ({ step: p.step, post: p.post, post_zh: p.zh, username: s.username, name: s.name, area: s.area, shift_id: s.shift_id, phone: query.get("clear") === "true" && s.username ? "138057600" + s.username.slice(-1).padStart(2, "0") : users.get(s.username)?.phone || s.phone_mask, until_us: s.to_us })));
      return { area, at_us: now(), chain, gaps: posts.filter((p) => p.required && !chain.some((c) => c.post === p.post)).map((p) => ({ post: p.post, zh: p.zh, en: p.en, area, from_us: now(), to_us: null, text_zh: "", text_en: "" })), last_resort: chain.length === 0 };
    }
    if (first === "duty" && second === "handovers") {
      if (method === "GET") return third ? handovers.get(third) : listed([...handovers.values()].reverse());
      if (!third) return handover(actor, body.to_user, "DRAFT", -300e6, body.remarks ?? "", [], openItems());
      const h = handovers.get(third);
      if (part[3] === "withdraw") { Object.assign(h, { state: "WITHDRAWN", state_zh: HZ.WITHDRAWN, rev: h.rev + 1 }); return h; }
      if (h.state === "DRAFT" && actor !== h.from_user) return fail(403, "forbidden", `${h.from_user}, who hands over, signs first`);
      if (h.state === "SIGNED_OUT" && actor === h.from_user) return fail(403, "forbidden", "who takes over is another person with another login");
      const side = h.state === "DRAFT" ? "out" : "in";
      h.signatures.push({ side, username: actor, name: nameOf(actor), at_us: now(), comment: body.comment ?? "" });
      h.state = side === "out" ? "SIGNED_OUT" : "SIGNED_IN"; h.state_zh = HZ[h.state]; h.rev += 1;
      return h;
    }
    if (first === "duty" && second === "log") {
      if (method === "GET") { const day = query.get("day"); return listed([...log].reverse().filter((e) => !day || new Date((e.at_us + CST) / 1000).toISOString().slice(0, 10).replaceAll("-", "") === day)); }
      return write(body.kind, actor, 0, body.text, { corrects: body.corrects ?? "" });
    }
    if (first === "instructions") {
      if (method === "GET") return second ? instructions.get(second) : listed([...instructions.values()].reverse());
      if (!second) return instruction(String(12 + instructions.size).padStart(3, "0"), body.text, actor, body.addressees.map((a) => [a.kind, a.id, "ISSUED"]), 0, body.due_us === null ? null : body.due_us - now(), body.urgency, []);
      const i = instructions.get(second);
      const a = i.addressees.find((one) => one.n === body.n);
      if (!a || !SOURCES[third].includes(a.state)) return fail(409, "illegal-transition", `instruction ${second} cannot take "${third}"`);
      a.state = ROUTES[third];
      a.state_zh = OZ[a.state];
      if (third === "report") a.report = body.comment;
      i.timeline.push({ at_us: now(), actor, kind: a.state.toLowerCase(), text_zh: `${actor} ${a.name} ${OZ[a.state]}${body.comment ? "：" + body.comment : ""}`, text_en: `${actor}: ${a.name} ${a.state}`, n: a.n });
      settle(i);
      return i;
    }
    if (first === "users") {
      if (method === "GET") return second ? users.get(second) : listed([...users.values()]);
      if (third === "password") return { username: second, password: "kq7mz2w9xtehnp" };
      if (third === "sessions") return {};
      if (third === "disable" || third === "enable") { Object.assign(users.get(second), { enabled: third === "enable", rev: users.get(second).rev + 1 }); return users.get(second); }
      if (third === "totp") { totp.delete(second); Object.assign(users.get(second), { second_factor: false, rev: users.get(second).rev + 1 }); return {}; }
      if (method === "POST" && users.has(body.username)) return fail(409, "conflict", `user ${body.username} exists already`);
      const [, saved] = user(second ?? body.username, body.name, body.roles, { ...(users.get(second) ?? { last_login_us: null }), ...body, rev: (users.get(second)?.rev ?? 0) + 1 });
      users.set(saved.username, saved);
      note(actor, "user", saved.username, second ? "change" : "create", null, { roles: saved.roles });
      return second ? saved : { user: saved, password: "vb4nl8r3pqsmkd" };
    }
    if (first === "approvals") {
      if (method === "GET") return listed([...approvals.values()].filter((a) => !query.get("state") || a.state === query.get("state")).reverse());
      if (!second) return approval(body.kind, body.subject, `${body.subject} 阈值变更`, body.subject, devices.find((d) => d.device_id === body.subject.split("/")[0])?.thresholds[body.subject.split("/")[1]] ?? {}, body.payload, body.source, body.reason, actor, "PENDING", body.emergency ? { emergency: true, until_us: now() + body.hours * HOUR } : {});
      const a = approvals.get(second);
      if (third === "decide" && a.proposed_by === actor) return fail(403, "forbidden", "proposer and decider must be two persons");
      Object.assign(a, third === "withdraw" ? { state: "WITHDRAWN", comment: body.comment ?? "" } : { state: body.approve ? "EXECUTED" : "REJECTED", decided_by: actor, decided_us: now(), comment: body.comment ?? "" }, { rev: a.rev + 1 });
      note(actor, "approval", second, a.state.toLowerCase(), null, { comment: a.comment });
      return a;
    }
    if (first === "api-keys") {
      if (method === "GET") return listed([...keys.values()]);
      if (method === "DELETE") { keys.get(second).revoked_machine_us = machine(); return {}; }
      const [id_, made] = keyOf(String(keys.size + 1).padStart(4, "0"), body.name, body.roles, 0, null, body.days);
      keys.set(id_, made);
      return { key: made, token: `cbk_${id_}_${randomBytes(32).toString("base64url")}` };
    }
    if (first === "journal") return listed([...journal].reverse().filter((j) => (!query.get("actor") || j.actor === query.get("actor")) && (!query.get("entity") || j.entity === query.get("entity"))));
    if (first === "audit" && second === "head") return { head: { seq: journal.length, hash: head, count: journal.length }, anchor: { seq: journal.length - 3, hash: head, why: "hourly", machine_us: machine() - 600e6, key_id: "9f2c" }, public_key: "", sinks: [{ name: "file", waiting: 0, dropped: 0, taken_us: machine() - 600e6 }, { name: "syslog", waiting: 2, dropped: 0, taken_us: machine() - 4200e6 }], overdue: false, off_host: true };
    if (first === "audit" && second === "verify") return { ok: true, from_seq: 1, head: { seq: journal.length, hash: head, count: journal.length }, rows: journal.length, anchors_checked: 12, breaks: [] };
    return undefined;
  };
}
