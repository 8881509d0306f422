// Axes that stand still while curves move, and lines as paths: numbers only.

const SPARE = 0.5; // of its length that an axis gets where a drag goes beyond its end

/** @typedef {[from: number, to: number]} Range */
/** @typedef {"unit" | "decades" | "fives" | "zero"} RangeKind */

/**
 * The range of an axis in steps so coarse that a drag seldom leaves it: the axis stands still while curves move.
 * @param {RangeKind} kind
 * @param {Iterable<number | null>} values
 * @returns {Range}
 */
export function coarse(kind, values) {
  if (kind === "unit") return [0, 1.02];
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v == null) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  if (low > high) return [0, 1]; // nothing to show yet
  if (kind === "decades") return [Math.floor(Math.log10(low) - 0.05), Math.ceil(Math.log10(high) + 0.05)];
  if (kind === "fives") return [5 * Math.floor(low / 5 - 0.05), 5 * Math.ceil(high / 5 + 0.05)];
  const size = 10 ** Math.floor(Math.log10(high));
  return [0, size * ([1.05, 1.5, 2.1, 3.1, 5.2, 7.6].find((step) => high <= step * size * 0.98) ?? 10.5)];
}

/**
 * A range in place of one that was: the same as long as it is fit, so that an axis stands still for most of a drag.
 * @param {Range} wanted
 * @param {Range} was
 * @returns {Range}
 */
export function steady(wanted, was) {
  const [low, high] = wanted.toSorted((a, b) => a - b);
  const [from, to] = was.toSorted((a, b) => a - b);
  if (low >= from && high <= to) return 2 * (high - low) >= to - from ? was : wanted;
  const spare = SPARE * (high - low);
  const least = low < from ? low - spare : low;
  const most = high > to ? high + spare : high;
  return wanted[0] > wanted[1] ? [most, least] : [least, most];
}

/**
 * @param {unknown[]} a
 * @param {unknown[]} b
 */
export const same = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);

/**
 * The path through points, broken where one has no place.
 * @param {(number | null)[]} xs
 * @param {(number | null)[]} ys
 * @param {(x: number) => number} toX
 * @param {(y: number) => number} toY
 */
export function pathThrough(xs, ys, toX, toY) {
  let path = "";
  let pen = "M";
  for (let i = 0; i < xs.length; i++) {
    const x = xs[i];
    const y = ys[i];
    if (x == null || y == null) {
      pen = "M";
      continue;
    }
    path += `${pen}${toX(x).toFixed(1)},${toY(y).toFixed(1)}`;
    pen = "L";
  }
  return path;
}

/**
 * A column over another at x, straight between the points that there are, which are sorted; NaN where there is none.
 * @param {number[]} xs
 * @param {(number | null)[] | undefined} ys
 * @param {number} x
 */
export function interpolate(xs, ys, x) {
  if (!ys) return Number.NaN;
  let low = 0;
  let high = xs.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle;
    else high = middle;
  }
  const from = ys[low];
  const to = ys[high];
  if (x >= xs[high]) return to ?? Number.NaN;
  if (from == null || to == null) return Number.NaN;
  return from + ((to - from) * (x - xs[low])) / (xs[high] - xs[low]);
}
