import assert from "node:assert/strict";
import { test } from "node:test";
import { LearnedField } from "../../assets/js/learned.js";
import { base64, near } from "./near.js";

const field = new LearnedField({ levels: [4, 0, -2], field: base64(Float32Array.of(1, 2, 3, 5, -1, 0)) });

test("a learnt field is as it was sent at its levels, and straight between them", () => {
  assert.deepEqual([...field.at(4)], [1, 2]);
  assert.deepEqual([...field.at(0)], [3, 5]);
  const [x, y] = field.at(1);
  near(x, 2.5);
  near(y, 4.25);
  near(field.at(-1)[0], 1);
});

test("beyond its levels it is as at the last of them", () => {
  assert.deepEqual([...field.at(Number.POSITIVE_INFINITY)], [1, 2]);
  assert.deepEqual([...field.at(-9)], [-1, 0]);
});
