// What the network is told of the samples: a class, or a value of each of several things, from lists that Python sends.

import { el, setData } from "./dom.js";
import { putInLink } from "./link.js";
import { Pick } from "./pick.js";
import { agreed, implied, labelOf, spaced } from "./wishes.js";

/** @import { Chosen, Follows, List, Words } from "./wishes.js" */

const FEW = 30; // values that a plain list of the browser can hold

/** @typedef {{network: string, label: string}} Told what is chosen, and below, from Python, also what there is to choose */
/** @typedef {Told & {chosen: Chosen, lists: List[], follows: Follows, words: Words}} Offered */
/** @typedef {{value: Told | Offered | null}} ToldProps */

class Lists {
  /**
   * @param {HTMLElement} element
   * @param {ToldProps} props
   */
  constructor(element, props) {
    this.props = props;
    /** @type {List[]} */
    this.lists = [];
    /** @type {Follows} */
    this.follows = {};
    /** @type {Chosen} */
    this.chosen = {};
    /** @type {Words} */
    this.words = { turn: "", any: "" };
    /** @type {(() => void)[]} */
    this.updates = [];
    this.came = "";
    this.root = el("section", { class: "lab-told", "aria-label": "what the images shall show" });
    element.replaceChildren(this.root);
  }

  /**
   * A value that has lists comes from Python; the others were made here. Gradio says a choice of a network more than
   * once, and what was chosen between two answers that are the same stays.
   */
  sync() {
    const value = this.props.value;
    if (!value || !("lists" in value)) return;
    const came = `${value.network} ${value.label}`;
    if (came === this.came) return;
    this.came = came;
    this.lists = value.lists;
    this.follows = value.follows;
    this.chosen = value.chosen;
    this.words = value.words;
    this.updates = [];
    this.root.replaceChildren(...this.lists.map((list) => this.build(list)));
    this.update();
    setData(this.root, { network: value.network, label: value.label, state: "ready" });
    putInLink({ class: value.label });
  }

  /**
   * @param {string} name
   * @param {string} value
   */
  choose(name, value) {
    const { lists, follows, words, props } = this;
    this.chosen = agreed(lists, follows, { ...this.chosen, [name]: value }, name, words);
    const label = labelOf(lists, this.chosen, words);
    props.value = { network: this.root.dataset.network ?? "", label };
    putInLink({ class: label });
    setData(this.root, { label });
    this.update();
  }

  /** All lists show what is chosen. */
  update() {
    for (const update of this.updates) update();
  }

  /** @param {List} list */
  build(list) {
    if (list.pictures.length) return this.buildPictures(list);
    return list.values.length > FEW ? this.buildPick(list) : this.buildSelect(list);
  }

  /** @param {List} list */
  buildSelect({ name, values, choices }) {
    const options = [...choices, ...values].map((value) => el("option", { value }, spaced(value)));
    const select = el("select", { class: "lab-box", "data-list": name }, ...options);
    select.addEventListener("change", () => this.choose(name, select.value));
    this.updates.push(() => {
      select.value = this.chosen[name];
    });
    return el("label", { class: "lab-told-list" }, el("span", {}, name), select);
  }

  /** @param {List} list */
  buildPick({ name, values, choices }) {
    const { turn, any } = this.words;
    /** @type {Chosen} */
    const meant = { [turn]: "one by one", [any]: "not said" };
    const about = (/** @type {string} */ value) => {
      if (choices.includes(value)) return meant[value] ?? "";
      const [more] = Object.values(implied(this.lists, this.follows, { [name]: value }));
      return name === this.lists[0].name ? (more ?? "") : "";
    };
    const pick = new Pick({ name, values, choices, about, change: (value) => this.choose(name, value) });
    const why = el("small", { id: `lab-told-${name}-why` });
    this.updates.push(() => {
      const follows = implied(this.lists, this.follows, this.chosen)[name];
      pick.show(this.chosen[name]);
      pick.lock(follows ?? null);
      why.textContent = follows ? `that of the ${this.lists[0].name}` : "";
    });
    pick.input.setAttribute("aria-describedby", why.id);
    const head = el("div", {}, el("label", { for: `lab-pick-${name}` }, name), why);
    return el("div", { class: "lab-told-list" }, head, pick.node);
  }

  /** @param {List} list */
  buildPictures({ name, values, choices, pictures }) {
    const radio = (/** @type {string} */ value, /** @type {string | null} */ picture) => {
      const input = el("input", { type: "radio", name: `lab-told-${name}`, value });
      input.addEventListener("change", () => this.choose(name, value));
      this.updates.push(() => {
        input.checked = this.chosen[name] === value;
      });
      const image = picture ? el("img", { src: picture, alt: "", class: "lab-pixels" }) : null;
      return el("label", { title: spaced(value) }, input, image, el("span", {}, spaced(value)));
    };
    const which = el("small", { "aria-hidden": "true" });
    this.updates.push(() => {
      which.textContent = values.includes(this.chosen[name]) ? spaced(this.chosen[name]) : "";
    });
    return el(
      "fieldset",
      { class: "lab-told-list lab-told-pictures", "data-list": name },
      el("legend", {}, name, which),
      el("div", { class: "lab-told-choices" }, ...choices.map((value) => radio(value, null))),
      el("div", { class: "lab-told-grid" }, ...values.map((value, i) => radio(value, pictures[i]))),
    );
  }
}

/**
 * @param {HTMLElement} element
 * @param {LabView<ToldProps>} view
 */
export function mount(element, { props, watch }) {
  const lists = new Lists(element, props);
  watch("value", () => lists.sync());
  lists.sync();
}
