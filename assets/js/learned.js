// A field that a network has learnt, as Python sends it: eps at the middles of the cells over which the exact one is drawn
// too (middle() of mixture.js), at some levels of noise.

import { decodePoints } from "./dom.js";

/**
 * levels: log-SNRs, falling. field: float32 in base64, by level, then by row from the top, column, x and y.
 * @typedef {{levels: number[], field: string}} SentField
 */

export class LearnedField {
  /** @param {SentField} sent */
  constructor({ levels, field }) {
    this.levels = levels;
    this.values = decodePoints(field);
    this.size = this.values.length / levels.length;
  }

  /**
   * The field at a log-SNR: straight between two levels, and beyond the last as there.
   * @param {number} logSnr
   */
  at(logSnr) {
    const { levels, size, values } = this;
    const next = levels.findIndex((level) => level <= logSnr);
    const [high, low] = next < 0 ? [levels.length - 1, levels.length - 1] : [Math.max(0, next - 1), next];
    const part = high === low ? 0 : (levels[high] - logSnr) / (levels[high] - levels[low]);
    const out = new Float64Array(size);
    for (let i = 0; i < size; i++) out[i] = (1 - part) * values[high * size + i] + part * values[low * size + i];
    return out;
  }
}
