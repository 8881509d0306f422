import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { densityOf, klToGaussians, stepBack, stepTo, wander } from "../../assets/js/stepback.js";
import { fillNormal } from "../../assets/js/walk.js";
import { near } from "./near.js";

const POINTS = Float64Array.from([-0.7, 0.2, 0.5, 0.6, 0.1, -0.8, 0.15, -0.75, -0.2, 0.9]);
const ALPHA_BAR = [1, 0.98, 0.9, 0.7, 0.4, 0.1];
const LEVELS = {
  signal: Float64Array.from(ALPHA_BAR, Math.sqrt),
  noise: Float64Array.from(ALPHA_BAR, (a) => Math.sqrt(1 - a)),
};
const FROM = { t: 4, x: 0.3, y: -0.2 };

test("Python's mixture says the same", () => {
  const code = `
import json, torch
from diffusion.mixture import Mixture, kl_to_gaussian
points = Mixture(torch.tensor(${JSON.stringify([...POINTS])}, dtype=torch.float64).view(-1, 2, 1, 1))
x = torch.tensor([0.3, -0.2], dtype=torch.float64).view(1, 2, 1, 1)
found = []
for alpha_bar_s in ${JSON.stringify(ALPHA_BAR.slice(0, 4))}:
    step = points.reverse(x, 0.4, alpha_bar_s)
    mean, variance = step.moments()
    beta = 1 - 0.4 / alpha_bar_s
    kl = [kl_to_gaussian(step, mean, v**0.5) for v in (step.std**2, beta)] if step.std else [0, 0]
    found.append([*mean.flatten().tolist(), float(variance.mean()), step.std**2, beta, *kl, *step.weights.tolist()])
print(json.dumps(found))`;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const found = JSON.parse(execFileSync(`${root}.venv/bin/python`, ["-c", code], { cwd: root, encoding: "utf8" }));
  for (const s of [0, 1, 2, 3]) {
    const step = stepBack(POINTS, LEVELS, FROM, s);
    const [x, y, spread, variance, beta, tilde, whole, ...weights] = found[s];
    near(step.mean[0], x, 1e-6);
    near(step.mean[1], y, 1e-6);
    near(step.spread, spread, 1e-6);
    near(step.variance, variance, 1e-6);
    near(step.beta, beta, 1e-6);
    weights.forEach((/** @type {number} */ w, /** @type {number} */ i) => {
      near(step.weights[i], w, 1e-6);
    });
    if (!s) continue;
    const both = klToGaussians(step, [step.variance, step.beta]);
    near(both[0] / tilde, 1, 1e-5);
    near(both[1] / whole, 1, 1e-5);
  }
});

test("of one point the truth is the Gaussian that DDPM draws from", () => {
  const step = stepBack(POINTS.slice(0, 2), LEVELS, FROM, 2);
  near(klToGaussians(step, [step.variance])[0], 0, 1e-12);
  const ratio = step.variance / step.beta;
  near(klToGaussians(step, [step.beta])[0], ratio - 1 - Math.log(ratio), 1e-9); // of two dimensions
});

test("the shorter the step, the nearer the two are", () => {
  const angle = Array.from({ length: 1001 }, (_, t) => (t / 1000) * 1.56);
  const levels = { signal: Float64Array.from(angle, Math.cos), noise: Float64Array.from(angle, Math.sin) };
  const apart = [400, 200, 50, 10, 1].map((k) => {
    const step = stepBack(POINTS, levels, { ...FROM, t: 500 }, 500 - k);
    return klToGaussians(step, [step.beta])[0];
  });
  assert.ok(apart.every((kl, i) => i === 0 || kl < apart[i - 1]) && apart[4] < 1e-4, apart.join(" "));
});

test("at s = 0 there are points, from which every Gaussian is infinitely far", () => {
  const step = stepBack(POINTS, LEVELS, FROM, 0);
  assert.equal(step.variance, 0);
  assert.equal(klToGaussians(step, [step.beta])[0], Number.POSITIVE_INFINITY);
  assert.deepEqual([...step.centres], [...POINTS]);
});

test("its density is drawn about its mean", () => {
  const step = stepBack(POINTS, LEVELS, FROM, 2);
  const side = 64;
  const values = densityOf(step, 2, side);
  const total = values.reduce((sum, p) => sum + p, 0);
  let x = 0;
  let y = 0;
  values.forEach((p, i) => {
    x += (p / total) * (((i % side) + 0.5) * (4 / side) - 2);
    y -= (p / total) * ((Math.floor(i / side) + 0.5) * (4 / side) - 2);
  });
  near(x, 0, 1e-3);
  near(y, 0, 1e-3);
});

test("a step leads to a step below, however many there are", () => {
  assert.deepEqual([stepTo(300, 1000, 20), stepTo(300, 1000, 1000), stepTo(300, 1000, 1)], [250, 299, 0]);
  assert.equal(stepTo(1, 1000, 4000), 0);
});

test("a path of DDPM ends on a point of the data, and is another with another seed", () => {
  const angle = Array.from({ length: 1001 }, (_, t) => (t / 1000) * 1.56);
  const levels = { signal: Float64Array.from(angle, Math.cos), noise: Float64Array.from(angle, Math.sin) };
  const ends = [1, 2, 3, 4, 5, 6].map((seed) => wander(POINTS, levels, { t: 1000, x: 0.4, y: 1.1 }, seed).at(-1));
  for (const end of ends) {
    const apart = [0, 1, 2, 3, 4].map((i) =>
      Math.hypot((end?.x ?? 9) - POINTS[2 * i], (end?.y ?? 9) - POINTS[2 * i + 1]),
    );
    near(Math.min(...apart), 0, 0.01);
  }
  assert.ok(new Set(ends.map((end) => end?.x.toFixed(2))).size > 1);
});

test("paths of DDPM are spread as the forward process is", () => {
  const angle = Array.from({ length: 1001 }, (_, t) => (t / 1000) * 1.56);
  const levels = { signal: Float64Array.from(angle, Math.cos), noise: Float64Array.from(angle, Math.sin) };
  const start = new Float32Array(1200);
  fillNormal(start, 9, 0);
  const middle = Array.from({ length: 600 }, (_, k) => {
    const path = wander(POINTS, levels, { t: 1000, x: start[2 * k], y: start[2 * k + 1] }, k, 100);
    return path.find(({ t }) => t <= 500)?.x ?? 0;
  });
  const mean = middle.reduce((sum, x) => sum + x, 0) / 600;
  const variance = middle.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 600;
  const data = [0, 2, 4, 6, 8].map((i) => POINTS[i]);
  const centre = data.reduce((sum, x) => sum + x, 0) / 5;
  const spread = data.reduce((sum, x) => sum + (x - centre) ** 2, 0) / 5;
  near(mean, levels.signal[500] * centre, 0.1);
  near(variance, levels.signal[500] ** 2 * spread + levels.noise[500] ** 2, 0.08);
});
