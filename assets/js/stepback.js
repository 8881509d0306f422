// One step back from a place of the plane, exactly: q(x_s | x_t) of points, a mixture of Gaussians in closed form, beside
// the one Gaussian that DDPM draws from, and how far apart they are. As Mixture.reverse and kl_to_gaussian of
// diffusion/mixture.py, found here so that it follows the hand.

import { evenSteps, posteriorAt } from "./mixture.js";
import { fillNormal } from "./walk.js";

/** @import { Levels, Place, Points } from "./mixture.js" */

const LIGHT = 1e-7; // shares below it weigh nothing
const OUTER = 64; // components over which the mean is taken, at even strides of their weights
// Gauss-Hermite quadrature for N(0, 1), five nodes: exact for polynomials up to degree nine.
const NODES = [-2.8569700138728056, -1.3556261799742657, 0, 1.3556261799742657, 2.8569700138728056];
const WEIGHTS = [0.01125741132772, 0.222075922005613, 0.5333333333333333, 0.222075922005613, 0.01125741132772];

/**
 * q(x_s | x_t): components of one variance about `centres`, x and y in turn, with their weights; and of the Gaussian of
 * the sampler its mean, which is the mixture's own, and the variances that it may have (Ho et al. 2020, arXiv 2006.11239,
 * section 3.2).
 * @typedef {object} StepBack
 * @property {number} t
 * @property {number} s
 * @property {Float64Array} centres
 * @property {Float64Array} weights
 * @property {number} variance of a component, beta-tilde; 0 where s = 0
 * @property {number} beta
 * @property {[number, number]} mean
 * @property {number} spread the variance of the mixture, along an axis
 */

/**
 * Bayes' rule: where x_s is N(a_s x_i, v_s) and x_t is sqrt(alpha) x_s with noise of variance beta, alpha = alpha_bar_t /
 * alpha_bar_s, x_s has the variance 1 / (1 / v_s + alpha / beta) given both.
 * @param {Points} points
 * @param {Levels} levels
 * @param {Place} from
 * @param {number} s below from.t
 * @returns {StepBack}
 */
export function stepBack(points, { signal, noise }, { t, x, y }, s) {
  const shares = new Float64Array(points.length / 2);
  const guess = posteriorAt(points, signal[t], noise[t] ** 2, x, y, shares);
  const alpha = (signal[t] / signal[s]) ** 2;
  const beta = 1 - alpha;
  const [a, v] = [signal[s], noise[s] ** 2];
  const variance = v ? 1 / (1 / v + alpha / beta) : 0;
  const own = v ? (variance * a) / v : 1; // of x_i
  const kept = v ? (variance * Math.sqrt(alpha)) / beta : 0; // of x_t
  const heavy = [...shares.keys()].filter((i) => shares[i] > LIGHT);
  const centres = Float64Array.from(
    heavy.flatMap((i) => [own * points[2 * i] + kept * x, own * points[2 * i + 1] + kept * y]),
  );
  const weights = Float64Array.from(heavy, (i) => shares[i]);
  const mean = /** @type {[number, number]} */ ([own * guess.x + kept * x, own * guess.y + kept * y]);
  let apart = 0;
  weights.forEach((w, i) => {
    apart += w * ((centres[2 * i] - mean[0]) ** 2 + (centres[2 * i + 1] - mean[1]) ** 2);
  });
  return { t, s, centres, weights, variance, beta, mean, spread: variance + apart / 2 };
}

/**
 * ln of the mixture's density.
 * @param {StepBack} step
 * @param {number} x
 * @param {number} y
 */
function logDensity({ centres, weights, variance }, x, y) {
  let nearest = Number.POSITIVE_INFINITY;
  for (let k = 0; k < centres.length; k += 2) {
    const d = (x - centres[k]) ** 2 + (y - centres[k + 1]) ** 2;
    if (d < nearest) nearest = d;
  }
  let total = 0;
  for (let k = 0; k < centres.length; k += 2) {
    const d = (x - centres[k]) ** 2 + (y - centres[k + 1]) ** 2;
    total += weights[k / 2] * Math.exp((nearest - d) / (2 * variance));
  }
  return Math.log(total) - nearest / (2 * variance) - Math.log(2 * Math.PI * variance);
}

/**
 * The components over which a mean is taken: all, or some at even strides of the weights, and what each counts for.
 * @param {Float64Array} weights
 * @returns {[index: number, weight: number][]}
 */
function chosen(weights) {
  if (weights.length <= OUTER) return [...weights.entries()];
  const whole = weights.reduce((sum, w) => sum + w, 0);
  /** @type {[number, number][]} */
  const found = [];
  let held = 0;
  weights.forEach((w, i) => {
    held += w / whole;
    while (found.length < OUTER && (found.length + 0.5) / OUTER <= held) found.push([i, 1 / OUTER]);
  });
  return found;
}

/**
 * KL(q(x_s | x_t) || N(mean, variance I)) in nats, for each of the variances: how wrong the sampler is that draws from the
 * Gaussian. Both logarithms are taken at the same places, so that a small distance is not the difference of two large
 * ones. Infinite at s = 0, where the mixture is of points.
 * @param {StepBack} step
 * @param {number[]} variances of the Gaussian
 */
export function klToGaussians(step, variances) {
  const found = variances.map((variance) => (step.variance && variance ? 0 : Number.POSITIVE_INFINITY));
  if (!step.variance) return found;
  const deviation = Math.sqrt(step.variance);
  for (const [i, weight] of chosen(step.weights)) {
    for (const [j, u] of NODES.entries()) {
      for (const [k, w] of NODES.entries()) {
        const x = step.centres[2 * i] + deviation * u;
        const y = step.centres[2 * i + 1] + deviation * w;
        const far = (x - step.mean[0]) ** 2 + (y - step.mean[1]) ** 2;
        const exact = logDensity(step, x, y);
        variances.forEach((variance, n) => {
          const gaussian = -far / (2 * variance) - Math.log(2 * Math.PI * variance);
          found[n] += weight * WEIGHTS[j] * WEIGHTS[k] * (exact - gaussian);
        });
      }
    }
  }
  return found.map((kl) => Math.max(0, kl));
}

/**
 * The mixture's density in a square, rows from the top; seen no finer than a cell, as density() of mixture.js.
 * @param {StepBack} step
 * @param {number} half the square reaches so far from the mean
 * @param {number} side cells
 */
export function densityOf({ centres, weights, variance, mean }, half, side) {
  const cell = (2 * half) / side;
  const v = variance + cell ** 2 / 4;
  const out = new Float64Array(side * side);
  const across = new Float64Array(side);
  const place = (/** @type {number} */ i) => (i + 0.5) * cell - half;
  for (let k = 0; k < centres.length; k += 2) {
    const [x, y] = [centres[k] - mean[0], mean[1] - centres[k + 1]];
    for (let i = 0; i < side; i++) across[i] = Math.exp(-((place(i) - x) ** 2) / (2 * v));
    for (let j = 0; j < side; j++) {
      const w = weights[k / 2] * Math.exp(-((place(j) - y) ** 2) / (2 * v));
      if (w < 1e-9) continue;
      for (let i = 0; i < side; i++) out[j * side + i] += w * across[i];
    }
  }
  return out;
}

/**
 * A path of DDPM from a place at t = T down to 0, with noise that is the same for the same seed: each step to the mean of
 * q(x_s | x_t), and noise of variance beta-tilde.
 * @param {Points} points
 * @param {Levels} levels
 * @param {Place} from
 * @param {number} seed
 * @param {number} [count] of steps, about
 * @returns {Place[]}
 */
export function wander(points, levels, from, seed, count = 200) {
  const { signal, noise } = levels;
  const steps = [
    ...evenSteps(levels, count)
      .filter((t) => t < from.t)
      .reverse(),
    0,
  ];
  const z = new Float32Array(2 * steps.length);
  fillNormal(z, seed, 0);
  const path = [from];
  steps.forEach((s, k) => {
    const { t, x, y } = path[k];
    const guess = posteriorAt(points, signal[t], noise[t] ** 2, x, y);
    const alpha = (signal[t] / signal[s]) ** 2;
    const left = noise[s] ** 2 / noise[t] ** 2;
    const own = (signal[s] * (1 - alpha)) / noise[t] ** 2;
    const kept = Math.sqrt(alpha) * left;
    const spread = Math.sqrt(left * (1 - alpha));
    path.push({
      t: s,
      x: own * guess.x + kept * x + spread * z[2 * k],
      y: own * guess.y + kept * y + spread * z[2 * k + 1],
    });
  });
  return path;
}

/**
 * Where a step from t goes when so many steps are taken in all: T / count back, to the nearest whole step.
 * @param {number} t
 * @param {number} T
 * @param {number} count
 */
export const stepTo = (t, T, count) => Math.min(t - 1, Math.max(0, Math.round(t - T / count)));
