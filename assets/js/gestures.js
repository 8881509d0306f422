// Gestures that hold on the whole page: a swipe that only begins on a slider, a picture that is pasted anywhere, files
// that are too many for the server to take.

import { el } from "./dom.js";

/** @import { Limits } from "./constants.js" */

const READING = 8000; // ms that a sentence at the edge of the page stays

/**
 * A vertical swipe scrolls the page. The browser has moved the slider under the finger by then, and cancels the pointer:
 * the slider goes back to where it was.
 */
function keepSlidersStill() {
  /** @type {{slider: HTMLInputElement, value: string} | null} */
  let touched = null;
  document.addEventListener(
    "touchstart",
    ({ target }) => {
      const slider = target instanceof HTMLInputElement && target.type === "range" ? target : null;
      touched = slider && { slider, value: slider.value };
    },
    { capture: true, passive: true },
  );
  document.addEventListener(
    "pointercancel",
    ({ target }) => {
      if (!touched || touched.slider !== target) return;
      const { slider, value } = touched;
      touched = null;
      slider.value = value;
      for (const type of ["input", "change"]) slider.dispatchEvent(new Event(type, { bubbles: true }));
    },
    { capture: true },
  );
  const forget = () => {
    touched = null;
  };
  document.addEventListener("pointerup", forget, { capture: true });
}

/** A picture from the clipboard becomes the page's picture, wherever the page is; what is typed in stays with its field. */
function takePastedPictures() {
  document.addEventListener("paste", (event) => {
    const [picture] = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    const upload = /** @type {HTMLInputElement | null} */ (document.querySelector("#lab-picture input[type=file]"));
    if (!picture || !upload || event.defaultPrevented) return;
    event.preventDefault();
    const files = new DataTransfer();
    files.items.add(picture);
    upload.files = files.files;
    upload.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

/**
 * A sentence at the edge of the page, for what has no place of its own.
 * @param {string} sentence
 */
function say(sentence) {
  const node = el("p", { class: "lab-toast", role: "alert" }, sentence);
  document.body.append(node);
  setTimeout(() => node.remove(), READING);
}

/**
 * The files that an event brings: those that are dropped, or chosen in a field.
 * @param {Event} event
 */
function filesOf(event) {
  if (event instanceof DragEvent) return [...(event.dataTransfer?.files ?? [])];
  return event.target instanceof HTMLInputElement ? [...(event.target.files ?? [])] : [];
}

/**
 * Files that are more than `most` bytes together are not sent: the server would not take them, nor Gradio say why.
 * @param {number} most
 */
function refuseTooManyFiles(most) {
  const look = (/** @type {Event} */ event) => {
    const files = filesOf(event);
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (size <= most) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.target instanceof HTMLInputElement && event.type === "change") event.target.value = "";
    const what = files.length > 1 ? `These ${files.length} files are` : "This file is";
    say(`${what} ${Math.round(size / 2 ** 20)} MB; choose less than ${most >> 20} MB at once.`);
  };
  for (const type of ["change", "drop"]) window.addEventListener(type, look, { capture: true });
}

/** @param {Pick<Limits, "upload">} limits */
export function listenEverywhere(limits) {
  keepSlidersStill();
  takePastedPictures();
  refuseTooManyFiles(limits.upload);
}
