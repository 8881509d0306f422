// What a run is to learn from: how many images there are, of which classes, some of them, and what was left out and why.

import { constants } from "./constants.js";
import { el, setData } from "./dom.js";
import { decode } from "./frames.js";

/** @import { Shape } from "./frames.js" */

const COLUMNS = 12;
const MOST_CLASSES = 12; // whose counts are told

/**
 * What show_draft() of ui/drafts.py sends.
 * @typedef {object} DraftValue
 * @property {number} count
 * @property {number} held_out
 * @property {[string, number][]} classes and how many images each has
 * @property {Shape} shape
 * @property {string} data
 * @property {string[]} remarks
 */

/**
 * @param {number} count
 * @param {string} what
 */
export const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;

/** @param {DraftValue} value */
function words({ count, held_out, classes }) {
  const held = held_out ? `, and ${held_out.toLocaleString("en")} held out` : "";
  const named = classes.slice(0, MOST_CLASSES).map(([name, many]) => `${name} ${many.toLocaleString("en")}`);
  const more = classes.length > MOST_CLASSES ? ` and ${classes.length - MOST_CLASSES} more` : "";
  return `${counted(count, "image")}${held}${named.length ? ` · ${named.join(", ")}${more}` : ", no classes"}`;
}

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: DraftValue | null}>} view
 */
export function mount(element, { props, watch }) {
  const told = el("p", { class: "lab-status", role: "status" });
  const canvas = el("canvas", {
    class: "lab-pixels lab-dropped-images",
    role: "img",
    "aria-label": "some of the images",
  });
  const remarks = el("ul", { class: "lab-dropped-remarks" });
  const root = el("section", { class: "lab-dropped", "data-state": "empty", hidden: true }, told, canvas, remarks);
  element.replaceChildren(root);
  function sync() {
    const { value } = props;
    root.hidden = !value;
    if (!value) return;
    told.textContent = words(value);
    const frames = decode(value.data, value.shape, 1, constants().units.gap);
    frames.columns = Math.min(COLUMNS, frames.samples);
    frames.rows = Math.ceil(frames.samples / frames.columns);
    frames.paint(canvas, 0, 0);
    remarks.replaceChildren(...value.remarks.map((remark) => el("li", {}, remark)));
    setData(root, { state: "ready", count: value.count });
  }
  watch("value", sync);
  sync();
}
