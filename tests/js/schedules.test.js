import assert from "node:assert/strict";
import { test } from "node:test";
import { decibelOf, logSnrOf, stepAtSnr, unpack } from "../../assets/js/schedules.js";
import { base64, near, part } from "./near.js";

const T = 1000;
const alpha_bar = new Float64Array(T + 1).fill(1);
for (let t = 1; t <= T; t++) alpha_bar[t] = alpha_bar[t - 1] * (1 - (1e-4 + ((0.02 - 1e-4) * (t - 1)) / (T - 1)));
const snr_db = alpha_bar.map((ab) => 10 * Math.log10(ab / (1 - ab)));

test("columns come as float64, to the last bit", () => {
  const { columns, T: steps } = unpack(part({ T, columns: { alpha_bar: base64(alpha_bar) } }));
  assert.equal(steps, T);
  assert.deepEqual(columns.alpha_bar, alpha_bar);
});

test("the step of an SNR is the nearest one", () => {
  const schedule = part({ T, columns: { snr_db } });
  for (const db of [-35, -3.2, 0, 7.77, 30]) {
    const found = stepAtSnr(schedule, db);
    const apart = [...snr_db].map((v) => Math.abs(v - db));
    assert.equal(apart[found], Math.min(...apart));
  }
  assert.ok([259, 260].includes(stepAtSnr(schedule, 0))); // where Ho et al.'s schedule has as much signal as noise
});

test("beyond its ends a schedule has its last step", () => {
  assert.equal(stepAtSnr({ T, columns: { snr_db } }, -1000), T);
});

test("decibel and log SNR are the same ratio", () => {
  near(logSnrOf(10), Math.log(10));
  near(decibelOf(Math.log(2)), 10 * Math.log10(2));
});
