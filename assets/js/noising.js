// A picture at any noise level, drawn here: x_t = a x_0 + b eps, from x_0 and one fixed eps that were sent once.

export const BINS = 64;
export const SPAN = 4; // the histogram runs from -4 to 4
export const LEVEL = 127.5; // grey levels that a value of 1 is: x_0 is in [-1, 1]
const EPS_UNIT = 4096; // eps is sent as int16 in steps of 1/4096

/** Draws with a fixed x_0 and eps, both as Float32 in grey levels about mid-grey, (H W C). */
export class Noising {
  constructor(width, height, channels, buffer) {
    Object.assign(this, { width, height, channels });
    const n = width * height * channels;
    const x0 = new Uint8Array(buffer, 0, n);
    const eps = new Int16Array(buffer, n + (n % 2), n);
    this.x0 = Float32Array.from(x0, (v) => v - LEVEL);
    this.eps = Float32Array.from(eps, (v) => (v / EPS_UNIT) * LEVEL);
    this.bins = new Float32Array(BINS);
    this.meanSquare = this.x0.reduce((sum, v) => sum + v * v, 0) / n / LEVEL ** 2; // of x_0 in [-1, 1]
  }

  /** The same picture with other values in place of x_0. */
  with(x0) {
    return Object.assign(Object.create(Noising.prototype), this, { x0 });
  }

  /** How many values of x_0 have each of the 256 grey levels. */
  levels() {
    const counts = new Array(256).fill(0);
    for (const v of this.x0) counts[v + LEVEL]++;
    return counts;
  }

  /** Where in x_0 and eps a channel of a pixel is. */
  at(x, y, channel) {
    return (y * this.width + x) * this.channels + channel;
  }

  /** Paint a x_0 + b eps into a canvas, 0 as mid-grey; every ``stride``-th pixel only. */
  paint(canvas, a, b, stride = 1) {
    const { x0, eps, channels } = this;
    const w = Math.ceil(this.width / stride),
      h = Math.ceil(this.height / stride);
    const { context, image } = prepare(canvas, w, h);
    const out = image.data; // clamps, and rounds to the nearest
    const green = channels === 3 ? 1 : 0,
      blue = 2 * green;
    for (let y = 0, o = 0; y < h; y++) {
      for (let x = 0, i = y * stride * this.width * channels; x < w; x++, o += 4, i += stride * channels) {
        out[o] = a * x0[i] + b * eps[i] + LEVEL;
        out[o + 1] = a * x0[i + green] + b * eps[i + green] + LEVEL;
        out[o + 2] = a * x0[i + blue] + b * eps[i + blue] + LEVEL;
      }
    }
    context.putImageData(image, 0, 0);
  }

  /** The density of the values a x_0 + b eps in each bin, from at most some 50,000 of them. */
  density(a, b) {
    const { x0, eps, bins } = this;
    const scale = BINS / (2 * SPAN) / LEVEL,
      middle = BINS / 2;
    const stride = Math.max(1, Math.floor(x0.length / 50_000) | 1);
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

/** A canvas of that size, with the pixels that are written into it. */
export function prepare(canvas, width, height) {
  if (canvas.lab?.image.width !== width || canvas.lab.image.height !== height) {
    canvas.width = width;
    canvas.height = height;
    const context = canvas.getContext("2d", { alpha: false });
    canvas.lab = { context, image: context.createImageData(width, height) };
    canvas.lab.image.data.fill(255);
  }
  return canvas.lab;
}
