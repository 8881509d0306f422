// What diffusion makes of points x_i, exactly, for any t: p_t is a mixture of Gaussians of variance v = 1 - alpha_bar_t
// about a x_i, a = sqrt(alpha_bar_t). The same as diffusion/mixture.py, found here so that it follows the hand. All of it
// lies in a square of the plane, -REACH ... REACH; a grid's rows run from the top.

export const REACH = 1.6;

const SEEN = 20; // a point counts in the density as far as its share is above exp(-SEEN) of that at its centre
const LEAST = 1e-150; // what is less counts as nothing in the field: no product of two is too small for a double
const SMALLEST = 1e-12; // of v, at t = 0

/** @typedef {Float64Array} Points x and y in turn */
/** @typedef {{signal: Float64Array, noise: Float64Array}} Levels a = signal[t], sqrt(v) = noise[t] */
/** @typedef {{t: number, x: number, y: number}} Place where a path is at t */

/**
 * The middle of cell i of so many across the square, from the left; from the top it is less this.
 * @param {number} i
 * @param {number} side
 */
export const middle = (i, side) => -REACH + ((i + 0.5) * 2 * REACH) / side;

/**
 * How many cells across are enough for a density of this variance, to which a third of its deviation is fine.
 * @param {number} v
 */
export const cellsFor = (v) => (v < 0.1 ** 2 ? 96 : v < 0.3 ** 2 ? 48 : 32);

/**
 * Which of so many are used: at most so many, the same that `evenly` of ui/plane.py takes.
 * @param {number} count
 * @param {number} most
 */
export function evenly(count, most) {
  return Array.from({ length: Math.min(count, most) }, (_, k) => (count <= most ? k : Math.floor((k * count) / most)));
}

/**
 * The points that are used.
 * @param {Points} points
 * @param {number} most
 * @returns {Points}
 */
export function thinned(points, most) {
  if (points.length / 2 <= most) return points;
  return Float64Array.from(evenly(points.length / 2, most).flatMap((k) => [points[2 * k], points[2 * k + 1]]));
}

/**
 * exp(-(x_i - centre)^2 / 2v) at the middles of all cells along a side, into `out`.
 * @param {Float64Array} out
 * @param {number} centre
 * @param {number} v
 */
function fall(out, centre, v) {
  for (let i = 0; i < out.length; i++) {
    const d = middle(i, out.length) - centre;
    const w = Math.exp((-d * d) / (2 * v));
    out[i] = w > LEAST ? w : 0;
  }
}

/**
 * p_t at the middles of side x side cells, seen no finer than they are: with a deviation of half a cell more, so that
 * nothing falls between two of them when there is little noise.
 *
 *   p_t(x) = 1/N sum_i exp(-(x - a x_i)^2 / 2v) exp(-(y - a y_i)^2 / 2v) / (2 pi v)
 * @param {Points} points
 * @param {number} a
 * @param {number} noiseVariance
 * @param {number} side
 */
export function density(points, a, noiseVariance, side) {
  const cell = (2 * REACH) / side;
  const v = noiseVariance + cell ** 2 / 4;
  const far = Math.sqrt(2 * v * SEEN);
  const out = new Float64Array(side * side);
  const across = new Float64Array(side);
  for (let k = 0; k < points.length; k += 2) {
    const x = a * points[k];
    const y = -a * points[k + 1]; // rows run from the top
    const left = Math.max(0, Math.ceil((x - far + REACH) / cell - 0.5));
    const right = Math.min(side, Math.floor((x + far + REACH) / cell + 0.5));
    const top = Math.max(0, Math.ceil((y - far + REACH) / cell - 0.5));
    const bottom = Math.min(side, Math.floor((y + far + REACH) / cell + 0.5));
    for (let i = left; i < right; i++) across[i] = Math.exp(-((middle(i, side) - x) ** 2) / (2 * v));
    for (let j = top; j < bottom; j++) {
      const w = Math.exp(-((middle(j, side) - y) ** 2) / (2 * v));
      const row = j * side;
      for (let i = left; i < right; i++) out[row + i] += w * across[i];
    }
  }
  const scale = 1 / ((points.length / 2) * 2 * Math.PI * v);
  for (let i = 0; i < out.length; i++) out[i] *= scale;
  return out;
}

/**
 * The density of x or y alone, at the middles of cells across the square, from -REACH on; seen no finer than they are.
 * @param {Points} points
 * @param {number} a
 * @param {number} noiseVariance
 * @param {0 | 1} axis
 * @param {number} side
 */
export function marginal(points, a, noiseVariance, axis, side) {
  const v = noiseVariance + REACH ** 2 / side ** 2;
  const out = new Float64Array(side);
  for (let k = axis; k < points.length; k += 2) {
    for (let i = 0; i < side; i++) out[i] += Math.exp(-((middle(i, side) - a * points[k]) ** 2) / (2 * v));
  }
  const scale = 1 / ((points.length / 2) * Math.sqrt(2 * Math.PI * v));
  return out.map((p) => p * scale);
}

/**
 * The density of places along an axis, in the same cells.
 * @param {ArrayLike<number>} places x and y in turn
 * @param {0 | 1} axis
 * @param {number} side
 */
export function counted(places, axis, side) {
  const out = new Float64Array(side);
  for (let k = axis; k < places.length; k += 2) {
    const i = Math.floor(((places[k] + REACH) / (2 * REACH)) * side);
    if (i >= 0 && i < side) out[i]++;
  }
  const scale = side / (2 * REACH) / (places.length / 2);
  return out.map((n) => n * scale);
}

/**
 * How likely each point made x_t, and what follows from it: softmax of -|x_t - a x_i|^2 / 2v.
 * @param {Points} points
 * @param {number} a
 * @param {number} noiseVariance
 * @param {number} x
 * @param {number} y
 * @param {Float64Array} [shares] gets the share of each point
 */
export function posteriorAt(points, a, noiseVariance, x, y, shares) {
  const v = Math.max(noiseVariance, SMALLEST);
  const count = points.length / 2;
  let nearest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) {
    const d = (x - a * points[2 * i]) ** 2 + (y - a * points[2 * i + 1]) ** 2;
    if (d < nearest) nearest = d;
  }
  let total = 0;
  let sumX = 0;
  let sumY = 0;
  for (let i = 0; i < count; i++) {
    const d = (x - a * points[2 * i]) ** 2 + (y - a * points[2 * i + 1]) ** 2;
    const w = Math.exp((nearest - d) / (2 * v));
    if (shares) shares[i] = w;
    total += w;
    sumX += w * points[2 * i];
    sumY += w * points[2 * i + 1];
  }
  if (shares) for (let i = 0; i < count; i++) shares[i] /= total;
  return {
    x: sumX / total,
    y: sumY / total,
    logDensity: Math.log(total / count) - nearest / (2 * v) - Math.log(2 * Math.PI * v),
  };
}

/**
 * E[x_0 | x_t] at the middles of side x side cells, x and y in turn. By two tables a point and their products; where so
 * little is left of all of them that they say nothing, one by one.
 * @param {Points} points
 * @param {number} a
 * @param {number} noiseVariance
 * @param {number} side
 */
export function meansOnGrid(points, a, noiseVariance, side) {
  const v = Math.max(noiseVariance, SMALLEST);
  const total = new Float64Array(side * side);
  const out = new Float64Array(2 * side * side);
  const across = new Float64Array(side);
  const down = new Float64Array(side);
  for (let k = 0; k < points.length; k += 2) {
    const x = points[k];
    const y = points[k + 1];
    fall(across, a * x, v);
    fall(down, -a * y, v);
    for (let j = 0; j < side; j++) {
      if (!down[j]) continue;
      for (let i = 0, at = j * side; i < side; i++, at++) {
        const w = across[i] * down[j];
        total[at] += w;
        out[2 * at] += w * x;
        out[2 * at + 1] += w * y;
      }
    }
  }
  for (let at = 0; at < total.length; at++) {
    if (total[at] > LEAST) {
      out[2 * at] /= total[at];
      out[2 * at + 1] /= total[at];
    } else {
      const mean = posteriorAt(points, a, v, middle(at % side, side), -middle(Math.floor(at / side), side));
      out[2 * at] = mean.x;
      out[2 * at + 1] = mean.y;
    }
  }
  return out;
}

/**
 * eps at the middles of side x side cells, x and y in turn: (x_t - a E[x_0 | x_t]) / sqrt(v), and the score is that over
 * -sqrt(v) (Song et al. 2021, arXiv 2011.13456).
 * @param {Points} points
 * @param {number} a
 * @param {number} b
 * @param {number} side
 */
export function epsOnGrid(points, a, b, side) {
  const out = meansOnGrid(points, a, b * b, side);
  for (let at = 0; at < side * side; at++) {
    out[2 * at] = (middle(at % side, side) - a * out[2 * at]) / b;
    out[2 * at + 1] = (-middle(Math.floor(at / side), side) - a * out[2 * at + 1]) / b;
  }
  return out;
}

/**
 * About so many steps from 1 to T, even in the angle whose cosine is a: each turns x_0 into noise by as much.
 * @param {Levels} levels
 * @param {number} count
 */
export function evenSteps({ signal, noise }, count) {
  const T = signal.length - 1;
  const angle = (/** @type {number} */ t) => Math.atan2(noise[t], signal[t]);
  const steps = [1];
  const turn = (angle(T) - angle(1)) / count;
  for (let t = 2; t < T; t++) if (angle(t) - angle(steps[steps.length - 1]) >= turn) steps.push(t);
  if (T > 1) steps.push(T);
  return steps;
}

/**
 * The path of the probability-flow ODE through x_t at t, from T down to 0, by steps of DDIM either way (Song et al. 2021,
 * arXiv 2010.02502, eq. 12 and 13): x_s = a_s E[x_0 | x_t] + sqrt(v_s) eps.
 * @param {Points} points
 * @param {Levels} levels
 * @param {Place} from
 * @param {number} [count] of steps
 * @returns {Place[]}
 */
export function flow(points, levels, from, count = 120) {
  const { signal, noise } = levels;
  const steps = evenSteps(levels, count);
  const start = Math.max(1, from.t);
  const step = (/** @type {Place} */ { t, x, y }, /** @type {number} */ s) => {
    const mean = posteriorAt(points, signal[t], noise[t] ** 2, x, y);
    const next = (/** @type {number} */ at, /** @type {number} */ m) =>
      signal[s] * m + (noise[s] / noise[t]) * (at - signal[t] * m);
    return { t: s, x: next(x, mean.x), y: next(y, mean.y) };
  };
  const walk = (/** @type {number[]} */ through) => {
    const path = [];
    let at = { ...from, t: start };
    for (const s of through) {
      at = step(at, s);
      path.push(at);
    }
    return path;
  };
  const up = walk(steps.filter((t) => t > start)).reverse();
  const down = walk([...steps.filter((t) => t < start).reverse(), 0]);
  return [...up, { ...from, t: start }, ...down];
}

/**
 * Where a path is at t: between two of its places along the arc on which x_0 and eps stay as they are, exactly as a step
 * of DDIM would go on.
 * @param {Place[]} path with t falling
 * @param {Levels} levels
 * @param {number} t
 * @returns {Place}
 */
export function placeOn(path, { signal, noise }, t) {
  const k = path.findIndex((place) => place.t <= t);
  if (k <= 0) return { ...path[k ? path.length - 1 : 0], t };
  const [above, below] = [path[k - 1], path[k]];
  const angle = (/** @type {number} */ s) => Math.atan2(noise[s], signal[s]);
  const [first, second] = between(angle(above.t), angle(below.t), angle(t));
  return { t, x: first * above.x + second * below.x, y: first * above.y + second * below.y };
}

/**
 * How much of x at an angle, and of x at a smaller one, x at an angle between them is made of, where x = cos x_0 + sin eps
 * at all three.
 * @param {number} high
 * @param {number} low
 * @param {number} at
 * @returns {[number, number]}
 */
export function between(high, low, at) {
  const whole = Math.sin(high - low);
  if (whole < 1e-9) return at - low < high - at ? [0, 1] : [1, 0];
  return [Math.sin(at - low) / whole, Math.sin(high - at) / whole];
}

/**
 * How many points hold 90 % of the weight.
 * @param {Float64Array} shares
 */
export function holders(shares) {
  const sorted = Float64Array.from(shares).sort().reverse();
  let held = 0;
  let count = 0;
  while (held < 0.9 && count < sorted.length) held += sorted[count++];
  return count;
}
