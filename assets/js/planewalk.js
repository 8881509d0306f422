// What a step of the chosen sampler adds to the followed point: asked of Python, which walks it home, drawn by the plane,
// and said below it.

import { el, setData, setText, worded } from "./dom.js";
import { digits } from "./numbers.js";
import { HUES } from "./planepaint.js";
import { change, headToTail, longer, PARTS, plus, said, stepAt, summed } from "./steps.js";
import { assign, store, subscribe } from "./store.js";
import { tex } from "./tex.js";

/** @import { Hue, Painter } from "./planepaint.js" */
/** @import { Changes } from "./store.js" */
/** @import { Part, WalkedStep } from "./steps.js" */

/** @typedef {{key: string, title: string, steps: WalkedStep[]}} Walked key: of the points */
/** @typedef {{value: Walked | {error: string} | null}} WalkProps */

/** @type {Record<Part, Hue>} */
export const PART_HUES = { data: "pred", noise: "eps", fresh: "ink" };
/** @type {Record<Part, [formula: string, words: string]>} */
const WORDS = {
  data: ["\\htmlClass{ink-pred}{(\\sqrt{\\ab_s}-\\sqrt{\\ab_t})\\,\\hat x_0}", "towards the predicted data"],
  noise: [
    "\\htmlClass{ink-eps}{(\\sqrt{1-\\ab_s-\\sigma^2}-\\sqrt{1-\\ab_t})\\,\\hat\\varepsilon}",
    "along the predicted noise",
  ],
  fresh: ["\\sigma z", "fresh noise"],
};
const NO_NOISE = "fresh noise: none in this step";
const ABOUT =
  "The point begins at the end of its path in noise, and takes the steps of the sampler and denoiser that are chosen. Of DDPM, σ² in the root is β̃ whatever it adds. Samplers that look back, or ask twice, add what they found there: x̂_0′ a step before, ε̂_s at s.";
const NOBODY = "Press somewhere on the plane to follow a point.";

/** What Python is asked for: where the followed point is at T; nothing while no step is shown. */
export function place() {
  const [from] = store.followed;
  return store.stepping && from ? { x: from.x, y: from.y } : null;
}

/**
 * The arrows of the step at t, and the way that they are of.
 * @param {Painter} painter
 * @param {Walked} walked
 * @param {number} t
 */
export function paintWalk(painter, walked, t) {
  const step = stepAt(walked.steps, t);
  const last = walked.steps[walked.steps.length - 1];
  const places = [...walked.steps.map(({ x }) => x), plus(last.x, change(last))].flat();
  painter.line(places, "panel", { width: 3.5, alpha: 0.8 });
  painter.line(places, "xt", { width: 1.3, alpha: 0.9 });
  const times = longer(step);
  painter.arrow(step.x, plus(step.x, change(step), times), "xt", 2.8);
  for (const { part, from, to } of headToTail(step, times)) painter.arrow(from, to, PART_HUES[part], 2);
  painter.mark(step.x[0], step.x[1], "xt", 5);
}

class PlaneWalk {
  /**
   * @param {HTMLElement} element
   * @param {WalkProps} props
   * @param {(event: "input") => void} trigger
   */
  constructor(element, props, trigger) {
    this.props = props;
    this.trigger = trigger;
    this.title = el("h2", {});
    this.rows = Object.fromEntries(PARTS.map((part) => [part, this.buildRow(PART_HUES[part], WORDS[part][0])]));
    this.whole = this.buildRow("xt", "\\htmlClass{ink-xt}{x_s - x_t}");
    const rows = [this.whole, ...PARTS.map((part) => this.rows[part])];
    this.list = el("ul", { class: "lab-walk-rows" }, ...rows.map(({ root }) => root));
    this.note = el("p", { class: "lab-note", role: "status" });
    const about = el("p", { class: "lab-note" }, ...worded(ABOUT));
    this.root = el(
      "section",
      { class: "lab-planewalk", hidden: true, "data-state": "empty" },
      this.title,
      this.list,
      this.note,
      about,
    );
    element.replaceChildren(this.root);
    subscribe((changes) => this.follow(changes));
    this.follow(new Set(["stepping"]));
  }

  /**
   * @param {Hue} hue
   * @param {string} formula
   */
  buildRow(hue, formula) {
    const words = el("small", {});
    const value = el("b", {});
    const mark = el("i", { style: `background: var(${HUES[hue]})`, "aria-hidden": "true" });
    return { root: el("li", {}, mark, tex(el("span", {}), formula), value, words), words, value };
  }

  /** @param {Changes} changes */
  follow(changes) {
    const has = (/** @type {string[]} */ ...names) => names.some((name) => changes.has(name));
    if (has("stepping")) this.root.hidden = !store.stepping;
    if (!store.stepping) return;
    if (has("stepping", "schedule", "plane", "followed")) {
      if (place()) this.trigger("input");
      else assign({ walked: null });
    }
    if (has("stepping", "t", "walked", "plane")) this.say();
  }

  say() {
    const { walked, plane, t } = store;
    const there = walked && walked.key === plane?.key ? walked : null;
    this.list.hidden = !there;
    setText(this.title, there ? `One step: ${there.title}` : "One step");
    setData(this.root, { state: there ? "ready" : "empty" });
    if (!there) {
      const { value } = this.props;
      setText(this.note, value && "error" in value ? value.error : place() ? "…" : NOBODY);
      return;
    }
    const step = stepAt(there.steps, t);
    this.fill(this.whole, `from t = ${step.t} to s = ${step.s}`, said(change(step)));
    for (const part of PARTS) {
      const value = step[part];
      const words = value ? `${WORDS[part][1]}, ${summed(step, part)}` : NO_NOISE;
      this.fill(this.rows[part], words, value ? said(value) : "–");
    }
    const times = longer(step);
    setText(
      this.note,
      times > 1 ? `The arrows are drawn ${digits(times)} times as long.` : "The arrows are true to scale.",
    );
    setData(this.root, { t: step.t, s: step.s, times });
  }

  /**
   * @param {{words: HTMLElement, value: HTMLElement}} row
   * @param {string} words
   * @param {string} value
   */
  fill(row, words, value) {
    row.words.replaceChildren(...worded(words).filter((part) => part !== ""));
    setText(row.value, value);
  }

  sync() {
    const { value } = this.props;
    if (!value) return;
    assign({ walked: "error" in value ? null : value });
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<WalkProps>} view
 */
export function mount(element, { props, watch, trigger }) {
  const walk = new PlaneWalk(element, props, trigger);
  watch("value", () => walk.sync());
}
