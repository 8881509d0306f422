import assert from "node:assert/strict";
import { test } from "node:test";
import { gauss, gaussPath, pixelWithin, posteriorAt, rangeOf, ticks, valuesAt } from "../../assets/js/pixel.js";
import { near } from "./near.js";

const T = 50;
const beta = Float64Array.from({ length: T + 1 }, (_, t) => (t ? 0.002 * t : 0));
const alpha_bar = beta.map((_, t) => beta.slice(0, t + 1).reduce((product, b) => product * (1 - b), 1));

/** The columns as Python sends them: eq. 7 of Ho et al. 2020. */
const columns = {
  beta,
  signal: alpha_bar.map(Math.sqrt),
  noise: alpha_bar.map((ab) => Math.sqrt(1 - ab)),
  posterior_variance: beta.map((b, t) => (t ? (b * (1 - alpha_bar[t - 1])) / (1 - alpha_bar[t]) : 0)),
  posterior_xt: beta.map((b, t) => (t ? (Math.sqrt(1 - b) * (1 - alpha_bar[t - 1])) / (1 - alpha_bar[t]) : 0)),
  posterior_x0: beta.map((b, t) => (t ? (Math.sqrt(alpha_bar[t - 1]) * b) / (1 - alpha_bar[t]) : 0)),
};
const noising = {
  x0: Float32Array.of(-127.5, 63.75),
  eps: Float32Array.of(127.5, -255),
  at: (/** @type {number} */ x) => x,
};

test("a pixel's x_t is signal x_0 + noise eps", () => {
  const { x_0, x_t } = valuesAt(noising, columns, [1, 0, 0], 20);
  near(x_0, 0.5, 1e-6);
  near(x_t, Math.sqrt(alpha_bar[20]) * 0.5 - 2 * Math.sqrt(1 - alpha_bar[20]), 1e-6);
});

test("the posterior is the product of both Gaussians, as Bayes has it", () => {
  for (const t of [2, 20, 50]) {
    const values = { x_0: 0.4, x_t: -0.7 };
    const law = posteriorAt(columns, t, values);
    // q(x_{t-1} | x_0) q(x_t | x_{t-1}): precisions add, and means by their precisions.
    const prior = 1 / (1 - alpha_bar[t - 1]);
    const likelihood = (1 - beta[t]) / beta[t];
    near(law.variance, 1 / (prior + likelihood), 1e-12);
    const mean =
      (prior * Math.sqrt(alpha_bar[t - 1]) * values.x_0 + (likelihood * values.x_t) / Math.sqrt(1 - beta[t])) /
      (prior + likelihood);
    near(law.mean, mean, 1e-12);
    near(law.ct * values.x_t + law.c0 * values.x_0, mean, 1e-12);
  }
});

test("at t = 1 the posterior is x_0 itself", () => {
  const law = posteriorAt(columns, 1, { x_0: 0.4, x_t: -0.7 });
  near(law.mean, 0.4, 1e-12);
  assert.equal(law.variance, 0);
});

test("a Gaussian is drawn to its height at the mean and by its deviation", () => {
  near(gauss(0), 1);
  near(gauss(1), Math.exp(-0.5));
  const range = rangeOf({ mean: 1, beta: 0.25 });
  assert.deepEqual(range, { low: -1, high: 3 });
  const points = gaussPath({ mean: 1, variance: 0.04 }, range, { width: 400, base: 100, height: 80 })
    .split("L")
    .map((point) => point.split(" ").map(Number));
  assert.equal(points.length, 121);
  assert.deepEqual(points[60], [200, 20]); // the mean is in the middle, 80 above the base
  const [x, y] = points[66]; // 0.2 to the right: one deviation
  near(x, 220);
  near(y, 100 - 80 * Math.exp(-0.5), 0.051);
});

test("ticks are about five round numbers within the range", () => {
  assert.deepEqual(ticks(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(ticks(-0.31, 0.29), [-0.2, 0, 0.2]);
  assert.deepEqual(ticks(101, 127), [110, 120]);
  for (const [low, high] of [
    [-0.003, 0.011],
    [3.7, 4.1],
    [-200, 900],
  ]) {
    const found = ticks(low, high);
    assert.ok(found.length >= 2 && found.length <= 6, `${found}`);
    assert.ok(found.every((v) => v >= low && v <= high));
  }
});

test("a pixel that is asked for lies in the picture; what is no number is 0", () => {
  const picture = { width: 8, height: 4, channels: 3 };
  assert.deepEqual(pixelWithin(picture, [3.9, "2", "1"]), [3, 2, 1]);
  assert.deepEqual(pixelWithin(picture, [99, -5, 7]), [7, 0, 2]);
  assert.deepEqual(pixelWithin(picture, ["x", ""]), [0, 0, 0]);
});
