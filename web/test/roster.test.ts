import { describe, expect, it } from "vitest";
import { DAY_US, HOUR_US, clashesOf, clockTime, dayStart, gapsIn, gridOf, hoursOf, isoDay, isoMinute, onDay, parsed, rotationOf, sifted, spanOf, swapped, usualStart, clockWords, weekStart } from "../src/duty/roster";
import type { Post, Shift } from "../src/duty/roster";

const FRIDAY = parsed("2019-08-09") as number;
const POSTS: Post[] = [
  { post: "leader", zh: "带班领导", en: "leader", step: 2, required: true, hand_over: false, hazards: [] },
  { post: "operator", zh: "值班员", en: "operator", step: 1, required: true, hand_over: true, hazards: [] },
];
let count = 0;
const shift = (username: string, from: number, to: number, extra: Partial<Shift> = {}): Shift => ({
  shift_id: `s${++count}`, post: "operator", username, name: username, area: "", from_us: FRIDAY + from * HOUR_US, to_us: FRIDAY + to * HOUR_US, rev: 1, ...extra,
});

describe("days", () => {
  it("begin at midnight in China, wherever the browser is", () => {
    expect(isoDay(Date.UTC(2019, 7, 9, 17) * 1000)).toBe("2019-08-10");
    expect(dayStart(Date.UTC(2019, 7, 9, 17) * 1000)).toBe(FRIDAY + DAY_US);
    expect(isoMinute(parsed("2019-08-09T08:30") as number)).toBe("2019-08-09T08:30");
    expect(parsed("soon")).toBeNull();
  });

  it("weeks begin on Monday, also on a Monday and on a Sunday", () => {
    for (const day of ["2019-08-05", "2019-08-09", "2019-08-11"]) expect(isoDay(weekStart(parsed(day) as number)), day).toBe("2019-08-05");
  });

  it("a month has its own number of days", () => {
    const { from, to } = spanOf("month", parsed("2020-02-17") as number);
    expect([isoDay(from), isoDay(to), (to - from) / DAY_US]).toEqual(["2020-02-01", "2020-03-01", 29]);
  });
});

describe("gaps", () => {
  it("are what no shift covers, whatever their order and overlap", () => {
    const gaps = gapsIn([shift("b", 14, 20), shift("a", 8, 12), shift("c", 9, 11)], FRIDAY, FRIDAY + DAY_US);
    expect(gaps.map((gap) => [(gap.from_us - FRIDAY) / HOUR_US, (gap.to_us - FRIDAY) / HOUR_US])).toEqual([[0, 8], [12, 14], [20, 24]]);
  });

  it("there are none under a shift that began the day before and ends after midnight", () => {
    expect(gapsIn([shift("a", -16, 30)], FRIDAY, FRIDAY + DAY_US)).toEqual([]);
  });

  it("are not called so in the past, which nobody can fill", () => {
    const now = FRIDAY + 10 * HOUR_US;
    const [row] = gridOf(POSTS, [shift("a", 12, 24)], { from: FRIDAY - DAY_US, to: FRIDAY + DAY_US }, now, "");
    expect(row?.cells.map((cell) => cell.gaps)).toEqual([[], [{ from_us: now, to_us: FRIDAY + 12 * HOUR_US }]]);
  });
});

describe("the grid", () => {
  it("lets a wider area fill the gap of a narrower one, not the other way round", () => {
    const span = { from: FRIDAY, to: FRIDAY + DAY_US };
    const gaps = (shifts: Shift[]): number[] => gridOf(POSTS.slice(1), shifts, span, FRIDAY, "").map((row) => row.cells[0]?.gaps.length ?? -1);
    expect(gaps([shift("a", 0, 24), shift("b", 8, 12, { area: "331002001" })])).toEqual([0, 0]);
    expect(gaps([shift("a", 0, 12), shift("b", 0, 24, { area: "331002001" })])).toEqual([1, 0]);
    expect(gaps([shift("b", 0, 12, { area: "331002001" })])).toEqual([0, 1]); // a post that only an area has
    expect(gaps([])).toEqual([1]);
  });

  it("misses nobody on a post that need not be held", () => {
    const [first, second] = gridOf(POSTS.map((post) => ({ ...post, required: post.post === "leader" })), [], { from: FRIDAY, to: FRIDAY + DAY_US }, FRIDAY, "");
    expect([first?.cells[0]?.gaps.length, second?.cells[0]?.gaps.length]).toEqual([0, 1]);
  });

  it("has the posts in calling order, a row for the district and one for each other area", () => {
    const rows = gridOf(POSTS, [shift("a", 8, 20, { area: "331002001" }), shift("b", 8, 20)], spanOf("week", FRIDAY), FRIDAY, "");
    expect(rows.map((row) => [row.post.post, row.area])).toEqual([["operator", ""], ["operator", "331002001"], ["leader", ""]]);
    expect(rows[0]?.cells.map((cell) => cell.shifts.length)).toEqual([0, 0, 0, 0, 1, 0, 0]);
  });

  it("shows a night shift on both of its days", () => {
    const [row] = gridOf(POSTS, [shift("a", 20, 32)], { from: FRIDAY, to: FRIDAY + 2 * DAY_US }, FRIDAY, "");
    expect(row?.cells.map((cell) => cell.shifts.length)).toEqual([1, 1]);
  });

  it("counts hours inside the span only", () => {
    const people = hoursOf([shift("a", 20, 32), shift("b", 0, 8), shift("b", 8, 12)], { from: FRIDAY, to: FRIDAY + DAY_US });
    expect(people.map((person) => [person.username, person.hours])).toEqual([["b", 12], ["a", 4]]);
  });
});

describe("a rotation", () => {
  const people = ["a", "b", "c"].map((username) => ({ username, name: username }));
  const drafts = rotationOf({ post: "operator", area: "", people, from_day: FRIDAY, days: 2, start: 8.5, pattern: "half" });

  it("lets the people take turns without a gap", () => {
    expect(drafts.map((draft) => [draft.username, isoMinute(draft.from_us)])).toEqual([
      ["a", "2019-08-09T08:30"], ["b", "2019-08-09T20:30"], ["c", "2019-08-10T08:30"], ["a", "2019-08-10T20:30"],
    ]);
    expect(gapsIn(drafts, drafts[0]?.from_us as number, drafts[3]?.to_us as number)).toEqual([]);
  });

  it("leaves alone what is taken, and names who stands elsewhere", () => {
    const { fresh, taken, clashes } = sifted(drafts, [shift("x", 9, 10), shift("b", 21, 22, { post: "leader" })]);
    expect([fresh, taken, clashes].map((part) => part.map((draft) => draft.username))).toEqual([["c", "a"], ["a"], ["b"]]);
  });

  it("of nobody is empty", () => {
    expect(rotationOf({ post: "operator", area: "", people: [], from_day: FRIDAY, days: 7, start: 8, pattern: "day" })).toEqual([]);
  });
});

describe("moving shifts", () => {
  it("exchanges the people and keeps the hours", () => {
    const [one, other] = [shift("a", 8, 20), shift("b", 20, 32)];
    const pair = swapped(one, other, [one, other]);
    expect(pair?.map((s) => [s.shift_id, s.username, s.from_us])).toEqual([[one.shift_id, "b", one.from_us], [other.shift_id, "a", other.from_us]]);
  });

  it("does not put a person in two places at once", () => {
    const [one, other, leader] = [shift("a", 8, 20), shift("b", 20, 32), shift("b", 8, 20, { post: "leader" })];
    expect(swapped(one, other, [one, other, leader])).toBeNull();
    expect(clashesOf({ username: "b", name: "b", from_us: one.from_us, to_us: one.to_us }, [leader])).toEqual([leader]);
    expect(clashesOf(leader, [leader], leader.shift_id)).toEqual([]);
  });

  it("a contact without an account is himself by name", () => {
    const [one, other] = [shift("", 8, 20, { name: "外聘专家" }), shift("", 10, 12, { name: "海事值班" })];
    expect(clashesOf(one, [other])).toEqual([]);
    expect(clashesOf({ ...one, name: "海事值班" }, [other])).toEqual([other]);
  });

  it("to another day keeps the time of day", () => {
    const night = shift("a", 20, 32);
    expect(isoMinute(onDay(night, FRIDAY + DAY_US, FRIDAY + 3 * DAY_US).from_us)).toBe("2019-08-11T20:00");
  });
});

it("times of day are read as people write them", () => {
  expect(["08:30", "8:00", "24:00", "25:00", "8:75", "noon"].map(clockTime)).toEqual([8.5, 8, 24, null, null, null]);
});

it("a district's day begins when most of its shifts do", () => {
  expect(usualStart([shift("a", 8, 32), shift("b", 8, 20), shift("c", 9, 17), shift("d", 20, 32), shift("e", 20, 32), shift("f", 20, 32)])).toBe(8);
  expect([usualStart([]), clockWords(8.5), clockWords(32.5), clockWords(24)]).toEqual([8.5, "08:30", "08:30", "00:00"]);
});
