// The page: signing in, then the list of sessions and the chosen one.

import {Api, ApiError} from "./api.js";
import {CreateDialog} from "./create.js";
import {$, say} from "./dom.js";
import {SessionListView} from "./list.js";
import {Sessions} from "./sessions.js";
import {Stage} from "./stage.js";
import * as token from "./token.js";

const REVOKED = "The token is not accepted any more: it expired or was revoked. Sign in with another one.";
const WRONG = "This token is not accepted. Check that it is whole; it may have expired or been revoked.";
const RETRY_MS = 1500;

/** Everything of one sign-in; thrown away with it. */
class Desk {
  #over = new AbortController();
  #fresh = null;
  #up = false;

  constructor(api, who) {
    this.api = api;
    this.sessions = new Sessions(api, {
      changed: () => this.#changed(),
      link: (up) => this.#link(up),
      stalled: () => this.stage.refresh(),
      failed: (error) => say($("link"), error.message),
    });
    this.list = new SessionListView(this.sessions);
    this.stage = new Stage(api, who, this.sessions);
    this.create = new CreateDialog(api, who, {made: (session) => this.#made(session), size: () => this.stage.size()});
    const options = {signal: this.#over.signal};
    $("new").hidden = !who.may("session.create");
    $("new").onclick = () => this.create.open();
    $("ended").onchange = () => this.#changed();
    say($("who"), `${who.name} · ${who.role}`);
    window.addEventListener("hashchange", () => this.#choose(), options);
    window.addEventListener("online", () => this.stage.refresh(), options);
    this.#computer();
    this.sessions.start();
    this.#choose();
  }

  close() {
    this.#over.abort();
    this.sessions.stop();
    this.stage.leave();
    for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  }

  async #computer() {
    try {
      say($("computer"), (await this.api.get("/health")).computer);
    } catch {
      say($("computer"), "teleclaude"); // its name is only decoration
    }
  }

  #link(up) {
    this.#up = up;
    say($("link"), up ? "" : "the daemon is away; trying again…");
    document.body.classList.toggle("away", !up);
  }

  #changed() {
    if (this.#up) say($("link"), "");
    this.list.show(this.stage.id);
    if (this.stage.id === null) this.#choose();
    this.stage.update();
  }

  #made(session) {
    this.sessions.put(session);
    this.#fresh = session.id;
    location.hash = encodeURIComponent(session.id);
  }

  /** What the address names after its #, so that the browser's Back works. */
  #choose() {
    const id = decodeURIComponent(location.hash.slice(1));
    const session = this.sessions.get(id);
    document.body.dataset.view = session ? "session" : "list";
    if (!session) document.title = "teleclaude";
    if (!session) this.stage.leave();
    else if (this.stage.id !== id) this.stage.show(session, {fit: this.#fresh === id});
    this.list.show(this.stage.id);
  }
}

let desk = null;
/** How often a token was shown; only the last one counts. */
let attempts = 0;

function signedOut(reason) {
  token.forget();
  desk?.close();
  desk = null;
  document.body.dataset.view = "signin";
  document.title = "teleclaude";
  $("app").hidden = true;
  $("signin").hidden = false;
  $("token").value = "";
  $("signin-reason").textContent = reason;
  $("token").focus();
}

function signedIn(api, who) {
  $("signin").hidden = true;
  $("app").hidden = false;
  api.onRefused = () => desk?.api === api && signedOut(REVOKED);
  desk = new Desk(api, {...who, may: allowance(who)});
}

/** Whether a principal may do an operation, as far as its role and scope tell. */
function allowance({role, sessions, verbs}) {
  return (operation) => role !== "viewer" && (verbs === null || verbs.includes(operation))
    && (sessions === null || operation !== "session.create");
}

async function present(shown, remember = null) {
  const api = new Api(shown);
  const attempt = (attempts += 1);
  while (attempt === attempts) {
    try {
      const who = await api.get("/whoami");
      if (attempt !== attempts) return;
      if (remember !== null) token.keep(shown, remember);
      signedIn(api, who);
      return;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        signedOut(shown === null ? "" : remember === null ? REVOKED : WRONG);
        return;
      }
      if (error instanceof ApiError && remember !== null) {
        $("signin-reason").textContent = error.message;
        return;
      }
      say($("signin-reason"), "The daemon cannot be reached; trying again…");
      $("signin").hidden = false;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

$("signin-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("signin-reason").textContent = "";
  present($("token").value.trim(), $("remember").checked);
});
$("signout").addEventListener("click", () => signedOut(""));

// Without a token first: a socket of the owner's own (forwarded to here) wants none.
present(token.known());
