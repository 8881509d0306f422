// Fields of the sidebar: a number with its slider, a box to tick, and where each says what is wrong with it.

import { el, symbol } from "./dom.js";
import { typedNumber } from "./numbers.js";
import { POSITIONS, partAt, scaleOf, valueAt } from "./scales.js";

/** @import { Parameter } from "./schedules.js" */

/**
 * Where it is said what is wrong with a field.
 * @param {string} name
 */
export const errorPlace = (name) => el("div", { class: "lab-error", role: "alert", "data-error": name });

/**
 * A number that can be typed, or dragged along its range. change: a number, or what was typed if it is none.
 * @param {string} name
 * @param {Parameter} parameter
 * @param {unknown} value
 * @param {(value: number | string) => void} change
 */
export function numberField(name, parameter, value, change) {
  const scale = scaleOf(parameter);
  const label = `${parameter.symbol}: ${parameter.about}`;
  const range = el("input", {
    type: "range",
    min: 0,
    max: POSITIONS,
    step: 1,
    "aria-label": label,
    "data-field": name,
  });
  const number = el("input", {
    type: "text",
    inputmode: "decimal",
    "aria-label": `${label}, as a number`,
    "data-number": name,
    autocomplete: "off",
  });
  const paint = (/** @type {number} */ v) => {
    const part = partAt(scale, v);
    range.value = String(Math.round(part * POSITIONS));
    range.style.setProperty("--part", String(part));
    range.setAttribute("aria-valuetext", `${parameter.symbol} ${v}`);
  };
  paint(Number(value));
  number.value = String(value);
  range.addEventListener("input", () => {
    const v = valueAt(scale, Number(range.value), parameter.whole);
    number.value = String(v);
    paint(v);
    change(v);
  });
  number.addEventListener("change", () => {
    const v = typedNumber(number.value);
    if (Number.isFinite(v)) paint(v);
    change(Number.isFinite(v) ? v : number.value);
  });
  const title = parameter.about;
  return el("div", { class: "lab-field", title }, symbol(parameter.symbol), number, range, errorPlace(name));
}

/**
 * @param {string} name
 * @param {string} text
 * @param {string} about
 * @param {boolean} checked
 * @param {(on: boolean) => void} change
 */
export function tickBox(name, text, about, checked, change) {
  const box = el("input", { type: "checkbox", checked, "data-tick": name });
  box.addEventListener("change", () => change(box.checked));
  return el("label", { class: "lab-tick", title: about }, box, text);
}
