// A hand on the plane: it follows a point, looks at what is under it, or draws.

import { button, el } from "./dom.js";
import { fromLink, putInLink } from "./link.js";
import { flow, placeOn, REACH } from "./mixture.js";
import { CELLS, SKETCHED } from "./sketch.js";
import { wander } from "./stepback.js";
import { assign, store } from "./store.js";

/** @import { Place } from "./mixture.js" */

/** @typedef {{begin: () => void, draw: () => void}} Moved what happens when a hand begins, and when something changed */

const SEED = 5; // of the noise of a way of DDPM
export const PEN = 0.09; // radius of the brush, in the plane
const NEAR = 0.12; // of a pinned point, where a hand takes hold of it
/** @type {[number, number]} */
const FIRST = [0.62, 0.86]; // the point that is followed at first

export class PlaneHand {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {boolean} wanders whether a way of DDPM is shown too
   * @param {Moved} moved
   */
  constructor(canvas, wanders, moved) {
    this.canvas = canvas;
    this.moved = moved;
    /** @type {Place[]} */
    this.path = []; // of the followed point
    this.wanders = wanders;
    /** @type {Place[]} */
    this.wandered = [];
    /** @type {[number, number] | null} */
    this.pinnedAt = null; // where it was set down
    /** @type {[number, number] | null} */
    this.pointer = null; // in the plane, where there is one
    this.dragging = "";
    this.fresh = true; // nobody has pointed at anything yet
    this.tools = this.buildTools();
    this.listen();
  }

  /** What one draws by hand with; not in sight with a pattern. */
  buildTools() {
    const after = (/** @type {() => void} */ fn) => () => {
      fn();
      store.sketching?.changed(true);
    };
    this.eraser = button("Eraser", "take ink away with the pointer", () => this.erase(), "plane-erase");
    const undo = after(() => store.sketching?.sketch.undo());
    const clear = after(() => store.sketching?.sketch.clear());
    return el(
      "div",
      { class: "lab-plane-tools", hidden: true },
      this.eraser,
      button("Undo", "take the last stroke back", undo, "plane-undo"),
      button("Clear", "take all of it away", clear, "plane-clear"),
    );
  }

  erase() {
    if (store.sketching) assign({ sketching: { ...store.sketching, erase: !store.sketching.erase } });
  }

  showTools() {
    this.tools.hidden = !store.sketching;
    this.eraser?.setAttribute("aria-pressed", String(store.sketching?.erase ?? false));
  }

  /** A way of DDPM beside that of the ODE, or none. */
  alsoWander() {
    this.wanders = !this.wanders;
    const held = this.pinned();
    if (held) this.pin(held.x, held.y);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => {
      if (this.dragging === "tap") this.pin(...this.placeOf(event));
      this.up();
    });
    canvas.addEventListener("pointercancel", () => this.up());
    canvas.addEventListener("pointerleave", () => this.leave());
    canvas.addEventListener("keydown", (event) => this.key(event));
    // A finger that draws, or takes hold of a point, does not scroll the page.
    const hold = (/** @type {TouchEvent} */ event) => {
      const { clientX, clientY } = event.touches[0];
      if (store.sketching || this.isHeld(this.placeOf({ clientX, clientY }))) event.preventDefault();
    };
    canvas.addEventListener("touchstart", hold, { passive: false });
  }

  /**
   * @param {{clientX: number, clientY: number}} event
   * @returns {[number, number]}
   */
  placeOf({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const part = (/** @type {number} */ v) => 2 * REACH * v - REACH;
    return [part((clientX - box.left) / box.width), -part((clientY - box.top) / box.height)];
  }

  /** @param {[number, number]} place */
  isHeld([x, y]) {
    const held = this.pinned();
    return held !== null && Math.hypot(held.x - x, held.y - y) < NEAR;
  }

  /** Where the followed point is at the page's t. */
  pinned() {
    return this.path.length && store.schedule ? placeOn(this.path, store.schedule.columns, store.t) : null;
  }

  /** @param {PointerEvent} event */
  down(event) {
    const place = this.placeOf(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.moved.begin();
    if (store.sketching) {
      this.dragging = "pen";
      this.pointer = place;
      store.sketching.sketch.begin();
      this.ink(place, place);
    } else if (event.pointerType === "touch" && !this.isHeld(place)) {
      this.dragging = "tap"; // or the beginning of a swipe that scrolls the page
    } else {
      this.dragging = "pin";
      this.pin(...place);
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const place = this.placeOf(event);
    const before = this.pointer ?? place;
    this.pointer = place;
    if (this.dragging === "pen") this.ink(before, place);
    else if (this.dragging === "pin") this.pin(...place);
    else if (!store.sketching) this.look();
    this.moved.draw();
  }

  /** The link knows where the followed point is at the page's t. */
  keepPin() {
    const held = this.pinned();
    putInLink({ followed: held ? [held.x, held.y].map((v) => Math.round(v * 1000) / 1000) : [] });
  }

  up() {
    if (this.dragging === "pen") store.sketching?.changed(true);
    if (this.dragging === "pin") this.keepPin();
    this.dragging = "";
  }

  leave() {
    if (this.dragging) return;
    this.pointer = null;
    this.look();
    this.moved.draw();
  }

  /**
   * @param {[number, number]} from
   * @param {[number, number]} to
   */
  ink(from, to) {
    if (!store.sketching) return;
    const inside = ([x, y] = to) => Math.max(Math.abs(x), Math.abs(y)) < SKETCHED + (2 * SKETCHED) / CELLS + PEN;
    if (!inside(from) && !inside(to)) return;
    store.sketching.sketch.stroke(from, to, PEN, store.sketching.erase);
    store.sketching.changed(false);
  }

  /**
   * Follow the point that is here at the page's t.
   * @param {number} x
   * @param {number} y
   */
  pin(x, y) {
    if (!store.schedule || !store.plane?.mixed.length) return;
    const inside = (/** @type {number} */ v) => Math.min(REACH, Math.max(-REACH, v));
    const from = { t: store.t, x: inside(x), y: inside(y) };
    this.pinnedAt = [from.x, from.y];
    this.path = flow(store.plane.mixed, store.schedule.columns, from);
    const { columns } = store.schedule;
    this.wandered = this.wanders ? wander(store.plane.mixed, columns, this.path[0], SEED) : [];
    assign({ followed: this.path });
    this.look();
    this.moved.draw();
  }

  /** The same point, of other data or under another schedule; of what the tab opens with one that shows the way. */
  repin() {
    const held = this.path.length > 0;
    this.path = [];
    if (this.fresh && store.plane?.mixed.length && !store.sketching) {
      this.fresh = false;
      const [x, y] = fromLink("followed");
      this.pin(Number.isFinite(x) ? x : FIRST[0], Number.isFinite(y) ? y : FIRST[1]);
    } else if (held && this.pinnedAt) this.pin(...this.pinnedAt);
    if (!this.path.length) assign({ followed: [] });
  }

  unpin() {
    this.path = [];
    assign({ followed: [] });
    this.look();
    this.moved.draw();
  }

  /** What is under the pointer, or else the followed point, is said beside the plane. */
  look() {
    const held = this.pinned();
    const over = this.pointer && !this.dragging && !store.sketching && !(held && this.isHeld(this.pointer));
    if (over && this.pointer) assign({ hovered: { x: this.pointer[0], y: this.pointer[1], pinned: false } });
    else assign({ hovered: held && { x: held.x, y: held.y, pinned: true } });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const far = event.shiftKey ? 0.2 : 0.04;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, far], ArrowDown: [0, -far] };
    const held = this.pinned() ?? { x: 0, y: 0 };
    if (event.key in moves) this.pin(held.x + moves[event.key][0], held.y + moves[event.key][1]);
    else if (event.key === "Enter") this.pin(held.x, held.y);
    else if (event.key === "Escape") this.unpin();
    else return;
    event.preventDefault();
    this.keepPin();
  }
}
