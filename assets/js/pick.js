// One of many names, found by typing some of its letters: a box with a list below it, for hands and for keys.

import { el, setData, setText } from "./dom.js";
import { find, spaced } from "./wishes.js";

const MOST_SHOWN = 60; // names in the list at a time

/**
 * @typedef {object} Offer
 * @property {string} name of what is chosen
 * @property {string[]} choices that are no values, always offered first
 * @property {string[]} values
 * @property {(value: string) => string} about a word more on a value
 * @property {(value: string) => void} change
 */

export class Pick {
  /** @param {Offer} offer */
  constructor(offer) {
    this.offer = offer;
    this.chosen = offer.choices[0] ?? "";
    /** @type {string[]} */
    this.listed = [];
    this.active = 0;
    const id = `lab-pick-${offer.name}`;
    this.list = el("ul", { class: "lab-pick-list", id: `${id}-list`, role: "listbox", "aria-label": offer.name });
    this.list.hidden = true;
    this.input = el("input", {
      type: "text",
      id,
      role: "combobox",
      class: "lab-box",
      autocomplete: "off",
      spellcheck: "false",
      "aria-expanded": "false",
      "aria-autocomplete": "list",
      "aria-controls": `${id}-list`,
      placeholder: "type to search",
    });
    this.node = el("div", { class: "lab-pick", "data-list": offer.name }, this.input, this.list);
    this.listen();
  }

  listen() {
    const { input, list } = this;
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.open(""));
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("keydown", (event) => this.press(event));
    input.addEventListener("blur", () => this.leave());
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
    list.addEventListener("click", (event) => {
      const item = event.target instanceof Element ? event.target.closest("li[data-value]") : null;
      if (item instanceof HTMLElement) this.take(item.dataset.value ?? "");
    });
  }

  get isOpen() {
    return !this.list.hidden;
  }

  /** @param {string} value */
  show(value) {
    this.chosen = value;
    this.input.value = spaced(value);
    this.close();
  }

  /** @param {string} text */
  open(text) {
    const { choices, values } = this.offer;
    const all = [...choices, ...values];
    this.listed = find(all, text);
    this.active = text ? 0 : Math.max(0, this.listed.indexOf(this.chosen));
    // The one that is chosen is among those shown, however far down it is.
    const from = Math.max(0, Math.min(this.active - MOST_SHOWN / 2, this.listed.length - MOST_SHOWN));
    const shown = from ? [...choices, ...this.listed.slice(from)] : this.listed;
    this.listed = shown.slice(0, MOST_SHOWN);
    this.active = Math.max(0, text ? 0 : this.listed.indexOf(this.chosen));
    this.draw(shown.length - this.listed.length, text);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.mark();
  }

  /**
   * @param {number} more names that are not shown
   * @param {string} text
   */
  draw(more, text) {
    const { name, about } = this.offer;
    const items = this.listed.map((value, i) => {
      const attributes = { role: "option", id: `lab-pick-${name}-${i}`, "data-value": value };
      const word = about(value);
      return el("li", attributes, el("span", {}, spaced(value)), word ? el("small", {}, spaced(word)) : null);
    });
    const none = `No ${name} has “${text}” in its name.`;
    const last = items.length ? `… and ${more.toLocaleString("en")} more: type to find them` : none;
    if (more || !items.length) items.push(el("li", { class: "lab-pick-more", role: "presentation" }, last));
    this.list.replaceChildren(...items);
  }

  /** Show which item Enter would take. */
  mark() {
    for (const [i, item] of [...this.list.querySelectorAll("li[data-value]")].entries()) {
      item.setAttribute("aria-selected", String(i === this.active));
      // Not scrollIntoView, which would move the page as well.
      if (i !== this.active || !(item instanceof HTMLElement)) continue;
      const { list } = this;
      const below = item.offsetTop + item.offsetHeight - list.clientHeight;
      list.scrollTop = Math.min(item.offsetTop, Math.max(below, list.scrollTop));
    }
    const id = this.listed.length ? `lab-pick-${this.offer.name}-${this.active}` : "";
    this.input.setAttribute("aria-activedescendant", id);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const by = moves[/** @type {keyof typeof moves} */ (event.key)];
    if (by) {
      event.preventDefault();
      if (!this.isOpen) this.open("");
      else this.active = Math.min(this.listed.length - 1, Math.max(0, this.active + by));
      this.mark();
    } else if (event.key === "Enter" && this.isOpen) {
      event.preventDefault();
      const value = this.listed[this.active];
      if (value != null) this.take(value);
    } else if (event.key === "Escape" && this.isOpen) {
      event.stopPropagation();
      this.show(this.chosen);
      this.input.select();
    }
  }

  /** @param {string} value */
  take(value) {
    const changed = value !== this.chosen;
    this.show(value);
    if (changed) this.offer.change(value);
  }

  /** A name that was typed whole is meant; anything else leaves what was chosen. */
  leave() {
    const { choices, values } = this.offer;
    const [best] = find([...choices, ...values], this.input.value);
    const whole = best != null && find([best], this.input.value).length > 0;
    if (whole && spaced(best).toLowerCase() === spaced(this.input.value).toLowerCase().trim()) this.take(best);
    else this.show(this.chosen);
  }

  /**
   * Nothing to choose: what is said instead, or null for a choice again.
   * @param {string | null} instead
   */
  lock(instead) {
    this.input.disabled = instead != null;
    this.input.value = spaced(instead ?? this.chosen);
    setData(this.node, { locked: instead ?? "" });
    setText(this.list, "");
  }
}
