import assert from "node:assert/strict";
import { test } from "node:test";
import { BINS, LEVEL, SPAN } from "../../assets/js/noising.js";
import { EDGES, fillNormal, moments, statistics, Walk } from "../../assets/js/walk.js";
import { near } from "./near.js";

const T = 100;
const BETA = Float64Array.from({ length: T + 1 }, (_, t) => (t ? 0.001 + 0.0004 * t : 0));
const x0 = Float32Array.from({ length: 20_001 }, (_, i) => (i % 2 ? 50 : -100));

test("normal numbers have the moments of N(0, 1), and no two steps have the same", () => {
  const n = 200_000;
  const z = new Float32Array(n);
  fillNormal(z, 3, 7);
  const moment = (/** @type {number} */ k) => z.reduce((sum, v) => sum + v ** k, 0) / n;
  // Standard errors of the first four: 1, 2, 15 and 96 over n.
  near(moment(1), 0, 4 * Math.sqrt(1 / n));
  near(moment(2), 1, 4 * Math.sqrt(2 / n));
  near(moment(3), 0, 4 * Math.sqrt(15 / n));
  near(moment(4), 3, 4 * Math.sqrt(96 / n));
  for (const [seed, step] of [
    [3, 8],
    [4, 7],
  ]) {
    const other = new Float32Array(n);
    fillNormal(other, seed, step);
    const correlation = z.reduce((sum, v, i) => sum + v * other[i], 0) / n;
    near(correlation, 0, 4 / Math.sqrt(n));
  }
});

test("normal numbers are the same for the same seed and step, whatever their length", () => {
  const [long, odd] = [new Float32Array(10), new Float32Array(7)];
  fillNormal(long, 1, 2);
  fillNormal(odd, 1, 2);
  assert.deepEqual([...odd], [...long.slice(0, 7)]);
});

test("a step is sqrt(1 - beta) x + sqrt(beta) z", () => {
  const walk = new Walk(x0, BETA, 5);
  walk.step();
  const z = new Float32Array(x0.length);
  fillNormal(z, 5, 1);
  for (const i of [0, 1, 20_000]) {
    near(walk.x[i], Math.sqrt(1 - BETA[1]) * x0[i] + Math.sqrt(BETA[1]) * z[i] * 127.5, 1e-3);
  }
});

test("after t steps mean and variance are those of the closed form", () => {
  const walk = new Walk(x0, BETA, 11);
  walk.towards(T, Number.POSITIVE_INFINITY);
  const ab = BETA.slice(1).reduce((product, b) => product * (1 - b), 1);
  const values = Array.from(x0, (v) => v / LEVEL);
  const mean = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
  const found = statistics(walk.x);
  const n = x0.length;
  near(found.mean, Math.sqrt(ab) * mean, 4 * Math.sqrt((1 - ab) / n));
  const error = Math.sqrt((4 * ab * (1 - ab) * variance + 2 * (1 - ab) ** 2) / n);
  near(found.variance, ab * variance + 1 - ab, 4 * error);
});

test("going back and forth ends where going straight does", () => {
  const straight = new Walk(x0, BETA, 2);
  straight.towards(57, Number.POSITIVE_INFINITY);
  const other = new Walk(x0, BETA, 2);
  for (const t of [80, 12, 100, 3, 57]) other.towards(t, Number.POSITIVE_INFINITY);
  assert.equal(other.t, 57);
  assert.deepEqual(other.x, straight.x);
  other.towards(0, Number.POSITIVE_INFINITY);
  assert.deepEqual(other.x, x0);
});

test("a walk stops at its deadline", () => {
  const walk = new Walk(x0, BETA, 2);
  walk.towards(50, performance.now() - 1);
  assert.equal(walk.t, 0);
});

test("bins are shares of the values, in the bins whose edges are said", () => {
  const at = (/** @type {number} */ v) => Float32Array.of(v * LEVEL);
  for (const v of [-3.99, -0.01, 0.01, 2.5]) {
    const { share } = statistics(at(v));
    const bin = share.indexOf(1);
    assert.ok(EDGES[bin] <= v && v < EDGES[bin + 1], `${v} is in bin ${bin}`);
  }
  assert.equal(EDGES.length, BINS + 1);
  assert.deepEqual([EDGES[0], EDGES[BINS]], [-SPAN, SPAN]);
  assert.ok(statistics(at(5)).share.every((v) => v === 0));
});

test("mean and variance are those of the values in [-1, 1]", () => {
  const { mean, variance } = statistics(Float32Array.of(127.5, 127.5, 127.5, -127.5));
  near(mean, 0.5);
  near(variance, 0.75);
});

test("moments of counted grey levels are those of the values", () => {
  const counts = new Array(256).fill(0);
  counts[0] = 3;
  counts[255] = 1;
  const { mean, variance } = moments(counts);
  near(mean, -0.5);
  near(variance, (3 * 0.25 + 2.25) / 4);
});
