// What a step of a walk adds, as arrows: which step is at t, its parts head to tail, and how much longer they are drawn.
// Numbers and words only.

import { digits, fixed } from "./numbers.js";

/** @typedef {[number, number]} Pair */

/**
 * A step of the followed point, see ui/plane_walk.py: where it left, and x_s - x_t in three parts.
 * @typedef {object} WalkedStep
 * @property {number} t
 * @property {number} s
 * @property {Pair} x
 * @property {Pair} data towards the predicted data
 * @property {Pair} noise along the predicted noise
 * @property {Pair | null} fresh noise; null where none was put in
 * @property {Record<string, number>} terms
 */

/** @typedef {"data" | "noise" | "fresh"} Part */
/** @typedef {{part: Part, from: Pair, to: Pair}} Arrow */

/** @type {Record<Part, string[]>} the terms of each part, as Python calls them */
const TERMS = { data: ["x0", "x0_before", "x0_before2"], noise: ["eps", "eps_s"], fresh: ["z"] };
/** @type {Record<string, string>} */
const SYMBOLS = { x0: "x̂_0", x0_before: "x̂_0′", x0_before2: "x̂_0″", eps: "ε̂", eps_s: "ε̂_s", z: "z" };
/** @type {Part[]} */
export const PARTS = ["data", "noise", "fresh"];
const SMALLEST = 5e-5; // factor that is said
const LONGEST = 0.8; // in the plane, that any of the arrows is made longer to

/**
 * The step that is being taken at t: it left at t or before, and has not arrived. At the end, the last.
 * @param {WalkedStep[]} steps with t falling
 * @param {number} t
 */
export const stepAt = (steps, t) => steps.find(({ s }) => s < t) ?? steps[steps.length - 1];

/**
 * @param {Pair} a
 * @param {Pair} b
 * @param {number} times of b
 * @returns {Pair}
 */
export const plus = (a, b, times = 1) => [a[0] + times * b[0], a[1] + times * b[1]];

/**
 * All three; what was not put in is nothing.
 * @param {WalkedStep} step
 */
const partsOf = (step) => PARTS.map((part) => step[part] ?? /** @type {Pair} */ ([0, 0]));

/**
 * x_s - x_t.
 * @param {WalkedStep} step
 */
export const change = (step) => partsOf(step).reduce((a, b) => plus(a, b));

/**
 * How many times longer the arrows of a step are drawn than they are: a round number, so that they can be told apart.
 * @param {WalkedStep} step
 */
export function longer(step) {
  const parts = partsOf(step);
  const reached = parts.map((_, i) => parts.slice(0, i + 1).reduce((a, b) => plus(a, b)));
  const most = Math.max(...parts.concat(reached).map(([x, y]) => Math.hypot(x, y)));
  if (!(most > 0)) return 1;
  const decade = 10 ** Math.floor(Math.log10(LONGEST / most));
  return Math.max(1, [5, 2, 1].map((k) => k * decade).find((k) => k * most <= LONGEST) ?? 1);
}

/**
 * The parts head to tail, from where the step left.
 * @param {WalkedStep} step
 * @param {number} times
 * @returns {Arrow[]}
 */
export function headToTail(step, times) {
  let from = step.x;
  return PARTS.flatMap((part) => {
    const value = step[part];
    if (!value) return [];
    const to = plus(from, value, times);
    const arrow = { part, from, to };
    from = to;
    return [arrow];
  });
}

/**
 * What a part is a sum of: "0.0321 x̂_0 − 0.0102 x̂_0′".
 * @param {WalkedStep} step
 * @param {Part} part
 */
export const summed = ({ terms }, part) =>
  TERMS[part]
    .filter((name, i) => name in terms && (i === 0 || Math.abs(terms[name]) >= SMALLEST))
    .map((name, i) => {
      const factor = terms[name];
      const sign = factor < 0 ? (i ? " − " : "−") : i ? " + " : "";
      return `${sign}${digits(Math.abs(factor))} ${SYMBOLS[name]}`;
    })
    .join("");

/** @param {Pair} pair */
export const said = ([x, y]) => `(${fixed(x, 3)}, ${fixed(y, 3)})`;
