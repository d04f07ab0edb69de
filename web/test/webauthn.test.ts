import { describe, expect, it } from "vitest";
import { bytesOf, canUseKeys, textOf } from "../src/core/webauthn";

describe("security keys", () => {
  it("bytes and base64url are the same both ways", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
    for (const length of [0, 1, 2, 3, 255, 256]) {
      const part = bytes.slice(0, length);
      const text = textOf(part.buffer);
      expect(text).toMatch(/^[\w-]*$/);
      expect([...bytesOf(text)]).toEqual([...part]);
    }
  });

  it("are not offered where the page has an address for a name, or the browser has none", () => {
    expect(canUseKeys({ hostname: "10.1.2.3" })).toBe(false);
    expect(canUseKeys({ hostname: "[::1]" })).toBe(false);
    expect(canUseKeys({ hostname: "localhost" })).toBe(false); // no window here
  });
});
