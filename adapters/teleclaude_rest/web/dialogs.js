// Questions to the reader.

import {$} from "./dom.js";

/** Ask before something that cannot be undone. Answers null for no, else `{option}`: whether the box was ticked. */
export function ask({title, text, yes, option = null, danger = false}) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  $("ask-yes").className = danger ? "danger" : "primary";
  $("ask-option-label").hidden = option === null;
  $("ask-option-text").textContent = option ?? "";
  $("ask-option").checked = false;
  dialog.returnValue = "no";
  dialog.showModal();
  $("ask-no").onclick = () => dialog.close("no");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(
      dialog.returnValue === "yes" ? {option: $("ask-option").checked} : null), {once: true});
  });
}
