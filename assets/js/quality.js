// How good drawn images are by sampler and calls of the network, as it was measured: numbers and words only.

import { interpolate } from "./axes.js";
import { digits, fixed } from "./numbers.js";

/**
 * What was measured of a network, see ui/enough.py: columns "calls_ddim", "accuracy_ddim", "frechet_ddim" and so on, and
 * the calls of each sampler in 1, 2, ... steps.
 * @typedef {{columns: Record<string, number[]>, calls: Record<string, number[]>, note: string, command: string}} Quality
 */
/** @typedef {{network: string, sampler: string, steps: number | null}} ChosenRun what the controls say */
/** @typedef {{network: string, images: number, ms_a_call: number}} Timed what a call takes here, for so many images */
/** @typedef {{calls: number, accuracy: number, frechet: number, measured: boolean}} Place */

const REFERENCE = "ddim"; // that other samplers are compared with
const NEAR = 1.1; // times its smallest distance: as good as that, for a few hundred images

/**
 * The calls that a sampler makes in so many steps; null beyond those that were measured.
 * @param {Quality} quality
 * @param {string} sampler
 * @param {number | null} steps
 */
export const callsOf = ({ calls }, sampler, steps) => calls[sampler]?.[(steps ?? 0) - 1] ?? null;

/**
 * A line's value at so many calls: it is straight over the logarithm of the calls, and where it is of distances in their
 * logarithm too. Null beyond its ends.
 * @param {number[]} known calls
 * @param {number[]} values
 * @param {number | null} calls
 * @param {boolean} distances
 */
export function valueAt(known, values, calls, distances) {
  if (calls == null || !values.length || calls < known[0] || calls > known[values.length - 1]) return null;
  const logs = known.slice(0, values.length).map(Math.log);
  const found = interpolate(logs, distances ? values.map(Math.log) : values, Math.log(calls));
  return distances ? Math.exp(found) : found;
}

/**
 * Where a sampler lies at so many calls: on its line. Null beyond what was measured.
 * @param {Quality} quality
 * @param {string} sampler
 * @param {number | null} calls
 * @returns {Place | null}
 */
export function placeAt({ columns }, sampler, calls) {
  const known = columns[`calls_${sampler}`] ?? [];
  const accuracy = valueAt(known, columns[`accuracy_${sampler}`] ?? [], calls, false);
  const frechet = valueAt(known, columns[`frechet_${sampler}`] ?? [], calls, true);
  if (calls == null || accuracy == null || frechet == null) return null;
  return { calls, accuracy, frechet, measured: known.includes(calls) };
}

/**
 * The fewest calls from which on a sampler stays near to its smallest distance; null where nothing was measured.
 * @param {Quality} quality
 * @param {string} sampler
 */
export function enoughCalls({ columns }, sampler) {
  const distances = columns[`frechet_${sampler}`] ?? [];
  const most = NEAR * Math.min(...distances);
  const last = distances.findLastIndex((distance) => distance > most);
  return columns[`calls_${sampler}`]?.[last + 1] ?? null;
}

const many = (/** @type {number} */ n, /** @type {string} */ word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const percent = (/** @type {number} */ share) => `${fixed(share, 1)} %`;
const three = (/** @type {number} */ distance) => distance.toPrecision(3);
const both = (/** @type {{accuracy: number, frechet: number}} */ { accuracy, frechet }) =>
  `${percent(accuracy)} and ${three(frechet)}`;

/**
 * The same of held-out images, with how far sets of them spread.
 * @param {Quality["columns"]} columns
 */
function real({ accuracy_real, frechet_real, frechet_high }) {
  const spread = frechet_high[0] - frechet_real[0];
  const beside = spread > 0 ? ` ± ${spread.toPrecision(2)}` : "";
  return both({ accuracy: accuracy_real[0], frechet: frechet_real[0] }) + beside;
}

/**
 * What the controls' choice gives, in sentences: the first of what is chosen, the others of what more would bring.
 * @param {Quality} quality
 * @param {ChosenRun} chosen
 * @param {Record<string, string>} titles of the samplers
 * @returns {string[]}
 */
export function sentences(quality, { sampler, steps }, titles) {
  const title = titles[sampler] ?? sampler;
  if (steps == null || !Number.isInteger(steps) || steps < 1) return ["Steps must be a whole number."];
  const known = quality.columns[`calls_${sampler}`] ?? [];
  const most = known[known.length - 1];
  if (!known.length) return [`${title} was not measured.`];
  const place = placeAt(quality, sampler, callsOf(quality, sampler, steps));
  if (!place) return [`${title} in ${many(steps, "step")} lies beyond the ${many(most, "call")} that were measured.`];
  const { columns } = quality;
  const about = place.measured ? "" : "about ";
  const said = [
    `${title}, ${many(steps, "step")} = ${many(place.calls, "call")}: class found in ${about}` +
      `${percent(place.accuracy)}, Fréchet distance ${about}${three(place.frechet)}.`,
    `Real images held out: ${real(columns)}.`,
  ];
  const end = placeAt(quality, sampler, most);
  const enough = enoughCalls(quality, sampler);
  const reference = columns[`calls_${REFERENCE}`] ?? [];
  const other = sampler === REFERENCE ? null : placeAt(quality, REFERENCE, reference[reference.length - 1] ?? null);
  const parts = [
    end && place.calls < end.calls ? `with ${end.calls} calls it would be ${both(end)}` : "",
    other ? `${titles[REFERENCE]} with ${other.calls} has ${both(other)}` : "",
  ].filter(Boolean);
  if (parts.length) said.push(`${parts.join("; ").replace(/^w/, "W")}.`);
  if (enough === most) said.push(`Up to ${many(most, "call")} ${title} still comes nearer.`);
  else if (enough)
    said.push(`From ${many(enough, "call")} on, ${title} stays within a tenth of its smallest distance.`);
  return said;
}

const seconds = (/** @type {number} */ ms) => digits(ms / 1000, 2);

/**
 * What so many calls take here.
 * @param {number} calls
 * @param {Timed} timed
 */
export const timeSentence = (calls, { images, ms_a_call }) =>
  `Here that is about ${seconds(calls * ms_a_call)} s for ${many(images, "image")}.`;

/**
 * The ticks of the axis of calls, with the seconds that so many calls take below, once that is known.
 * @param {number[]} calls
 * @param {number | null} ms of a call
 */
export const ticks = (calls, ms) =>
  calls.map((n) => (ms == null ? String(n) : `${n}<br><span style="font-size:10px">${seconds(n * ms)}</span>`));
