import { describe, expect, it } from "vitest";
import { letterText, lightOf, noteWords, offsetWords, sample, valueOf } from "../src/vendor/data";
import type { Check, DeviceRow, Letter, Message } from "../src/vendor/data";

const check = (part: Partial<Check>): Check => ({
  device_id: "g1",
  received: 0,
  flagged: 0,
  clock_fault: 0,
  backfilled: 0,
  conflicts: 0,
  dead_lettered: 0,
  refused: 0,
  last_receive_us: null,
  clock_offset_s: null,
  last_messages: [],
  dead_letters: [],
  refusals: [],
  notes: [],
  ...part,
});
const letter = (part: Partial<Letter>): Letter => ({ position: 1, receive_us: 1, reason: "", text: null, raw: null, size: 0, data: {}, ...part });

describe("the vendor page", () => {
  it("says first what its vendor should look at first", () => {
    expect(lightOf(check({}))[0]).toBe("bad");
    expect(lightOf(check({ last_receive_us: 1, clock_fault: 2, dead_lettered: 1 }))).toEqual(["warn", "有消息被拒收"]);
    expect(lightOf(check({ last_receive_us: 1, clock_fault: 2 }))).toEqual(["warn", "时钟不准"]);
    expect(lightOf(check({ last_receive_us: 1 }))[0]).toBe("good");
  });

  it("gives a clock's offset in words of its size", () => {
    expect([null, 0, -0.42, 119, 125, -7300, 90_000, -4_000_000].map(offsetWords)).toEqual(["—", "+0.0 s", "−0.4 s", "+119.0 s", "+2 min 5 s", "−2 h 2 min", "+25 h 0 min", "−46 d"]);
  });

  it("shows a refused message as text, or its bytes where it is none", () => {
    expect(letterText(letter({ text: "{broken" }))).toBe("{broken");
    expect(letterText(letter({ raw: btoa("\x7e\x7e\x00") }))).toBe("7e 7e 00");
    expect(letterText(letter({ raw: btoa("a".repeat(80)) }))).toMatch(/ …$/);
    expect(letterText(letter({}))).toBe("");
  });

  it("names the properties of a note, and an unknown note by its code", () => {
    expect(noteWords({ receive_us: 1, reason: "unregistered_keys", data: { values: { foo: 1, bar: 2 } } })).toContain("foo, bar");
    expect(noteWords({ receive_us: 1, reason: "values_missing", data: { keys: ["stage_m"] } })).toContain("stage_m");
    expect(noteWords({ receive_us: 1, reason: "seq_gap", data: { missing: 3, after: 4, before: 8 } })).toContain("3（4 → 8）");
    expect(noteWords({ receive_us: 1, reason: "something_new", data: {} })).toBe("something_new");
  });

  it("shows a text, a number, and nothing as what they are", () => {
    const row: Message = { property: "p", seq: null, phenomenon_us: 1, receive_us: 1, result: 0, text: null, flags: [] };
    expect([valueOf(row), valueOf({ ...row, text: "on", result: null }), valueOf({ ...row, result: null })]).toEqual(["0", "on", "—"]);
  });

  it("writes an example with the device's own topic and property, and no password", () => {
    const device: DeviceRow = { device_id: "g1", name: "", model: "", area: "", vendor: "", gateway: "", status: "online", latest: { stage_m: [1, 1, 1] }, attributes: {} };
    expect(sample("host", "1883", "main", device)).toContain("-t cb/v1/main/g1/up/telemetry");
    expect(sample("host", "1883", "main", device)).toContain('"stage_m":1.0');
    expect(sample("host", "1883", "main", device)).toContain("-P PASSWORD");
  });
});
