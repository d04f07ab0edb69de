import { describe, expect, it } from "vitest";
import { inOrder, lateOf, wholeAnswers } from "../src/grid/data";
import type { EventKind, Receipt, Report } from "../src/grid/data";

const receipt = (organisation: string, state: Receipt["state"], authority = "direct"): Receipt => ({
  organisation_id: organisation, organisation, authority, state, state_zh: "", sent_us: 0, signed_by: "", signed_us: null, result: "", done_us: null,
});
const report = (id: string, state: Report["state"], urgent = false, receipts: Receipt[] = []): Report => ({
  report_id: id, client_id: id, kind: "water", kind_zh: "", urgent, text: "", lon: 0, lat: 0, address: "", area: "", reported_by: "", reported_us: 0, state, state_zh: "", joined_to: "", witnesses: 0, receipts, closed_comment: "", rev: 1,
});
const KINDS: EventKind[] = [{ kind: "water", zh: "", en: "", near_m: 1, within_min: 1, sign_min: 10, urgent: false }];

describe("the grid", () => {
  it("shows what is open and urgent first, then the newest", () => {
    const all = [report("G-1", "OPEN"), report("G-2", "CLOSED", true), report("G-3", "OPEN"), report("G-0", "OPEN", true)];
    expect(inOrder(all).map((one) => one.report_id)).toEqual(["G-0", "G-3", "G-1", "G-2"]);
  });

  it("says who was asked, has not signed, and should have", () => {
    const asked = report("G-1", "OPEN", false, [receipt("a", "SENT"), receipt("b", "SIGNED"), receipt("c", "SENT", "notify")]);
    expect(lateOf(asked, KINDS, 10 * 60e6)).toEqual([]);
    expect(lateOf(asked, KINDS, 10 * 60e6 + 1)).toEqual(["a"]);
    expect(lateOf({ ...asked, state: "CLOSED" }, KINDS, 1e12)).toEqual([]);
    expect(lateOf(asked, [], 1e12)).toEqual([]);
  });

  it("a list is whole when every item is answered", () => {
    const yes = { item: "门", ok: true, note: "" };
    expect(wholeAnswers(["门", "灯"], new Map([["门", yes]]))).toBeNull();
    expect(wholeAnswers(["门"], new Map([["门", yes]]))).toEqual([yes]);
    expect(wholeAnswers([], new Map())).toEqual([]);
  });
});
