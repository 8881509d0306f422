// Frames of a trajectory as they come from Python: bytes of x_t, the predicted x_0, eps and z, drawn as a grid or one sample.

import { contextOf } from "./canvas.js";

const GREY = 128;

/** @typedef {[samples: number, height: number, width: number, channels: number]} Shape */

/**
 * A run's file: a line of JSON, {shape: [B, H, W, C], planes}, then the bytes of every frame.
 * @param {ArrayBuffer} buffer
 * @param {number} gap
 */
export function open(buffer, gap) {
  const bytes = new Uint8Array(buffer);
  const line = bytes.indexOf(10);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, line)));
  return new Frames(bytes.subarray(line + 1), head.shape, head.planes, gap);
}

export class Frames {
  /**
   * @param {Uint8Array} bytes
   * @param {Shape} shape
   * @param {number} planes
   * @param {number} gap pixels between the samples of a grid
   */
  constructor(bytes, shape, planes, gap) {
    const [samples, height, width, channels] = shape;
    this.samples = samples;
    this.height = height;
    this.width = width;
    this.channels = channels;
    this.bytes = bytes;
    this.planes = planes;
    this.gap = gap;
    this.columns = Math.ceil(Math.sqrt(this.samples));
    this.rows = Math.ceil(this.samples / this.columns);
    this.sample = this.height * this.width * this.channels;
    this.count = bytes.length / (planes * this.samples * this.sample);
  }

  /** Width over height of the whole grid. */
  get aspect() {
    return (this.columns * (this.width + this.gap) - this.gap) / (this.rows * (this.height + this.gap) - this.gap);
  }

  /**
   * The sample at a point of the grid, both coordinates from 0 to 1; null if there is none.
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const column = Math.floor((x * (this.columns * (this.width + this.gap) - this.gap)) / (this.width + this.gap));
    const row = Math.floor((y * (this.rows * (this.height + this.gap) - this.gap)) / (this.height + this.gap));
    const k = row * this.columns + column;
    return column < this.columns && k < this.samples ? k : null;
  }

  /**
   * Where in the bytes a plane of a sample of frame i begins.
   * @param {number} i
   * @param {number} plane
   * @param {number} k
   */
  start(i, plane, k) {
    return ((i * this.planes + plane) * this.samples + k) * this.sample;
  }

  /**
   * Draw a plane of frame i: the whole grid, or one sample alone. A plane that there is not is grey.
   * @param {HTMLCanvasElement} canvas
   * @param {number} i
   * @param {number} plane
   * @param {number | null} only
   */
  paint(canvas, i, plane, only = null) {
    const { width: w, height: h, gap } = this;
    const columns = only == null ? this.columns : 1;
    const rows = only == null ? this.rows : 1;
    const W = columns * (w + gap) - gap;
    const H = rows * (h + gap) - gap;
    if (canvas.width !== W || canvas.height !== H) {
      canvas.width = W;
      canvas.height = H;
    }
    const image = new ImageData(W, H);
    new Uint32Array(image.data.buffer).fill(0xff000000 | (GREY * 0x010101));
    if (plane < this.planes) {
      for (let k = 0; k < (only == null ? this.samples : 1); k++) {
        const from = this.start(i, plane, only ?? k);
        this.put(image.data, W, (k % columns) * (w + gap), Math.floor(k / columns) * (h + gap), from);
      }
    }
    contextOf(canvas).putImageData(image, 0, 0);
  }

  /**
   * Write one sample as RGBA into an image that is W wide.
   * @param {Uint8ClampedArray} rgba
   * @param {number} W
   * @param {number} left
   * @param {number} top
   * @param {number} start
   */
  put(rgba, W, left, top, start) {
    const { bytes, channels } = this;
    const green = channels === 3 ? 1 : 0;
    const blue = channels === 3 ? 2 : 0;
    let from = start;
    for (let y = 0; y < this.height; y++) {
      let to = 4 * ((top + y) * W + left);
      for (let x = 0; x < this.width; x++, to += 4, from += channels) {
        rgba[to] = bytes[from];
        rgba[to + 1] = bytes[from + green];
        rgba[to + 2] = bytes[from + blue];
      }
    }
  }
}

/**
 * Frames that came as text.
 * @param {string} base64
 * @param {Shape} shape
 * @param {number} planes
 * @param {number} gap
 */
export const decode = (base64, shape, planes, gap) =>
  new Frames(
    Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)),
    shape,
    planes,
    gap,
  );
