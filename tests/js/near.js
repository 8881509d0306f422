// What several tests need: numbers that should be the same but for rounding, and payloads as Python sends them.

import assert from "node:assert/strict";

/**
 * @param {number | null} found
 * @param {number} wanted
 * @param {number} within
 */
export const near = (found, wanted, within = 1e-9) =>
  assert.ok(found !== null && Math.abs(found - wanted) <= within, `${found} is not ${wanted} to ${within}`);

/**
 * Bytes as they come from Python: base64.
 * @param {ArrayBufferView} array
 */
export const base64 = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");

/**
 * As much of a payload, or of something of the page, as is looked at.
 * @param {unknown} value
 * @returns {any}
 */
export const part = (value) => value;
