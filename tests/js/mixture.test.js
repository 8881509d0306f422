import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  between,
  counted,
  density,
  epsOnGrid,
  evenSteps,
  flow,
  holders,
  marginal,
  meansOnGrid,
  middle,
  placeOn,
  posteriorAt,
  REACH,
  thinned,
} from "../../assets/js/mixture.js";
import { near } from "./near.js";

const POINTS = Float64Array.from([-0.7, 0.2, 0.5, 0.6, 0.1, -0.8, 0.15, -0.75, -0.2, 0.9]);
const LEVELS = [0.9999, 0.9, 0.3, 0.01];

/** A schedule whose angle grows evenly, from nearly clean to nearly noise. */
const TURNING = (() => {
  const angle = Array.from({ length: 401 }, (_, t) => (t / 400) * 1.56);
  return { signal: Float64Array.from(angle, Math.cos), noise: Float64Array.from(angle, Math.sin) };
})();

test("the density integrates to one where it lies in the square", () => {
  for (const v of [0, 0.001, 0.02]) {
    for (const side of [48, 96]) {
      const total = density(POINTS, 0.9, v, side).reduce((sum, p) => sum + p, 0);
      near(total * ((2 * REACH) / side) ** 2, 1, v ? 1e-3 : 0.03);
    }
  }
});

test("the density is that of each place, seen no finer than a cell", () => {
  const [a, v, side] = [0.8, 0.05, 96];
  const found = density(POINTS, a, v, side);
  const blurred = v + ((2 * REACH) / side) ** 2 / 4;
  for (const [i, j] of [
    [10, 20],
    [48, 30],
    [70, 90],
  ]) {
    const { logDensity } = posteriorAt(POINTS, a, blurred, middle(i, side), -middle(j, side));
    near(found[j * side + i], Math.exp(logDensity), 1e-8);
  }
});

test("the score is the gradient of the log density", () => {
  const [a, v, h] = [0.6, 0.3, 1e-5];
  const at = (/** @type {number} */ x, /** @type {number} */ y) => posteriorAt(POINTS, a, v, x, y);
  const mean = at(0.4, -0.3);
  near((at(0.4 + h, -0.3).logDensity - at(0.4 - h, -0.3).logDensity) / (2 * h), (a * mean.x - 0.4) / v, 1e-6);
  near((at(0.4, -0.3 + h).logDensity - at(0.4, -0.3 - h).logDensity) / (2 * h), (a * mean.y + 0.3) / v, 1e-6);
});

test("the grid says the same as place after place, also where all of it is too far away for a double", () => {
  for (const alphaBar of LEVELS) {
    const [a, b] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
    const means = meansOnGrid(POINTS, a, b * b, 24);
    const eps = epsOnGrid(POINTS, a, b, 24);
    for (let at = 0; at < 24 * 24; at += 7) {
      const [x, y] = [middle(at % 24, 24), -middle(Math.floor(at / 24), 24)];
      const mean = posteriorAt(POINTS, a, b * b, x, y);
      near(means[2 * at], mean.x, 1e-9);
      near(means[2 * at + 1], mean.y, 1e-9);
      near(eps[2 * at], (x - a * mean.x) / b, 1e-6);
    }
  }
});

test("Python's mixture says the same", () => {
  const code = `
import json, torch
from diffusion.mixture import Mixture, MixtureDenoiser
points = torch.tensor(${JSON.stringify([...POINTS])}, dtype=torch.float64).view(-1, 2, 1, 1)
x = torch.tensor([0.4, -0.3], dtype=torch.float64).view(1, 2, 1, 1)
found = []
for level in ${JSON.stringify(LEVELS)}:
    p = Mixture(points).noised(level)
    mean = MixtureDenoiser(Mixture(points)).mean(x, level)
    found.append([float(p.log_density(x)), *mean.flatten().tolist(), *p.shares(x)[0].tolist()])
print(json.dumps(found))`;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const found = JSON.parse(execFileSync(`${root}.venv/bin/python`, ["-c", code], { cwd: root, encoding: "utf8" }));
  LEVELS.forEach((alphaBar, k) => {
    const shares = new Float64Array(POINTS.length / 2);
    const { logDensity, x, y } = posteriorAt(POINTS, Math.sqrt(alphaBar), 1 - alphaBar, 0.4, -0.3, shares);
    near(found[k][0] / logDensity, 1, 1e-6);
    near(found[k][1], x, 1e-6);
    near(found[k][2], y, 1e-6);
    shares.forEach((share, i) => {
      near(found[k][3 + i], share, 1e-6);
    });
  });
});

test("at t = 0 the nearest point is all there is", () => {
  const { x, y } = posteriorAt(POINTS, 1, 0, 0.12, -0.79);
  assert.deepEqual([x, y], [0.1, -0.8]);
});

test("a Gaussian's flow is a straight line in what it is scaled by", () => {
  // One point: x_t - a x_0 = sqrt(v) eps with the same eps all the way.
  const path = flow(Float64Array.from([0.5, -0.5]), TURNING, { t: 200, x: 1, y: 0.2 });
  const eps = path.map(({ t, x }) => (t ? (x - TURNING.signal[t] * 0.5) / TURNING.noise[t] : null));
  for (const e of eps) if (e !== null) near(e, /** @type {number} */ (eps[0]), 1e-9);
  const end = path[path.length - 1];
  assert.deepEqual([end.t, Math.round(end.x * 1e9) / 1e9, Math.round(end.y * 1e9) / 1e9], [0, 0.5, -0.5]);
  assert.equal(path[0].t, 400);
});

test("a flow ends on a point of the data, and is found again from its beginning", () => {
  const path = flow(POINTS, TURNING, { t: 120, x: 0.3, y: 0.4 }, 400);
  const end = path[path.length - 1];
  const apart = Math.min(...[0, 1, 2, 3, 4].map((i) => Math.hypot(end.x - POINTS[2 * i], end.y - POINTS[2 * i + 1])));
  near(apart, 0, 1e-3);
  const again = placeOn(flow(POINTS, TURNING, path[0], 400), TURNING, 120);
  near(again.x, 0.3, 0.02);
  near(again.y, 0.4, 0.02);
});

test("between two places x_0 and eps stay as they are", () => {
  const [x0, eps] = [0.3, -1.1];
  const x = (/** @type {number} */ angle) => Math.cos(angle) * x0 + Math.sin(angle) * eps;
  const [high, low] = between(1.2, 0.4, 0.9);
  near(high * x(1.2) + low * x(0.4), x(0.9));
  assert.deepEqual(between(0.5, 0.5, 0.5), [1, 0]);
});

test("steps of a flow begin at 1 and end at T, rising", () => {
  const steps = evenSteps(TURNING, 30);
  assert.deepEqual([steps[0], steps[steps.length - 1]], [1, 400]);
  assert.ok(steps.length > 25 && steps.length < 35 && steps.every((t, k) => k === 0 || t > steps[k - 1]));
  assert.deepEqual(evenSteps({ signal: Float64Array.of(1, 0.5), noise: Float64Array.of(0, 0.8) }, 30), [1]);
});

test("points are thinned evenly, and few are left as they are", () => {
  assert.equal(thinned(POINTS, 5), POINTS);
  assert.deepEqual([...thinned(POINTS, 2)], [-0.7, 0.2, 0.1, -0.8]);
});

test("few points hold most of the weight", () => {
  assert.equal(holders(Float64Array.of(0.02, 0.7, 0.25, 0.03)), 2);
  assert.equal(holders(Float64Array.of(1)), 1);
});

test("a marginal is the density summed along the other axis", () => {
  const side = 96;
  const [a, v] = [0.9, 0.01];
  const whole = density(POINTS, a, v, side);
  const cell = (2 * REACH) / side;
  const [x, y] = [marginal(POINTS, a, v, 0, side), marginal(POINTS, a, v, 1, side)];
  for (const i of [20, 48, 60]) {
    let column = 0;
    let row = 0;
    for (let j = 0; j < side; j++) {
      column += whole[j * side + i] * cell;
      row += whole[(side - 1 - i) * side + j] * cell; // rows run from the top
    }
    near(x[i], column, 1e-3);
    near(y[i], row, 1e-3);
  }
});

test("places are counted as a density, but for those beyond the square", () => {
  const found = counted(Float64Array.of(-1.59, 0, 1.59, 0.01, 5, 5, -1.58, 9), 0, 4);
  assert.deepEqual(
    [...found].map((p) => p * 0.8 * 4),
    [2, 0, 0, 1],
  );
});
