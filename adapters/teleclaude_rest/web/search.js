// Search in all recorded output: hits with their offsets, and the place of each in the record.

import {sessionPath} from "./api.js";
import {button, element} from "./dom.js";

const HITS = 100;
/** So much of the record is shown before and after a hit, and added by each further press. */
const AROUND_BYTES = 6000;

export class SearchPanel {
  #run = 0;

  /** `jump(hit)` shows a hit in the terminal, where that still has it. */
  constructor(host, api, id, jump, closed) {
    this.host = host;
    this.api = api;
    this.id = id;
    this.jump = jump;
    this.field = element("input", {type: "search", "aria-label": "Text to search for", placeholder: "Search the output",
      required: true, autocapitalize: "none", spellcheck: "false", maxlength: "8192"});
    this.regex = element("input", {type: "checkbox"});
    this.status = element("p", {class: "hint", role: "status"});
    this.hits = element("ol", {class: "hits"});
    this.more = element("div");
    this.place = element("div", {class: "place", hidden: true});
    const form = element("form", {role: "search", class: "bar"}, this.field, element("button", {class: "primary"}, "Find"),
      button("✕", closed, {"aria-label": "Close the search", class: "quiet"}),
      element("label", {class: "check"}, this.regex, " regular expression"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#start();
    });
    host.replaceChildren(form, this.status, this.hits, this.more, this.place);
    host.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      if (this.place.hidden) closed();
      else this.#back();
    };
    this.field.focus();
  }

  async #start() {
    this.hits.replaceChildren();
    this.#back();
    await this.#find(null, (this.#run += 1));
  }

  async #find(from, run) {
    this.more.replaceChildren();
    this.status.textContent = "Searching…";
    const query = new URLSearchParams({[this.regex.checked ? "regex" : "text"]: this.field.value, limit: HITS});
    if (from !== null) query.set("from", from);
    try {
      const {matches, next} = await this.api.get(sessionPath(this.id, `/search?${query}`));
      if (run !== this.#run) return;
      this.hits.append(...matches.map((hit) => this.#hit(hit)));
      const count = this.hits.children.length;
      const found = count === 1 ? "1 line" : `${count} lines`;
      this.status.textContent = next === null ? `${found} found.` : `${found} found so far, up to offset ${next}.`;
      if (next !== null) this.more.append(button("Search on", () => this.#find(next, run)));
    } catch (error) {
      if (run === this.#run) this.status.textContent = error.message;
    }
  }

  #hit(hit) {
    const open = button("", () => this.#open(hit), {class: "hit", "data-offset": hit.from});
    open.append(element("small", {}, `offset ${hit.from}`), element("code", {}, ...this.#marked(hit.text)));
    return element("li", {}, open);
  }

  #marked(text) {
    const wanted = this.field.value;
    if (this.regex.checked || !wanted) return [text];
    const parts = text.split(wanted);
    return parts.flatMap((part, place) => (place ? [element("mark", {}, wanted), part] : [part]));
  }

  async #open(hit) {
    this.jump(hit);
    const record = element("pre", {tabindex: "0", "aria-label": `The record around offset ${hit.from}`});
    const line = element("mark", {}, hit.text);
    const around = {from: hit.from, to: hit.to};
    const earlier = button("Earlier", () => this.#guarded(async () => {
      const height = record.scrollHeight;
      const before = await this.#before(around.from);
      around.from = before.from;
      record.prepend(before.text);
      record.scrollTop += record.scrollHeight - height;
      earlier.disabled = before.over;
    }));
    const later = button("Later", () => this.#guarded(async () => {
      const after = await this.#read(around.to, AROUND_BYTES);
      around.to = after.to;
      record.append(after.text);
      later.disabled = after.to >= after.end;
    }));
    this.place.replaceChildren(
      element("div", {class: "bar"}, button("‹ Hits", () => this.#back()), element("small", {}, `offset ${hit.from}`),
        element("span", {class: "grow"}), earlier, later), record);
    record.append(line, "\n");
    for (const part of [this.hits, this.more, this.status]) part.hidden = true;
    this.place.hidden = false;
    record.focus({preventScroll: true});
    await this.#guarded(async () => {
      const [before, after] = await Promise.all([this.#before(hit.from), this.#read(hit.to, AROUND_BYTES)]);
      Object.assign(around, {from: before.from, to: after.to});
      record.prepend(before.text);
      record.append(after.text);
      earlier.disabled = before.over;
      later.disabled = after.to >= after.end;
      line.scrollIntoView({block: "center"});
    });
  }

  async #guarded(work) {
    try {
      await work();
    } catch (error) {
      this.status.hidden = false;
      this.status.textContent = error.message;
    }
  }

  #back() {
    for (const part of [this.hits, this.more, this.status]) part.hidden = false;
    this.place.hidden = true;
  }

  /** Whole lines of the record that end at `end`. */
  async #before(end) {
    const {output} = await this.api.get(sessionPath(this.id));
    const begin = Math.max(output.start, end - AROUND_BYTES);
    if (begin >= end) return {text: "", from: end, over: true};
    const raw = await this.api.fetch("GET", sessionPath(this.id, `/output?from=${begin}&limit=${end - begin}`));
    const line = begin === output.start ? 0 : new Uint8Array(await raw.arrayBuffer()).indexOf(10) + 1;
    const from = begin + line;
    const {text} = from < end ? await this.#read(from, end - from) : {text: ""};
    return {text, from, over: from <= output.start};
  }

  async #read(from, limit) {
    const response = await this.api.fetch("GET", sessionPath(this.id, `/output?from=${from}&limit=${limit}&format=text`));
    const number = (name) => Number(response.headers.get(name));
    return {text: await response.text(), to: number("Teleclaude-To"), end: number("Teleclaude-End")};
  }
}
