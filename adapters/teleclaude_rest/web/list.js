// The list of sessions on the side.

import {$, element, say} from "./dom.js";
import {aboutParts, isOver, mood, stateText} from "./sessions.js";

export class SessionListView {
  #rows = new Map();

  constructor(sessions) {
    this.sessions = sessions;
  }

  show(chosen) {
    const shown = this.sessions.sorted().filter((one) => $("ended").checked || !isOver(one) || one.id === chosen);
    const rows = shown.map((session) => this.#row(session, session.id === chosen));
    const list = $("list");
    rows.forEach((row, place) => list.children[place] === row || list.insertBefore(row, list.children[place] ?? null));
    while (list.children.length > rows.length) list.lastChild.remove();
    const present = new Set(shown.map((session) => session.id));
    for (const id of this.#rows.keys()) if (!present.has(id)) this.#rows.delete(id);
    $("empty").hidden = rows.length > 0;
  }

  /** Rows stay the same elements, so that the focus stays where it is. */
  #row(session, isChosen) {
    let row = this.#rows.get(session.id);
    if (row === undefined) {
      row = element("li", {"data-id": session.id}, element("a", {href: `#${encodeURIComponent(session.id)}`},
        element("span", {class: "dot", "aria-hidden": "true"}), element("strong"), element("span", {class: "badge"}),
        element("small")));
      this.#rows.set(session.id, row);
    }
    const link = row.firstChild;
    const [dot, name, badge, about] = link.children;
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    dot.className = `dot ${mood(session)}`;
    badge.className = `badge ${mood(session)}`;
    say(name, session.name);
    say(badge, stateText(session));
    say(about, aboutParts(session).join(" · "));
    return row;
  }
}
