// The chain, walked here one step after another with noise of its own in each, and set against the closed form.

import { button, el, setData, shown } from "./dom.js";
import { savers } from "./drawing.js";
import { histogram } from "./histogram.js";
import { fromLink, putInLink } from "./link.js";
import { decimals, digits, fixed } from "./numbers.js";
import { oneAtATime } from "./scheduling.js";
import { store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";
import { EDGES, moments, statistics, Walk } from "./walk.js";

/** @import { Player } from "./player.js" */
/** @import { Columns } from "./schedules.js" */
/** @import { Changes } from "./store.js" */
/** @import { Statistics } from "./walk.js" */

const SLICE = 9; // ms of walking a frame: the page stays at hand
const LIVE = 100; // ms between two checks on the way
const FEW = 10; // bins in which fewer values are expected say little: their number is far from normal

/**
 * What the closed form says of so many pixels, and the standard error of each.
 * @typedef {object} Expected
 * @property {number} mean
 * @property {number} mean_error
 * @property {number} variance
 * @property {number} variance_error
 * @property {number[]} share in each bin
 * @property {number[]} share_error
 */

/**
 * @typedef {object} ChainServer
 * @property {(asked: {counts: number[], alpha_bar_t: number, edges: number[]}) => Promise<Expected>} expected_distribution
 */

const FORMULAS = {
  step: "q(\\xt\\mid\\xs)=\\mathcal N\\big(\\sqrt{1-\\beta_t}\\,\\xs,\\ \\beta_t\\mathbf I\\big)=\\mathcal N\\big(\\num{keep}\\,\\xs,\\ \\num{beta}\\,\\mathbf I\\big)",
  closed:
    "q(\\xt\\mid\\xo)=\\mathcal N\\big(\\sqrt{\\ab_t}\\,\\xo,\\ (1-\\ab_t)\\,\\mathbf I\\big)=\\mathcal N\\big(\\num{a}\\,\\xo,\\ \\num{bb}\\,\\mathbf I\\big)",
  mean: "\\text{mean}=\\sqrt{\\ab_t}\\,\\overline{\\xo}=\\num{a}\\cdot(\\num{m})=\\num{mean}\\ \\pm\\ \\sqrt{\\dfrac{1-\\ab_t}{N}}=\\num{error}",
  variance:
    "\\text{variance}=\\ab_t\\operatorname{var}(\\xo)+1-\\ab_t=\\num{ab}\\cdot\\num{v}+\\num{bb}=\\num{variance}\\ \\pm\\ \\sqrt{\\dfrac{4\\ab_t(1-\\ab_t)\\operatorname{var}(\\xo)+2(1-\\ab_t)^2}{N}}=\\num{error}",
};
const NOTE =
  "The picture above jumps from x₀ to xₜ at once. Here each of the t steps is taken, with noise of its own, and what it leads to is set against what the closed form says of so many pixels (Ho et al. 2020, eq. 2 and 4).";
const LEGEND = "bars: the chain; line: closed form; below: what lies between, in standard errors, ±2 dashed";

const equation = (/** @type {string} */ source) => tex(el("div", { class: "lab-equation" }), source);

class Chain {
  /**
   * @param {ChainServer} server
   * @param {Player} player that of the page's t
   */
  constructor(server, player) {
    this.server = server;
    this.player = player;
    this.seed = fromLink("walk");
    /** @type {Walk | null} */
    this.walk = null;
    this.frame = 0;
    this.checked = 0;
    /** @type {number[]} */
    this.counts = []; // of the values of x_0 by grey level
    this.formulas = {
      step: equation(FORMULAS.step),
      closed: equation(FORMULAS.closed),
      mean: equation(FORMULAS.mean),
      variance: equation(FORMULAS.variance),
    };
    const label = "x_t after t steps of the chain";
    this.canvas = el("canvas", { role: "img", "aria-label": label, width: 256, height: 256 });
    this.caption = el("figcaption", {});
    this.bins = histogram("histogram of the chain's x_t against q(x_t | x_0)", { differences: true });
    this.bins.svg.id = "lab-chain-drawing";
    this.table = el("tbody", {});
    this.status = el("p", { class: "lab-note", role: "status" });
    this.root = el(
      "details",
      { class: "lab-details", id: "lab-chain" },
      el("summary", {}, "The chain, step by step"),
      el("p", { class: "lab-note" }, NOTE),
      this.formulas.step,
      this.formulas.closed,
      this.bar(),
      this.row(),
      this.formulas.mean,
      this.formulas.variance,
    );
    this.check = oneAtATime(() => this.compare());
    subscribe((changes) => this.follow(changes));
    this.visible = shown(this.root, () => this.go()); // changes its size when it is opened
  }

  bar() {
    const play = () => {
      this.player.user(0);
      this.player.play();
    };
    const otherNoise = () => {
      putInLink({ walk: ++this.seed });
      this.begin();
    };
    return el(
      "div",
      { class: "lab-bar" },
      button("Walk from x₀", "all steps, one after another", play, "walk"),
      button("One step on", "the next step of the chain", () => this.player.user(store.t + 1), "step"),
      button("Other noise", "another walk, with other noise in every step", otherNoise, "walk-seed"),
      el("span", { class: "lab-choice-label" }, "drawing"),
      ...savers(this.bins.svg, () => `chain-t${store.t}`),
      this.status,
    );
  }

  row() {
    const heads = ["", "chain", "closed form", "apart, s.e."].map((text) => el("th", {}, text));
    const table = el("table", { class: "lab-table" }, el("thead", {}, el("tr", {}, ...heads)), this.table);
    return el(
      "div",
      { class: "lab-row lab-chain-row" },
      el("figure", { class: "lab-figure lab-figure-xt" }, this.canvas, this.caption),
      el("figure", { class: "lab-figure lab-histogram" }, this.bins.svg, el("figcaption", {}, LEGEND)),
      el("div", { class: "lab-scroll" }, table),
    );
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (changes.has("picture") || changes.has("schedule")) this.begin();
    else if (changes.has("t")) this.go();
  }

  begin() {
    this.walk = null;
    this.go();
  }

  go() {
    if (!this.root.open || !this.visible() || !store.schedule || !store.picture) return;
    this.frame ||= requestAnimationFrame(() => this.chase());
  }

  /** Some steps towards the t of the page, as many as a frame has room for. */
  chase() {
    this.frame = 0;
    if (!store.schedule || !store.picture) return;
    const { noising } = store.picture;
    if (!this.walk) {
      this.walk = new Walk(noising.x0, store.schedule.columns.beta, this.seed);
      this.counts = noising.levels();
    }
    const { walk } = this;
    walk.towards(store.t, performance.now() + SLICE);
    noising.with(walk.x).paint(this.canvas, 1, 0);
    this.caption.textContent = `the chain after ${walk.t} step${walk.t === 1 ? "" : "s"}`;
    const now = performance.now();
    const there = walk.t === store.t;
    if (!there) this.go();
    if (there || now - this.checked > LIVE) {
      this.checked = now;
      this.check();
    }
  }

  /** Ask what the closed form says of where the walk is. */
  async compare() {
    if (!this.walk || !store.schedule) return;
    const { walk, counts } = this;
    const { t } = walk;
    const { columns } = store.schedule;
    const found = statistics(walk.x);
    let expected;
    try {
      expected = await this.server.expected_distribution({ counts, alpha_bar_t: columns.alpha_bar[t], edges: EDGES });
    } catch {
      this.status.textContent = "The server did not answer; move t to try again.";
      return;
    }
    if (walk === this.walk) this.show(t, columns, found, expected); // else another picture or schedule has come meanwhile
  }

  /**
   * @param {number} t
   * @param {Columns} columns
   * @param {Statistics} found
   * @param {Expected} expected
   */
  show(t, columns, found, expected) {
    const N = this.counts.reduce((sum, n) => sum + n, 0);
    const apart = expected.share.map((share, i) =>
      share * N >= FEW && expected.share_error[i] > 0 ? (found.share[i] - share) / expected.share_error[i] : null,
    );
    this.bins.compare(found.share, expected.share, apart);
    const rows = [
      measured("mean", found.mean, expected.mean, expected.mean_error),
      measured("variance", found.variance, expected.variance, expected.variance_error),
      ["bins in ±2 s.e.", ...judged(apart, expected)],
    ];
    this.table.replaceChildren(...rows.map((cells) => el("tr", {}, ...cells.map((text) => el("td", {}, text)))));
    this.status.textContent = `N = ${N.toLocaleString("en")} values${t === store.t ? "" : "; walking …"}`;
    this.fillFormulas(t, columns, expected);
    setData(this.root, { t });
  }

  /**
   * @param {number} t
   * @param {Columns} columns
   * @param {Expected} expected
   */
  fillFormulas(t, { beta, alpha_bar }, { mean, mean_error, variance, variance_error }) {
    const a = digits(Math.sqrt(alpha_bar[t]), 4);
    const bb = digits(1 - alpha_bar[t], 4);
    const ab = digits(alpha_bar[t], 4);
    const x_0 = moments(this.counts);
    const { formulas } = this;
    fill(formulas.closed, { a, bb });
    fill(formulas.mean, { a, m: fixed(x_0.mean, 4), mean: fixed(mean, 4), error: digits(mean_error, 2) });
    const v = fixed(x_0.variance, 4);
    fill(formulas.variance, { ab, v, bb, variance: fixed(variance, 4), error: digits(variance_error, 2) });
    const keep = t ? digits(Math.sqrt(1 - beta[t]), 4) : "–";
    fill(formulas.step, { keep, beta: t ? digits(beta[t], 4) : "–" });
  }
}

/**
 * A row of the table: what the chain has, what the closed form says, and by how many standard errors they differ.
 * @param {string} name
 * @param {number} chain
 * @param {number} value
 * @param {number} error
 */
function measured(name, chain, value, error) {
  const n = decimals(error);
  const apart = error ? fixed((chain - value) / error, 1) : "exactly";
  return [name, fixed(chain, n), `${fixed(value, n)} ± ${fixed(error, n)}`, apart];
}

/**
 * How many bins lie within two standard errors.
 * @param {(number | null)[]} apart
 * @param {Expected} expected
 */
function judged(apart, expected) {
  const known = apart.filter((z) => z != null);
  if (!known.length) return ["–", "–", expected.mean_error ? "too few values" : "exactly"];
  const within = known.filter((z) => Math.abs(z) <= 2).length;
  return [`${within} of ${known.length}`, "95 %", `${((100 * within) / known.length).toFixed(0)} %`];
}

/**
 * The panel; player: that of the page's t.
 * @param {ChainServer} server
 * @param {Player} player
 */
export const chain = (server, player) => new Chain(server, player).root;
