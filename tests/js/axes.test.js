import assert from "node:assert/strict";
import { test } from "node:test";
import { coarse, interpolate, pathThrough, same, steady } from "../../assets/js/axes.js";
import { near } from "./near.js";

test("a coarse range holds all values, and stays for others near them", () => {
  assert.deepEqual(coarse("decades", [0.0021, 30]), [-3, 2]); // powers of ten, with a little to spare
  assert.deepEqual(coarse("fives", [-9.2, 8.1]), [-10, 10]);
  assert.deepEqual(coarse("unit", [0.3]), [0, 1.02]);
  for (const high of [0.0019, 0.02, 0.021, 1, 5, 99]) {
    const [low, top] = coarse("zero", [high, high / 2, null]);
    assert.equal(low, 0);
    assert.ok(top >= high && top <= 2.2 * high, `${top} for ${high}`);
  }
  assert.deepEqual(coarse("zero", [0.02]), coarse("zero", [0.0205]));
});

test("with nothing to show there is still a range", () => {
  assert.deepEqual(coarse("decades", []), [0, 1]);
  assert.deepEqual(coarse("zero", [null]), [0, 1]);
});

test("an axis stands still while what it shows fits, and gets room where it does not", () => {
  assert.deepEqual(steady([0, 9], [0, 10]), [0, 10]);
  assert.deepEqual(steady([0, 4], [0, 10]), [0, 4]); // too small to be seen well
  assert.deepEqual(steady([0, 12], [0, 10]), [0, 18]); // half of its length beyond the end
  assert.deepEqual(steady([-2, 10], [0, 10]), [-8, 10]);
  assert.deepEqual(steady([12, 0], [10, 0]), [18, 0]); // the other way round stays so
});

test("lists are the same by their values", () => {
  assert.ok(same([1, 2], [1, 2]));
  assert.ok(!same([1, 2], [2, 1]));
  assert.ok(!same([1], [1, 2]));
});

test("a path is broken where a point has no place", () => {
  const path = pathThrough(
    [0, 1, 2, 3],
    [5, null, 7, 8],
    (x) => 10 * x,
    (y) => 100 - y,
  );
  assert.equal(path, "M0.0,95.0M20.0,93.0L30.0,92.0");
});

test("between points a column is straight", () => {
  const t = [1, 3, 7, 20];
  const y = t.map((v) => 2 * v - 5);
  for (const at of [1, 2, 6.5, 19]) near(interpolate(t, y, at), 2 * at - 5);
  assert.equal(interpolate(t, y, 25), 35);
});

test("where a column is not known, nor is what lies between", () => {
  assert.ok(Number.isNaN(interpolate([1, 2, 3], [1, null, 3], 1.5)));
  assert.ok(Number.isNaN(interpolate([1, 2, 3], [1, 2, null], 3)));
  assert.ok(Number.isNaN(interpolate([1, 2, 3], undefined, 2)));
});
