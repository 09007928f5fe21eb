// Where to begin showing a session: some of its past from the stream, and the screen as tmux has it, at one offset.

import {ApiError, sessionPath} from "./api.js";

/** How much of the past is shown; all of it can be searched. */
const REPLAY_BYTES = 512 * 1024;
const ATTEMPTS = 3;

/**
 * `{from, whole, screen}`: the offset to begin at, whether nothing was before it, and the screen
 * `{offset, lines, cursor, alternate, exact}` or null where none is kept.
 */
export async function beginning(api, session) {
  const screen = await current(api, session.id);
  const {start, end} = session.output;
  const from = Math.max(start, Math.min(end, screen?.offset ?? end) - REPLAY_BYTES);
  return {from, whole: from === 0, screen: screen !== null && screen.offset >= from ? screen : null};
}

/** The screen as it is now; null where there is none. */
export async function current(api, id) {
  try {
    for (let attempt = 1; ; attempt += 1) {
      const coloured = await api.fetch("GET", sessionPath(id, "/screen?format=ansi"));
      const lines = (await coloured.text()).split("\n").slice(0, -1);
      const screen = await api.get(sessionPath(id, "/screen"));
      const same = Number(coloured.headers.get("Teleclaude-Offset")) === screen.offset;
      if (same) return {...screen, plain: screen.lines, lines};
      if (attempt === ATTEMPTS) return {...screen, plain: screen.lines, exact: false};
    }
  } catch (error) {
    if (error instanceof ApiError && error.status !== 401) return null;
    throw error;
  }
}

/** Escape sequences that paint the screen over whatever a terminal shows. */
export function painted({lines, cursor, alternate}, isAlternate) {
  const buffer = alternate === isAlternate ? "" : `\x1b[?1049${alternate ? "h" : "l"}`;
  const rows = lines.map((line, row) => `\x1b[${row + 1};1H\x1b[0m\x1b[2K${line}`).join("");
  // CAN first: what was shown may have begun or stopped in the middle of a sequence.
  return `\x18${buffer}${rows}\x1b[0m\x1b[${cursor.y + 1};${cursor.x + 1}H\x1b[?25${cursor.visible ? "h" : "l"}`;
}
