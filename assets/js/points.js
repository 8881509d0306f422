// The points of a drawn curve, (t/T, log SNR): how far they may be moved, and what a panel shows of them.

/** @import { Limits } from "./constants.js" */

const GAP = 0.004; // how near a point may come to its neighbours, in t/T
const FALL = 0.02; // and in log SNR

/** @typedef {[u: number, logSnr: number]} Point */
/** @typedef {"alpha_bar" | "log_snr"} PanelName the panels in which points can be dragged */

/** @type {Record<PanelName, (logSnr: number) => number>} */
export const toShown = { alpha_bar: (l) => 1 / (1 + Math.exp(-l)), log_snr: (l) => l };

/** @type {Record<PanelName, (shown: number) => number>} */
export const fromShown = {
  alpha_bar: (a) => {
    const inside = Math.min(1 - 1e-9, Math.max(1e-9, a));
    return Math.log(inside / (1 - inside));
  },
  log_snr: (l) => l,
};

/**
 * @param {number} v
 * @param {number} low
 * @param {number} high
 */
const between = (v, low, high) => Math.min(high, Math.max(low, v));

/**
 * Point k moved to (u, l), as far as its neighbours let it.
 * @param {Point[]} points
 * @param {number} k
 * @param {Point} to
 * @param {Pick<Limits, "log_snr">} limits
 * @returns {Point[]}
 */
export function movePoint(points, k, [u, l], limits) {
  const last = points.length - 1;
  const high = k > 0 ? points[k - 1][1] - FALL : limits.log_snr;
  const low = k < last ? points[k + 1][1] + FALL : -limits.log_snr;
  const across = k === 0 ? 0 : k === last ? 1 : between(u, points[k - 1][0] + GAP, points[k + 1][0] - GAP);
  return points.with(k, [across, Number(between(l, low, high).toFixed(4))]);
}

/**
 * One point more, between those beside it; null where there is no room for it.
 * @param {Point[]} points
 * @param {Point} to
 * @param {Pick<Limits, "points">} limits
 * @returns {Point[] | null}
 */
export function addPoint(points, [u, l], limits) {
  if (points.length >= limits.points) return null;
  const k = points.findIndex((p) => p[0] > u);
  if (k < 1 || u - points[k - 1][0] < GAP || points[k][0] - u < GAP) return null;
  const inside = Math.min(points[k - 1][1] - FALL, Math.max(points[k][1] + FALL, l));
  return points.toSpliced(k, 0, [u, inside]);
}

/**
 * One point less; null for the first and the last, which stay.
 * @param {Point[]} points
 * @param {number} k
 * @returns {Point[] | null}
 */
export const removePoint = (points, k) => (k > 0 && k < points.length - 1 ? points.toSpliced(k, 1) : null);
