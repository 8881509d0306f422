import assert from "node:assert/strict";
import { test } from "node:test";
import { openTrails, Trails } from "../../assets/js/trails.js";
import { near } from "./near.js";

const ANGLES = [1.5, 1, 0.4, 0];
const levels = ANGLES.map((angle) => Math.cos(angle) ** 2);
const X0 = [0.5, -0.25, 1];
const EPS = [-1, 2, 0.5];
const x = (/** @type {number} */ k, /** @type {number} */ angle) => Math.cos(angle) * X0[k] + Math.sin(angle) * EPS[k];
const places = Float32Array.from(ANGLES.flatMap((angle) => [0, 1, 2].flatMap((k) => [x(k, angle), -x(k, angle)])));
const trails = () => new Trails(places, 3, levels);

test("samples are where they were at a step, and between two as if x_0 and eps stayed", () => {
  for (const angle of [1.5, 1.2, 1, 0.7, 0.4, 0.1, 0]) {
    const now = trails().at(angle);
    for (const k of [0, 1, 2]) {
      near(now[2 * k], x(k, angle), 1e-6);
      near(now[2 * k + 1], -x(k, angle), 1e-6);
    }
  }
});

test("before its beginning and after its end a run stands still", () => {
  near(trails().at(1.57)[0], x(0, 1.5), 1e-6);
  near(new Trails(places.subarray(0, 6), 3, levels.slice(0, 1)).at(0.2)[0], x(0, 1.5), 1e-6);
});

test("a way begins at the beginning and ends where it is asked to", () => {
  const way = trails().way(1, 1.57, 0.7);
  near(way[0], x(1, 1.5), 1e-6);
  near(way[way.length - 2], x(1, 0.7), 1e-6);
  assert.ok(way.length > 10);
  assert.equal(trails().way(1, 1.57, 1.5).length, 0);
});

test("a file is read as it was written", () => {
  const head = new TextEncoder().encode(`${JSON.stringify({ count: 3, levels })}\n`);
  const whole = Int16Array.from(places, (v) => Math.round(v * 4096));
  const file = new Uint8Array(head.length + whole.byteLength);
  file.set(head);
  file.set(new Uint8Array(whole.buffer), head.length);
  near(openTrails(file.buffer, 4096).at(1)[2], x(1, 1), 1e-3);
});

test("as many ways are drawn as can be told apart", () => {
  assert.equal(trails().apart(40), 3);
  assert.equal(trails().apart(2), 2);
  const wild = new Trails(
    Float32Array.from({ length: 2000 }, (_, i) => 7 * ((i >> 3) % 2)),
    4,
    new Array(250).fill(0.5),
  );
  assert.equal(wild.apart(4), 1);
});
