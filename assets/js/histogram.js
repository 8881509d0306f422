// A histogram of pixel values between -4 and 4, against N(0, 1) or against what is expected of them.

import { el } from "./dom.js";
import { BINS, SPAN } from "./noising.js";

const W = 240;
const H = 150;
const TOP = 0.9; // densities above it run out of a picture in which N(0, 1) is to be seen
const REST = 44; // the strip of differences below,
const WORST = 4; // from minus to plus so many standard errors

/** @typedef {(v: number) => number} Map */

/** @type {Map} */
const x = (v) => ((v + SPAN) / (2 * SPAN)) * W;
/** @type {Map} */
const r = (z) => REST * (0.5 - Math.max(-WORST, Math.min(WORST, z)) / (2 * WORST));
/** @type {Map} */
const short = (v) => Math.round(v * 10) / 10;
/** @param {number} p */
const y = (p, top = TOP) => H * (1 - Math.min(p, top) / top);

/**
 * The outline of bins with these heights.
 * @param {Map} height of bin i
 */
function steps(height) {
  let d = "";
  for (let i = 0; i < BINS; i++) d += `V${short(height(i))}H${((i + 1) * W) / BINS}`;
  return d;
}

/** N(0, 1) as a path. */
function normal() {
  const points = Array.from({ length: 97 }, (_, i) => {
    const v = -SPAN + (i / 96) * 2 * SPAN;
    return `${x(v).toFixed(1)} ${y(Math.exp((-v * v) / 2) / Math.sqrt(2 * Math.PI)).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}

/** A line across at so many standard errors. */
const level = (/** @type {number} */ z, name = "limit") =>
  el("line", { class: name, x1: 0, x2: W, y1: r(z), y2: r(z) });

/**
 * Bars, and a line to compare them with: N(0, 1), or with `differences` what is expected, and a strip below with what
 * lies between. Returns {svg, draw, compare}: the first for the one, the second for the other.
 * @param {string} label
 */
export function histogram(label, { differences = false } = {}) {
  const bars = el("path", { class: "bars" });
  const line = el("path", differences ? { class: "expected" } : { class: "normal", d: normal() });
  const rest = el("path", { class: "bars" });
  const base = H + (differences ? REST + 20 : 0);
  const strip = [rest, level(2), level(-2), level(0, "axis")];
  const svg = el(
    "svg",
    { viewBox: `-10 -4 ${W + 20} ${base + 24}`, role: "img", "aria-label": label },
    bars,
    line,
    el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    differences ? el("g", { transform: `translate(0 ${H + 14})` }, ...strip) : null,
    ...[-4, -2, 0, 2, 4].map((v) => el("text", { x: x(v), y: base + 15 }, String(v).replace("-", "−"))),
  );
  return {
    svg,
    /**
     * The density of the values in each bin.
     * @param {Float32Array} density
     */
    draw(density) {
      bars.setAttribute("d", `M0 ${H}${steps((i) => y(density[i]))}V${H}Z`);
    },
    /**
     * The share in each bin, that which is expected, and by how many standard errors they differ.
     * @param {Float64Array} share
     * @param {number[]} expected
     * @param {(number | null)[]} apart
     */
    compare(share, expected, apart) {
      const top = 1.1 * Math.max(...share, ...expected);
      bars.setAttribute("d", `M0 ${H}${steps((i) => y(share[i], top))}V${H}Z`);
      line.setAttribute("d", `M0 ${H}${steps((i) => y(expected[i], top))}V${H}`);
      rest.setAttribute("d", `M0 ${r(0)}${steps((i) => r(apart[i] ?? 0))}V${r(0)}Z`);
    },
  };
}
