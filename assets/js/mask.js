// A picture to paint on: what is painted over is to be made up. The mask goes to Python as text, a digit a pixel.

import { contextOf } from "./canvas.js";
import { constants } from "./constants.js";
import { el, setData } from "./dom.js";
import { decode } from "./frames.js";

/** @import { Frames, Shape } from "./frames.js" */

const SHADE = [230, 159, 0]; // what is painted over, in the colour of warnings

/** @typedef {{key: string, shape: Shape, data: string, mask?: string}} Masked */
/** @typedef {(x: number, y: number, w: number, h: number) => boolean} Inside */

/** @type {[text: string, name: string, inside: Inside][]} */
const TOOLS = [
  ["Right half", "paint over the right half", (x, _, w) => x >= w / 2],
  [
    "Middle",
    "paint over the middle",
    (x, y, w, h) => Math.max(Math.abs(x - w / 2 + 0.5) / w, Math.abs(y - h / 2 + 0.5) / h) < 0.25,
  ],
  ["Clear", "paint over nothing", () => false],
];

class Mask {
  /**
   * @param {HTMLElement} element
   * @param {{value: Masked | null}} props
   */
  constructor(element, props) {
    this.props = props;
    /** @type {Frames | null} */
    this.picture = null;
    this.mask = new Uint8Array(0); // 1 where it is painted over
    this.size = [32, 32];
    this.canvas = el("canvas", {
      class: "lab-pixels",
      tabindex: 0,
      role: "img",
      width: 32,
      height: 32,
      "aria-label": "the picture: paint with the pointer over what is to be made up",
    });
    const tools = TOOLS.map(([text, title, inside]) => {
      const onclick = () => this.every(inside);
      return el("button", { type: "button", class: "lab-small", title, "data-mask": text, onclick }, text);
    });
    const bar = el("div", { class: "lab-bar" }, ...tools);
    this.root = el("section", { class: "lab-mask", "data-state": "empty" }, this.canvas, bar);
    element.replaceChildren(this.root);
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.paint(event);
    });
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.paint(event));
  }

  draw() {
    const [w, h] = this.size;
    this.picture?.paint(this.canvas, 0, 0, 0);
    const context = contextOf(this.canvas);
    const image = context.getImageData(0, 0, w, h);
    this.mask.forEach((on, i) => {
      for (let c = 0; on && c < 3; c++) image.data[4 * i + c] = 0.3 * image.data[4 * i + c] + 0.7 * SHADE[c];
    });
    context.putImageData(image, 0, 0);
    if (this.props.value) this.props.value = { ...this.props.value, mask: this.mask.join("") };
    setData(this.root, { painted: this.mask.reduce((a, b) => a + b, 0) });
  }

  /**
   * Paint over what is inside, and nothing else.
   * @param {Inside} inside
   */
  every(inside) {
    if (!this.picture) return;
    const [w, h] = this.size;
    this.mask = Uint8Array.from(this.mask, (_, i) => (inside(i % w, Math.floor(i / w), w, h) ? 1 : 0));
    this.draw();
  }

  /** @param {PointerEvent} event */
  paint(event) {
    if (!this.picture) return;
    const box = this.canvas.getBoundingClientRect();
    const [w, h] = this.size;
    const x = ((event.clientX - box.left) / box.width) * w;
    const y = ((event.clientY - box.top) / box.height) * h;
    const radius = w / 12;
    this.mask.forEach((_, i) => {
      if (Math.hypot((i % w) + 0.5 - x, Math.floor(i / w) + 0.5 - y) <= radius) this.mask[i] = 1;
    });
    this.draw();
  }

  sync() {
    const value = this.props.value;
    if (!value?.data || value.key === this.root.dataset.key) return;
    const [, h, w] = value.shape;
    this.picture = decode(value.data, value.shape, 1, constants().units.gap);
    this.size = [w, h];
    if (this.mask.length !== w * h) this.mask = new Uint8Array(w * h);
    setData(this.root, { key: value.key, state: "ready" });
    if (!this.mask.some((on) => on)) this.every((x) => x >= w / 2);
    else this.draw();
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<{value: Masked | null}>} view
 */
export function mount(element, { props, watch }) {
  const mask = new Mask(element, props);
  watch("value", () => mask.sync());
  mask.sync();
}
