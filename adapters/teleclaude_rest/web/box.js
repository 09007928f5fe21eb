// The box to type into: one line and Enter, or several lines and the button.

import {$} from "./dom.js";

const TALLEST_PX = 160;

export class InputBox {
  #before = "";

  /** `send({text, submit})` answers whether it was taken; `keys` may hold a modifier for the next letter. */
  constructor(keys, send, press) {
    this.keys = keys;
    this.send = send;
    this.press = press;
    this.text = $("text");
    this.text.value = "";
    this.text.onkeydown = (event) => this.#keydown(event);
    this.text.oninput = () => this.#changed();
    $("multi").onchange = () => this.#fitHeight();
    $("box").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
    this.#changed();
  }

  #keydown(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    const newLine = $("multi").checked ? !event.ctrlKey && !event.metaKey : event.shiftKey;
    if (newLine) return;
    event.preventDefault();
    this.#submit();
  }

  #changed() {
    const letter = this.keys.armed ? inserted(this.#before, this.text.value) : null;
    if (letter !== null) {
      this.text.value = this.#before;
      this.press([this.keys.modified(letter.toLowerCase())]);
    }
    this.#before = this.text.value;
    this.#fitHeight();
  }

  #fitHeight() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(TALLEST_PX, Math.max(this.text.scrollHeight, $("multi").checked ? 72 : 0))}px`;
  }

  async #submit() {
    const text = this.text.value;
    const submit = $("submit").checked;
    if (!text && !submit) return;
    this.text.value = "";
    this.#changed();
    if (!(await this.send({text, submit})) && this.text.value === "") {
      this.text.value = text;
      this.#changed();
    }
  }
}

/** The one printable ASCII character that `after` has more than `before`; null when it is anything else. */
function inserted(before, after) {
  if (after.length !== before.length + 1) return null;
  let at = 0;
  while (at < before.length && before[at] === after[at]) at += 1;
  const isOne = before.slice(at) === after.slice(at + 1) && /[!-~]/.test(after[at]);
  return isOne ? after[at] : null;
}
