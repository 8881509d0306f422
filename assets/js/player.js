// The frame player: one slider, three buttons, the keyboard and a voice, over anything that can draw frame i.

import { el } from "./dom.js";
import { oncePerFrame } from "./scheduling.js";

const SECONDS = 6; // a whole play-through, however many frames there are

/**
 * @typedef {object} Played
 * @property {string} label what is scrubbed, spoken
 * @property {(i: number) => void} [show] draw frame i, called once a frame at most
 * @property {(i: number) => void} moved a person, or play, went to frame i
 * @property {(i: number) => {short: string, spoken: string}} say for the read-out and the screen reader
 */

export class Player {
  /**
   * @param {HTMLElement} root where to build
   * @param {Played} played
   */
  constructor(root, { label, show = () => {}, moved, say }) {
    this.draw = oncePerFrame(() => show(this.index));
    this.moved = moved;
    this.say = say;
    this.count = 0;
    this.index = 0;
    this.timer = 0;
    this.seconds = SECONDS;
    this.backwards = false;
    this.toggle = stepButton("play (space)", "▶", () => (this.playing ? this.pause() : this.play()));
    this.range = el("input", { type: "range", min: 0, max: 0, value: 0, step: 1, disabled: true, "aria-label": label });
    this.output = el("output", { class: "lab-readout" });
    root.classList.add("lab-player");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `${label}: player`);
    root.append(
      stepButton("one step back (left arrow)", "‹", () => this.user(this.index - 1)),
      this.toggle,
      stepButton("one step on (right arrow)", "›", () => this.user(this.index + 1)),
      this.range,
      this.output,
    );
    this.range.addEventListener("input", () => this.user(+this.range.value));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  get playing() {
    return this.timer !== 0;
  }

  /**
   * Frames 0 ... count - 1 can be shown from now on.
   * @param {number} count
   */
  setCount(count) {
    this.count = count;
    this.range.max = String(Math.max(0, count - 1));
    this.range.disabled = count < 2;
  }

  /**
   * Something a person did: stop playing and go there.
   * @param {number} i
   */
  user(i) {
    this.pause();
    this.move(i);
  }

  /** @param {number} i */
  move(i) {
    this.go(i);
    this.moved(this.index);
  }

  /**
   * Show frame i without telling anybody.
   * @param {number} i
   */
  go(i) {
    if (!this.count) return;
    this.index = Math.min(this.count - 1, Math.max(0, Math.round(i)));
    this.range.value = String(this.index);
    const { short, spoken } = this.say(this.index);
    this.output.textContent = short;
    this.range.setAttribute("aria-valuetext", spoken);
    this.range.style.setProperty("--part", String(this.count > 1 ? this.index / (this.count - 1) : 0));
    this.draw();
  }

  play() {
    if (this.count < 2) return;
    const last = this.count - 1;
    const [way, end] = this.backwards ? [-1, 0] : [1, last];
    const from = this.index === end ? last - end : this.index;
    const rate = (way * last) / (this.seconds * 1000);
    const started = performance.now();
    const tick = (/** @type {number} */ now) => {
      const i = from + (now - started) * rate;
      this.move(i);
      if (way * (i - end) >= 0) this.pause();
      else this.timer = requestAnimationFrame(tick);
    };
    this.timer = requestAnimationFrame(tick);
    this.label("pause (space)", "❚❚");
  }

  pause() {
    if (!this.playing) return;
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.label("play (space)", "▶");
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  label(name, text) {
    this.toggle.textContent = text;
    this.toggle.title = name;
    this.toggle.setAttribute("aria-label", name);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const far = event.shiftKey ? 10 : 1;
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far };
    if (event.key in moves) this.user(this.index + moves[event.key]);
    else if (event.key === "Home") this.user(0);
    else if (event.key === "End") this.user(this.count - 1);
    else if (event.key === " " && event.target === this.range) this.toggle.click();
    else return;
    event.preventDefault();
  }
}

/**
 * @param {string} name
 * @param {string} text
 * @param {() => void} onclick
 */
const stepButton = (name, text, onclick) =>
  el("button", { type: "button", class: "lab-step", "aria-label": name, title: name, onclick }, text);
