// The posterior q(x_{t-1} | x_t, x_0) of one pixel, and how it is drawn: numbers and paths, no elements.

import { LEVEL } from "./noising.js";

/** @import { Noising } from "./noising.js" */
/** @import { Columns } from "./schedules.js" */

const SIDES = 4; // a drawing reaches so many sqrt(beta) to either side of the mean
const POINTS = 120; // pieces of a curve

/** @typedef {[x: number, y: number, channel: number]} Pixel */

/**
 * The pixel that is meant: within the picture, and 0 for what is no number.
 * @param {{width: number, height: number, channels: number}} picture
 * @param {(number | string)[]} asked column, row and channel
 * @returns {Pixel}
 */
export function pixelWithin({ width, height, channels }, [x, y, channel]) {
  const within = (/** @type {number | string} */ v, /** @type {number} */ n) =>
    Math.min(n - 1, Math.max(0, Math.trunc(Number(v)) || 0));
  return [within(x, width), within(y, height), within(channel, channels)];
}

/**
 * A pixel's x_0 and x_t, in [-1, 1].
 * @param {Pick<Noising, "x0" | "eps" | "at">} noising
 * @param {Pick<Columns, "signal" | "noise">} columns
 * @param {Pixel} pixel
 * @param {number} t
 */
export function valuesAt(noising, { signal, noise }, pixel, t) {
  const i = noising.at(...pixel);
  const x_0 = noising.x0[i] / LEVEL;
  return { x_0, x_t: signal[t] * x_0 + (noise[t] * noising.eps[i]) / LEVEL };
}

/**
 * The posterior at step t, Ho et al. 2020, eq. 7: mean = ct x_t + c0 x_0.
 * @param {Pick<Columns, "posterior_xt" | "posterior_x0" | "posterior_variance" | "beta">} columns
 * @param {number} t
 * @param {{x_0: number, x_t: number}} values
 */
export function posteriorAt(columns, t, { x_0, x_t }) {
  const ct = columns.posterior_xt[t];
  const c0 = columns.posterior_x0[t];
  return { ct, c0, mean: ct * x_t + c0 * x_0, variance: columns.posterior_variance[t], beta: columns.beta[t] };
}

/**
 * What the drawing shows: SIDES sqrt(beta) to either side of the mean.
 * @param {{mean: number, beta: number}} posterior
 */
export const rangeOf = ({ mean, beta }) => ({
  low: mean - SIDES * Math.sqrt(beta),
  high: mean + SIDES * Math.sqrt(beta),
});

/** The standard Gaussian, 1 at its peak. */
export const gauss = (/** @type {number} */ z) => Math.exp((-z * z) / 2);

/**
 * A Gaussian as points of a path, over a base line at `base` and `height` high.
 * @param {{mean: number, variance: number}} law
 * @param {{low: number, high: number}} range
 * @param {{width: number, base: number, height: number}} box
 */
export function gaussPath({ mean, variance }, { low, high }, { width, base, height }) {
  const sigma = Math.sqrt(variance);
  return Array.from({ length: POINTS + 1 }, (_, i) => {
    const v = low + (i / POINTS) * (high - low);
    const x = ((v - low) / (high - low)) * width;
    return `${x.toFixed(1)} ${(base - height * gauss((v - mean) / sigma)).toFixed(1)}`;
  }).join("L");
}

/**
 * About five round numbers between low and high.
 * @param {number} low
 * @param {number} high
 */
export function ticks(low, high) {
  const rough = (high - low) / 5;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = size * ([1, 2, 5].find((s) => s * size >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) =>
    Number(((first + i) * step).toPrecision(12)),
  );
}
