// The chosen session: its terminal, its controls and what there is to say about it.

import {ApiError, sessionPath} from "./api.js";
import {InputBox} from "./box.js";
import {ask} from "./dialogs.js";
import {$, say} from "./dom.js";
import {KeyRow, withModifier} from "./keys.js";
import {Notices} from "./notices.js";
import {beginning, current} from "./screen.js";
import {SearchPanel} from "./search.js";
import {aboutParts, isOver, mood, stateText} from "./sessions.js";
import {TerminalView} from "./terminal.js";
import {Tty} from "./tty.js";

const LINK_WORDS = {connecting: "connecting…", live: "live", waiting: "reconnecting…", ended: "", gone: "gone"};
const READER = "teleclaude.reader";
const RETRY_MS = 2000;
const RESYNC_MS = 400;
/** How long a size that was asked for is believed to come. */
const ASKED_MS = 1000;

export class Stage {
  #open = null;
  #sending = Promise.resolve();

  /** `may(operation)`: what the token allows. */
  constructor(api, who, sessions) {
    this.api = api;
    this.who = who;
    this.sessions = sessions;
    this.notices = new Notices($("notices"));
    $("fit").onclick = () => this.#fit($("fit").getAttribute("aria-pressed") !== "true");
    $("reader").onclick = () => this.#reader($("reader").getAttribute("aria-pressed") !== "true");
    $("find").onclick = () => ($("search").hidden ? this.#search() : this.#closeSearch());
    $("close").onclick = () => this.#close();
    $("restart").onclick = () => this.#restart();
  }

  get id() {
    return this.#open?.session.id ?? null;
  }

  /** The size a new session should have to fill this window; null when it does not show. */
  size() {
    const size = this.#open?.view.proposed();
    return size ? {cols: size.cols, rows: size.rows} : {};
  }

  leave() {
    this.#open?.tty?.close();
    this.#open?.view.close();
    this.#open = null;
    this.#closeSearch();
    this.notices.clear();
    $("session").hidden = true;
    $("nothing").hidden = false;
  }

  /** Show a session; `fit`: in the size of this window. */
  async show(session, {fit = false} = {}) {
    this.leave();
    $("nothing").hidden = true;
    $("session").hidden = false;
    const open = {session, tty: null, view: null, text: ""};
    this.#open = open;
    this.#controls(session);
    open.view = new TerminalView($("terminal"), {
      readOnly: !this.#mayType(session),
      on: {
        typed: (data) => this.#typed(data),
        behind: () => open.tty?.hold(),
        ready: () => open.tty?.release(),
        size: (size) => this.#resize(size),
        leave: () => $($("controls").hidden ? "find" : "text").focus(),
        link: (address) => this.#link(address),
      },
    });
    this.#reader(localStorage.getItem(READER) === "on");
    open.view.setSize(session.cols, session.rows);
    this.#setFit(fit);
    this.update();
    await this.#begin(open);
  }

  /** The list knows something newer. */
  update() {
    const open = this.#open;
    if (open === null) return;
    const session = this.sessions.get(open.session.id);
    if (session === undefined) {
      say($("state"), "deleted");
      return;
    }
    const wasOver = isOver(open.session);
    open.session = session;
    say($("name"), session.name);
    say($("state"), stateText(session));
    $("state").className = `badge ${mood(session)}`;
    say($("about"), [...aboutParts(session), `${session.cols}×${session.rows}`, session.computer].join(" · "));
    document.title = `${session.name} · teleclaude`;
    this.#controls(session);
    this.#sized(open, session);
    if (wasOver && !isOver(session)) {
      this.notices.remove("end");
      open.view?.renew();
      open.tty?.run();
      this.#resync(open);
    }
  }

  /** The session has this size; what was asked for a moment ago may still be on its way. */
  #sized(open, {cols, rows}) {
    const asked = open.asked;
    const left = asked ? asked.until - performance.now() : 0;
    if (left > 0 && (asked.cols !== cols || asked.rows !== rows)) {
      setTimeout(() => this.update(), left + 1);
      return;
    }
    open.asked = null;
    if (open.view?.setSize(cols, rows)) this.#resync(open);
  }

  /** After a change of size compare with what tmux shows: a redraw for one size may have come into the other. */
  async #resync(open) {
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, RESYNC_MS));
      if (this.#open !== open || !open.tty?.live) return;
      const screen = await current(this.api, open.session.id).catch(() => null);
      if (this.#open !== open || !screen) return;
      if (screen.exact && screen.offset >= open.tty.offset && screen.cols === open.view.terminal.cols) {
        open.view.expect(screen, {whole: true});
        open.view.reached(open.tty.offset);
        return;
      }
    }
  }

  /** The network came back or changed. */
  refresh() {
    this.#open?.tty?.refresh();
  }

  async #begin(open) {
    let start = null;
    while (start === null) {
      try {
        start = await beginning(this.api, await this.api.get(sessionPath(open.session.id)));
      } catch (error) {
        if (error instanceof ApiError && error.status === 404) return this.#status(open, "gone");
        if (error instanceof ApiError && error.status === 401) return;
        this.#status(open, "waiting");
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      if (this.#open !== open) return;
    }
    if (start.screen) open.view.expect(start.screen, start);
    if (start.from > 0) this.notices.add(`Shown from offset ${start.from} on; Search looks through all that is kept.`, {key: "tail"});
    open.tty = new Tty(this.api, open.session.id, start.from, {
      hello: (size) => {
        this.#sized(open, size);
        open.view.reached(open.tty.offset);
      },
      bytes: (data, from) => this.#bytes(open, data, from),
      gap: (gap) => {
        this.notices.gap(gap);
        announce("gap", {id: open.session.id, ...gap});
        open.view.reached(gap.to);
      },
      exit: (end) => this.#ended(open, end),
      moved: ({computer}) => this.notices.add(`The session went on to computer ${computer}.`, {kind: "warning", key: "end"}),
      refused: ({detail}) => this.notices.add(detail, {kind: "error", key: "refused"}),
      status: (word) => this.#status(open, word),
    });
    open.tty.run();
  }

  #bytes(open, data, from) {
    open.view.show(data, from);
    announce("output", {id: open.session.id, from, data});
  }

  #ended(open, end) {
    open.view.reached(open.tty.offset);
    const how = end.signal ? `by signal ${end.signal}` : end.code === null || end.code === undefined ? end.state : `with code ${end.code}`;
    this.notices.add(`Ended ${how}.`, {key: "end"});
    this.sessions.refresh();
  }

  #status(open, word) {
    if (this.#open !== open) return;
    say($("tty"), LINK_WORDS[word]);
    $("tty").dataset.word = word;
    if (word === "live") {
      this.notices.remove("refused");
      if ($("fit").getAttribute("aria-pressed") === "true") open.view.follows = true;
    }
    if (word === "gone") this.notices.add("This session is not there any more.", {kind: "warning", key: "end"});
  }

  #mayType(session) {
    return session.kind === "terminal" && this.who.may("session.tty") && !isOver(session);
  }

  #controls(session) {
    const {may} = this.who;
    const over = isOver(session);
    const canSend = session.kind === "python" ? may("session.execute") : may("session.input");
    $("controls").hidden = over || !canSend;
    $("keys").hidden = session.kind !== "terminal" || !may("session.keys");
    $("fit").hidden = $("fit").disabled = over || session.kind !== "terminal" || !may("session.resize");
    $("close").hidden = !may("session.close");
    $("close").textContent = over ? "Delete" : "Close";
    $("restart").hidden = !may("session.restart") || session.state === "handed_off";
    $("restart").textContent = over ? "Start again" : "Restart";
    $("readonly").hidden = canSend || over;
    say($("readonly"), `Read only: ${this.who.name.replace(/^token:/, "the token ")} may watch, and not type (${this.who.role}${this.who.verbs ? ", some operations only" : ""}).`);
    if (this.#open?.view) this.#open.view.terminal.options.disableStdin = !this.#mayType(session);
    if ($("controls").hidden || this.#open === null || this.#open.box) return;
    this.#open.keys = new KeyRow($("keys"), (keys) => this.#press(keys));
    this.#open.box = new InputBox(this.#open.keys, (input) => this.#send(input), (keys) => this.#press(keys));
  }

  #typed(data) {
    const {tty, keys} = this.#open;
    const one = data.length === 1 && data[0] > 0x20 && data[0] < 0x7f;
    const bytes = one && keys?.armed
      ? new TextEncoder().encode(withModifier(keys.modified(""), String.fromCharCode(data[0]))) : data;
    if (!tty?.send(bytes)) this.notices.add("Not connected: what you type now goes nowhere.", {kind: "error", key: "refused"});
  }

  #press(keys) {
    const {id} = this.#open.session;
    return this.#inOrder(() => this.api.post(sessionPath(id, "/keys"), {keys}));
  }

  #send({text, submit}) {
    const {id, kind} = this.#open.session;
    if (kind === "python") return this.#inOrder(() => this.api.post(sessionPath(id, "/executions"), {code: text}));
    return this.#inOrder(() => this.api.post(sessionPath(id, "/input"), {text, submit}));
  }

  /** One after the other, as they were given; answers whether it worked. */
  #inOrder(work) {
    const turn = this.#sending.then(() => this.#try(work));
    this.#sending = turn;
    return turn;
  }

  async #try(work) {
    try {
      await work();
      this.notices.remove("refused");
      return true;
    } catch (error) {
      this.notices.add(error.message, {kind: "error", key: "refused"});
      return false;
    }
  }

  #resize({cols, rows}) {
    const open = this.#open;
    if (!open?.tty?.resize(Math.max(2, cols), Math.max(1, rows))) return;
    // At once, so that what the program draws for the new size comes into it.
    open.asked = {cols, rows, until: performance.now() + ASKED_MS};
    if (open.view.setSize(cols, rows)) this.#resync(open);
  }

  #fit(on) {
    this.#setFit(on);
    const open = this.#open;
    if (!open) return;
    open.view.follows = on;
  }

  #setFit(on) {
    $("fit").setAttribute("aria-pressed", String(on));
  }

  #reader(on) {
    $("reader").setAttribute("aria-pressed", String(on));
    localStorage.setItem(READER, on ? "on" : "off");
    if (this.#open?.view) this.#open.view.screenReader = on;
  }

  #search() {
    const open = this.#open;
    $("search").hidden = false;
    $("find").setAttribute("aria-expanded", "true");
    open.search = new SearchPanel($("search"), this.api, open.session.id,
      (hit) => open.view.jump(hit.from, hit.text.trim()), () => this.#closeSearch());
  }

  #closeSearch() {
    $("find").setAttribute("aria-expanded", "false");
    if ($("search").hidden) return;
    $("search").hidden = true;
    $("search").replaceChildren();
    $("find").focus();
  }

  async #close() {
    const {session} = this.#open;
    const over = isOver(session);
    const answer = await ask(over
      ? {title: `Delete ${session.name}?`, text: "Its record and its output are dropped.", yes: "Delete", danger: true}
      : {title: `Close ${session.name}?`, text: "The program in it is ended.", yes: "Close", danger: true,
        option: "Drop its record and output too"});
    if (answer === null) return;
    const purge = over || answer.option;
    const done = await this.#try(() => this.api.delete(sessionPath(session.id, purge ? "?purge=true" : "")));
    this.sessions.refresh();
    if (done && purge && this.id === session.id) location.hash = "";
  }

  async #restart() {
    const {session} = this.#open;
    const resumable = session.agent !== null;
    const over = isOver(session);
    const answer = over && !resumable ? {option: false} : await ask({
      title: `${over ? "Start" : "Restart"} ${session.name}${over ? " again" : ""}?`,
      text: over ? "Its command is started again." : "The program in it is ended and its command started again.",
      yes: over ? "Start" : "Restart", option: resumable ? "Take its conversation up again" : null});
    if (answer === null) return;
    const body = answer.option ? {resume: true} : {};
    await this.#try(async () => this.sessions.put(await this.api.post(sessionPath(session.id, "/restart"), body)));
  }

  async #link(address) {
    if (!/^https?:/i.test(address)) return;
    const answer = await ask({title: "Open this link?", text: address, yes: "Open"});
    if (answer !== null) window.open(address, "_blank", "noopener,noreferrer");
  }
}

/** Tell whoever listens on this page (a user script, a test) what came. */
function announce(what, detail) {
  document.dispatchEvent(new CustomEvent(`teleclaude:${what}`, {detail}));
}
