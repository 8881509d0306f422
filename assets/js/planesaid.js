// What is said beside the plane: the formula with its numbers, and of the point that is looked at what made it.

import { constants } from "./constants.js";
import { el, setText, worded } from "./dom.js";
import { holders, posteriorAt } from "./mixture.js";
import { digits, fixed } from "./numbers.js";
import { HUES, hueOf } from "./planepaint.js";
import { store, subscribe } from "./store.js";
import { fill, tex } from "./tex.js";

/** @import { Changes } from "./store.js" */

const FORMULA =
  "p_t(\\xt) = \\tfrac1N\\textstyle\\sum_i \\mathcal N\\big(\\xt;\\, \\num{a}\\,\\htmlClass{ink-x0}{x_i},\\, \\num{v}\\,I\\big)";
const HINT = "Point at the plane for the best guess of where it came from. Press to follow a point, and drag it.";

const NONE = "None of these points yet.";

/** Of a point that is looked at: a name and a number. */
const ROWS = /** @type {const} */ ([
  ["xt", "x_t", "ink-xt"],
  ["mean", "E[x_0 | x_t]", "ink-pred"],
  ["eps", "ε", "ink-eps"],
  ["held", "weighs in", ""],
  ["density", "ln p_t", ""],
]);

class PlaneSaid {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.shares = new Float64Array(0);
    this.formula = tex(el("div", { class: "lab-formula" }), FORMULA);
    this.values = Object.fromEntries(ROWS.map(([name]) => [name, el("dd", {}, "–")]));
    const rows = ROWS.flatMap(([name, words, ink]) => [el("dt", { class: ink }, ...worded(words)), this.values[name]]);
    this.title = el("h2", {}, "Under the pointer");
    this.thin = el("p", { class: "lab-note" });
    this.numbers = el("p", { class: "lab-note", role: "status" });
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "drawing samples" });
    this.root = el(
      "section",
      { class: "lab-planesaid" },
      this.formula,
      this.title,
      el("dl", { class: "lab-plane-numbers" }, ...rows),
      el("p", { class: "lab-note" }, HINT),
      this.thin,
      el("h2", {}, "Samples"),
      el("div", { class: "lab-plane-drawn" }, this.numbers, this.progress),
    );
    element.replaceChildren(this.root);
    subscribe((changes) => this.follow(changes));
    this.follow(new Set(["schedule", "plane", "drawn"]));
  }

  /** @param {Changes} changes */
  follow(changes) {
    if (changes.has("plane")) this.sayPoints();
    if (changes.has("drawn")) this.sayDrawn();
    if (["schedule", "t", "plane", "hovered"].some((name) => changes.has(name))) this.say();
  }

  sayPoints() {
    const count = (store.plane?.points.length ?? 0) / 2;
    const { mixed } = constants().limits;
    const text = `Density, field and samples are of ${mixed.toLocaleString("en")} of the ${count.toLocaleString("en")} points.`;
    setText(this.thin, count > mixed ? text : "");
  }

  /** How it stands with the samples. */
  sayDrawn() {
    const { drawn } = store;
    const live = drawn?.state === "live";
    this.progress.hidden = !live;
    if (live) this.progress.value = drawn.part;
    this.numbers.setAttribute("aria-live", live ? "off" : "polite");
    const runs = drawn?.state === "done" ? drawn.runs : [];
    const far = runs.flatMap(({ title, numbers }, k) => {
      if (!numbers) return [];
      const swatch = el("i", { class: "lab-plane-swatch", style: `background: var(${HUES[hueOf(k, runs)]})` });
      const text = `${title}: kernel ${digits(numbers.kernel, 2)}, Wasserstein ${digits(numbers.wasserstein, 2)}`;
      return [el("br"), swatch, text];
    });
    this.numbers.replaceChildren(drawn ? drawn.status : NONE, ...far);
  }

  say() {
    const { schedule, plane, hovered, t } = store;
    if (!schedule || !plane) return;
    const [a, b] = [schedule.columns.signal[t], schedule.columns.noise[t]];
    fill(this.formula, { a: fixed(a, 3), v: fixed(b * b, 3) });
    setText(this.title, hovered?.pinned ? "The followed point" : "Under the pointer");
    if (!hovered || !plane.mixed.length) {
      for (const value of Object.values(this.values)) setText(value, "–");
      return;
    }
    const count = plane.mixed.length / 2;
    if (this.shares.length !== count) this.shares = new Float64Array(count);
    const { x, y, logDensity } = posteriorAt(plane.mixed, a, b * b, hovered.x, hovered.y, this.shares);
    const pair = (/** @type {number} */ u, /** @type {number} */ v) => `(${fixed(u)}, ${fixed(v)})`;
    setText(this.values.xt, pair(hovered.x, hovered.y));
    setText(this.values.mean, pair(x, y));
    setText(this.values.eps, b ? pair((hovered.x - a * x) / b, (hovered.y - a * y) / b) : "–");
    const held = holders(this.shares);
    setText(this.values.held, `${held} of ${count.toLocaleString("en")} points hold 90 %`);
    setText(this.values.density, b ? `${digits(logDensity)} nats` : "–");
  }
}

/** @param {HTMLElement} element */
export function mount(element) {
  new PlaneSaid(element);
}
