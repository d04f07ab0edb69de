import { describe, expect, it } from "vitest";
import en from "../src/core/en.json";
import { text } from "../src/core/i18n";
import { CityClock, hms, span } from "../src/core/time";
import zh from "../src/core/zh-CN.json";
import { category, distanceKm, windRing } from "../src/map/storm";

const raw = import.meta.glob<string>("../src/**/*.{ts,tsx}", { query: "?raw", import: "default", eager: true });
const sources = Object.entries(raw).map(([path, code]) => ({ path, code }));
const holes = (value: string): string[] => (value.match(/\{\w+\}/g) ?? []).sort();

describe("words", () => {
  it("exist in both languages with the same holes", () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(zh).sort());
    for (const [key, value] of Object.entries(zh)) expect(holes(en[key as keyof typeof en]), key).toEqual(holes(value));
  });

  it("are all used: each key stands in the code, or its family is looked up by code", () => {
    const code = sources.map((source) => source.code).join("\n");
    const families = [...code.matchAll(/(?:word\("(\w+)"|`(\w+)\.\$\{)/g)].map((match) => match[1] ?? match[2]);
    const unused = Object.keys(zh).filter((key) => !code.includes(`"${key}"`) && !families.includes(key.split(".")[0]));
    expect(unused).toEqual([]);
  });

  it("fill their holes", () => {
    expect(text("zh", "alarms.unacked", { n: 3 })).toBe("3 条未确认");
    expect(text("en", "alarms.unacked", { n: 3 })).toBe("3 unacknowledged");
  });

  it("a warning colour is always a word as well", () => {
    for (const colour of ["red", "orange", "yellow", "blue"] as const) expect(text("zh", `colour.${colour}`)).toMatch(/^[红橙黄蓝]$/);
  });
});

describe("the pages", () => {
  it("name no other host", () => {
    for (const { path, code } of sources) {
      const hosts = [...code.matchAll(/["'`](?:https?:)?\/\/[\w.-]+\.\w+/g)].map((match) => match[0]);
      expect(hosts, path).toEqual([]);
    }
  });

  it("keep the four warning hues for warnings", () => {
    const hues = /#ef4444|#fb923c|#facc15|#3b82f6/i;
    const users = sources.filter((source) => hues.test(source.code)).map((source) => source.path);
    expect(users).toEqual([]);
  });
});

describe("time", () => {
  it("runs on from the server's clock at its rate, and stands still when it is stepped", () => {
    let machine = 0;
    const clock = new CityClock({ city_us: 1_000_000, rate: 60, kind: "scaled" }, () => machine);
    machine = 1_000;
    expect(clock.nowUs()).toBe(61_000_000);
    clock.sync(5, 60, "stepped");
    machine = 9_000;
    expect(clock.nowUs()).toBe(5);
  });

  it("is shown as China Standard Time wherever the page is", () => {
    expect(hms(Date.UTC(2019, 7, 9, 17, 45, 1) * 1000)).toBe("01:45:01");
  });

  it("spans are said as people say them", () => {
    expect([span(-5, "zh"), span(45e6, "zh"), span(720e6, "zh"), span(11_100e6, "zh"), span(11_100e6, "en")]).toEqual(["0秒", "45秒", "12分", "3时05分", "3h05m"]);
  });
});

describe("a storm", () => {
  it("has the category of its wind (GB/T 19201-2006)", () => {
    expect([10.8, 17.2, 24.5, 32.7, 41.5, 51].map((wind) => category(wind))).toEqual(["td", "ts", "sts", "ty", "sty", "super"]);
    expect(category(null)).toBeNull();
  });

  it("has circles of its radii in the right quadrants", () => {
    const ring = windRing(122, 27, [300, 200, 150, 250]) ?? [];
    const northEast = ring[6] as [number, number];
    const southWest = ring[32] as [number, number];
    expect(distanceKm(122, 27, ...northEast)).toBeCloseTo(300, 3);
    expect(distanceKm(122, 27, ...southWest)).toBeCloseTo(150, 3);
    expect(northEast[0]).toBeGreaterThan(122);
    expect(southWest[1]).toBeLessThan(27);
    expect(windRing(122, 27, null)).toBeNull();
    expect(windRing(122, 27, [0, 0, 0, 0])).toBeNull();
  });
});
