// Where a value lies along a slider.

export const POSITIONS = 1000;

/** @typedef {{minimum: number, maximum: number}} Span */
/** @typedef {{to: (value: number) => number, from: (part: number) => number}} Scale */

/**
 * From a value to its place between 0 and 1, and back. Ranges that span decades are moved along on a log scale.
 * @param {Span} span
 * @returns {Scale}
 */
export const scaleOf = ({ minimum: low, maximum: high }) =>
  low > 0 && high / low >= 100
    ? { to: (v) => Math.log(v / low) / Math.log(high / low), from: (p) => low * (high / low) ** p }
    : { to: (v) => (v - low) / (high - low), from: (p) => low + (high - low) * p };

/**
 * The value where a slider is: whole, or of three digits.
 * @param {Scale} scale
 * @param {number} position
 * @param {boolean} [whole]
 */
export function valueAt(scale, position, whole) {
  const raw = scale.from(position / POSITIONS);
  return whole ? Math.round(raw) : Number(raw.toPrecision(3));
}

/**
 * Where along its slider a value is, from 0 to 1.
 * @param {Scale} scale
 * @param {number} value
 */
export const partAt = (scale, value) => Math.min(1, Math.max(0, scale.to(value)));
