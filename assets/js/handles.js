// The points of a drawn curve, to be dragged in the panels of alpha-bar and log SNR.

import { edit, el, store } from "./store.js";

const GAP = 0.004,
  FALL = 0.02; // how near a point may come to its neighbours, in t/T and in log SNR
const PANELS = ["alpha_bar", "log_snr"];
const toShown = { alpha_bar: (l) => 1 / (1 + Math.exp(-l)), log_snr: (l) => l };
const fromShown = {
  alpha_bar: (a) => {
    const inside = Math.min(1 - 1e-9, Math.max(1e-9, a));
    return Math.log(inside / (1 - inside));
  },
  log_snr: (l) => l,
};

/** Returns refresh(): put the handles where the points are. limits: {points, log_snr}. */
export function handles(view, limits) {
  const layer = el("svg", { class: "lab-handles" });
  view.frame.append(layer);
  const circles = { alpha_bar: [], log_snr: [] };
  const points = () => (store.schedule.settings.family === "drawn" ? store.schedule.settings.points : null);
  const shown = () => store.schedule && points() && store.axis !== "log_snr";

  /** Point k moved to (u, l), as far as its neighbours let it. */
  function moved(k, u, l) {
    const next = points().map((p) => [...p]);
    const last = next.length - 1;
    const between = (v, low, high) => Math.min(high, Math.max(low, v));
    const high = k > 0 ? next[k - 1][1] - FALL : limits.log_snr;
    const low = k < last ? next[k + 1][1] + FALL : -limits.log_snr;
    next[k] = [
      k === 0 ? 0 : k === last ? 1 : between(u, next[k - 1][0] + GAP, next[k + 1][0] - GAP),
      Number(between(l, low, high).toFixed(4)),
    ];
    edit({ points: next });
  }

  function add(u, l) {
    const old = points();
    if (old.length >= limits.points) return;
    const k = old.findIndex((p) => p[0] > u);
    if (k < 1 || u - old[k - 1][0] < GAP || old[k][0] - u < GAP) return;
    const inside = Math.min(old[k - 1][1] - FALL, Math.max(old[k][1] + FALL, l));
    edit({ points: [...old.slice(0, k), [u, inside], ...old.slice(k)] });
  }

  function remove(k) {
    const old = points();
    if (k > 0 && k < old.length - 1) edit({ points: old.filter((_, i) => i !== k) });
  }

  const perU = () => (store.axis === "t" ? store.schedule.T : 1);

  /** Where a pointer is in a panel, as (t/T, log SNR). */
  function place(name, event) {
    const panel = view.panel(name);
    const [px, py] = view.within(panel, event);
    return [panel.x.p2d(px) / perU(), fromShown[name](panel.y.p2d(py))];
  }

  function make(name, k) {
    const circle = el("circle", { r: 7, tabindex: 0, role: "slider", "aria-orientation": "vertical" });
    circle.addEventListener("pointerdown", (event) => {
      circle.setPointerCapture(event.pointerId);
      event.stopPropagation();
    });
    circle.addEventListener("pointermove", (event) => {
      if (circle.hasPointerCapture(event.pointerId)) moved(k, ...place(name, event));
    });
    circle.addEventListener("dblclick", () => remove(k));
    circle.addEventListener("keydown", (event) => {
      const [u, l] = points()[k];
      const by = event.shiftKey ? 1 : 0.1;
      const moves = {
        ArrowUp: [u, l + by],
        ArrowDown: [u, l - by],
        ArrowLeft: [u - by / 20, l],
        ArrowRight: [u + by / 20, l],
      };
      if (event.key in moves) moved(k, ...moves[event.key]);
      else if (event.key === "Delete" || event.key === "Backspace") remove(k);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    layer.append(circle);
    return circle;
  }

  view.frame.addEventListener("dblclick", (event) => {
    if (!shown() || event.target.closest(".lab-handles")) return;
    const name = PANELS.find((panel) => view.under(view.panel(panel), event));
    if (name) add(...place(name, event));
  });

  return function refresh() {
    const list = (shown() && view.panel("log_snr") && points()) || [];
    for (const name of PANELS) {
      const have = circles[name];
      while (have.length > list.length) have.pop().remove();
      while (have.length < list.length) have.push(make(name, have.length));
      if (!list.length) continue;
      const { x, y, left, top, width, height } = view.panel(name);
      list.forEach(([u, l], k) => {
        const px = x.d2p(u * perU()),
          py = y.d2p(toShown[name](l));
        have[k].setAttribute("cx", left + px);
        have[k].setAttribute("cy", top + py);
        have[k].style.visibility = px >= -1 && px <= width + 1 && py >= -1 && py <= height + 1 ? "visible" : "hidden";
        have[k].setAttribute("aria-label", `point ${k + 1} of ${list.length}, log SNR at t/T ${u.toFixed(2)}`);
        have[k].setAttribute("aria-valuenow", l.toFixed(2));
        have[k].setAttribute("aria-valuemin", -limits.log_snr);
        have[k].setAttribute("aria-valuemax", limits.log_snr);
      });
    }
  };
}
