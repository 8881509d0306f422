import assert from "node:assert/strict";
import { test } from "node:test";
import { Sight } from "../../assets/js/sight.js";
import { base64, near } from "./near.js";

const UNIT = 4096;
const LEVELS = [6, 2, -2, -6]; // log SNR
const X0 = [0, 255, 100, 30];
const EPS = [0.5, -1, 0.25, 1.5];
const unit = X0.map((v) => v / 127.5 - 1);
const ab = (/** @type {number} */ logSnr) => 1 / (1 + Math.exp(-logSnr));

/**
 * What Python sends of a network that finds `found(i)`: v = sqrt(ab) eps - sqrt(1 - ab) x_0.
 * @param {(i: number) => number} found
 */
function predictions(found) {
  const words = [...EPS];
  for (const level of LEVELS) {
    const [a, b] = [Math.sqrt(ab(level)), Math.sqrt(1 - ab(level))];
    EPS.forEach((eps, i) => {
      const x_t = a * unit[i] + b * eps;
      const guess = (x_t - b * found(i)) / a;
      words.push(a * found(i) - b * guess);
    });
  }
  const shorts = Int16Array.from(words, (v) => Math.round(v * UNIT));
  const data = new Uint8Array([...X0, ...new Uint8Array(shorts.buffer)]);
  return { width: 2, height: 2, channels: 1, log_snr: LEVELS, unit: UNIT, data: base64(data) };
}

test("a network that finds the noise leaves no error, and guesses x_0", () => {
  const sight = new Sight(predictions((i) => EPS[i]));
  for (const level of LEVELS) {
    const { xt, found, off, guess, error } = sight.at(level);
    EPS.forEach((eps, i) => {
      near(xt[i], Math.sqrt(ab(level)) * unit[i] + Math.sqrt(1 - ab(level)) * eps, 1e-3);
      near(found[i], eps, 1e-3);
      near(off[i], 0, 1e-3);
      near(guess[i], unit[i], 1e-3);
    });
    near(error, 0, 1e-6);
  }
});

test("the error is the mean square of what is missed", () => {
  const sight = new Sight(predictions((i) => EPS[i] + [0.1, -0.2, 0, 0.4][i]));
  near(sight.at(2).error, (0.01 + 0.04 + 0.16) / 4, 1e-3);
});

test("between two levels v is a mean of theirs", () => {
  const sight = new Sight(predictions((i) => EPS[i] / 2));
  const level = 0; // halfway between 2 and -2
  const { found, xt } = sight.at(level);
  const b = Math.sqrt(1 - ab(level));
  const a = Math.sqrt(ab(level));
  const middle = (sight.v[1][0] + sight.v[2][0]) / 2 / UNIT;
  near(found[0], b * xt[0] + a * middle, 1e-5);
});

test("beyond the levels that were sent the nearest one holds", () => {
  const sight = new Sight(predictions((i) => EPS[i]));
  assert.ok(sight.at(50).guess.every(Number.isFinite));
  near(sight.at(-50).found[1], EPS[1], 1e-3);
});
