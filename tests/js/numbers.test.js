import assert from "node:assert/strict";
import { test } from "node:test";
import { decimals, digits, fixed, typedNumber } from "../../assets/js/numbers.js";

test("three digits, plain where that is short", () => {
  /** @type {[value: number, text: string][]} */
  const texts = [
    [0, "0"],
    [1, "1"],
    [0.12345, "0.123"],
    [1234.5, "1230"],
    [-2.5, "−2.5"],
    [0.00012345, "1.23e−4"],
    [123456, "1.23e+5"],
  ];
  for (const [value, text] of texts) assert.equal(digits(value), text);
  assert.equal(digits(0.078587, 4), "0.07859");
  assert.equal(digits(4.0358e-5, 2), "4.0e−5");
});

test("what is no finite number has its sign", () => {
  assert.equal(digits(Number.NaN), "–");
  assert.equal(digits(Number.POSITIVE_INFINITY), "∞");
  assert.equal(digits(Number.NEGATIVE_INFINITY), "−∞");
  assert.equal(fixed(Number.NEGATIVE_INFINITY), "−∞");
});

test("so many digits after the point, with a minus that is one", () => {
  assert.equal(fixed(1.005, 1), "1.0");
  assert.equal(fixed(-1.25, 2), "−1.25");
  assert.equal(fixed(3, 0), "3");
});

test("what rounds to zero has no sign", () => {
  assert.equal(fixed(-0.001, 2), "0.00");
  assert.equal(fixed(-0.006, 2), "−0.01");
  assert.equal(fixed(-0, 1), "0.0");
});

test("a number can be typed with a comma; nothing, or words, are none", () => {
  assert.equal(typedNumber(" 0,02 "), 0.02);
  assert.equal(typedNumber("1e-4"), 1e-4);
  assert.ok(Number.isNaN(typedNumber("  ")));
  assert.ok(Number.isNaN(typedNumber("three")));
  assert.ok(Number.isNaN(typedNumber("1,2,3")));
});

test("decimals show two digits of an error", () => {
  assert.equal(decimals(0.0123), 3);
  assert.equal(decimals(0.00056), 5);
  assert.equal(decimals(0.9), 2);
  assert.equal(decimals(1e-12), 8);
  assert.equal(decimals(0), 4);
});
