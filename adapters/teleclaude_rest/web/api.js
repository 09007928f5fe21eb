// The HTTP surface under /v1. The token goes into the Authorization header and nowhere else.

const PREFIX = "/v1";
const TIMEOUT_MS = 30000;
const RETRIES = 4;

/** A refusal; `code` is the one to branch on. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || `the daemon answered ${status}`);
    this.status = status;
    this.code = problem.code || "";
    this.problem = problem;
  }
}

/** No answer: the daemon or the network is away. */
export class Unreachable extends Error {}

export class Api {
  /** `token` null: a socket that needs none. `onRefused` is called when the token stops being accepted. */
  constructor(token, onRefused = () => {}) {
    this.token = token;
    this.onRefused = onRefused;
  }

  get headers() {
    return this.token === null ? {} : {Authorization: `Bearer ${this.token}`};
  }

  /** The response itself; raises `ApiError` and `Unreachable`. */
  async fetch(method, path, {body, headers = {}, signal} = {}) {
    const options = {method, headers: {...this.headers, ...headers}, signal, cache: "no-store", credentials: "omit"};
    if (body !== undefined) {
      options.headers["Content-Type"] = "application/json";
      options.body = JSON.stringify(body);
    }
    let response;
    try {
      response = await fetch(PREFIX + path, options);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable("The daemon cannot be reached.");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401) this.onRefused();
    throw new ApiError(response.status, problem);
  }

  async get(path) {
    return await this.#json("GET", path);
  }

  async delete(path) {
    return await this.#json("DELETE", path);
  }

  /** A POST that may be sent again when no answer came: the key makes sure that it happens once. */
  async post(path, body) {
    const headers = {"Idempotency-Key": randomId()};
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#json("POST", path, {body, headers});
      } catch (error) {
        if (!(error instanceof Unreachable) || attempt > RETRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** attempt));
      }
    }
  }

  async #json(method, path, options = {}) {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      return await (await this.fetch(method, path, {...options, signal})).json();
    } catch (error) {
      if (error instanceof ApiError || error instanceof Unreachable) throw error;
      throw new Unreachable("The daemon did not answer in time.");
    }
  }

  /** The address of a WebSocket; it shows its token in the first message. */
  socket(path) {
    return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${PREFIX}${path}`;
  }
}

/** The path of a session. */
export const sessionPath = (id, rest = "") => `/sessions/${encodeURIComponent(id)}${rest}`;

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
