// Errors as the loss tab has them: what was measured, and what a schedule makes of it. Numbers and sentences, no elements.

import { interpolate } from "./axes.js";
import { digits } from "./numbers.js";
import { stepAtSnr } from "./schedules.js";

/** @import { Curves, Schedule, Settings } from "./schedules.js" */

/** @typedef {{mean: number[]}} ErrorCurve and what else Python made of the pass: it goes back as it came */

/**
 * What was measured: the network's errors, those of exact denoisers, and of which images.
 * @typedef {object} Measured
 * @property {ErrorCurve} curve
 * @property {{known?: ErrorCurve, others?: ErrorCurve}} references
 * @property {boolean} running
 * @property {string} status
 * @property {number} part of the pass that is done
 * @property {string} about
 * @property {number} count
 * @property {number} others
 * @property {boolean | null} held_out whether the network never saw the images; null for one's own picture
 */

/** @typedef {Pick<Measured, "curve" | "references"> & {settings: Settings}} AskedLoss */

/**
 * A bound in bits/dim, part by part.
 * @typedef {object} Bound
 * @property {number} L_T
 * @property {number} L_mid
 * @property {number | null} L_0
 * @property {number | null} total
 * @property {number} constant
 * @property {number} standard_error
 * @property {number} missing
 */

/** @typedef {"beta" | "between" | "posterior"} Variance */

/**
 * What weigh() of ui/weighing.py sends: errors, weights and terms at some steps, under every weight and variance.
 * @typedef {object} Weighed
 * @property {Curves & {t: number[]}} columns
 * @property {Record<string, (number | null)[]>} measured
 * @property {Record<string, Bound>} ledger by variance
 * @property {number | null} naming
 * @property {number | null} L_simple
 * @property {Record<string, number>} weight_sum
 * @property {number} dimensions
 */

/** @typedef {{title: string, formula: string, source: string, variance: string | null}} Weighting */
/** @typedef {"error" | "weight" | "term" | "share"} Shows */

/**
 * What of the loss is shown.
 * @typedef {object} Chosen
 * @property {"curves" | "ledger" | "rate"} part
 * @property {Shows} show
 * @property {Variance} variance
 * @property {"log" | "linear"} scale
 * @property {"bits" | "nats"} unit
 * @property {Set<string>} losses
 */

const MUCH = 2; // times the least error, from which a network does not know images by heart
const ALIKE = 1.2; // times the network's error, up to which others guess alike

/**
 * A column at step t, between the steps that were sent.
 * @param {Weighed | null} weighed
 * @param {string} name
 * @param {number} t
 */
export const columnAt = (weighed, name, t) => interpolate(weighed?.columns.t ?? [], weighed?.columns[name], t);

/**
 * The step by which so many bits are spent.
 * @param {Weighed} weighed
 * @param {Variance} variance
 * @param {number} bits
 */
export function stepAtRate({ columns }, variance, bits) {
  const k = columns[`rate_${variance}`].findIndex((v) => v != null && v <= bits);
  return columns.t[k] ?? columns.t[columns.t.length - 1];
}

/**
 * Steps even in SNR from T to 1.
 * @param {Schedule} schedule
 * @param {number} count
 */
export function stepsBySnr(schedule, count) {
  const { T, columns } = schedule;
  const low = columns.snr_db[T];
  const high = columns.snr_db[1];
  return Array.from({ length: count }, (_, k) => stepAtSnr(schedule, low + (k / (count - 1)) * (high - low)) || 1);
}

const WORDS = {
  weight: "A loss is its weight times the error. On a log scale, parallel curves are the same loss.",
  term: "Weight times error. The three KL divergences are in bits/dim, t = 2 … T; the other losses have no unit, and only their shape can be compared. The band is one standard error. Grey is the exact denoiser of all images, with the variance that is chosen: the gap to it is what the network pays for having no list of them.",
};

/**
 * What to see in the curves, at this t.
 * @param {Chosen} chosen
 * @param {Weighed} weighed
 * @param {Measured} measured
 * @param {Record<string, Weighting>} weightings
 * @param {number} t
 */
export function wordsOf(chosen, weighed, measured, weightings, t) {
  if (chosen.show !== "error" && !chosen.losses.size) return "Choose a loss above.";
  if (chosen.show === "share") return halvesOf(chosen, weighed, weightings);
  if (chosen.show !== "error") return WORDS[chosen.show];
  return errorsAt(weighed, measured, t);
}

/**
 * Where half of each sum lies.
 * @param {Chosen} chosen
 * @param {Weighed} weighed
 * @param {Record<string, Weighting>} weightings
 */
function halvesOf({ losses }, { columns }, weightings) {
  const halves = Object.keys(weightings)
    .filter((name) => losses.has(name))
    .map((name) => {
      const i = columns[`share_${name}`].findIndex((v) => v != null && v >= 0.5);
      return i < 0 ? "" : `${weightings[name].title} ${columns.t[i]}`;
    });
  return `Half of the sum lies at steps up to t: ${halves.filter(Boolean).join("; ")}. The bound is paid near t = 0; what L_simple trains, further up.`;
}

/**
 * The error beside those of exact denoisers.
 * @param {Weighed} weighed
 * @param {Measured} measured
 * @param {number} t
 */
function errorsAt(weighed, { about, count, others, held_out: held, references }, t) {
  const network = columnAt(weighed, "error", t);
  const known = columnAt(weighed, "known", t);
  const other = columnAt(weighed, "others", t);
  const text = `At t = ${t} the squared error is ${digits(network)} on ${about} (bars: one standard error).`;
  if (!references.known) return text;
  const least = `The exact denoiser that knows all ${others + count} images by heart, these among them, has ${Number.isFinite(known) ? digits(known) : "next to none"}: the least that anything can have if each is as likely.`;
  if (!Number.isFinite(other)) return `${text} ${least}`;
  if (held === null) {
    return `${text} ${least} One that knows only the ${others} others has ${digits(other)}. A network takes everything for what it was trained on: the more your picture differs from that, the larger its error.`;
  }
  const better = digits(other / network, 2);
  const byHeart = network > MUCH * (known || 0) ? ", and still does not know them by heart" : "";
  const alike =
    other / network < ALIKE
      ? "Here the noise hides which image it is, and all guess alike."
      : held
        ? `The network, ${better} times better on images it never saw, has learned what images are like, and not a list of them.`
        : `The network is ${better} times better, so what it learned is not a list; it has seen these images in training${byHeart}.`;
  return `${text} ${least} One that knows only ${others} others has ${digits(other)}. ${alike}`;
}
