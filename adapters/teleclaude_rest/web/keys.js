// The row of keys, for those who have none, and the modifiers that hold for the next key.

import {button, element} from "./dom.js";

const NAMED = [
  ["Esc", "Escape", "Escape"], ["Tab", "Tab", "Tab"], ["⇧Tab", "S-Tab", "Shift Tab"],
  ["↑", "Up", "Up"], ["↓", "Down", "Down"], ["←", "Left", "Left"], ["→", "Right", "Right"],
  ["⏎", "Enter", "Enter"], ["⌫", "BSpace", "Backspace"], ["^C", "C-c", "Control C"], ["^D", "C-d", "Control D"],
  ["PgUp", "PageUp", "Page up"], ["PgDn", "PageDown", "Page down"], ["Home", "Home", "Home"], ["End", "End", "End"],
];
const DIGITS = [..."1234567890"];
const MODIFIABLE = new Set(["Up", "Down", "Left", "Right", "PageUp", "PageDown", "Home", "End"]);
const PLAIN = new Set(["Escape", "Tab", "Enter", "BSpace"]);

export class KeyRow {
  #armed = new Set();
  #toggles = new Map();

  /** `press(keys)` is given names as the API knows them. */
  constructor(host, press) {
    this.press = press;
    const modifiers = [["Ctrl", "C"], ["Alt", "M"]].map(([label, modifier]) => {
      const toggle = button(label, () => this.#toggle(modifier), {"aria-pressed": "false", class: "modifier",
        title: `${label} with the next key`});
      this.#toggles.set(modifier, toggle);
      return toggle;
    });
    const named = NAMED.map(([label, key, spoken]) => button(label, () => this.#named(key), {"aria-label": spoken, "data-key": key}));
    const digits = DIGITS.map((digit) => button(digit, () => this.#named(digit), {"data-key": digit, class: "digit"}));
    host.replaceChildren(...modifiers, ...named, element("span", {class: "gap"}), ...digits);
    // A press must not take the focus, and with it the keyboard of a phone, away from where one types.
    host.onpointerdown = (event) => event.preventDefault();
    host.onkeydown = (event) => this.#walk(host, event);
  }

  get armed() {
    return this.#armed.size > 0;
  }

  /** The key's name with what was armed, which is used up by it. */
  modified(key) {
    const prefix = ["C", "M"].filter((modifier) => this.#armed.has(modifier)).map((modifier) => `${modifier}-`).join("");
    this.#armed.clear();
    this.#show();
    return prefix + key;
  }

  #named(key) {
    if (this.#armed.has("C") && (PLAIN.has(key) || DIGITS.includes(key))) this.#armed.delete("C"); // no such key
    this.press([MODIFIABLE.has(key) || PLAIN.has(key) || key.length === 1 ? this.modified(key) : (this.modified(""), key)]);
  }

  #toggle(modifier) {
    if (!this.#armed.delete(modifier)) this.#armed.add(modifier);
    this.#show();
  }

  #show() {
    for (const [modifier, toggle] of this.#toggles) toggle.setAttribute("aria-pressed", String(this.#armed.has(modifier)));
  }

  /** Left and right walk along the row, as in any toolbar. */
  #walk(host, event) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    const all = [...host.querySelectorAll("button")];
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    all[(at + step + all.length) % all.length].focus();
  }
}

/** Typed bytes that one letter with an armed modifier stands for. */
export function withModifier(name, letter) {
  const code = letter.toLowerCase().charCodeAt(0);
  const inner = name.includes("C-") ? String.fromCharCode(code & 0x1f) : letter;
  return name.startsWith("M-") || name.includes("M-") ? `\x1b${inner}` : inner;
}
