import assert from "node:assert/strict";
import { test } from "node:test";
import { POSITIONS, partAt, scaleOf, valueAt } from "../../assets/js/scales.js";
import { near } from "./near.js";

test("a range that spans decades is logarithmic: its middle is the geometric mean", () => {
  const scale = scaleOf({ minimum: 1e-4, maximum: 1 });
  near(valueAt(scale, POSITIONS / 2), 1e-2);
  near(partAt(scale, 1e-3), 0.25);
});

test("any other range is linear", () => {
  for (const span of [
    { minimum: 2, maximum: 102 },
    { minimum: -50, maximum: 50 },
    { minimum: 0, maximum: 100 },
  ]) {
    const scale = scaleOf(span);
    near(valueAt(scale, POSITIONS / 4), span.minimum + 25);
    near(partAt(scale, span.minimum + 75), 0.75);
  }
});

test("both ends of a slider are the ends of its range", () => {
  for (const span of [
    { minimum: 1e-5, maximum: 0.5 },
    { minimum: 2, maximum: 4000 },
    { minimum: -20, maximum: 20 },
  ]) {
    const scale = scaleOf(span);
    near(valueAt(scale, 0), span.minimum);
    near(valueAt(scale, POSITIONS), span.maximum);
  }
});

test("values have three digits, or are whole", () => {
  const scale = scaleOf({ minimum: 0, maximum: 1000 });
  assert.equal(valueAt(scaleOf({ minimum: 0, maximum: 1 }), 123.45), 0.123);
  assert.equal(valueAt(scale, 123.4, true), 123);
});

test("beyond its range a value is at the end of the slider", () => {
  const scale = scaleOf({ minimum: 2, maximum: 4 });
  assert.equal(partAt(scale, 9), 1);
  assert.equal(partAt(scale, -9), 0);
});
