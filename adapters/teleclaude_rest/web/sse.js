// Server-sent events by fetch, because EventSource cannot show a token.

import {ApiError} from "./api.js";
import {Backoff} from "./backoff.js";

/** The daemon sends at least a comment in 15 s; this long without a byte means that nobody is there. */
const SILENCE_MS = 40000;

/** Turns text, in whatever pieces it comes, into events `{id, event, data}`. */
export class EventParser {
  #rest = "";
  #fields = {};

  /** The events that `text` completes. */
  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") {
      const fields = this.#fields;
      this.#fields = {};
      return fields.data === undefined ? null : {id: fields.id ?? null, event: fields.event ?? "message", data: fields.data};
    }
    const [name, ...value] = line.split(":");
    if (name) this.#fields[name] = value.join(":").replace(/^ /, "");
    return null;
  }
}

/**
 * Follow `path` until `signal` aborts or the token is refused, over every interruption, from the last event seen.
 * `opened` is called for each connection, `event` with each event, `lost` when a connection broke.
 */
export async function follow(api, path, {signal, opened, event, lost}) {
  const backoff = new Backoff();
  let last = null;
  while (!signal.aborted) {
    try {
      await once(api, path, last, signal, () => (backoff.reset(), opened()), (found) => {
        if (found.id !== null) last = found.id;
        event(found);
      });
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status === 401)) return;
      lost(error);
      await backoff.wait(signal);
      continue;
    }
    if (signal.aborted) return;
    lost(null);
    await backoff.wait(signal);
  }
}

async function once(api, path, last, signal, opened, event) {
  const attempt = new AbortController();
  const stop = () => attempt.abort();
  signal.addEventListener("abort", stop);
  let watchdog = setTimeout(stop, SILENCE_MS);
  try {
    const headers = last === null ? {} : {"Last-Event-ID": last};
    const response = await api.fetch("GET", path, {headers, signal: attempt.signal});
    opened();
    const parser = new EventParser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      clearTimeout(watchdog);
      watchdog = setTimeout(stop, SILENCE_MS);
      for (const found of parser.feed(value)) event(found);
    }
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", stop);
    stop();
  }
}
