// Numbers that should be the same but for rounding.

import assert from "node:assert/strict";

export const near = (found, wanted, within = 1e-9) =>
  assert.ok(Math.abs(found - wanted) <= within, `${found} is not ${wanted} to ${within}`);

/** Bytes as they come from Python: base64. */
export const base64 = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
