// The head of the page: what it is, what it runs on, and a link to what it shows.

import { listenEverywhere } from "./gestures.js";
import { copyLink } from "./link.js";
import { el, store } from "./store.js";

export function mount(element, { props }) {
  listenEverywhere(props.limits);
  const link = el(
    "button",
    {
      type: "button",
      class: "lab-save",
      id: "lab-link",
      title: "copy a link that reopens the page as it is",
      onclick: () => store.schedule && copyLink(link),
    },
    "Copy link",
  );
  element.replaceChildren(
    el(
      "header",
      { class: "lab-header" },
      el("div", {}, el("h1", {}, "DDPM Lab"), el("p", {}, "see, bend and reverse diffusion")),
      el("div", {}, el("span", { class: "lab-device" }, props.device), link),
    ),
  );
}
