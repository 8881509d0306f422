// Formulas, with one colour a symbol and numbers that change without setting the formula anew.

import katex from "../vendor/katex/katex.mjs";
import { setText } from "./dom.js";

const macros = {
  "\\xo": "\\htmlClass{ink-x0}{x_0}",
  "\\xt": "\\htmlClass{ink-xt}{x_t}",
  "\\xs": "\\htmlClass{ink-xt}{x_{t-1}}",
  "\\ep": "\\htmlClass{ink-eps}{\\epsilon}",
  "\\epred": "\\htmlClass{ink-eps}{\\epsilon_\\theta}",
  "\\xpred": "\\htmlClass{ink-pred}{\\hat x_0}",
  "\\ab": "\\bar\\alpha",
  // A live number: \num{name} is later filled by name.
  "\\num": "\\htmlClass{num num-#1}{0.000}",
  "\\numt": "\\htmlClass{num num-#1 ink-xt}{0.000}",
  "\\numo": "\\htmlClass{num num-#1 ink-x0}{0.000}",
};

/**
 * @template {HTMLElement} N
 * @param {N} node
 * @param {string} source
 */
export function tex(node, source) {
  katex.render(source, node, {
    macros: { ...macros },
    throwOnError: false,
    trust: (context) => context.command === "\\htmlClass",
    strict: false,
    output: "htmlAndMathml",
  });
  return node;
}

/**
 * Fill the live numbers of a formula: {name: text}.
 * @param {Element} node
 * @param {Record<string, string>} numbers
 */
export function fill(node, numbers) {
  for (const [name, text] of Object.entries(numbers)) {
    for (const place of node.querySelectorAll(`.num-${name}`)) setText(place.querySelector(".mord") ?? place, text);
  }
}
