// Points that are drawn by hand: a square of cells, inked or not, and points put where there is ink. So a drawing is as
// small as its square, whatever the number of points, and fits into a link.

import { evenNumbers } from "./walk.js";

export const CELLS = 96; // across
export const SKETCHED = 1.2; // the square is -SKETCHED ... SKETCHED
const UNDONE = 50; // drawings that are kept to go back to

/** @typedef {Uint8Array} Ink 1 where it is, a row from the top after another */

const toUrl = (/** @type {string} */ text) => text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const fromUrl = (/** @type {string} */ text) => text.replaceAll("-", "+").replaceAll("_", "/");

/**
 * Ink as text for a link: a bit a cell, in base64; nothing if there is none.
 * @param {Ink} ink
 */
export function inkToText(ink) {
  if (!ink.some((on) => on)) return null;
  const bytes = new Uint8Array(Math.ceil(ink.length / 8));
  for (const [i, on] of ink.entries()) if (on) bytes[i >> 3] |= 1 << (i & 7);
  return toUrl(btoa(String.fromCharCode(...bytes)));
}

/**
 * The ink that a link holds; none of it where the text is not of that kind.
 * @param {string | null} text
 * @returns {Ink}
 */
export function inkFromText(text) {
  const ink = new Uint8Array(CELLS * CELLS);
  let bytes = "";
  try {
    bytes = atob(fromUrl(text ?? ""));
  } catch {
    return ink;
  }
  if (bytes.length !== ink.length / 8) return ink;
  for (let i = 0; i < ink.length; i++) ink[i] = (bytes.charCodeAt(i >> 3) >> (i & 7)) & 1;
  return ink;
}

/**
 * So many points, evenly in all that is inked; the same for the same ink and seed.
 * @param {Ink} ink
 * @param {number} count
 * @param {number} seed
 */
export function pointsIn(ink, count, seed) {
  const cells = [...ink.keys()].filter((i) => ink[i]);
  const next = evenNumbers(seed, 0);
  const points = new Float64Array(cells.length ? 2 * count : 0);
  const size = (2 * SKETCHED) / CELLS;
  for (let k = 0; k < points.length; k += 2) {
    const cell = cells[Math.floor(((next() + 1) / 2) * cells.length)];
    points[k] = ((cell % CELLS) + (next() + 1) / 2) * size - SKETCHED;
    points[k + 1] = SKETCHED - (Math.floor(cell / CELLS) + (next() + 1) / 2) * size;
  }
  return points;
}

/** A drawing, and how it came about. */
export class Sketch {
  /** @param {string | null} text of a link */
  constructor(text) {
    this.ink = inkFromText(text);
    /** @type {Ink[]} */
    this.before = [];
  }

  /** What follows can be undone. */
  begin() {
    this.before = [...this.before.slice(1 - UNDONE), this.ink.slice()];
  }

  undo() {
    this.ink = this.before.pop() ?? this.ink;
  }

  clear() {
    this.begin();
    this.ink = new Uint8Array(CELLS * CELLS);
  }

  /**
   * Ink, or none, in all cells whose middle is this near to a line.
   * @param {[x: number, y: number]} from
   * @param {[x: number, y: number]} to
   * @param {number} radius
   * @param {boolean} erase
   */
  stroke([x, y], to, radius, erase) {
    const size = (2 * SKETCHED) / CELLS;
    const [dx, dy] = [to[0] - x, to[1] - y];
    const long = dx * dx + dy * dy;
    for (let i = 0; i < this.ink.length; i++) {
      const cx = ((i % CELLS) + 0.5) * size - SKETCHED;
      const cy = SKETCHED - (Math.floor(i / CELLS) + 0.5) * size;
      const along = long ? Math.min(1, Math.max(0, ((cx - x) * dx + (cy - y) * dy) / long)) : 0;
      if (Math.hypot(cx - x - along * dx, cy - y - along * dy) <= radius) this.ink[i] = erase ? 0 : 1;
    }
  }
}
