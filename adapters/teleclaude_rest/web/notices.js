// What the reader has to know about a session, in words, until put away.

import {button, element} from "./dom.js";

const MOST = 5;

const REASONS = {
  retention: "it is older than what is kept",
  recorder_died: "the recorder had died",
};

export class Notices {
  constructor(host) {
    this.host = host;
  }

  clear() {
    this.host.replaceChildren();
  }

  /** `kind` is info, warning or error; one with the same `key` is replaced. */
  add(text, {kind = "info", key = null} = {}) {
    const note = element("div", {class: `notice ${kind}`, "data-key": key}, element("span", {}, text));
    note.append(button("✕", () => note.remove(), {"aria-label": "Put this notice away", class: "quiet"}));
    if (key !== null) this.remove(key);
    this.host.append(note);
    while (this.host.children.length > MOST) this.host.firstChild.remove();
  }

  remove(key) {
    for (const note of [...this.host.children]) if (note.dataset.key === key) note.remove();
  }

  gap({from, to, bytes, reason}) {
    const size = bytes === null ? "An unknown number of bytes" : `${bytes.toLocaleString()} bytes`;
    const why = REASONS[reason] ?? reason;
    this.add(`Gap in the output: ${size} missing, from offset ${from} to ${to}: ${why}.`, {kind: "warning"});
  }
}
