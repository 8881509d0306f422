// The bound as a bill: what it costs to send an image, part by part, beside figures from papers.

import { digits, el, fixed, worded } from "./store.js";
import { tex } from "./tex.js";

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

const bits = (value) => (value == null ? "–" : fixed(value, 3));

/** Fill ``node``. loss: as ``weigh`` gives it; published: figures from papers; measured: the value of the tab. */
export function drawLedger(node, { ledger, dimensions, naming }, published, { about, count, others }, schedule) {
  const rows = Object.entries(ledger).map(([variance, l]) => ({
    label: tex(el("span", {}), SIGMA[variance]),
    l,
    parts: { prior: l.L_T, errors: l.L_mid - l.constant, constant: l.constant, last: l.L_0 ?? 0 },
    total: l.total,
  }));
  const papers = published.map((p) => ({
    label: el("span", {}, `${p.name} `, el("small", {}, p.data)),
    title: p.source,
    parts: p.rate == null ? { whole: p.total } : { errors: p.rate, last: p.distortion },
    total: p.total,
  }));
  const scale = Math.max(...[...rows, ...papers].map(({ parts }) => Object.values(parts).reduce((a, b) => a + b)));
  const bar = ({ label, parts, total, title }) =>
    el(
      "div",
      { class: "lab-bill", title },
      el("div", { class: "lab-bill-name" }, label),
      el(
        "div",
        { class: "lab-bill-bar", role: "img", "aria-label": `${bits(total)} bits per dimension` },
        ...Object.entries(parts).map(([kind, value]) =>
          el("i", {
            class: `lab-part-${kind}`,
            style: `width:${(100 * value) / scale}%`,
            title: `${bits(value)} bits/dim`,
          }),
        ),
      ),
      el("div", { class: "lab-bill-total" }, bits(total)),
    );
  const legend = el(
    "p",
    { class: "lab-legend" },
    ...KINDS.map(([kind, source, words]) =>
      el("span", {}, el("i", { class: `lab-part-${kind}` }), tex(el("b", {}), source), " ", ...worded(words)),
    ),
  );
  const heads = [
    "variance",
    "L_T",
    "\\sum L_{t-1}",
    "\\text{of it }\\sum C_t",
    "L_0",
    "\\text{bits/dim}",
    "\\text{nats an image}",
  ];
  const table = el(
    "table",
    { class: "lab-table lab-ledger" },
    el("thead", {}, el("tr", {}, ...heads.map((h, i) => (i ? tex(el("th", {}), h) : el("th", {}, h))))),
    el(
      "tbody",
      {},
      ...rows.map(({ label, l }) =>
        el(
          "tr",
          {},
          el("td", {}, label.cloneNode(true)),
          el("td", {}, l.L_T < 0.001 ? digits(l.L_T, 2) : bits(l.L_T)),
          el("td", {}, `${bits(l.L_mid)} ± ${bits(l.standard_error)}`),
          el("td", {}, bits(l.constant)),
          el("td", {}, bits(l.L_0)),
          el("td", {}, el("b", {}, bits(l.total))),
          el("td", {}, l.total == null ? "–" : (l.total * dimensions * Math.LN2).toFixed(0)),
        ),
      ),
    ),
  );
  const missing = Math.max(...rows.map(({ l }) => l.missing));
  const gaps = [
    missing
      ? `${missing} of ${schedule.T - 1} steps lie outside the noise levels that were measured, and are left out.`
      : "",
    rows.some(({ l }) => l.L_0 == null)
      ? "L₀ was not measured for a first step as large, or as small, as that of this schedule."
      : "",
  ];
  const named =
    naming == null
      ? ""
      : `The exact denoiser of all ${count + others} images would pay ${digits(naming)} bits/dim for the same steps (σ² = β̃), ${digits(naming * dimensions, 2)} bits an image: what it takes to say which of them it is. The network has no list, and describes the image.`;
  node.replaceChildren(
    el(
      "p",
      { class: "lab-note" },
      `What it costs to send ${about} to somebody who has the network, under this schedule: bits for each number in an image. Without any model it would be 8.`,
    ),
    el(
      "div",
      { class: "lab-bills" },
      ...rows.map(bar),
      el(
        "p",
        { class: "lab-note lab-aside" },
        "From papers, on other data: the parts can be compared, and not who is better.",
      ),
      ...papers.map(bar),
    ),
    legend,
    el("div", { class: "lab-scroll" }, table),
    el("p", { class: "lab-note" }, ...worded(named)),
    el(
      "p",
      { class: "lab-note" },
      `${gaps.filter(Boolean).join(" ")} ± is at most the standard error over the images. DDPM: ≤ 3.75 = rate 1.78 (slate) + distortion 1.97 (blue), section 4.3. Digits are mostly black, and cheap.`,
    ),
  );
}
