// Gestures that hold on the whole page: a swipe that only begins on a slider, and a picture that is pasted anywhere.

/**
 * A vertical swipe scrolls the page. The browser has moved the slider under the finger by then, and cancels the pointer:
 * the slider goes back to where it was.
 */
function keepSlidersStill() {
  let touched = null;
  const forget = () => (touched = null);
  document.addEventListener("touchstart", ({ target }) => {
    touched = target.matches?.("input[type=range]") ? { slider: target, value: target.value } : null;
  }, { capture: true, passive: true });
  document.addEventListener("pointercancel", ({ target }) => {
    if (touched?.slider !== target) return;
    const { slider, value } = touched;
    forget();
    slider.value = value;
    for (const type of ["input", "change"]) slider.dispatchEvent(new Event(type, { bubbles: true }));
  }, { capture: true });
  document.addEventListener("pointerup", forget, { capture: true });
}

/** A picture from the clipboard becomes the page's picture, wherever the page is; what is typed in stays with its field. */
function takePastedPictures() {
  document.addEventListener("paste", (event) => {
    const [picture] = [...(event.clipboardData?.files ?? [])].filter((file) => file.type.startsWith("image/"));
    const upload = document.querySelector("#lab-picture input[type=file]");
    if (!picture || !upload || event.defaultPrevented) return;
    event.preventDefault();
    const files = new DataTransfer();
    files.items.add(picture);
    upload.files = files.files;
    upload.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

export function listenEverywhere() {
  keepSlidersStill();
  takePastedPictures();
}
