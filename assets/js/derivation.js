// From the bound to L_simple, a line at a time, each with its number for the schedule, the step and the images at hand.

import { el, worded } from "./dom.js";
import { digits } from "./numbers.js";
import { store } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Schedule } from "./schedules.js" */
/** @import { Loss } from "./store.js" */

/** @type {[words: string, formula: string, slip?: string][]} */
const LINES = [
  [
    "The bound, sorted by steps (eq. 3 and 5). All KL divergences are of Gaussians, so no term needs sampling beyond ε.",
    "-\\log p_\\theta(\\xo)\\le L_T+\\sum_{t=2}^{T}L_{t-1}+L_0=\\num{LT}+\\num{Lmid}+\\num{L0}=\\num{total}\\ \\text{bits/dim}",
  ],
  [
    "Where x_T lies: known to the receiver but for what the schedule leaves of the image. No network is in it.",
    "\\tfrac1D L_T=\\tfrac12\\big(\\ab_T\\,\\overline{\\xo^2}-\\ab_T-\\ln(1-\\ab_T)\\big)=\\num{prior}\\ \\text{nats},\\quad\\ab_T=\\prod_{s=1}^{T}\\alpha_s=\\num{abT}",
    "ᾱ_t multiplies α₁ … α_t. Written with T as its upper limit, as often seen, it would be the same for every t.",
  ],
  [
    "A step: two Gaussians with means μ̃_t and μ_θ, and variances β̃_t and σ_t². Their KL has two parts.",
    "L_{t-1}=\\frac{\\lVert\\tilde\\mu_t-\\mu_\\theta\\rVert^2}{2\\sigma_t^2}+\\underbrace{\\tfrac D2\\Big(\\tfrac{\\tilde\\beta_t}{\\sigma_t^2}-1-\\ln\\tfrac{\\tilde\\beta_t}{\\sigma_t^2}\\Big)}_{C_t},\\quad \\tfrac1D C_t=\\num{c}\\ \\text{nats},\\ \\textstyle\\sum_t C_t=\\num{C}\\ \\text{bits/dim}",
    "C_t is often left out as “a constant”. For σ² = β̃ it is zero; for any other variance it belongs to the bits/dim that are reported.",
  ],
  [
    "Both means in terms of noise (eq. 7 with x_0 from x_t and ε, eq. 11).",
    "\\tilde\\mu_t=\\frac{1}{\\sqrt{\\alpha_t}}\\Big(\\xt-\\frac{\\beta_t}{\\sqrt{1-\\ab_t}}\\,\\ep\\Big)=\\num{m}\\,\\xt-\\num{k}\\,\\ep",
    "The sign is minus: noise is taken away. And the second factor has √(1−ᾱ_t), not √(1−α_t).",
  ],
  [
    "So the means differ as the noises do.",
    "\\lVert\\tilde\\mu_t-\\mu_\\theta\\rVert^2=\\frac{\\beta_t^2}{\\alpha_t(1-\\ab_t)}\\lVert\\ep-\\epred\\rVert^2,\\quad\\frac{\\beta_t^2}{\\alpha_t(1-\\ab_t)}=\\num{k2}",
  ],
  [
    "With the variance (eq. 12):",
    "\\tfrac1D L_{t-1}=\\underbrace{\\frac{\\beta_t^2}{2\\sigma_t^2\\alpha_t(1-\\ab_t)}}_{w_t}\\tfrac1D\\lVert\\ep-\\epred\\rVert^2+\\tfrac1D C_t=\\num{w}\\cdot\\num{e}+\\num{c}=\\num{n}\\ \\text{nats}=\\num{b}\\ \\text{bits/dim}",
    "At t = 1, β̃ is zero and w infinite if σ² is made of it: there the term is L₀, the grey levels by a Gaussian cut into 256 bins (eq. 13), and not a KL divergence.",
  ],
  [
    "L_simple drops w_t (eq. 14): a mean of the errors over t = 1 … T. Against the bound it turns small t down, where what is learned are details that no eye sees.",
    "L_{\\mathrm{simple}}=\\mathbb E_{t}\\,\\tfrac1D\\lVert\\ep-\\epred\\rVert^2=\\num{simple},\\qquad\\frac{1/T}{w_t/\\sum_s w_s}=\\num{ratio}\\ \\text{at this }t",
  ],
];

/**
 * The numbers in the lines, at step t.
 * @param {Loss} loss
 * @param {Schedule} schedule
 * @param {number} t
 */
function numbersAt(loss, schedule, t) {
  const { beta, alpha_bar } = schedule.columns;
  const l = loss.ledger[loss.variance];
  const step = Math.max(2, t);
  const at = loss.at(step);
  const b = beta[step];
  const ab = alpha_bar[step];
  const nats = at.weight * at.error + at.extra;
  const n = (/** @type {number | null} */ value) => (value == null ? "–" : digits(value));
  return {
    LT: n(l.L_T),
    Lmid: n(l.L_mid),
    L0: n(l.L_0),
    total: n(l.total),
    prior: n(l.L_T * Math.LN2),
    abT: n(alpha_bar[schedule.T]),
    c: n(at.extra),
    C: n(l.constant),
    m: digits(1 / Math.sqrt(1 - b), 4),
    k: n(b / Math.sqrt((1 - ab) * (1 - b))),
    k2: n((b * b) / ((1 - b) * (1 - ab))),
    w: n(at.weight),
    e: n(at.error),
    n: n(nats),
    b: n(nats / Math.LN2),
    simple: n(loss.L_simple),
    ratio: n(loss.weight_sum[loss.variance] / schedule.T / at.weight),
  };
}

/** An accordion; returns {node, draw}. */
export function derivation() {
  const formulas = LINES.map(([, source]) => tex(el("p", {}), source));
  const lines = LINES.flatMap(([words, , slip], i) => [
    el("p", { class: "lab-note lab-line" }, ...worded(`${i + 1}. ${words}`)),
    formulas[i],
    slip ? el("p", { class: "lab-note lab-slip" }, ...worded(slip)) : null,
  ]);
  const title = el("summary", {}, ...worded("From the bound to L_simple, step by step"));
  const node = el("details", { class: "lab-details", id: "lab-derivation" }, title, ...lines);
  function draw() {
    const { loss, schedule, t } = store;
    if (!node.open || !loss || !schedule) return;
    const numbers = numbersAt(loss, schedule, t);
    for (const formula of formulas) fill(formula, numbers);
  }
  node.addEventListener("toggle", draw);
  return { node, draw };
}
