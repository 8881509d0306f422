// alpha-bar over t as a small drawing that is also a way to choose t, and what step t is worth.

import { el, setAttributes, symbol } from "./dom.js";
import { digits, fixed } from "./numbers.js";
import { setT, store } from "./store.js";

/** @import { Schedule } from "./schedules.js" */

const W = 280;
const H = 84;
const MOST = 140; // points of the curve

/**
 * The curve as a path.
 * @param {Schedule} schedule
 */
function curveOf({ T, columns: { alpha_bar } }) {
  const n = Math.min(T, MOST);
  const points = Array.from({ length: n + 1 }, (_, i) => {
    const t = Math.round((i / n) * T);
    return `${((t / T) * W).toFixed(1)} ${((1 - alpha_bar[t]) * H).toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}

export class Glance {
  /** @param {HTMLElement} node */
  constructor(node) {
    this.line = el("path", { class: "curve" });
    this.cursor = el("line", { class: "cursor", y1: 0, y2: H });
    this.dot = el("circle", { class: "dot", r: 4 });
    this.end = el("span", { class: "lab-curve-end" });
    const viewBox = `-4 -6 ${W + 8} ${H + 12}`;
    const svg = el("svg", { viewBox, "aria-hidden": "true" }, this.line, this.cursor, this.dot);
    node.append(
      el("div", { class: "lab-curve-title" }, el("span", {}, symbol("ᾱ_t"), ", the share of signal power")),
      svg,
      el("div", { class: "lab-curve-axis" }, el("span", {}, "t = 0"), this.end),
    );
    const choose = (/** @type {PointerEvent} */ event) => {
      const box = svg.getBoundingClientRect();
      if (store.schedule) setT(((event.clientX - box.left) / box.width) * store.schedule.T);
    };
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      choose(event);
    });
    svg.addEventListener("pointermove", (event) => event.buttons && choose(event));
  }

  /** @param {Schedule} schedule */
  draw(schedule) {
    this.line.setAttribute("d", curveOf(schedule));
    this.end.textContent = `T = ${schedule.T}`;
  }

  /**
   * @param {Schedule} schedule
   * @param {number} t
   */
  move({ T, columns }, t) {
    const x = (t / T) * W;
    setAttributes(this.cursor, { x1: x, x2: x });
    setAttributes(this.dot, { cx: x, cy: (1 - columns.alpha_bar[t]) * H });
  }
}

const READINGS = [
  ["t", "t", "the step"],
  ["beta", "β_t", "variance added by step t"],
  ["ab", "ᾱ_t", "share of signal power left"],
  ["snr", "SNR", "signal-to-noise ratio, 10 log₁₀ ᾱ/(1−ᾱ)"],
];

/**
 * What step t is worth. Returns how to say it of a schedule and a step.
 * @param {HTMLElement} list
 */
export function readings(list) {
  const places = READINGS.map(([key, name, about]) => {
    const value = el("dd", { "data-reading": key });
    list.append(el("dt", { title: about }, name === "SNR" ? name : symbol(name)), value);
    return value;
  });
  return (/** @type {Schedule} */ { T, columns }, /** @type {number} */ t) => {
    const texts = [
      `${t} of ${T}`,
      digits(columns.beta[t]),
      digits(columns.alpha_bar[t], 4),
      `${fixed(columns.snr_db[t], 1)} dB`,
    ];
    for (const [i, text] of texts.entries()) places[i].textContent = text;
  };
}
