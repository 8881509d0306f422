// A run as a file, or as code to copy.

import { el } from "./dom.js";

/** @typedef {string[]} Form a name in Python, on its button, and what it is */

/** @type {Form[]} */
const FORMS = [
  ["gif", "GIF", "an animation that plays everywhere, in 256 colours"],
  ["webp", "WebP", "an animation with every pixel as it is"],
  ["mp4", "MP4", "a film"],
  ["png", "PNG", "the samples"],
  [
    "npz",
    "NPZ",
    "x_t and predicted x_0 of every frame, and all that decided them: python -m diffusion sample --like ddpm-lab.npz",
  ],
  ["py", "Python", "copy the code that draws the same samples"],
];

/** @typedef {{error?: string, text?: string, url?: string, name?: string}} Taken */
/** @typedef {(asked: {file: string, form: string}) => Promise<Taken>} AskRun */
/** @typedef {{take_away: AskRun}} TakeAwayServer */

export class TakeAway {
  /**
   * @param {AskRun} ask
   * @param {() => string} file the path of the run that is shown
   * @param {Form[]} forms
   */
  constructor(ask, file, forms = FORMS) {
    this.ask = ask;
    this.file = file;
    this.notes = el("div", { class: "lab-notes" });
    this.text = el("code", {});
    this.code = el("pre", { class: "lab-code", hidden: true }, this.text);
    this.buttons = forms.map(([form, name, about]) => {
      const attributes = { type: "button", class: "lab-save", title: about, "data-form": form, disabled: true };
      const button = el("button", attributes, name);
      button.addEventListener("click", () => this.take(button, form));
      return button;
    });
    const label = el("span", { class: "lab-choice-label" }, "take away");
    this.bar = el("div", { class: "lab-bar lab-away" }, label, ...this.buttons);
  }

  /**
   * There is another run to take away.
   * @param {string} note about it
   */
  ready(note) {
    this.notes.textContent = note;
    this.code.hidden = true;
    for (const button of this.buttons) button.disabled = false;
  }

  /**
   * The run that is shown as a file.
   * @param {HTMLButtonElement} button
   * @param {string} form
   */
  async take(button, form) {
    const words = button.textContent;
    button.disabled = true;
    button.textContent = "…";
    try {
      const answer = await this.ask({ file: this.file(), form });
      if (answer.error) this.notes.textContent = answer.error;
      else if (answer.text) this.showCode(answer.text);
      else el("a", { href: answer.url, download: answer.name }).click();
    } catch {
      this.notes.textContent = "The server did not answer; try again.";
    }
    button.textContent = words;
    button.disabled = false;
  }

  /**
   * Python below the buttons, and in the clipboard where the page may write to it.
   * @param {string} text
   */
  async showCode(text) {
    this.code.hidden = !this.code.hidden;
    this.text.textContent = text;
    if (this.code.hidden) return;
    try {
      await navigator.clipboard.writeText(text);
      this.notes.textContent = "Copied.";
    } catch {
      getSelection()?.selectAllChildren(this.text); // without https: ready to be copied by hand
    }
  }
}
