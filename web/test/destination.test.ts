import { describe, expect, it } from "vitest";
import { PAGES, destination } from "../src/login/destination";

const SERVER = Object.values(import.meta.glob<string>("../../command_center/api/pages.py", { query: "?raw", import: "default", eager: true }))[0] ?? "";

describe("after the login", () => {
  it("the page that was asked for comes, with what stands behind it", () => {
    for (const page of PAGES) expect(destination(`?next=/${page}`, [])).toBe(`/${page}`);
    expect(destination("?next=%2Ftown%3Farea%3D339900004", ["leader"])).toBe("/town?area=339900004");
  });

  it("a foreign address, or a page that is none, does not get a fresh login", () => {
    for (const foreign of ["//evil.test", "https://evil.test/wall", "/wallet", "/api/v1/me", "javascript:alert(1)", ""]) {
      expect(destination(`?next=${encodeURIComponent(foreign)}`, ["leader"])).toBe("/wall");
    }
    expect(destination("", ["responder"])).toBe("/field");
    expect(destination("", ["vendor"])).toBe("/vendor");
  });

  it("knows the pages that the server has", () => {
    const server = /^PAGES = \(([^)]*)\)/m.exec(SERVER)?.[1] ?? "";
    expect([...server.matchAll(/"(\w+)"/g)].map((found) => found[1])).toEqual([...PAGES]);
  });
});
