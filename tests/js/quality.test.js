import assert from "node:assert/strict";
import { test } from "node:test";
import { callsOf, enoughCalls, placeAt, sentences, ticks, timeSentence } from "../../assets/js/quality.js";
import { near } from "./near.js";

const TITLES = { ddim: "DDIM", heun: "Heun", unipc: "UniPC" };
const quality = {
  columns: {
    calls_real: [1, 50],
    accuracy_real: [99.5, 99.5],
    frechet_real: [0.1, 0.1],
    frechet_high: [0.1, 0.1],
    calls_ddim: [1, 4, 50],
    accuracy_ddim: [20, 80, 98],
    frechet_ddim: [10, 1.6, 0.2],
    calls_heun: [1, 4],
    accuracy_heun: [20, 90],
    frechet_heun: [10, 0.4],
    calls_unipc: [1, 4, 16, 50],
    accuracy_unipc: [20, 95, 97, 98],
    frechet_unipc: [10, 0.2, 0.21, 0.2],
  },
  calls: { ddim: [1, 2, 3, 4], heun: [1, 2, 4], unipc: Array.from({ length: 50 }, (_, i) => i + 1) },
  note: "",
  command: "",
};
const said = (/** @type {string} */ sampler, /** @type {number | null} */ steps) =>
  sentences(quality, { network: "digits", sampler, steps }, TITLES);

test("calls are those of so many steps, as far as they were measured", () => {
  assert.equal(callsOf(quality, "heun", 3), 4);
  for (const steps of [0, 4, 1.5, null]) assert.equal(callsOf(quality, "heun", steps), null);
  assert.equal(callsOf(quality, "euler", 1), null);
});

test("between measured points a line is straight over the logarithm of calls", () => {
  const place = placeAt(quality, "ddim", 2);
  near(place?.accuracy ?? 0, 50);
  near(place?.frechet ?? 0, 4); // the geometric mean of 10 and 1.6
  assert.equal(place?.measured, false);
  assert.deepEqual(placeAt(quality, "ddim", 4), { calls: 4, accuracy: 80, frechet: 1.6, measured: true });
});

test("beyond its ends a line says nothing", () => {
  assert.equal(placeAt(quality, "heun", 5), null);
  assert.equal(placeAt(quality, "heun", null), null);
  assert.equal(placeAt(quality, "euler", 1), null);
});

test("enough are the calls from which on the distance stays near its smallest", () => {
  assert.equal(enoughCalls(quality, "unipc"), 4);
  assert.equal(enoughCalls(quality, "ddim"), 50);
  assert.equal(enoughCalls(quality, "euler"), null);
});

test("the choice, real images, and what more calls bring are said in sentences", () => {
  assert.deepEqual(said("unipc", 4), [
    "UniPC, 4 steps = 4 calls: class found in 95.0 %, Fréchet distance 0.200.",
    "Real images held out: 99.5 % and 0.100.",
    "With 50 calls it would be 98.0 % and 0.200; DDIM with 50 has 98.0 % and 0.200.",
    "From 4 calls on, UniPC stays within a tenth of its smallest distance.",
  ]);
  assert.match(said("unipc", 8)[0], /^UniPC, 8 steps = 8 calls: class found in about 96.0 %, Fréchet distance about /);
  assert.match(said("heun", 1)[0], /^Heun, 1 step = 1 call: /);
  assert.deepEqual(said("ddim", 1).slice(2), [
    "With 50 calls it would be 98.0 % and 0.200.",
    "Up to 50 calls DDIM still comes nearer.",
  ]);
});

test("real images are said with the spread of their sets, where there are several", () => {
  const spread = { ...quality, columns: { ...quality.columns, frechet_high: [0.14, 0.14] } };
  const [, real] = sentences(spread, { network: "digits", sampler: "unipc", steps: 4 }, TITLES);
  assert.equal(real, "Real images held out: 99.5 % and 0.100 ± 0.040.");
});

test("what was not measured is said to be so", () => {
  assert.deepEqual(said("unipc", 1000), ["UniPC in 1000 steps lies beyond the 50 calls that were measured."]);
  assert.deepEqual(said("unipc", null), ["Steps must be a whole number."]);
  const begun = { ...quality, columns: { ...quality.columns, calls_heun: [], accuracy_heun: [], frechet_heun: [] } };
  assert.deepEqual(sentences(begun, { network: "digits", sampler: "heun", steps: 2 }, TITLES), [
    "Heun was not measured.",
  ]);
});

test("what calls take here is said once it is known", () => {
  assert.deepEqual(ticks([1, 50], null), ["1", "50"]);
  assert.deepEqual(
    ticks([1, 50], 40).map((text) => text.replace(/<[^>]*>/g, " ")),
    ["1  0.04 ", "50  2 "],
  );
  const timed = { network: "digits", images: 20, ms_a_call: 40 };
  assert.equal(timeSentence(12, timed), "Here that is about 0.48 s for 20 images.");
});
