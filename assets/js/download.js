// Files that the page hands over.

import { el } from "./dom.js";

/**
 * Hand a text or a Blob to the browser as a download.
 * @param {string | Blob} content
 * @param {string} name
 */
export function download(content, name) {
  const blob = content instanceof Blob ? content : new Blob([content], { type: "text/plain" });
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
