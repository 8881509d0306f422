// One image with one noise as a network sees it, at any noise level.

import { prepare } from "./canvas.js";
import { LEVEL } from "./noising.js";

/**
 * What predictions_by_level() of ui/seen.py sends. data: x_0 as uint8, eps and then v at every level as int16 in steps
 * of 1 / unit.
 * @typedef {{width: number, height: number, channels: number, log_snr: number[], unit: number, data: string}} Predictions
 */

/**
 * The network's answer at levels even in log SNR, from which any step follows. It answers with
 * v = sqrt(ab) eps - sqrt(1 - ab) x_0, which changes slowly enough with the level to be interpolated, and keeps its
 * digits at both ends.
 */
export class Sight {
  /** @param {Predictions} predictions */
  constructor({ width, height, channels, log_snr, unit, data }) {
    this.width = width;
    this.height = height;
    this.channels = channels;
    this.levels = log_snr;
    this.unit = unit;
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const n = width * height * channels;
    this.x0 = Float32Array.from(bytes.subarray(0, n), (v) => v / LEVEL - 1);
    const words = new Int16Array(bytes.buffer.slice(n));
    this.eps = Float32Array.from(words.subarray(0, n), (v) => v / unit);
    this.v = log_snr.map((_, k) => words.subarray(n * (k + 1), n * (k + 2)));
  }

  /**
   * {xt, found, off, guess, error} at a level: x_t, eps_theta, eps_theta - eps, the predicted x_0, |off|^2 / D.
   * @param {number} logSnr
   */
  at(logSnr) {
    const { x0, eps, v, unit, levels } = this;
    const last = levels.length - 1;
    const a = Math.sqrt(1 / (1 + Math.exp(-logSnr)));
    const b = Math.sqrt(1 / (1 + Math.exp(logSnr)));
    const place = Math.min(last, Math.max(0, (last * (levels[0] - logSnr)) / (levels[0] - levels[last])));
    const k = Math.min(last - 1, Math.floor(place));
    const part = place - k;
    const low = v[k];
    const high = v[k + 1];
    const [xt, found, off, guess] = Array.from({ length: 4 }, () => new Float32Array(x0.length));
    let sum = 0;
    for (let i = 0; i < x0.length; i++) {
      const predicted = ((1 - part) * low[i] + part * high[i]) / unit;
      xt[i] = a * x0[i] + b * eps[i];
      found[i] = b * xt[i] + a * predicted;
      guess[i] = a * xt[i] - b * predicted;
      off[i] = found[i] - eps[i];
      sum += off[i] * off[i];
    }
    return { xt, found, off, guess, error: sum / x0.length };
  }

  /**
   * Paint values, 0 as mid-grey and 1 / gain as white.
   * @param {HTMLCanvasElement} canvas
   * @param {Float32Array} values
   */
  paint(canvas, values, gain = 1) {
    const { context, image } = prepare(canvas, this.width, this.height);
    const out = image.data;
    const c = this.channels;
    const green = c === 3 ? 1 : 0;
    const blue = 2 * green;
    for (let i = 0, o = 0; i < values.length; i += c, o += 4) {
      out[o] = LEVEL * (gain * values[i] + 1);
      out[o + 1] = LEVEL * (gain * values[i + green] + 1);
      out[o + 2] = LEVEL * (gain * values[i + blue] + 1);
    }
    context.putImageData(image, 0, 0);
  }
}
