import { describe, expect, it } from "vitest";
import { codeFor, inOrder, moveUp } from "../src/duty/posts";
import type { Post } from "../src/duty/roster";

const post = (code: string, step: number): Post => ({ post: code, zh: code, en: code, step, required: false, hand_over: false, hazards: [] });

describe("posts under edit", () => {
  it("stand in the order of calling", () => {
    expect(inOrder([post("b", 4), post("c", 1), post("a", 4)]).map((one) => one.post)).toEqual(["c", "a", "b"]);
  });

  it("move up by one, and the first stays", () => {
    const three = [post("a", 1), post("b", 2), post("c", 3)];
    expect(moveUp(three, 2).map((one) => one.post)).toEqual(["a", "c", "b"]);
    expect(moveUp(three, 0).map((one) => one.post)).toEqual(["a", "b", "c"]);
    expect(three.map((one) => one.post)).toEqual(["a", "b", "c"]);
  });

  it("a new one has a code that none has", () => {
    expect(codeFor([post("post_1", 1), post("post_3", 2)])).toBe("post_2");
  });
});
