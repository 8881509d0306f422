import assert from "node:assert/strict";
import { test } from "node:test";
import { isLog, setCurves } from "../../assets/js/curves.js";
import { columnAt, stepAtRate, stepsBySnr, wordsOf } from "../../assets/js/weighed.js";
import { near, part } from "./near.js";

/** @import { Chosen, Measured } from "../../assets/js/weighed.js" */

const WEIGHTINGS = part({
  simple: { title: "L_simple", variance: null },
  posterior: { title: "β̃", variance: "posterior" },
});
const weighed = () =>
  part({
    columns: {
      t: [1, 10, 100],
      u: [0.01, 0.1, 1],
      error: [0.5, 0.2, 0.1],
      known: [0.25, 0.1, 0.05],
      others: [2, 0.9, 0.3],
      term_posterior: [2, 1, 0.5],
      spread_posterior: [0.5, 0.3, null],
      known_posterior: [1, null, 0.25],
      term_simple: [0.5, 0.2, 0.1],
      share_simple: [0.2, 0.6, 1],
      share_posterior: [0.7, 0.9, 1],
      rate_posterior: [3, 2, 1],
    },
    measured: { t: [2, null], u: [0.02, null], error: [0.4, 0.3], spread: [0.01, 0.02] },
    dimensions: 100,
  });
const MEASURED = part({
  about: "16 digits",
  count: 16,
  others: 84,
  held_out: true,
  references: { known: {}, others: {} },
});
const chosen = (/** @type {Partial<Chosen>} */ more = {}) =>
  part({
    part: "curves",
    show: "error",
    variance: "posterior",
    scale: "log",
    unit: "bits",
    losses: new Set(["simple", "posterior"]),
    ...more,
  });
const trace = (/** @type {string} */ y, more = {}) => ({
  meta: { x: "t", y, ...more },
  mode: "lines",
  line: { width: 2 },
});
const figure = () =>
  part({
    data: [
      trace("error_low"),
      trace("error_high"),
      trace("known"),
      trace("error"),
      trace("term_simple", { loss: "simple" }),
      trace("term_posterior", { loss: "posterior" }),
    ],
    layout: { height: 1, meta: { loss: { axis: "yaxis", range: "decades" } }, yaxis: { title: { text: "" } } },
  });
/** @type {{axis: "t", T: number}} */
const PAGE = { axis: "t", T: 1000 };
/** @param {{data: {visible: boolean, meta: {y: string}}[]}} figure */
const shown = ({ data }) => data.filter(({ visible }) => visible).map(({ meta }) => meta.y);

test("a column between the steps that were sent", () => {
  near(columnAt(weighed(), "error", 5.5), 0.35);
  assert.ok(Number.isNaN(columnAt(weighed(), "known_posterior", 50)));
  assert.ok(Number.isNaN(columnAt(null, "error", 5)));
});

test("the step by which bits are spent is the first that has no more", () => {
  assert.equal(stepAtRate(weighed(), "posterior", 2.5), 10);
  assert.equal(stepAtRate(weighed(), "posterior", 9), 1);
  assert.equal(stepAtRate(weighed(), "posterior", 0.1), 100);
});

test("steps even in SNR run from T to 1", () => {
  const snr_db = Float64Array.from({ length: 101 }, (_, t) => (t ? 40 - 0.8 * t : Number.POSITIVE_INFINITY));
  assert.deepEqual(stepsBySnr(part({ T: 100, columns: { snr_db } }), 4), [100, 67, 34, 1]);
});

test("of the error, the network's and the references' are drawn, and no loss", () => {
  const drawing = figure();
  const drawn = setCurves(drawing, weighed(), chosen(), WEIGHTINGS, PAGE);
  assert.deepEqual(shown(drawing), ["known", "error"]);
  assert.deepEqual(drawn.measured, [0.4, null]); // what lies beyond T has no place
  assert.equal(drawing.layout.yaxis.type, "log");
});

test("terms are in the unit that is chosen, but a loss without one stays", () => {
  const drawing = figure();
  const drawn = setCurves(drawing, weighed(), chosen({ show: "term", unit: "nats" }), WEIGHTINGS, PAGE);
  const factor = 100 * Math.log(2);
  near(drawn.drawn_posterior[0], 2 * factor);
  near(drawn.drawn_simple[0], 0.5);
  near(drawn.known_posterior[0], factor);
  near(drawn.error_low[0], 1.5 * factor);
  near(drawn.error_high[1], 1.3 * factor);
  assert.equal(drawn.error_high[2], null);
  assert.deepEqual(shown(drawing), ["error_low", "error_high", "known_posterior", "drawn_simple", "drawn_posterior"]);
  assert.equal(drawing.layout.yaxis.title.text, "L<sub>t−1</sub>, nats an image");
});

test("a band goes with the loss of the variance that is chosen", () => {
  const drawing = figure();
  setCurves(drawing, weighed(), chosen({ show: "term", losses: new Set(["simple"]) }), WEIGHTINGS, PAGE);
  assert.deepEqual(shown(drawing), ["drawn_simple"]);
});

test("shares are never on a log scale, and the figure can be set anew", () => {
  const drawing = figure();
  setCurves(drawing, weighed(), chosen({ show: "share" }), WEIGHTINGS, PAGE);
  assert.equal(drawing.layout.meta.loss.range, "unit");
  assert.ok(!isLog(chosen({ show: "share" })));
  setCurves(drawing, weighed(), chosen(), WEIGHTINGS, { axis: "t", T: 10 });
  assert.deepEqual(shown(drawing), ["known", "error"]);
  assert.equal(drawing.data[3].mode, "lines+markers"); // few steps: a line shows its points
});

test("what is said of the error names the step, the images and the references", () => {
  const words = wordsOf(chosen(), weighed(), MEASURED, WEIGHTINGS, 10);
  assert.match(words, /^At t = 10 the squared error is 0\.2 on 16 digits/);
  assert.match(words, /knows all 100 images by heart, these among them, has 0\.1:/);
  assert.match(words, /only 84 others has 0\.9\. The network, 4\.5 times better on images it never saw/);
});

test("what is said depends on whether the network knew the images", () => {
  const say = (/** @type {Partial<Measured>} */ more, t = 10) =>
    wordsOf(chosen(), weighed(), { ...MEASURED, ...more }, WEIGHTINGS, t);
  assert.match(say({ held_out: false }), /it has seen these images in training\.$/);
  assert.match(say({ held_out: null }), /the more your picture differs from that/);
  assert.doesNotMatch(say({ references: {} }), /exact denoiser/);
});

test("where half of a sum lies is said of the losses that are drawn", () => {
  const words = wordsOf(chosen({ show: "share" }), weighed(), MEASURED, WEIGHTINGS, 10);
  assert.match(words, /up to t: L_simple 10; β̃ 1\./);
  assert.equal(
    wordsOf(chosen({ show: "share", losses: new Set() }), weighed(), MEASURED, WEIGHTINGS, 10),
    "Choose a loss above.",
  );
});
