// Questions of programs to their terminal (who are you, where is the cursor, what colour is this): tmux has answered
// them long ago. A second answer, from a page that only watches, would be typed into the session.

const ASKED_BY_CSI = [
  {final: "c"}, {prefix: ">", final: "c"}, {prefix: "=", final: "c"}, {prefix: ">", final: "q"},
  {final: "n"}, {prefix: "?", final: "n"}, {final: "t"},
  {intermediates: "$", final: "p"}, {prefix: "?", intermediates: "$", final: "p"},
];
const COLOURS = [4, 10, 11, 12];
const FOCUS = new Set(["\x1b[I", "\x1b[O"]);

export function silence(terminal) {
  for (const id of ASKED_BY_CSI) terminal.parser.registerCsiHandler(id, () => true);
  terminal.parser.registerDcsHandler({intermediates: "$", final: "q"}, () => true);
  for (const number of COLOURS) terminal.parser.registerOscHandler(number, (data) => data.includes("?"));
}

/** Whether the terminal says this by itself, as when its tab comes to the front. */
export const isReport = (data) => FOCUS.has(data);
