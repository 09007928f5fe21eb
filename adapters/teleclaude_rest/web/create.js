// The dialog for a new session.

import {$, element} from "./dom.js";

const AGENT = "agent:";

export class CreateDialog {
  /** `made(session)` is called with the new session; `size()` answers `{cols, rows}` or null. */
  constructor(api, who, {made, size}) {
    this.api = api;
    this.who = who;
    this.made = made;
    this.size = size;
    $("create-no").onclick = () => $("create").close();
    $("create-what").onchange = () => this.#rows();
    $("create-form").onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
    };
  }

  async open() {
    $("create-refusal").textContent = "";
    $("create-name").value = "";
    $("create").showModal();
    this.#rows();
    const [agents, directories] = await Promise.all([
      this.api.get("/agents").catch(() => ({agents: []})),
      this.api.get("/directories").catch(() => ({directories: []})),
    ]);
    this.#offerAgents(agents.agents);
    this.#offerDirectories(directories.directories.filter((directory) => directory.exists));
  }

  #offerAgents(agents) {
    const what = $("create-what");
    for (const option of [...what.options]) if (option.value.startsWith(AGENT)) option.remove();
    for (const agent of agents) {
      const label = agent.installed ? `Agent ${agent.name}` : `Agent ${agent.name} (not installed)`;
      what.append(element("option", {value: AGENT + agent.name, disabled: !agent.installed}, label));
    }
    this.#rows();
  }

  #offerDirectories(directories) {
    $("create-directories").replaceChildren(...directories.map(
      ({path, name, description}) => element("option", {value: path}, description ? `${name}: ${description}` : name)));
    // Below owner a session starts in one of these, so the first one is a fair guess.
    if (this.who.role !== "owner" && !$("create-cwd").value && directories.length) {
      $("create-cwd").value = directories[0].path;
    }
  }

  #rows() {
    const what = $("create-what").value;
    $("create-command-row").hidden = what !== "command";
    $("create-command").required = what === "command";
    $("create-prompt-row").hidden = !what.startsWith(AGENT);
  }

  async #submit() {
    $("create-yes").disabled = true;
    $("create-refusal").textContent = "";
    try {
      const session = await this.api.post("/sessions", this.#request());
      $("create").close();
      this.made(session);
    } catch (error) {
      $("create-refusal").textContent = error.message;
    } finally {
      $("create-yes").disabled = false;
    }
  }

  #request() {
    const what = $("create-what").value;
    const request = {...this.size()};
    const set = (name, value) => value && (request[name] = value);
    set("name", $("create-name").value.trim());
    set("cwd", $("create-cwd").value.trim());
    if (what === "command") set("command", $("create-command").value);
    if (what === "python") request.kind = "python";
    if (what.startsWith(AGENT)) {
      request.agent = what.slice(AGENT.length);
      set("prompt", $("create-prompt").value);
    }
    return request;
  }
}
