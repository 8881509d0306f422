// What is drawn on the plane, a layer after another; all coordinates are those of the plane, y upwards.

import { contextOf } from "./canvas.js";
import { middle, REACH } from "./mixture.js";

/** @import { Points } from "./mixture.js" */

/** @typedef {"panel" | "grid" | "soft" | "ink" | "data" | "x0" | "xt" | "eps" | "pred" | "learned" | "warn" | "ddpm" | "ddim" | "dpmpp" | "unipc" | "heun"} Hue */

/** @type {Record<Hue, string>} what the style sheet calls them */
export const HUES = {
  panel: "--lab-panel",
  grid: "--lab-grid",
  soft: "--lab-ink-soft",
  ink: "--lab-ink",
  data: "--plane-data",
  x0: "--x0",
  xt: "--xt",
  eps: "--eps",
  pred: "--pred",
  learned: "--learned",
  warn: "--warn",
  ddpm: "--by-ddpm",
  ddim: "--by-ddim",
  dpmpp: "--by-dpmpp",
  unipc: "--by-unipc",
  heun: "--by-heun",
};
/**
 * The colour of a run: the first is x_t's; a second has that of its denoiser where the sampler is the same, else its
 * sampler's.
 * @param {number} k
 * @param {{sampler: string, denoiser: string}[]} runs
 * @returns {Hue}
 */
export function hueOf(k, runs) {
  if (k === 0) return "xt";
  const { sampler, denoiser } = runs[k];
  if (sampler !== runs[0].sampler) return /** @type {Hue} */ (sampler);
  return denoiser === "learned" ? "learned" : "pred";
}

const DARKEST = 0.55; // of the density's colour
const FADING = 0.7; // the tint is the density to this power
const TICKS = [-1, 0, 1];
const HEAD = 8; // pixels of the page, of an arrow that stands alone

export class Painter {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = contextOf(canvas, { alpha: false });
    this.heat = new OffscreenCanvas(1, 1);
    /** @type {Record<Hue, string>} */
    this.hue = { ...HUES };
    this.unit = 1; // pixels of the canvas for each of the page
  }

  /** @param {number} v */
  x(v) {
    return ((v + REACH) / (2 * REACH)) * this.canvas.width;
  }

  /** @param {number} v */
  y(v) {
    return ((REACH - v) / (2 * REACH)) * this.canvas.height;
  }

  /**
   * A clean plane of that size, with its axes.
   * @param {number} width of the canvas on the page
   */
  begin(width) {
    const size = Math.max(1, Math.round(width * Math.min(2, window.devicePixelRatio)));
    if (this.canvas.width !== size) {
      this.canvas.width = size;
      this.canvas.height = size;
    }
    this.unit = size / width;
    const style = getComputedStyle(this.canvas);
    for (const [name, variable] of Object.entries(HUES)) {
      this.hue[/** @type {Hue} */ (name)] = style.getPropertyValue(variable).trim();
    }
    this.context.globalAlpha = 1;
    this.context.fillStyle = this.hue.panel;
    this.context.fillRect(0, 0, size, size);
  }

  axes() {
    const { context, unit } = this;
    context.globalAlpha = 1;
    context.strokeStyle = this.hue.grid;
    context.lineWidth = unit;
    context.beginPath();
    for (const v of TICKS) {
      context.moveTo(this.x(v), 0);
      context.lineTo(this.x(v), this.canvas.height);
      context.moveTo(0, this.y(v));
      context.lineTo(this.canvas.width, this.y(v));
    }
    context.stroke();
    context.fillStyle = this.hue.soft;
    context.font = `${11 * unit}px ${getComputedStyle(this.canvas).fontFamily}`;
    for (const v of TICKS) {
      const text = String(v).replace("-", "−");
      context.textAlign = "left";
      context.fillText(text, this.x(v) + 4 * unit, this.canvas.height - 5 * unit);
      if (v) context.fillText(text, 4 * unit, this.y(v) - 4 * unit);
    }
  }

  /**
   * A density as a tint, which grows slower than it does, so that what is thin is seen too.
   * @param {Float64Array} values side x side
   * @param {Hue} hue
   */
  tint(values, hue) {
    const side = Math.sqrt(values.length);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (this.heat.getContext("2d"));
    if (this.heat.width !== side) {
      this.heat.width = side;
      this.heat.height = side;
    }
    const [r, g, b] = rgb(this.hue[hue]);
    let most = 0;
    for (const p of values) if (p > most) most = p;
    const image = context.createImageData(side, side);
    for (let i = 0, o = 0; i < values.length; i++, o += 4) {
      image.data[o] = r;
      image.data[o + 1] = g;
      image.data[o + 2] = b;
      image.data[o + 3] = 255 * DARKEST * (values[i] / most) ** FADING;
    }
    context.putImageData(image, 0, 0);
  }

  /** The tint that was made last. */
  heatmap() {
    const { context } = this;
    context.globalAlpha = 1;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.heat, 0, 0, this.canvas.width, this.canvas.height);
  }

  /**
   * @param {ArrayLike<number>} places x and y in turn
   * @param {Hue} hue
   * @param {number} radius in pixels of the page
   * @param {number} alpha
   */
  dots(places, hue, radius, alpha) {
    const { context, unit } = this;
    const [r, turn] = [radius * unit, 2 * Math.PI];
    context.globalAlpha = alpha;
    context.fillStyle = this.hue[hue];
    context.beginPath();
    for (let i = 0; i < places.length; i += 2) {
      const x = this.x(places[i]);
      const y = this.y(places[i + 1]);
      context.moveTo(x + r, y);
      context.arc(x, y, r, 0, turn);
    }
    context.fill();
  }

  /**
   * @param {ArrayLike<number>} places x and y in turn
   * @param {Hue} hue
   * @param {{width?: number, alpha?: number, dash?: number[]}} [style]
   */
  line(places, hue, { width = 1.5, alpha = 1, dash = [] } = {}) {
    const { context, unit } = this;
    context.globalAlpha = alpha;
    context.strokeStyle = this.hue[hue];
    context.lineWidth = width * unit;
    context.lineJoin = "round";
    context.lineCap = "round";
    context.setLineDash(dash.map((v) => v * unit));
    context.beginPath();
    for (let i = 0; i < places.length; i += 2) context.lineTo(this.x(places[i]), this.y(places[i + 1]));
    context.stroke();
    context.setLineDash([]);
  }

  /**
   * A point with a rim, which is seen on anything.
   * @param {number} x
   * @param {number} y
   * @param {Hue} hue
   * @param {number} radius
   */
  mark(x, y, hue, radius) {
    const { context, unit } = this;
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(this.x(x), this.y(y), radius * unit, 0, 2 * Math.PI);
    context.fillStyle = this.hue[hue];
    context.fill();
    context.strokeStyle = this.hue.panel;
    context.lineWidth = 2 * unit;
    context.stroke();
  }

  /**
   * A circle about a place, its radius in the plane.
   * @param {[number, number]} centre
   * @param {number} radius
   * @param {Hue} hue
   */
  ring([x, y], radius, hue) {
    const { context, unit } = this;
    context.globalAlpha = 1;
    context.strokeStyle = this.hue[hue];
    context.lineWidth = 1.5 * unit;
    context.beginPath();
    context.arc(this.x(x), this.y(y), (radius / (2 * REACH)) * this.canvas.width, 0, 2 * Math.PI);
    context.stroke();
  }

  /**
   * A vector field: an arrow in each cell, as long as the vector says but never longer than the cell.
   * @param {Float64Array} field x and y in turn, side x side cells
   * @param {number} usual the length of a vector that has half an arrow
   * @param {Hue} hue
   */
  arrows(field, usual, hue) {
    const { context, unit } = this;
    const side = Math.sqrt(field.length / 2);
    const cell = this.canvas.width / side;
    context.globalAlpha = 0.7;
    context.strokeStyle = this.hue[hue];
    context.lineWidth = 1.3 * unit;
    context.lineCap = "round";
    context.beginPath();
    for (let at = 0; at < side * side; at++) {
      const size = Math.hypot(field[2 * at], field[2 * at + 1]);
      if (size < 1e-9) continue;
      const length = (0.92 * cell * size) / (size + usual);
      const dx = (field[2 * at] / size) * length;
      const dy = (-field[2 * at + 1] / size) * length;
      const x = this.x(middle(at % side, side)) + dx / 2;
      const y = this.y(-middle(Math.floor(at / side), side)) + dy / 2;
      const head = 0.32;
      context.moveTo(x - dx, y - dy);
      context.lineTo(x, y);
      context.moveTo(x - head * (dx + 0.6 * dy), y - head * (dy - 0.6 * dx));
      context.lineTo(x, y);
      context.lineTo(x - head * (dx - 0.6 * dy), y - head * (dy + 0.6 * dx));
    }
    context.stroke();
  }

  /**
   * One arrow from a place to another, with a rim, which is seen on anything.
   * @param {[number, number]} from
   * @param {[number, number]} to
   * @param {Hue} hue
   * @param {number} width in pixels of the page
   */
  arrow(from, to, hue, width) {
    const { context, unit } = this;
    const [x, y, x1, y1] = [this.x(from[0]), this.y(from[1]), this.x(to[0]), this.y(to[1])];
    const length = Math.hypot(x1 - x, y1 - y);
    if (length < unit) return;
    const head = Math.min(HEAD * unit, length / 2);
    const [dx, dy] = [((x1 - x) / length) * head, ((y1 - y) / length) * head];
    context.globalAlpha = 1;
    context.lineCap = "round";
    context.lineJoin = "round";
    for (const [colour, wide] of /** @type {[Hue, number][]} */ ([
      ["panel", width + 3],
      [hue, width],
    ])) {
      context.strokeStyle = this.hue[colour];
      context.lineWidth = wide * unit;
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(x1, y1);
      context.moveTo(x1 - dx - 0.6 * dy, y1 - dy + 0.6 * dx);
      context.lineTo(x1, y1);
      context.lineTo(x1 - dx + 0.6 * dy, y1 - dy - 0.6 * dx);
      context.stroke();
    }
  }

  /**
   * A density of x along the lower side, or of y along the right one, and the same as it was counted.
   * @param {Float64Array} exact
   * @param {Float64Array | null} bars
   * @param {0 | 1} axis
   */
  margin(exact, bars, axis) {
    const { context, unit } = this;
    const size = this.canvas.width;
    const cell = size / exact.length;
    const most = Math.max(...exact, ...(bars ?? []));
    const high = (/** @type {number} */ p) => (0.14 * size * p) / most;
    context.globalAlpha = 0.55;
    context.fillStyle = this.hue.xt;
    bars?.forEach((p, i) => {
      const from = i * cell + unit / 2;
      if (axis === 0) context.fillRect(from, size - high(p), cell - unit, high(p));
      else context.fillRect(size - high(p), size - from - cell + unit, high(p), cell - unit);
    });
    context.globalAlpha = 1;
    context.strokeStyle = this.hue.pred;
    context.lineWidth = 2 * unit;
    context.beginPath();
    exact.forEach((p, i) => {
      const along = (i + 0.5) * cell;
      if (axis === 0) context.lineTo(along, size - high(p));
      else context.lineTo(size - high(p), size - along);
    });
    context.stroke();
  }

  /**
   * Points that weigh in, each as large as its share.
   * @param {Points} points
   * @param {Float64Array} shares
   * @param {number} most of them
   */
  weights(points, shares, most) {
    const order = [...shares.keys()].sort((i, j) => shares[j] - shares[i]).slice(0, most);
    for (const i of order) {
      const radius = 15 * Math.sqrt(shares[i]);
      if (radius < 1) break;
      this.dots(points.subarray(2 * i, 2 * i + 2), "x0", radius, 0.5);
    }
  }
}

/** @param {string} colour #rrggbb */
export const rgb = (colour) => [1, 3, 5].map((i) => Number.parseInt(colour.slice(i, i + 2), 16));
