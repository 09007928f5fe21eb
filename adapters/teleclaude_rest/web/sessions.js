// All sessions, kept up to date by the daemon's events.

import {follow} from "./sse.js";
import {ApiError} from "./api.js";

const SETTLE_MS = 120;
/** Whether a session is busy follows from time and has no event. */
const REFRESH_MS = 4000;

export class Sessions {
  #stopped = new AbortController();
  #byId = new Map();
  #timer = null;
  #loading = false;
  #again = false;

  /** `on.changed()`, `on.link(up)`: whether the daemon is there, `on.stalled()`: the network went silent, `on.failed(error)`. */
  constructor(api, on) {
    this.api = api;
    this.on = on;
  }

  start() {
    const {signal} = this.#stopped;
    follow(this.api, "/events", {
      signal,
      opened: () => {
        this.on.link(true);
        this.refresh();
      },
      event: ({event}) => event.startsWith("session.") && this.#soon(),
      lost: (error) => {
        this.on.link(false);
        if (error instanceof ApiError) this.on.failed(error);
        if (error?.name === "AbortError") this.on.stalled();
      },
    });
    const timer = setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  stop() {
    this.#stopped.abort();
    clearTimeout(this.#timer);
  }

  get(id) {
    return this.#byId.get(id);
  }

  /** Live ones first, then the newest. */
  sorted() {
    const rank = (session) => (isOver(session) ? 1 : 0);
    return [...this.#byId.values()].sort(
      (a, b) => rank(a) - rank(b) || b.created_at.localeCompare(a.created_at) || a.name.localeCompare(b.name));
  }

  /** A session that a reply told of, before its event comes. */
  put(session) {
    this.#byId.set(session.id, session);
    this.on.changed();
  }

  #soon() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.refresh();
    }, SETTLE_MS);
  }

  async refresh() {
    if (this.#loading) {
      this.#again = true;
      return;
    }
    this.#loading = true;
    try {
      do {
        this.#again = false;
        const {sessions} = await this.api.get("/sessions");
        if (this.#stopped.signal.aborted) return;
        this.#byId = new Map(sessions.map((session) => [session.id, session]));
        this.on.changed();
      } while (this.#again);
    } catch (error) {
      if (error instanceof ApiError) this.on.failed(error);
    } finally {
      this.#loading = false;
    }
  }
}

export const isOver = (session) => ["exited", "lost", "handed_off"].includes(session.state);

/** How it is, in a word or two. */
export function stateText(session) {
  if (session.state === "exited" && session.exit) {
    const {code, signal} = session.exit;
    if (signal) return `exited ${signal}`;
    return code === null ? "exited" : `exited ${code}`;
  }
  if (session.state === "running" && session.activity !== "unknown") return session.activity.replace("_", " ");
  return session.state.replace("_", " ");
}

/** For the colour of it. */
export function mood(session) {
  if (session.state === "lost") return "bad";
  if (session.state === "exited") return session.exit?.code === 0 ? "over" : "bad";
  if (isOver(session)) return "over";
  return session.state === "running" ? session.activity : "busy";
}

/** What it is about: its title, where it is not only the computer's name, its command and its directory. */
export function aboutParts(session) {
  const title = session.title === session.computer ? "" : session.title;
  return [title, commandText(session), session.cwd].filter(Boolean);
}

function commandText(session) {
  if (session.agent) return session.agent.name;
  if (session.kind === "python") return "Python";
  if (session.command === null) return "shell";
  return Array.isArray(session.command) ? session.command.join(" ") : session.command;
}
