// Samples of the plane on their way back, as ui/plane.py writes them: where all of them were at the noise levels of the
// steps that were taken, and between two of these along the arc on which x_0 and eps stay as they are.

import { between } from "./mixture.js";

const INK = 90; // how long all drawn paths may be together, in the plane
const ARC = 0.06; // a piece of a path, in radians

/**
 * The first line of the file.
 * @typedef {object} TrailsHead
 * @property {number} count samples
 * @property {number[]} levels alpha_bar at each frame, rising from that at T to 1, or where it was stopped
 */

/**
 * A run's file: a line of JSON, then x and y of every sample of every frame, int16 in steps of 1 / unit.
 * @param {ArrayBuffer} buffer
 * @param {number} unit
 */
export function openTrails(buffer, unit) {
  const bytes = new Uint8Array(buffer);
  const line = bytes.indexOf(10);
  /** @type {TrailsHead} */
  const { count, levels } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, line)));
  const whole = new Int16Array(buffer.slice(line + 1));
  return new Trails(
    Float32Array.from(whole, (v) => v / unit),
    count,
    levels,
  );
}

export class Trails {
  /**
   * @param {Float32Array} places frame after frame
   * @param {number} count
   * @param {number[]} levels
   */
  constructor(places, count, levels) {
    this.places = places;
    this.count = count;
    this.angles = levels.map((level) => Math.acos(Math.sqrt(level)));
    this.now = new Float32Array(2 * count);
  }

  /**
   * The frames about an angle, which falls from frame to frame: the one before, and what it and the next count for.
   * @param {number} angle
   * @returns {[frame: number, before: number, after: number]}
   */
  about(angle) {
    const last = this.angles.length - 1;
    if (angle >= this.angles[0]) return [0, 1, 0];
    if (angle <= this.angles[last]) return [Math.max(0, last - 1), last ? 0 : 1, last ? 1 : 0];
    const next = this.angles.findIndex((a) => a <= angle);
    const [before, after] = between(this.angles[next - 1], this.angles[next], angle);
    return [next - 1, before, after];
  }

  /**
   * x and y of all samples at an angle, whose cosine is a; the same array every time.
   * @param {number} angle
   */
  at(angle) {
    const { places, now } = this;
    const [frame, before, after] = this.about(angle);
    const from = frame * now.length;
    for (let i = 0; i < now.length; i++)
      now[i] = before * places[from + i] + after * (places[from + now.length + i] || 0);
    return now;
  }

  /**
   * How many of the first samples' ways can be drawn and still be told apart: those with noise in them are long.
   * @param {number} most
   */
  apart(most) {
    const { places, count, angles } = this;
    let length = 0;
    for (let k = 0; k < Math.min(most, count); k++) {
      for (let frame = 1; frame < angles.length; frame++) {
        const [from, to] = [2 * ((frame - 1) * count + k), 2 * (frame * count + k)];
        length += Math.hypot(places[to] - places[from], places[to + 1] - places[from + 1]);
      }
      if (length > INK) return Math.max(1, k);
    }
    return Math.min(most, count);
  }

  /**
   * The way of a sample from one angle down to another: x and y in turn, with some places on each arc.
   * @param {number} k
   * @param {number} from
   * @param {number} to
   */
  way(k, from, to) {
    const { places, angles, count } = this;
    const way = [];
    const x = (/** @type {number} */ frame) => places[2 * (frame * count + k)];
    const y = (/** @type {number} */ frame) => places[2 * (frame * count + k) + 1];
    for (let frame = 1; frame < angles.length; frame++) {
      const [high, low] = [angles[frame - 1], angles[frame]];
      const [start, end] = [Math.min(high, from), Math.max(low, to)];
      if (start <= end) continue;
      const pieces = Math.ceil((start - end) / ARC);
      for (let i = way.length ? 1 : 0; i <= pieces; i++) {
        const [before, after] = between(high, low, start + ((end - start) * i) / pieces);
        way.push(before * x(frame - 1) + after * x(frame), before * y(frame - 1) + after * y(frame));
      }
    }
    return way;
  }
}
