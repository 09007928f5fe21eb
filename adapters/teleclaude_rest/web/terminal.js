// One terminal on the page: shows bytes, knows where each came from, and keeps a size.

import {onScheme, scheme} from "./colours.js";
import {painted} from "./screen.js";
import {isReport, silence} from "./silence.js";

const FONT = 'ui-monospace, "JetBrains Mono", "DejaVu Sans Mono", Menlo, Consolas, "Liberation Mono", monospace';
const FONT_PX = 14;
const SMALLEST_PX = 9;
const SCROLLBACK = 10000;
/** Bytes that wait to be shown: above the first nothing more is asked for, below the second it is again. */
const MUCH = 4 << 20;
const LITTLE = 512 << 10;
/** So many bytes are given to the terminal at a time; the place of each piece is remembered. */
const PIECE = 4096;
const PLACES = 4000;

/** Ends a sequence, the other screen, mouse reports and pasting in brackets; shows the cursor. */
const RENEWED = "\x18\x1b[?1049l\x1b[!p\x1b[?1000;1002;1003;1004;1006;2004l\x1b[?25h\x1b[0m";

const encoder = new TextEncoder();

export class TerminalView {
  #places = [];
  #waiting = 0;
  #screen = null;
  #first = null;
  #over = new AbortController();

  /** `on.typed(bytes)`: what the reader types here; `on.behind()` and `on.ready()`: stop and go on with bytes. */
  constructor(host, {readOnly, on}) {
    this.host = host;
    this.on = on;
    this.terminal = new globalThis.Terminal({
      allowProposedApi: true, // markers of places, for the search
      cursorBlink: false, disableStdin: readOnly, fontFamily: FONT, fontSize: FONT_PX, scrollback: SCROLLBACK,
      linkHandler: {activate: (_event, address) => on.link(address)}, ...scheme(),
    });
    this.fitter = new globalThis.FitAddon.FitAddon();
    this.terminal.loadAddon(this.fitter);
    silence(this.terminal);
    this.terminal.open(host);
    this.terminal.textarea?.setAttribute("aria-label", `Terminal${readOnly ? ", read only" : ""}; Shift Escape leaves it`);
    this.terminal.attachCustomKeyEventHandler((event) => this.#isForUs(event));
    this.terminal.onData((data) => isReport(data) || on.typed(encoder.encode(data)));
    this.terminal.onBinary((data) => on.typed(Uint8Array.from(data, (character) => character.charCodeAt(0))));
    onScheme(() => Object.assign(this.terminal.options, scheme()), this.#over.signal);
    const observer = new ResizeObserver(() => this.#resized());
    observer.observe(host);
    this.#over.signal.addEventListener("abort", () => observer.disconnect());
  }

  close() {
    this.#over.abort();
    this.terminal.dispose();
    this.host.replaceChildren();
  }

  /** Paint `screen` once the bytes up to its offset are shown, unless they made the same picture. */
  expect(screen, {whole}) {
    this.#screen = {...screen, whole};
  }

  /** Show `data`, whose first byte is at offset `from`. */
  show(data, from) {
    this.#first ??= from;
    const cut = this.#screen === null ? 0 : this.#screen.offset - from;
    if (cut > 0 && cut < data.length) {
      this.#write(data.subarray(0, cut), from);
      this.#paint();
      this.#write(data.subarray(cut), from + cut);
      return;
    }
    if (cut <= 0) this.#paint();
    this.#write(data, from);
    if (cut === data.length) this.#paint();
  }

  /** The bytes up to `offset` have all come; what is due there is shown. */
  reached(offset) {
    if (this.#screen !== null && this.#screen.offset <= offset) this.#paint();
  }

  /** Whether that was a change. */
  setSize(cols, rows) {
    if (cols === this.terminal.cols && rows === this.terminal.rows) return false;
    this.terminal.resize(cols, rows);
    this.#scale();
    return true;
  }

  /** The size that would fill the window at the usual size of letters; null before there is one. */
  proposed() {
    const size = this.fitter.proposeDimensions();
    if (!size) return null;
    const scale = this.terminal.options.fontSize / FONT_PX;
    return {cols: Math.max(2, Math.floor(size.cols * scale)), rows: Math.max(1, Math.floor(size.rows * scale))};
  }

  set follows(on) {
    this.fitting = on;
    this.#resized();
  }

  set screenReader(on) {
    this.terminal.options.screenReaderMode = on;
  }

  /** Another program begins: the modes that the last one left behind are not its own. */
  renew() {
    this.terminal.write(RENEWED);
  }

  /** Scroll to where the line at `offset` is shown and select it; false when it is not there any more. */
  jump(offset, text) {
    const place = this.#places.findLast((known) => known.offset <= offset);
    const {active} = this.terminal.buffer;
    if (active.type !== "normal" || place?.marker.isDisposed || (place === undefined && this.#first > offset)) return false;
    const wanted = text.replace(/\s+/g, " ");
    const last = Math.min(active.length, (place?.marker.line ?? 0) + PIECE);
    for (let row = place?.marker.line ?? 0; row < last; row += 1) {
      let [end, line] = [row, active.getLine(row).translateToString(true)];
      while (active.getLine(end + 1)?.isWrapped) line += active.getLine(end += 1).translateToString(true);
      if (line.replace(/\s+/g, " ").includes(wanted)) {
        this.terminal.selectLines(row, end);
        this.terminal.scrollToLine(Math.max(0, row - (this.terminal.rows >> 1)));
        return true;
      }
      row = end;
    }
    return false;
  }

  #write(data, from) {
    for (let at = 0; at < data.length; at += PIECE) {
      const piece = data.subarray(at, at + PIECE);
      this.#waiting += piece.length;
      this.terminal.write(piece, () => this.#shown(piece.length, from + at + piece.length));
    }
    if (this.#waiting > MUCH) this.on.behind();
  }

  #shown(count, offset) {
    const before = this.#waiting;
    this.#waiting -= count;
    if (before >= LITTLE && this.#waiting < LITTLE) this.on.ready();
    const marker = this.terminal.registerMarker(0);
    if (marker) this.#places.push({offset, marker});
    if (this.#places.length > PLACES) this.#places.shift().marker.dispose();
    this.#keepCursorInView();
  }

  #paint() {
    const screen = this.#screen;
    if (screen === null) return;
    this.#screen = null;
    this.terminal.write("", () => {
      if (screen.whole && (!screen.exact || this.#matches(screen))) return;
      this.terminal.write(painted(screen, this.terminal.buffer.active.type === "alternate"));
    });
  }

  #matches(screen) {
    const {active} = this.terminal.buffer;
    const shown = screen.plain.map((_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? "");
    return screen.plain.every((line, row) => line.trimEnd() === shown[row].trimEnd());
  }

  /** Tab belongs to the program, so there is another way out for those who have only a keyboard. */
  #isForUs(event) {
    if (event.key !== "Escape" || !event.shiftKey) return true;
    if (event.type === "keydown") this.on.leave();
    return false;
  }

  #resized() {
    if (this.fitting) {
      this.#letters(FONT_PX); // so that the proposal is exact
      const size = this.proposed();
      if (size && (size.cols !== this.terminal.cols || size.rows !== this.terminal.rows)) this.on.size(size);
    }
    this.#scale();
  }

  /** Smaller letters where the session is wider than the window, down to what can be read; beyond that it scrolls. */
  #scale() {
    const fits = this.proposed();
    if (!fits) return;
    const wanted = Math.floor((FONT_PX * fits.cols * 2) / this.terminal.cols) / 2;
    this.#letters(Math.max(SMALLEST_PX, Math.min(FONT_PX, wanted)));
  }

  #letters(size) {
    if (size === this.terminal.options.fontSize) return;
    this.terminal.options.fontSize = size;
    // xterm.js 6.0 leaves its scroll bar at the old height of lines until something scrolls.
    this.terminal._core?._viewport?.queueSync();
  }

  /** Where the session is taller than the window, what happens at the cursor stays in sight. */
  #keepCursorInView() {
    if (this.host.scrollHeight <= this.host.clientHeight || !this.terminal.rows) return;
    const height = this.host.scrollHeight / this.terminal.rows;
    const bottom = (this.terminal.buffer.active.cursorY + 2) * height;
    if (bottom > this.host.scrollTop + this.host.clientHeight) this.host.scrollTop = bottom - this.host.clientHeight;
  }
}
