// The terminal's colours in the dark and in the light.

const DARK = {
  background: "#0f1216", foreground: "#d8dee4", cursor: "#6cb6ff", selectionBackground: "#2f4a6b",
  black: "#1c2128", red: "#f47067", green: "#7bc275", yellow: "#daaa3f", blue: "#6cb6ff", magenta: "#dcbdfb",
  cyan: "#56d4dd", white: "#c5ccd3", brightBlack: "#768390", brightRed: "#ff938a", brightGreen: "#8ddb8c",
  brightYellow: "#eac55f", brightBlue: "#96d0ff", brightMagenta: "#eedcff", brightCyan: "#b3f0ff", brightWhite: "#f5f7f9",
};

const LIGHT = {
  background: "#ffffff", foreground: "#1f2328", cursor: "#0969da", cursorAccent: "#ffffff", selectionBackground: "#b6d7ff",
  black: "#24292f", red: "#cf222e", green: "#116329", yellow: "#7d4e00", blue: "#0969da", magenta: "#8250df",
  cyan: "#1b7c83", white: "#6e7781", brightBlack: "#57606a", brightRed: "#a40e26", brightGreen: "#1a7f37",
  brightYellow: "#633c01", brightBlue: "#218bff", brightMagenta: "#a475f9", brightCyan: "#3192aa", brightWhite: "#8c959f",
};

const light = window.matchMedia("(prefers-color-scheme: light)");

/** Options of the terminal for the scheme of now; programs that count on a dark ground stay readable on a light one. */
export function scheme() {
  return {theme: light.matches ? LIGHT : DARK, minimumContrastRatio: light.matches ? 4.5 : 1};
}

export function onScheme(changed, signal) {
  light.addEventListener("change", changed, {signal});
}
