import assert from "node:assert/strict";
import { test } from "node:test";
import { BINS, LEVEL, Noising, SPAN } from "../../assets/js/noising.js";
import { near } from "./near.js";

const UNIT = 4096;

/**
 * A buffer as Python sends it: bytes of x_0, padding to an even length, int16 of eps in steps of 1 / UNIT.
 * @param {number[]} x0
 * @param {number[]} eps
 */
function buffer(x0, eps) {
  const pad = x0.length % 2;
  const bytes = new Uint8Array(x0.length + pad + 2 * eps.length);
  bytes.set(x0);
  const view = new DataView(bytes.buffer);
  eps.forEach((v, i) => {
    view.setInt16(x0.length + pad + 2 * i, Math.round(v * UNIT), true);
  });
  return bytes.buffer;
}

const X0 = [0, 64, 128, 255, 10, 200];
const EPS = [0.5, -1.25, 2, 0, -0.25, 1];
const picture = () => new Noising(3, 2, 1, buffer(X0, EPS), UNIT);

test("x_0 and eps are read in grey levels about mid-grey", () => {
  const { x0, eps } = picture();
  X0.forEach((v, i) => {
    near(x0[i], v - 127.5);
  });
  EPS.forEach((v, i) => {
    near(eps[i], v * 127.5, 1e-4);
  });
});

test("an odd number of values is padded to whole words", () => {
  const { eps } = new Noising(3, 1, 1, buffer([1, 2, 3], [0.5, 1, -1]), UNIT);
  assert.deepEqual([...eps], [63.75, 127.5, -127.5]);
});

test("a picture is written as a x_0 + b eps, rounded and clamped, grey in all channels", () => {
  const [a, b] = [0.8, 0.6];
  const out = new Uint8ClampedArray(4 * 6);
  picture().write(out, a, b);
  X0.forEach((v, i) => {
    const level = a * (v / 127.5 - 1) + b * EPS[i]; // x_t in [-1, 1], and beyond
    const grey = Math.min(255, Math.max(0, Math.round((level + 1) * 127.5)));
    assert.ok(Math.abs(out[4 * i] - grey) <= 1, `pixel ${i}: ${out[4 * i]} is not ${grey}`);
    assert.equal(out[4 * i + 1], out[4 * i]);
    assert.equal(out[4 * i + 2], out[4 * i]);
  });
});

test("a = 1, b = 0 gives the picture back", () => {
  const out = new Uint8ClampedArray(4 * 6);
  picture().write(out, 1, 0);
  assert.deepEqual(
    [...out].filter((_, i) => i % 4 === 0),
    X0,
  );
});

test("colours keep their order, and a stride leaves pixels out", () => {
  const x0 = Array.from({ length: 4 * 4 * 3 }, (_, i) => i);
  const noising = new Noising(4, 4, 3, buffer(x0, new Array(48).fill(0)), UNIT);
  const out = new Uint8ClampedArray(4 * 4);
  noising.write(out, 1, 0, 2);
  const first = (/** @type {number} */ x, /** @type {number} */ y) => 3 * (4 * y + x);
  const corners = [first(0, 0), first(2, 0), first(0, 2), first(2, 2)];
  corners.forEach((v, i) => {
    assert.deepEqual([...out.slice(4 * i, 4 * i + 3)], [v, v + 1, v + 2]);
  });
});

test("the density has an area of 1 and its values in the right bins", () => {
  const density = picture().density(0.8, 0.6);
  const width = (2 * SPAN) / BINS;
  near(
    density.reduce((sum, v) => sum + v * width, 0),
    1,
    1e-6,
  );
  const expected = new Array(BINS).fill(0);
  X0.forEach((v, i) => {
    const x = 0.8 * (v / 127.5 - 1) + 0.6 * EPS[i];
    expected[Math.floor((x + SPAN) / width)] += 1 / (X0.length * width);
  });
  expected.forEach((v, i) => {
    near(density[i], v, 1e-5);
  });
});

test("values beyond the histogram count for its area, and are in no bin", () => {
  const noising = new Noising(2, 1, 1, buffer([0, 0], [6, 0]), UNIT);
  const density = noising.density(0, 1);
  near(
    density.reduce((sum, v) => sum + v * ((2 * SPAN) / BINS), 0),
    0.5,
    1e-6,
  );
});

test("grey levels are counted, and the mean square is that of x_0 in [-1, 1]", () => {
  const noising = picture();
  const levels = noising.levels();
  assert.equal(levels.length, 256);
  for (const v of X0) assert.equal(levels[v], 1);
  assert.equal(
    levels.reduce((a, b) => a + b),
    6,
  );
  near(noising.meanSquare, X0.reduce((sum, v) => sum + (v / 127.5 - 1) ** 2, 0) / 6, 1e-6);
});

test("another x_0 leaves the noise, and the first picture as it was", () => {
  const noising = picture();
  const other = noising.with(Float32Array.from(X0, () => LEVEL));
  const out = new Uint8ClampedArray(4 * 6);
  other.write(out, 1, 0);
  assert.equal(out[0], 255);
  assert.equal(other.eps, noising.eps);
  assert.equal(noising.x0[0], -LEVEL);
});

test("a channel of a pixel is found where it was written", () => {
  const noising = new Noising(
    4,
    4,
    3,
    buffer(
      Array.from({ length: 48 }, (_, i) => i),
      new Array(48).fill(0),
    ),
    UNIT,
  );
  near(noising.x0[noising.at(2, 3, 1)] + LEVEL, 3 * (4 * 3 + 2) + 1);
});
