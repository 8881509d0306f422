// The points of a drawn curve, to be dragged in the panels of alpha-bar and log SNR.

import { constants } from "./constants.js";
import { el, setAttributes } from "./dom.js";
import { addPoint, fromShown, movePoint, removePoint, toShown } from "./points.js";
import { edit, store } from "./store.js";

/** @import { Chart, Panel } from "./chart.js" */
/** @import { PanelName, Point } from "./points.js" */

/** @type {PanelName[]} */
const PANELS = ["alpha_bar", "log_snr"];
const EDGE = 1; // pixels beyond a panel at which a handle is still shown

const points = () => (store.schedule?.settings.family === "drawn" ? (store.schedule.settings.points ?? null) : null);

/** Steps of the axis for one t/T. */
const perU = () => (store.axis === "t" && store.schedule ? store.schedule.T : 1);

/** The points that are shown: none where curves are drawn over what the points decide. */
const shownPoints = () => (store.axis === "log_snr" ? null : points());

export class Handles {
  /** @param {Chart} view */
  constructor(view) {
    this.view = view;
    this.layer = el("svg", { class: "lab-handles" });
    view.frame.append(this.layer);
    /** @type {Record<PanelName, SVGCircleElement[]>} */
    this.circles = { alpha_bar: [], log_snr: [] };
    view.frame.addEventListener("dblclick", (event) => this.add(event));
  }

  /**
   * @param {number} k
   * @param {Point} to
   */
  move(k, to) {
    const now = points();
    if (now) edit({ points: movePoint(now, k, to, constants().limits) });
  }

  /** @param {number} k */
  remove(k) {
    const next = removePoint(points() ?? [], k);
    if (next) edit({ points: next });
  }

  /** @param {MouseEvent} event */
  add(event) {
    const now = shownPoints();
    if (!now || (event.target instanceof Element && event.target.closest(".lab-handles"))) return;
    for (const name of PANELS) {
      const panel = this.view.panel(name);
      if (!panel || !this.view.under(panel, event)) continue;
      const next = addPoint(now, this.place(name, panel, event), constants().limits);
      if (next) edit({ points: next });
      return;
    }
  }

  /**
   * Where a pointer is in a panel, as (t/T, log SNR).
   * @param {PanelName} name
   * @param {Panel} panel
   * @param {MouseEvent} event
   * @returns {Point}
   */
  place(name, panel, event) {
    const [px, py] = this.view.within(panel, event);
    return [panel.x.p2d(px) / perU(), fromShown[name](panel.y.p2d(py))];
  }

  /**
   * @param {PanelName} name
   * @param {number} k
   */
  make(name, k) {
    const circle = el("circle", { r: 7, tabindex: 0, role: "slider", "aria-orientation": "vertical" });
    circle.addEventListener("pointerdown", (event) => {
      circle.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    circle.addEventListener("pointermove", (event) => {
      const panel = this.view.panel(name);
      if (panel && circle.hasPointerCapture(event.pointerId)) this.move(k, this.place(name, panel, event));
    });
    circle.addEventListener("dblclick", () => this.remove(k));
    circle.addEventListener("keydown", (event) => this.key(k, event));
    this.layer.append(circle);
    return circle;
  }

  /**
   * @param {number} k
   * @param {KeyboardEvent} event
   */
  key(k, event) {
    const point = points()?.[k];
    if (!point) return;
    const [u, l] = point;
    const by = event.shiftKey ? 1 : 0.1;
    /** @type {Record<string, Point>} */
    const moves = {
      ArrowUp: [u, l + by],
      ArrowDown: [u, l - by],
      ArrowLeft: [u - by / 20, l],
      ArrowRight: [u + by / 20, l],
    };
    if (event.key in moves) this.move(k, moves[event.key]);
    else if (event.key === "Delete" || event.key === "Backspace") this.remove(k);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Put the handles where the points are. */
  refresh() {
    const list = shownPoints() ?? [];
    for (const name of PANELS) {
      const panel = this.view.panel(name);
      const have = this.circles[name];
      const wanted = panel ? list : [];
      while (have.length > wanted.length) have.pop()?.remove();
      while (have.length < wanted.length) have.push(this.make(name, have.length));
      wanted.forEach((point, k) => {
        if (panel) this.put(have[k], name, panel, point, `point ${k + 1} of ${list.length}`);
      });
    }
  }

  /**
   * @param {SVGCircleElement} circle
   * @param {PanelName} name
   * @param {Panel} panel
   * @param {Point} point
   * @param {string} label
   */
  put(circle, name, { x, y, left, top, width, height }, [u, l], label) {
    const px = x.d2p(u * perU());
    const py = y.d2p(toShown[name](l));
    const inside = px >= -EDGE && px <= width + EDGE && py >= -EDGE && py <= height + EDGE;
    circle.style.visibility = inside ? "visible" : "hidden";
    setAttributes(circle, {
      cx: left + px,
      cy: top + py,
      "aria-label": `${label}, log SNR at t/T ${u.toFixed(2)}`,
      "aria-valuenow": l.toFixed(2),
      "aria-valuemin": -constants().limits.log_snr,
      "aria-valuemax": constants().limits.log_snr,
    });
  }
}
