// A picture at any noise level, drawn here: x_t = a x_0 + b eps, from x_0 and one fixed eps that were sent once.

import { prepare } from "./canvas.js";

export const BINS = 64;
export const SPAN = 4; // the histogram runs from -4 to 4
export const LEVEL = 127.5; // grey levels that a value of 1 is: x_0 is in [-1, 1]
const COUNTED = 50_000; // values, about, from which a histogram is made while a hand drags

/** Draws with a fixed x_0 and eps, both as Float32 in grey levels about mid-grey, (H W C). */
export class Noising {
  /**
   * @param {number} width
   * @param {number} height
   * @param {number} channels
   * @param {ArrayBuffer} buffer x_0 as uint8, a byte of nothing where that is odd, eps as int16
   * @param {number} unit eps is in steps of one over it
   */
  constructor(width, height, channels, buffer, unit) {
    const n = width * height * channels;
    const x0 = new Uint8Array(buffer, 0, n);
    const eps = new Int16Array(buffer, n + (n % 2), n);
    this.width = width;
    this.height = height;
    this.channels = channels;
    this.x0 = Float32Array.from(x0, (v) => v - LEVEL);
    this.eps = Float32Array.from(eps, (v) => (v / unit) * LEVEL);
    this.bins = new Float32Array(BINS);
    this.meanSquare = this.x0.reduce((sum, v) => sum + v * v, 0) / n / LEVEL ** 2; // of x_0 in [-1, 1]
  }

  /**
   * The same picture with other values in place of x_0.
   * @param {Float32Array} x0
   * @returns {Noising}
   */
  with(x0) {
    return Object.assign(Object.create(Noising.prototype), this, { x0 });
  }

  /** How many values of x_0 have each of the 256 grey levels. */
  levels() {
    /** @type {number[]} */
    const counts = new Array(256).fill(0);
    for (const v of this.x0) counts[v + LEVEL]++;
    return counts;
  }

  /**
   * Where in x_0 and eps a channel of a pixel is.
   * @param {number} x
   * @param {number} y
   * @param {number} channel
   */
  at(x, y, channel) {
    return (y * this.width + x) * this.channels + channel;
  }

  /**
   * Write a x_0 + b eps as RGBA, 0 as mid-grey; every `stride`-th pixel only.
   * @param {Uint8ClampedArray} out clamps, and rounds to the nearest
   * @param {number} a
   * @param {number} b
   */
  write(out, a, b, stride = 1) {
    const { x0, eps, channels } = this;
    const w = Math.ceil(this.width / stride);
    const h = Math.ceil(this.height / stride);
    const green = channels === 3 ? 1 : 0;
    const blue = 2 * green;
    for (let y = 0, o = 0; y < h; y++) {
      for (let x = 0, i = y * stride * this.width * channels; x < w; x++, o += 4, i += stride * channels) {
        out[o] = a * x0[i] + b * eps[i] + LEVEL;
        out[o + 1] = a * x0[i + green] + b * eps[i + green] + LEVEL;
        out[o + 2] = a * x0[i + blue] + b * eps[i + blue] + LEVEL;
      }
    }
  }

  /**
   * Paint a x_0 + b eps into a canvas; see write.
   * @param {HTMLCanvasElement} canvas
   * @param {number} a
   * @param {number} b
   */
  paint(canvas, a, b, stride = 1) {
    const { context, image } = prepare(canvas, Math.ceil(this.width / stride), Math.ceil(this.height / stride));
    this.write(image.data, a, b, stride);
    context.putImageData(image, 0, 0);
  }

  /**
   * The density of the values a x_0 + b eps in each bin, from at most some 50,000 of them.
   * @param {number} a
   * @param {number} b
   */
  density(a, b) {
    const { x0, eps, bins } = this;
    const scale = BINS / (2 * SPAN) / LEVEL;
    const middle = BINS / 2;
    const stride = Math.max(1, Math.floor(x0.length / COUNTED) | 1);
    bins.fill(0);
    let count = 0;
    for (let i = 0; i < x0.length; i += stride, count++) {
      const bin = Math.floor((a * x0[i] + b * eps[i]) * scale + middle);
      if (bin >= 0 && bin < BINS) bins[bin]++;
    }
    for (let i = 0; i < BINS; i++) bins[i] *= BINS / (2 * SPAN) / count;
    return bins;
  }
}
