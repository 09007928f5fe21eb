// Waiting between attempts: longer each time, and over at once when the network or the reader comes back.

const FIRST_MS = 250;
const LAST_MS = 5000;

export class Backoff {
  #delay = FIRST_MS;

  reset() {
    this.#delay = FIRST_MS;
  }

  /** Resolves after the next delay, or earlier when there is a reason to try again or `signal` aborts. */
  async wait(signal) {
    const delay = this.#delay * (0.75 + Math.random() / 2);
    this.#delay = Math.min(LAST_MS, this.#delay * 1.5);
    await pause(delay, signal);
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const done = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    const options = {signal: over.signal};
    window.addEventListener("online", done, options);
    document.addEventListener("visibilitychange", () => document.hidden || done(), options);
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done, options);
  });
}
