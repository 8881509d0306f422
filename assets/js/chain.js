// The chain, walked here one step after another with noise of its own in each, and set against the closed form.

import { savers } from "./drawing.js";
import { histogram } from "./histogram.js";
import { numberFromLink, putInLink } from "./link.js";
import { BINS, LEVEL, SPAN } from "./noising.js";
import { button, digits, el, fixed, oneAtATime, shown, store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

const SLICE = 9; // ms of walking a frame: the page stays at hand
const LIVE = 100; // ms between two checks on the way
const KEPT = 40; // states of the chain that are kept, to go back without walking from x_0
const FEW = 10; // bins in which fewer values are expected say little: their number is far from normal
const EDGES = Array.from({ length: BINS + 1 }, (_, i) => -SPAN + (i * 2 * SPAN) / BINS);

/** Independent N(0, 1), the same for the same seed and step: Marsaglia's polar method, on the generator sfc32. */
function fillNormal(out, seed, step) {
  let a = seed | 0,
    b = step | 0,
    c = 0x9e3779b9 | 0,
    d = 1;
  const uniform = () => {
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum / 2 ** 31;
  };
  for (let i = 0; i < 16; i++) uniform();
  for (let i = 0; i < out.length; i += 2) {
    let u, v, q;
    do {
      u = uniform();
      v = uniform();
      q = u * u + v * v;
    } while (q >= 1 || q === 0);
    const m = Math.sqrt((-2 * Math.log(q)) / q);
    out[i] = u * m;
    out[i + 1] = v * m; // beyond the end of an odd length this goes nowhere
  }
}

/** x_0, x_1, x_2 ... of one chain; x holds x_t, in grey levels about mid-grey. */
class Walk {
  constructor(x0, beta, seed) {
    Object.assign(this, { beta, seed, t: 0, x: x0.slice(), z: new Float32Array(x0.length) });
    this.every = Math.ceil((beta.length - 1) / KEPT);
    this.kept = [x0];
  }

  /** Go to step t, or as far as the clock lets it. */
  towards(t, deadline) {
    const near = Math.min(this.kept.length - 1, Math.floor(t / this.every)) * this.every;
    if (t < this.t || near > this.t) {
      this.x.set(this.kept[near / this.every]);
      this.t = near;
    }
    while (this.t < t && performance.now() < deadline) this.step();
  }

  /** x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) z_t. */
  step() {
    const { x, z } = this,
      t = ++this.t;
    fillNormal(z, this.seed, t);
    const keep = Math.sqrt(1 - this.beta[t]),
      add = Math.sqrt(this.beta[t]) * LEVEL;
    for (let i = 0; i < x.length; i++) x[i] = keep * x[i] + add * z[i];
    if (t === this.kept.length * this.every) this.kept.push(x.slice());
  }
}

/** Mean, variance and the share in each bin of values in grey levels, as values in [-1, 1]. */
function count(x) {
  const share = new Float64Array(BINS),
    scale = BINS / (2 * SPAN) / LEVEL;
  let sum = 0,
    squares = 0;
  for (let i = 0; i < x.length; i++) {
    sum += x[i];
    squares += x[i] * x[i];
    const bin = Math.floor(x[i] * scale + BINS / 2);
    if (bin >= 0 && bin < BINS) share[bin]++;
  }
  for (let i = 0; i < BINS; i++) share[i] /= x.length;
  const mean = sum / x.length;
  return { mean: mean / LEVEL, variance: (squares / x.length - mean * mean) / LEVEL ** 2, share };
}

/** How many decimals show two digits of an error. */
const decimals = (error) => (error > 0 ? Math.min(8, Math.max(2, 1 - Math.floor(Math.log10(error)))) : 4);

/** The panel; player: that of the page's t. */
export function chain(server, player) {
  const step = tex(
    el("div", { class: "lab-equation" }),
    "q(\\xt\\mid\\xs)=\\mathcal N\\big(\\sqrt{1-\\beta_t}\\,\\xs,\\ \\beta_t\\mathbf I\\big)=\\mathcal N\\big(\\num{keep}\\,\\xs,\\ \\num{beta}\\,\\mathbf I\\big)",
  );
  const closed = tex(
    el("div", { class: "lab-equation" }),
    "q(\\xt\\mid\\xo)=\\mathcal N\\big(\\sqrt{\\ab_t}\\,\\xo,\\ (1-\\ab_t)\\,\\mathbf I\\big)=\\mathcal N\\big(\\num{a}\\,\\xo,\\ \\num{bb}\\,\\mathbf I\\big)",
  );
  const mean = tex(
    el("div", { class: "lab-equation" }),
    "\\text{mean}=\\sqrt{\\ab_t}\\,\\overline{\\xo}=\\num{a}\\cdot(\\num{m})=\\num{mean}\\ \\pm\\ \\sqrt{\\dfrac{1-\\ab_t}{N}}=\\num{error}",
  );
  const variance = tex(
    el("div", { class: "lab-equation" }),
    "\\text{variance}=\\ab_t\\operatorname{var}(\\xo)+1-\\ab_t=\\num{ab}\\cdot\\num{v}+\\num{bb}=\\num{variance}\\ \\pm\\ \\sqrt{\\dfrac{4\\ab_t(1-\\ab_t)\\operatorname{var}(\\xo)+2(1-\\ab_t)^2}{N}}=\\num{error}",
  );
  const canvas = el("canvas", { role: "img", "aria-label": "x_t after t steps of the chain", width: 256, height: 256 });
  const caption = el("figcaption", {});
  const bins = histogram("histogram of the chain's x_t against q(x_t | x_0)", { differences: true });
  bins.svg.id = "lab-chain-drawing";
  const table = el("tbody", {});
  const status = el("p", { class: "lab-note", role: "status" });
  const root = el(
    "details",
    { class: "lab-details", id: "lab-chain" },
    el("summary", {}, "The chain, step by step"),
    el(
      "p",
      { class: "lab-note" },
      "The picture above jumps from x₀ to xₜ at once. Here each of the t steps is taken, with noise of its own, and what it leads to is set against what the closed form says of so many pixels (Ho et al. 2020, eq. 2 and 4).",
    ),
    step,
    closed,
    el(
      "div",
      { class: "lab-bar" },
      button("Walk from x₀", "all steps, one after another", play, "walk"),
      button("One step on", "the next step of the chain", () => player.user(store.t + 1), "step"),
      button("Other noise", "another walk, with other noise in every step", otherNoise, "walk-seed"),
      el("span", { class: "lab-choice-label" }, "drawing"),
      ...savers(bins.svg, () => `chain-t${store.t}`),
      status,
    ),
    el(
      "div",
      { class: "lab-row lab-chain-row" },
      el("figure", { class: "lab-figure lab-figure-xt" }, canvas, caption),
      el(
        "figure",
        { class: "lab-figure lab-histogram" },
        bins.svg,
        el(
          "figcaption",
          {},
          "bars: the chain; line: closed form; below: what lies between, in standard errors, ±2 dashed",
        ),
      ),
      el(
        "div",
        { class: "lab-scroll" },
        el(
          "table",
          { class: "lab-table" },
          el(
            "thead",
            {},
            el("tr", {}, ...["", "chain", "closed form", "apart, s.e."].map((text) => el("th", {}, text))),
          ),
          table,
        ),
      ),
    ),
    mean,
    variance,
  );

  let seed = Math.trunc(numberFromLink("walk") ?? 0),
    walk = null,
    frame = 0,
    checked = 0,
    counts = null;

  function play() {
    player.user(0);
    player.play();
  }
  const begin = () => {
    walk = null;
    go();
  };
  const go = () => {
    if (root.open && visible() && store.schedule && store.picture) frame ||= requestAnimationFrame(chase);
  };
  function otherNoise() {
    putInLink({ walk: ++seed });
    begin();
  }

  /** Some steps towards the t of the page, as many as a frame has room for. */
  function chase() {
    frame = 0;
    if (!walk) {
      walk = new Walk(store.picture.noising.x0, store.schedule.columns.beta, seed);
      counts = store.picture.noising.levels();
    }
    walk.towards(store.t, performance.now() + SLICE);
    store.picture.noising.with(walk.x).paint(canvas, 1, 0);
    caption.textContent = `the chain after ${walk.t} step${walk.t === 1 ? "" : "s"}`;
    const now = performance.now(),
      there = walk.t === store.t;
    if (!there) go();
    if (there || now - checked > LIVE) {
      checked = now;
      check();
    }
  }

  const check = oneAtATime(async () => {
    if (!walk) return;
    const mine = walk,
      { t } = mine,
      { alpha_bar } = store.schedule.columns,
      found = count(mine.x);
    let expected;
    try {
      expected = await server.expect({ counts, alpha_bar_t: alpha_bar[t], edges: EDGES });
    } catch {
      status.textContent = "The server did not answer; move t to try again.";
      return;
    }
    if (walk === mine) show(t, alpha_bar[t], found, expected); // else another picture or schedule has come meanwhile
  });

  function show(t, alpha_bar_t, found, expected) {
    const N = counts.reduce((sum, n) => sum + n, 0);
    const apart = expected.share.map((share, i) =>
      share * N >= FEW && expected.share_error[i] > 0 ? (found.share[i] - share) / expected.share_error[i] : null,
    );
    const judged = apart.filter((z) => z != null),
      within = judged.filter((z) => Math.abs(z) <= 2).length;
    bins.compare(found.share, expected.share, apart);
    const row = (name, chain, value, error) => {
      const n = decimals(error);
      return [
        name,
        fixed(chain, n),
        `${fixed(value, n)} ± ${fixed(error, n)}`,
        error ? fixed((chain - value) / error, 1) : "exactly",
      ];
    };
    let binned = [`${within} of ${judged.length}`, "95 %", `${((100 * within) / judged.length).toFixed(0)} %`];
    if (!judged.length) binned = ["–", "–", expected.mean_error ? "too few values" : "exactly"];
    const rows = [
      row("mean", found.mean, expected.mean, expected.mean_error),
      row("variance", found.variance, expected.variance, expected.variance_error),
      ["bins in ±2 s.e.", ...binned],
    ];
    table.replaceChildren(...rows.map((cells) => el("tr", {}, ...cells.map((text) => el("td", {}, text)))));
    status.textContent = `N = ${N.toLocaleString("en")} values${t === store.t ? "" : "; walking …"}`;
    const a = Math.sqrt(alpha_bar_t),
      bb = 1 - alpha_bar_t;
    const { m, v } = moments(counts);
    fill(closed, { a: digits(a, 4), bb: digits(bb, 4) });
    fill(mean, {
      a: digits(a, 4),
      m: fixed(m, 4),
      mean: fixed(expected.mean, 4),
      error: digits(expected.mean_error, 2),
    });
    fill(variance, {
      ab: digits(alpha_bar_t, 4),
      v: fixed(v, 4),
      bb: digits(bb, 4),
      variance: fixed(expected.variance, 4),
      error: digits(expected.variance_error, 2),
    });
    const { beta } = store.schedule.columns;
    fill(step, t ? { keep: digits(Math.sqrt(1 - beta[t]), 4), beta: digits(beta[t], 4) } : { keep: "–", beta: "–" });
    root.dataset.t = t;
  }

  /** Mean and variance of x_0 in [-1, 1] from how many values have each grey level. */
  function moments(all) {
    const level = (k) => k / LEVEL - 1;
    const N = all.reduce((sum, n) => sum + n, 0);
    const m = all.reduce((sum, n, k) => sum + n * level(k), 0) / N;
    return { m, v: all.reduce((sum, n, k) => sum + n * (level(k) - m) ** 2, 0) / N };
  }

  subscribe((changes) => {
    if (changes.has("picture") || changes.has("schedule")) begin();
    else if (changes.has("t")) go();
  });
  const visible = shown(root, go); // changes its size when it is opened
  return root;
}
