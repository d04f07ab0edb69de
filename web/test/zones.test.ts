import { describe, expect, it } from "vitest";
import { insideOf, shapesOf, windWords } from "../src/registers/zones";
import type { LeakZone, LeakZones } from "../src/registers/zones";

const square = (size: number) => ({ type: "Polygon" as const, coordinates: [[[0, 0], [size, 0], [size, size], [0, 0]] as [number, number][]] });
const zone = (spill: "small" | "large", size: number, wide: number | null): LeakZone => ({
  tank: "T", substance: "氯", un_number: "1017", spill, isolate_m: 60, protect_km: 1, all_around: false, isolation: square(size), protection: wide === null ? null : square(wide), edition: "x",
});
const found: LeakZones = {
  entry_id: "p", name: "p", lon: 0, lat: 0, at_us: 0, day: true, wind: null, unknown: [], advice_zh: "", advice_en: "",
  zones: [zone("small", 1, 2), zone("large", 3, null)],
  inside: [
    { kind: "school", kind_zh: "学校", entry_id: "a", name: "a", lon: 0, lat: 0, distance_m: 1, isolated: true, spills: ["small", "large"] },
    { kind: "school", kind_zh: "学校", entry_id: "b", name: "b", lon: 0, lat: 0, distance_m: 2, isolated: false, spills: ["large"] },
  ],
};

describe("leak zones", () => {
  it("are those of the chosen spill, circles on top", () => {
    expect(shapesOf(found, "small").map((shape) => shape.role)).toEqual(["protection", "isolation"]);
    expect(shapesOf(found, "large").map((shape) => shape.role)).toEqual(["isolation"]);
    expect(insideOf(found, "small").map((one) => one.entry_id)).toEqual(["a"]);
  });

  it("name the wind by where it comes from", () => {
    const wind = { device_id: "w", name: "岬角站", from_deg: 350, speed_ms: 3.24, at_us: 0, distance_m: 1 };
    expect(windWords(wind, "")).toBe("北风 3.2 m/s（岬角站）");
    expect(windWords({ ...wind, from_deg: 140 }, "")).toBe("东南风 3.2 m/s（岬角站）");
    expect(windWords(wind, "Wind from")).toBe("Wind from 350° 3.2 m/s（岬角站）");
  });
});
