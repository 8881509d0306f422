// The bound as a bill: what it costs to send an image, part by part, beside figures from papers.

import { el, worded } from "./dom.js";
import { digits, fixed } from "./numbers.js";
import { tex } from "./tex.js";

/** @import { Bound, Measured, Variance, Weighed } from "./weighed.js" */

/** @type {[Variance, string][]} */
export const VARIANCES = [
  ["beta", "β"],
  ["between", "√(β β̃)"],
  ["posterior", "β̃"],
];
/** @type {Record<string, string>} */
const SIGMA = {
  beta: "\\sigma^2=\\beta",
  between: "\\sigma^2=\\sqrt{\\beta\\tilde\\beta}",
  posterior: "\\sigma^2=\\tilde\\beta",
};
const KINDS = [
  ["prior", "L_T", "where x_T lies"],
  ["errors", "\\sum L_{t-1}", "what the network's errors cost"],
  ["constant", "\\sum C_t", "the price of this variance, whatever the network"],
  ["last", "L_0", "the grey levels, out of x_1"],
];
const HEADS = [
  "variance",
  "L_T",
  "\\sum L_{t-1}",
  "\\text{of it }\\sum C_t",
  "L_0",
  "\\text{bits/dim}",
  "\\text{nats an image}",
];
const SOURCE =
  "± is at most the standard error over the images. DDPM: ≤ 3.75 = rate 1.78 (slate) + distortion 1.97 (blue), section 4.3. Digits are mostly black, and cheap.";

/**
 * A figure from a paper.
 * @typedef {{
 *   name: string, data: string, source: string, total: number, rate: number | null, distortion: number
 * }} Published
 */
/** @typedef {{label: HTMLElement, parts: Record<string, number>, total: number | null, title?: string}} Bill */
/** @typedef {Bill & {bound: Bound}} OwnBill */

export const bits = (/** @type {number | null} */ value) => (value == null ? "–" : fixed(value, 3));

/**
 * @param {Record<string, Bound>} ledger
 * @returns {OwnBill[]}
 */
const ownBills = (ledger) =>
  Object.entries(ledger).map(([variance, bound]) => ({
    label: tex(el("span", {}), SIGMA[variance]),
    bound,
    parts: {
      prior: bound.L_T,
      errors: bound.L_mid - bound.constant,
      constant: bound.constant,
      last: bound.L_0 ?? 0,
    },
    total: bound.total,
  }));

/**
 * @param {Published[]} published
 * @returns {Bill[]}
 */
const paperBills = (published) =>
  published.map(({ name, data, source, total, rate, distortion }) => {
    /** @type {Record<string, number>} */
    const parts = rate == null ? { whole: total } : { errors: rate, last: distortion };
    return { label: el("span", {}, `${name} `, el("small", {}, data)), title: source, parts, total };
  });

/**
 * A bar of its parts.
 * @param {Bill} bill
 * @param {number} scale that a whole line is
 */
function bar({ label, parts, total, title }, scale) {
  const pieces = Object.entries(parts).map(([kind, value]) => {
    const style = `width:${(100 * value) / scale}%`;
    return el("i", { class: `lab-part-${kind}`, style, title: `${bits(value)} bits/dim` });
  });
  const spoken = `${bits(total)} bits per dimension`;
  return el(
    "div",
    { class: "lab-bill", title },
    el("div", { class: "lab-bill-name" }, label),
    el("div", { class: "lab-bill-bar", role: "img", "aria-label": spoken }, ...pieces),
    el("div", { class: "lab-bill-total" }, bits(total)),
  );
}

const legend = () =>
  el(
    "p",
    { class: "lab-legend" },
    ...KINDS.map(([kind, source, words]) => {
      const mark = el("i", { class: `lab-part-${kind}` });
      return el("span", {}, mark, tex(el("b", {}), source), " ", ...worded(words));
    }),
  );

/**
 * The parts as numbers.
 * @param {OwnBill[]} bills
 * @param {number} dimensions
 */
function table(bills, dimensions) {
  const heads = HEADS.map((head, i) => (i ? tex(el("th", {}), head) : el("th", {}, head)));
  const rows = bills.map(({ label, bound }) => {
    const cells = [
      label.cloneNode(true),
      bound.L_T < 0.001 ? digits(bound.L_T, 2) : bits(bound.L_T),
      `${bits(bound.L_mid)} ± ${bits(bound.standard_error)}`,
      bits(bound.constant),
      bits(bound.L_0),
      el("b", {}, bits(bound.total)),
      bound.total == null ? "–" : (bound.total * dimensions * Math.LN2).toFixed(0),
    ];
    return el("tr", {}, ...cells.map((cell) => el("td", {}, cell)));
  });
  const head = el("thead", {}, el("tr", {}, ...heads));
  return el("table", { class: "lab-table lab-ledger" }, head, el("tbody", {}, ...rows));
}

/**
 * What is left out of the numbers.
 * @param {OwnBill[]} bills
 * @param {number} T
 */
function gaps(bills, T) {
  const missing = Math.max(...bills.map(({ bound }) => bound.missing));
  const sentences = [
    missing ? `${missing} of ${T - 1} steps lie outside the noise levels that were measured, and are left out.` : "",
    bills.some(({ bound }) => bound.L_0 == null)
      ? "L₀ was not measured for a first step as large, or as small, as that of this schedule."
      : "",
  ];
  return sentences.filter(Boolean).join(" ");
}

/**
 * What an exact denoiser pays.
 * @param {Weighed} weighed
 * @param {number} images
 */
const namingWords = ({ naming, dimensions }, images) =>
  naming == null
    ? ""
    : `The exact denoiser of all ${images} images would pay ${digits(naming)} bits/dim for the same steps (σ² = β̃), ${digits(naming * dimensions, 2)} bits an image: what it takes to say which of them it is. The network has no list, and describes the image.`;

/**
 * Fill `node`. measured: the value of the tab; T: of the schedule.
 * @param {HTMLElement} node
 * @param {Weighed} weighed
 * @param {Published[]} published figures from papers
 * @param {Measured} measured
 * @param {number} T
 */
export function drawLedger(node, weighed, published, { about, count, others }, T) {
  const bills = ownBills(weighed.ledger);
  const papers = paperBills(published);
  const sums = [...bills, ...papers].map(({ parts }) => Object.values(parts).reduce((a, b) => a + b));
  const scale = Math.max(...sums);
  const note = (/** @type {(Node | string)[]} */ ...words) => el("p", { class: "lab-note" }, ...words);
  node.replaceChildren(
    note(
      `What it costs to send ${about} to somebody who has the network, under this schedule: bits for each number in an image. Without any model it would be 8.`,
    ),
    el(
      "div",
      { class: "lab-bills" },
      ...bills.map((bill) => bar(bill, scale)),
      el(
        "p",
        { class: "lab-note lab-aside" },
        "From papers, on other data: the parts can be compared, and not who is better.",
      ),
      ...papers.map((bill) => bar(bill, scale)),
    ),
    legend(),
    el("div", { class: "lab-scroll" }, table(bills, weighed.dimensions)),
    note(...worded(namingWords(weighed, count + others))),
    note(`${gaps(bills, T)} ${SOURCE}`),
  );
}
