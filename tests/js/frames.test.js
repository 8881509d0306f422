import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, Frames, open } from "../../assets/js/frames.js";
import { base64, near } from "./near.js";

/** @import { Shape } from "../../assets/js/frames.js" */

// 2 frames of 2 planes of 5 samples, 3 high, 4 wide, in colour: a grid of 3 columns and 2 rows.
/** @type {Shape} */
const SHAPE = [5, 3, 4, 3];
const bytes = Uint8Array.from({ length: 2 * 2 * 5 * 3 * 4 * 3 }, (_, i) => (i * 7) % 256);
const frames = () => new Frames(bytes, SHAPE, 2, 2);

test("a grid is as square as its samples let it", () => {
  const { columns, rows, count } = frames();
  assert.deepEqual([columns, rows, count], [3, 2, 2]);
  near(frames().aspect, (3 * 4 + 2 * 2) / (2 * 3 + 1 * 2)); // two pixels between samples
});

test("the sample at a point of the grid, and none beyond the last", () => {
  const grid = frames();
  const [W, H] = [16, 8];
  const atCentre = (/** @type {number} */ k) => grid.at(((k % 3) * 6 + 2) / W, (Math.floor(k / 3) * 5 + 1.5) / H);
  for (let k = 0; k < 5; k++) assert.equal(atCentre(k), k);
  assert.equal(atCentre(5), null);
});

test("a plane of a sample begins where the file has it: by frame, plane, sample", () => {
  const grid = frames();
  assert.equal(grid.start(0, 0, 0), 0);
  assert.equal(grid.start(1, 1, 4), ((1 * 2 + 1) * 5 + 4) * 36);
  assert.equal(grid.start(1, 1, 4) + 36, bytes.length);
});

test("a sample is put into an image at its place, with its colours", () => {
  const grid = frames();
  const W = 10;
  const rgba = new Uint8ClampedArray(4 * W * 6);
  const start = grid.start(1, 0, 2);
  grid.put(rgba, W, 3, 2, start);
  for (const [x, y] of [
    [0, 0],
    [3, 0],
    [1, 2],
  ]) {
    const from = start + 3 * (4 * y + x);
    const to = 4 * ((2 + y) * W + 3 + x);
    assert.deepEqual([...rgba.slice(to, to + 3)], [...bytes.slice(from, from + 3)]);
  }
  assert.equal(rgba[4 * (2 * W + 2)], 0); // left of it nothing is written
});

test("grey samples are the same in all channels", () => {
  const grid = new Frames(Uint8Array.of(1, 2, 3, 4), [1, 2, 2, 1], 1, 2);
  const rgba = new Uint8ClampedArray(16);
  grid.put(rgba, 2, 0, 0, 0);
  assert.deepEqual([...rgba.slice(12, 15)], [4, 4, 4]);
});

test("a run's file is a line of JSON, then the bytes", () => {
  const head = new TextEncoder().encode(`${JSON.stringify({ shape: SHAPE, planes: 2 })}\n`);
  const file = new Uint8Array([...head, ...bytes]);
  const run = open(file.buffer, 2);
  assert.equal(run.count, 2);
  assert.equal(run.planes, 2);
  assert.deepEqual(run.bytes, bytes);
});

test("frames come as text, too", () => {
  const run = decode(base64(bytes), SHAPE, 2, 2);
  assert.equal(run.count, 2);
  assert.deepEqual(run.bytes, bytes);
});
