// One walk of the chain from x_0, a step after another with noise of its own in each, and what its values are like.

import { BINS, LEVEL, SPAN } from "./noising.js";

const KEPT = 40; // states of the chain that are kept, to go back without walking from x_0

/** Where the bins of a histogram begin and end. */
export const EDGES = Array.from({ length: BINS + 1 }, (_, i) => -SPAN + (i * 2 * SPAN) / BINS);

/**
 * Numbers even in [-1, 1), the same for the same seed and step: the generator sfc32.
 * @param {number} seed
 * @param {number} step
 */
export function evenNumbers(seed, step) {
  let a = seed | 0;
  let b = step | 0;
  let c = 0x9e3779b9 | 0;
  let d = 1;
  const next = () => {
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum / 2 ** 31;
  };
  for (let i = 0; i < 16; i++) next();
  return next;
}

/**
 * Independent N(0, 1), the same for the same seed and step: Marsaglia's polar method.
 * @param {Float32Array} out
 * @param {number} seed
 * @param {number} step
 */
export function fillNormal(out, seed, step) {
  const next = evenNumbers(seed, step);
  for (let i = 0; i < out.length; i += 2) {
    let u = 0;
    let v = 0;
    let q = 0;
    do {
      u = next();
      v = next();
      q = u * u + v * v;
    } while (q >= 1 || q === 0);
    const m = Math.sqrt((-2 * Math.log(q)) / q);
    out[i] = u * m;
    out[i + 1] = v * m; // beyond the end of an odd length this goes nowhere
  }
}

/** x_0, x_1, x_2 ... of one chain; x holds x_t, in grey levels about mid-grey. */
export class Walk {
  /**
   * @param {Float32Array} x0
   * @param {Float64Array} beta
   * @param {number} seed
   */
  constructor(x0, beta, seed) {
    this.beta = beta;
    this.seed = seed;
    this.t = 0;
    this.x = x0.slice();
    this.z = new Float32Array(x0.length);
    this.every = Math.ceil((beta.length - 1) / KEPT);
    this.kept = [x0];
  }

  /**
   * Go to step t, or as far as the clock lets it.
   * @param {number} t
   * @param {number} deadline
   */
  towards(t, deadline) {
    const near = Math.min(this.kept.length - 1, Math.floor(t / this.every)) * this.every;
    if (t < this.t || near > this.t) {
      this.x.set(this.kept[near / this.every]);
      this.t = near;
    }
    while (this.t < t && performance.now() < deadline) this.step();
  }

  /** x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z_t. */
  step() {
    const { x, z } = this;
    const t = ++this.t;
    fillNormal(z, this.seed, t);
    const keep = Math.sqrt(1 - this.beta[t]);
    const add = Math.sqrt(this.beta[t]) * LEVEL;
    for (let i = 0; i < x.length; i++) x[i] = keep * x[i] + add * z[i];
    if (t === this.kept.length * this.every) this.kept.push(x.slice());
  }
}

/**
 * Mean, variance and the share in each bin of values in grey levels, as values in [-1, 1].
 * @param {Float32Array} x
 */
export function statistics(x) {
  const share = new Float64Array(BINS);
  const scale = BINS / (2 * SPAN) / LEVEL;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < x.length; i++) {
    sum += x[i];
    squares += x[i] * x[i];
    const bin = Math.floor(x[i] * scale + BINS / 2);
    if (bin >= 0 && bin < BINS) share[bin]++;
  }
  for (let i = 0; i < BINS; i++) share[i] /= x.length;
  const mean = sum / x.length;
  return { mean: mean / LEVEL, variance: (squares / x.length - mean * mean) / LEVEL ** 2, share };
}

/** @typedef {ReturnType<typeof statistics>} Statistics */

/**
 * Mean and variance of x_0 in [-1, 1] from how many values have each grey level.
 * @param {number[]} counts
 */
export function moments(counts) {
  const level = (/** @type {number} */ k) => k / LEVEL - 1;
  const N = counts.reduce((sum, n) => sum + n, 0);
  const mean = counts.reduce((sum, n, k) => sum + n * level(k), 0) / N;
  return { mean, variance: counts.reduce((sum, n, k) => sum + n * (level(k) - mean) ** 2, 0) / N };
}
