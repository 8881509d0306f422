// Elements: built, filled with text, chosen among, and watched.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = /** @type {const} */ (["svg", "path", "line", "text", "tspan", "g", "rect", "circle", "title"]);

/** @typedef {typeof SVG_TAGS[number]} SvgTag */
/** @typedef {SvgTag | Exclude<keyof HTMLElementTagNameMap, SvgTag>} Tag */
/**
 * @template {Tag} K
 * @typedef {K extends SvgTag ? SVGElementTagNameMap[K]
 *   : K extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[K] : never} ElementOf
 */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: MouseEvent) => unknown)>} Attributes */
/** @typedef {Node | string | null | undefined} Child */

/**
 * Build an element: el("div", {class: "x", onclick: f}, child, ...).
 * @template {Tag} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {...Child} children
 * @returns {ElementOf<K>}
 */
export function el(tag, attributes = {}, ...children) {
  const svg = SVG_TAGS.some((name) => name === tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    else if (value !== false && value != null) node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child != null));
  return /** @type {ElementOf<K>} */ (node);
}

/**
 * Another text in a node; the same one costs nothing.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Attributes of a drawing, or of anything: numbers become text.
 * @param {Element} node
 * @param {Record<string, string | number>} values
 */
export function setAttributes(node, values) {
  for (const [name, value] of Object.entries(values)) node.setAttribute(name, String(value));
}

/**
 * Data of an element, which style sheets and tests read: numbers become text.
 * @param {HTMLElement} node
 * @param {Record<string, string | number>} values
 */
export function setData(node, values) {
  for (const [name, value] of Object.entries(values)) node.dataset[name] = String(value);
}

/**
 * A button; name is what tests find it by.
 * @param {string} text
 * @param {string} title
 * @param {() => unknown} onclick
 * @param {string} name
 */
export const button = (text, title, onclick, name) =>
  el("button", { type: "button", class: "lab-save", title, onclick, "data-do": name }, text);

const TILDE = "\u0303"; // which goes over the letter before it, in text; not in every browser

/**
 * Text whose indices are set low and whose tildes are over their letters: "L_simple", "x_T", "β̃".
 * @param {string} text
 */
export const worded = (text) =>
  text.split(/(_[A-Za-z0-9θ−]+|.\u0303)/u).map((part) => {
    if (part.endsWith(TILDE)) return el("span", { class: "lab-tilde" }, part.slice(0, -1), el("span", {}, "˜"));
    return part.startsWith("_") ? el("sub", {}, part.slice(1)) : part;
  });

/**
 * A symbol with its index set low: symbol("β_T").
 * @param {string} text
 */
export function symbol(text) {
  const [base, index] = text.split("_");
  return el("span", { class: "lab-symbol" }, base, index ? el("sub", {}, index) : null);
}

/**
 * Buttons of which one is chosen; options: [[value, text], ...].
 * @template {string} V
 * @param {string} label
 * @param {[V, string][]} options
 * @param {V} chosen
 * @param {(value: V) => void} change
 */
export function choice(label, options, chosen, change) {
  const node = el(
    "div",
    { class: "lab-choice", role: "group", "aria-label": label },
    el("span", { class: "lab-choice-label" }, label),
    ...options.map(([value, text]) => {
      const onclick = () => {
        choose(node, value);
        change(value);
      };
      return el("button", { type: "button", "data-value": value, onclick }, ...worded(text));
    }),
  );
  choose(node, chosen);
  return node;
}

/**
 * Show another value of a choice as the one that is chosen.
 * @param {HTMLElement} node
 * @param {string} chosen
 */
export function choose(node, chosen) {
  for (const b of node.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b.dataset.value === chosen));
}

/**
 * Says whether a node has room on the page, as it has not in a closed tab: shown(node, fn)(). fn is called when it gets
 * some. To ask a node itself would make the browser lay out the page in the middle of a frame.
 * @param {Element} node
 * @param {() => void} fn
 */
export function shown(node, fn) {
  let width = 0;
  new ResizeObserver(([{ contentRect }]) => {
    width = contentRect.width;
    if (width) fn();
  }).observe(node);
  return () => width > 0;
}

/** Brings a view into sight where it lies out of it: below the controls of a phone's page, on which a run was begun. */
export function bringIntoSight(/** @type {Element} */ node) {
  if (matchMedia("(max-width: 760px)").matches) node.scrollIntoView({ block: "start" });
}

/** @param {string} text float32 in base64 */
export function decodePoints(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float64Array.from(new Float32Array(bytes.buffer));
}
