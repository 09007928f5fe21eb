// The connection to one terminal: bytes by offset, over every interruption, none lost and none twice.

import {sessionPath} from "./api.js";
import {Backoff} from "./backoff.js";

const UNAUTHENTICATED = 4001;
/** What is pasted goes in frames of so many bytes at most. */
const FRAME = 65536;
/** From the attempt to the daemon's first word. */
const HELLO_MS = 10000;

/**
 * `on` is told: `hello {cols, rows}`, `bytes(data, from)`, `gap {from, to, bytes, reason}`, `exit {state, code, signal}`,
 * `moved {computer}`, `refused {code, detail}` and `status(word)`: connecting, live, waiting, ended, gone.
 */
export class Tty {
  #socket = null;
  #stopped = new AbortController();
  #backoff = new Backoff();
  #running = false;
  #held = false;
  #resume = null;

  constructor(api, id, offset, on) {
    this.api = api;
    this.id = id;
    this.offset = offset;
    this.on = on;
  }

  get live() {
    return this.#socket?.greeted === true && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Follow until the session ends; does nothing while it is being followed. */
  async run() {
    if (this.#running) return;
    this.#running = true;
    const {signal} = this.#stopped;
    try {
      while (!signal.aborted) {
        this.on.status("connecting");
        const end = await this.#once();
        if (signal.aborted) return;
        if (end !== "again") {
          this.on.status(end);
          return;
        }
        this.on.status("waiting");
        if (this.#held) await new Promise((resolve) => { this.#resume = resolve; });
        else await this.#backoff.wait(signal);
      }
    } finally {
      this.#running = false;
    }
  }

  /** Typed bytes; false when nobody would get them. */
  send(data) {
    if (!this.live) return false;
    for (let at = 0; at < data.length; at += FRAME) this.#socket.send(data.subarray(at, at + FRAME));
    return true;
  }

  /** Whether the size could be told. */
  resize(cols, rows) {
    if (!this.live) return false;
    this.#socket.send(JSON.stringify({type: "resize", cols, rows}));
    return true;
  }

  /** Break off and come back: the network may have changed under the connection. */
  refresh() {
    this.#socket?.close();
  }

  /** Take no more bytes until `release`: whoever reads is behind. What comes meanwhile waits in the daemon. */
  hold() {
    this.#held = true;
    this.#socket?.close();
  }

  release() {
    if (!this.#held) return;
    this.#held = false;
    this.#resume?.();
    this.#resume = null;
  }

  close() {
    this.#stopped.abort();
    this.release();
    this.#socket?.close();
  }

  /** One connection. Answers `again`, `ended` or `gone`. */
  #once() {
    const socket = new WebSocket(this.api.socket(sessionPath(this.id, `/tty?from=${this.offset}`)));
    socket.binaryType = "arraybuffer";
    socket.greeted = false;
    this.#socket = socket;
    let end = "again";
    let recovery = null;
    const current = () => this.#socket === socket && !this.#stopped.signal.aborted && !this.#held;
    return new Promise((resolve) => {
      const watchdog = setTimeout(() => socket.close(), HELLO_MS);
      socket.onopen = () => {
        if (this.api.token !== null) socket.send(JSON.stringify({type: "auth", token: this.api.token}));
      };
      socket.onmessage = ({data}) => {
        if (!current()) return;
        if (typeof data !== "string") {
          this.#take(new Uint8Array(data));
          return;
        }
        const message = JSON.parse(data);
        if (message.type === "hello") clearTimeout(watchdog);
        if (message.type === "error" && message.code === "gap" && !socket.greeted) recovery = this.#skip();
        else end = this.#told(socket, message) ?? end;
      };
      socket.onclose = async ({code}) => {
        clearTimeout(watchdog);
        socket.greeted = false;
        if (code === UNAUTHENTICATED) {
          this.api.onRefused();
          end = "gone";
        }
        await recovery?.catch(() => {});
        resolve(end);
      };
    });
  }

  #take(data) {
    const from = this.offset;
    this.offset += data.length;
    this.on.bytes(data, from);
  }

  /** What a message means for the connection: `ended`, `gone`, or nothing. */
  #told(socket, message) {
    switch (message.type) {
      case "hello":
        socket.greeted = true;
        this.#backoff.reset();
        this.on.hello(message);
        this.on.status("live");
        return null;
      case "gap":
        this.#gap(message);
        return null;
      case "exit":
        this.on.exit(message);
        return "ended";
      case "handed_off":
        this.on.moved(message);
        return "ended";
      case "error":
        if (message.code === "not_found") return "gone";
        if (message.code !== "unauthenticated") this.on.refused(message);
        return null;
      default:
        return null;
    }
  }

  /** What was to come next is no longer kept: go on with the oldest byte there is. */
  async #skip() {
    const {output} = await this.api.get(sessionPath(this.id));
    if (output.start > this.offset) {
      const bytes = output.start - this.offset;
      this.#gap({from: this.offset, to: output.start, bytes, reason: "retention"});
    }
  }

  #gap(gap) {
    this.offset = Math.max(this.offset, gap.to);
    this.on.gap(gap);
  }
}
