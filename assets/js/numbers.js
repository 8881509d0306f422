// Numbers for people.

/**
 * Three digits, plain where that is short.
 * @param {number} value
 */
export function digits(value, n = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const text =
    size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(n - 1) : String(Number(value.toPrecision(n)));
  return text.replace("-", "−");
}

/**
 * So many digits after the point; what rounds to zero has no sign.
 * @param {number} value
 */
export const fixed = (value, n = 2) =>
  Number.isFinite(value)
    ? value
        .toFixed(n)
        .replace(/^-(?=.*[1-9])/, "−")
        .replace("-", "")
    : digits(value);

/**
 * What a person typed as a number, with a comma or a point; NaN if it is none.
 * @param {string} text
 */
export const typedNumber = (text) => (text.trim() === "" ? Number.NaN : Number(text.replace(",", ".")));

/** How many decimals show two digits of an error. */
export const decimals = (/** @type {number} */ error) =>
  error > 0 ? Math.min(8, Math.max(2, 1 - Math.floor(Math.log10(error)))) : 4;
