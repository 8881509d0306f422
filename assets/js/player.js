// The frame player: one slider, three buttons, the keyboard and a voice, over anything that can draw frame i.

import { el, oncePerFrame } from "./store.js";

const SECONDS = 6; // a whole play-through, however many frames there are

export class Player {
  /**
   * root: where to build; label: what is scrubbed, spoken; show(i): draw frame i, called once a frame at most;
   * moved(i): a person, or play, went to frame i; say(i): {short, spoken} for the read-out and the screen reader.
   */
  constructor(root, { label, show = () => {}, moved, say }) {
    this.draw = oncePerFrame(() => show(this.index));
    this.moved = moved;
    this.say = say;
    this.count = 0;
    this.index = 0;
    this.timer = 0;
    const button = (name, text, action) =>
      el("button", { type: "button", class: "lab-step", "aria-label": name, title: name, onclick: action }, text);
    this.back = button("one step back (left arrow)", "‹", () => this.user(this.index - 1));
    this.toggle = button("play (space)", "▶", () => (this.playing ? this.pause() : this.play()));
    this.forth = button("one step on (right arrow)", "›", () => this.user(this.index + 1));
    this.range = el("input", { type: "range", min: 0, max: 0, value: 0, step: 1, disabled: true, "aria-label": label });
    this.output = el("output", { class: "lab-readout" });
    root.classList.add("lab-player");
    root.setAttribute("role", "group");
    root.setAttribute("aria-label", `${label}: player`);
    root.append(this.back, this.toggle, this.forth, this.range, this.output);
    this.range.addEventListener("input", () => this.user(+this.range.value));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  get playing() {
    return this.timer !== 0;
  }

  /** Frames 0 ... count - 1 can be shown from now on. */
  setCount(count) {
    this.count = count;
    this.range.max = Math.max(0, count - 1);
    this.range.disabled = count < 2;
  }

  /** Something a person did: stop playing and go there. */
  user(i) {
    this.pause();
    this.move(i);
  }

  move(i) {
    this.go(i);
    this.moved(this.index);
  }

  /** Show frame i without telling anybody. */
  go(i) {
    if (!this.count) return;
    this.index = Math.min(this.count - 1, Math.max(0, Math.round(i)));
    this.range.value = this.index;
    const { short, spoken } = this.say(this.index);
    this.output.textContent = short;
    this.range.setAttribute("aria-valuetext", spoken);
    this.range.style.setProperty("--part", this.count > 1 ? this.index / (this.count - 1) : 0);
    this.draw();
  }

  play() {
    if (this.count < 2) return;
    const from = this.index >= this.count - 1 ? 0 : this.index;
    const rate = (this.count - 1) / (SECONDS * 1000);
    const started = performance.now();
    const tick = (now) => {
      const i = from + (now - started) * rate;
      this.move(i);
      if (i >= this.count - 1) this.pause();
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

  label(name, text) {
    this.toggle.textContent = text;
    this.toggle.title = name;
    this.toggle.setAttribute("aria-label", name);
  }

  key(event) {
    const far = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far };
    if (event.key in moves) this.user(this.index + moves[event.key]);
    else if (event.key === "Home") this.user(0);
    else if (event.key === "End") this.user(this.count - 1);
    else if (event.key === " " && event.target === this.range) this.toggle.click();
    else return;
    event.preventDefault();
  }
}
