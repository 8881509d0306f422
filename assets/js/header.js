// The head of the page: what it is, what it runs on, and a link to what it shows.

import { constants } from "./constants.js";
import { el } from "./dom.js";
import { listenEverywhere } from "./gestures.js";
import { copyLink } from "./link.js";
import { store } from "./store.js";

/**
 * @param {HTMLElement} element
 * @param {LabView<{device: string}>} view
 */
export function mount(element, { props }) {
  listenEverywhere(constants().limits);
  const title = "copy a link that reopens the page as it is";
  const link = el("button", { type: "button", class: "lab-save", id: "lab-link", title }, "Copy link");
  link.addEventListener("click", () => store.schedule && copyLink(link));
  element.replaceChildren(
    el(
      "header",
      { class: "lab-header" },
      el("div", {}, el("h1", {}, "DDPM Lab"), el("p", {}, "see, bend and reverse diffusion")),
      el("div", {}, el("span", { class: "lab-device" }, props.device), link),
    ),
  );
}
