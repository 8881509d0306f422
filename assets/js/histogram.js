// A histogram of pixel values between -4 and 4, against N(0, 1) or against what is expected of them.

import { BINS, SPAN } from "./noising.js";
import { el } from "./store.js";

const W = 240,
  H = 150;
const TOP = 0.9; // densities above it run out of a picture in which N(0, 1) is to be seen
const REST = 44,
  WORST = 4; // the strip of differences below, from minus to plus so many standard errors

const x = (v) => ((v + SPAN) / (2 * SPAN)) * W;
const y = (p, top = TOP) => H * (1 - Math.min(p, top) / top);
const r = (z) => REST * (0.5 - Math.max(-WORST, Math.min(WORST, z)) / (2 * WORST));
const short = (v) => Math.round(v * 10) / 10;

/** The outline of bins with these heights. */
function steps(heights) {
  let d = "";
  for (let i = 0; i < BINS; i++) d += `V${short(heights(i))}H${((i + 1) * W) / BINS}`;
  return d;
}

/**
 * Bars, and a line to compare them with: N(0, 1), or with ``differences`` what is expected, and a strip below with what
 * lies between. Returns {svg, draw, compare}: the first for the one, the second for the other.
 */
export function histogram(label, { differences = false } = {}) {
  const bars = el("path", { class: "bars" }),
    line = el("path", { class: differences ? "expected" : "normal" });
  const rest = el("path", { class: "bars" }),
    base = H + (differences ? REST + 20 : 0);
  if (!differences) {
    const normal = Array.from({ length: 97 }, (_, i) => {
      const v = -SPAN + (i / 96) * 2 * SPAN;
      return `${x(v).toFixed(1)} ${y(Math.exp((-v * v) / 2) / Math.sqrt(2 * Math.PI)).toFixed(1)}`;
    });
    line.setAttribute("d", `M${normal.join("L")}`);
  }
  const limit = (z) => el("line", { class: "limit", x1: 0, x2: W, y1: r(z), y2: r(z) });
  const svg = el(
    "svg",
    { viewBox: `-10 -4 ${W + 20} ${base + 24}`, role: "img", "aria-label": label },
    bars,
    line,
    el("line", { class: "axis", x1: 0, x2: W, y1: H, y2: H }),
    differences
      ? el(
          "g",
          { transform: `translate(0 ${H + 14})` },
          rest,
          limit(2),
          limit(-2),
          el("line", { class: "axis", x1: 0, x2: W, y1: r(0), y2: r(0) }),
        )
      : null,
    ...[-4, -2, 0, 2, 4].map((v) => el("text", { x: x(v), y: base + 15 }, String(v).replace("-", "−"))),
  );
  return {
    svg,
    /** The density of the values in each bin. */
    draw(density) {
      bars.setAttribute("d", `M0 ${H}${steps((i) => y(density[i]))}V${H}Z`);
    },
    /** The share in each bin, that which is expected, and by how many standard errors they differ. */
    compare(share, expected, apart) {
      const top = 1.1 * Math.max(...share, ...expected);
      bars.setAttribute("d", `M0 ${H}${steps((i) => y(share[i], top))}V${H}Z`);
      line.setAttribute("d", `M0 ${H}${steps((i) => y(expected[i], top))}V${H}`);
      rest.setAttribute("d", `M0 ${r(0)}${steps((i) => r(apart[i] ?? 0))}V${r(0)}Z`);
    },
  };
}
