// Rows of samples to be compared: what each row is, pictures that it starts from, then its samples.

import { constants } from "./constants.js";
import { el, setData } from "./dom.js";
import { decode } from "./frames.js";
import { tex } from "./tex.js";

/** @import { Shape } from "./frames.js" */

const TITLES = { xt: "\\xt", pred: "\\xpred", x0: "\\xo" };

/** @typedef {{kind: keyof typeof TITLES, title: string}} Lead a picture that a row starts from */
/** @typedef {{label: string, note: string, lead: Lead[], shape: Shape, data: string}} SampleRow */
/** @typedef {{state: string, status: string, rows: SampleRow[], opening?: boolean}} Answer */

/**
 * @param {SampleRow} row
 * @returns {HTMLElement}
 */
function drawRow({ label, note, lead, shape, data }) {
  const images = decode(data, shape, 1, constants().units.gap);
  const cells = Array.from({ length: images.samples }, (_, k) => {
    /** @type {Lead | undefined} */
    const first = lead[k];
    const spoken = first?.title ?? `${label}, sample ${k + 1 - lead.length}`;
    const canvas = el("canvas", { class: "lab-pixels", role: "img", "aria-label": spoken });
    images.paint(canvas, 0, 0, k);
    const kind = first?.kind ? `lab-lead lab-figure-${first.kind}` : "";
    return el("figure", { class: `lab-figure ${kind}` }, canvas, first?.kind ? caption(first) : null);
  });
  const words = el("div", { class: "lab-samples-label" }, el("b", {}, label), el("span", {}, note));
  return el("div", { class: "lab-samples" }, words, ...cells);
}

/** @param {Lead} lead */
const caption = ({ kind, title }) =>
  el("figcaption", {}, title === "kept" ? "kept" : tex(el("span", {}), TITLES[kind]));

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: Answer | null, hint: string}>} view
 */
export function mount(element, { props, watch }) {
  const status = el("p", { class: "lab-status", role: "status" }, props.hint);
  const rows = el("div", { class: "lab-rows" });
  const scroll = el("div", { class: "lab-scroll" }, rows);
  const root = el("section", { class: "lab-whatif", "data-state": "empty" }, status, scroll);
  element.replaceChildren(root);

  function sync() {
    const value = props.value;
    if (!value || (value.opening && root.dataset.state !== "empty")) return; // an answer that was asked for stays
    status.setAttribute("aria-live", value.state === "live" ? "off" : "polite");
    status.textContent = value.status;
    rows.replaceChildren(...value.rows.map(drawRow));
    setData(root, { state: value.state, rows: value.rows.length });
  }
  watch("value", sync);
  sync();
}
