import { describe, expect, it } from "vitest";
import { trendOf } from "../src/registers/trend";
import type { Statement } from "../src/registers/types";

const signed = (date: string, grade: string, edition = 1) => ({ date, grade, edition }) as Statement;

describe("the trend of the daily statements", () => {
  it("ends today, takes a day's last edition, and leaves holes where nobody signed", () => {
    const items = [signed("2019-08-09", "red", 2), signed("2019-08-09", "yellow"), signed("2019-08-07", "blue"), signed("2019-07-01", "red")];
    expect(trendOf(items, "2019-08-09", 4)).toEqual([
      { date: "2019-08-06", grade: "" },
      { date: "2019-08-07", grade: "blue" },
      { date: "2019-08-08", grade: "" },
      { date: "2019-08-09", grade: "red" },
    ]);
  });

  it("is nothing for a day that is none", () => {
    expect(trendOf([], "soon", 4)).toEqual([]);
  });
});
