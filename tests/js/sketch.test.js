import assert from "node:assert/strict";
import { test } from "node:test";
import { CELLS, inkFromText, inkToText, pointsIn, Sketch } from "../../assets/js/sketch.js";

const drawn = () => {
  const sketch = new Sketch(null);
  sketch.begin();
  sketch.stroke([-0.5, 0], [0.5, 0.5], 0.1, false);
  return sketch;
};

test("points lie where there is ink, as many as are asked for, and the same each time", () => {
  const { ink } = drawn();
  const points = pointsIn(ink, 300, 7);
  assert.equal(points.length, 600);
  for (let k = 0; k < 600; k += 2) {
    const along = Math.min(1, Math.max(0, (points[k] + 0.5) * 0.8 + points[k + 1] * 0.4));
    assert.ok(Math.hypot(points[k] + 0.5 - along, points[k + 1] - along * 0.5) < 0.13, `point ${k / 2}`);
  }
  assert.deepEqual(points, pointsIn(ink, 300, 7));
  assert.notDeepEqual(points, pointsIn(ink, 300, 8));
});

test("without ink there are no points", () => {
  assert.equal(pointsIn(new Sketch(null).ink, 300, 0).length, 0);
});

test("a drawing comes out of a link as it went in", () => {
  const { ink } = drawn();
  const text = inkToText(ink) ?? "";
  assert.ok(/^[\w-]+$/.test(text) && text.length <= 1600);
  assert.deepEqual(inkFromText(text), ink);
  assert.equal(inkToText(new Uint8Array(CELLS * CELLS)), null);
});

test("a link that holds no drawing holds none", () => {
  for (const text of [null, "", "AAAA", "é", "!".repeat(1536), "A".repeat(1535)]) {
    assert.ok(!inkFromText(text).some((on) => on), String(text));
  }
});

test("the eraser takes ink away, and undo brings it back", () => {
  const sketch = drawn();
  const before = sketch.ink.slice();
  sketch.begin();
  sketch.stroke([0, 0.25], [0, 0.25], 0.2, true);
  assert.ok(sketch.ink.reduce((a, b) => a + b, 0) < before.reduce((a, b) => a + b, 0));
  sketch.undo();
  assert.deepEqual(sketch.ink, before);
  sketch.clear();
  assert.ok(!sketch.ink.some((on) => on));
  sketch.undo();
  assert.deepEqual(sketch.ink, before);
  for (let i = 0; i < 100; i++) sketch.undo();
  assert.ok(!sketch.ink.some((on) => on));
});
