// A histogram of pixel values between -4 and 4, against N(0, 1) or against what is expected of them.

import { BINS, SPAN } from "./noising.js";
import { el } from "./store.js";

const W = 240, H = 150, TOP = 0.9; // densities above TOP run out of the picture
const REST = 44, WORST = 4; // the strip of differences below, from minus to plus so many standard errors

const x = (v) => ((v + SPAN) / (2 * SPAN)) * W;
const y = (p) => H * (1 - Math.min(p, TOP) / TOP);
const r = (z) => REST * (0.5 - Math.max(-WORST, Math.min(WORST, z)) / (2 * WORST));
const DENSITY = BINS / (2 * SPAN); // of a share of 1 in a bin
const short = (v) => Math.round(v * 10) / 10;

/** The outline of bins with these heights. */
function steps(heights) {
  let d = "";
  for (let i = 0; i < BINS; i++) d += `V${short(heights(i))}H${((i + 1) * W) / BINS}`;
  return d;
}

/**
 * Bars and a line. differences: whether a strip below has them bin by bin. Returns {svg, draw, expect}.
 */
export function histogram(label, { differences = false } = {}) {
  const bars = el("path", { class: "bars" }), line = el("path", { class: differences ? "expected" : "normal" });
  const rest = el("path", { class: "bars" }), base = H + (differences ? REST + 20 : 0);
  if (!differences) {
    const normal = Array.from({ length: 97 }, (_, i) => {
      const v = -SPAN + (i / 96) * 2 * SPAN;
      return `${x(v).toFixed(1)} ${y(Math.exp(-v * v / 2) / Math.sqrt(2 * Math.PI)).toFixed(1)}`;
    });
    line.setAttribute("d", `M${normal.join("L")}`);
  }
  const limit = (z) => el("line", { class: "limit", x1: 0, x2: W, y1: r(z), y2: r(z) });
  const svg = el(
    "svg",
    { viewBox: `-6 -4 ${W + 12} ${base + 24}`, role: "img", "aria-label": label },
    bars, line,
    el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    differences
      ? el("g", { transform: `translate(0 ${H + 14})` }, rest, limit(2), limit(-2), el("line", { class: "axis", x1: 0, x2: W, y1: r(0), y2: r(0) }))
      : null,
    ...[-4, -2, 0, 2, 4].map((v) => el("text", { x: x(v), y: base + 15 }, String(v).replace("-", "−"))),
  );
  return {
    svg,
    /** The density of the values in each bin. */
    draw(density) {
      bars.setAttribute("d", `M0 ${H}${steps((i) => y(density[i]))}V${H}Z`);
    },
    /** The share that is expected in each bin, and by how many standard errors that which is there differs from it. */
    expect(share, apart) {
      line.setAttribute("d", `M0 ${H}${steps((i) => y(share[i] * DENSITY))}V${H}`);
      rest.setAttribute("d", `M0 ${r(0)}${steps((i) => r(apart[i] ?? 0))}V${r(0)}Z`);
    },
  };
}
