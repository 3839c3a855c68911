// The two forms: what a person asks for → a request and its recordings.

import { record } from "./sound.js";

const WORDS = new Set(["prompt", "negative_prompt", "source_prompt", "sampler", "spacing", "kind"]);

/** The choice of a recording: a file, the microphone, or a take. */
export class Recording {
  constructor(root, changed = () => {}) {
    this.part = root.dataset.part;
    this.root = root;
    this.changed = changed;
    const [input, button, clear] = ["input", "[data-record]", "[data-clear]"].map((s) => root.querySelector(s));
    input.onchange = () => input.files[0] && this.choose(input.files[0]);
    clear.onclick = () => this.choose(undefined);
    button.onclick = () => this.#record(button);
  }

  choose(file) {
    this.file = file;
    this.root.querySelector("[data-chosen]").textContent = file?.name ?? "";
    this.root.querySelector("[data-clear]").hidden = !file;
    if (!file) this.root.querySelector("input").value = "";
    this.changed(file);
  }

  async #record(button) {
    if (this.stop) {
      const stop = this.stop;
      this.stop = undefined;
      button.textContent = "Record";
      this.choose(await stop());
      return;
    }
    try {
      this.stop = await record();
      button.textContent = "Stop recording";
    } catch {
      this.root.querySelector("[data-chosen]").textContent = "There is no microphone to record from.";
    }
  }
}

export function prepareBlend(form) {
  form.querySelector("[data-blend]").onclick = () => {
    const row = document.createElement("div");
    row.className = "pair";
    row.innerHTML =
      '<input aria-label="Another text" data-text maxlength="2000">' +
      '<input aria-label="Its share, in percent" data-share type="number" min="1" max="99" value="50">' +
      '<button type="button">Remove</button>';
    row.querySelector("button").onclick = () => row.remove();
    form.querySelector(".blend").append(row);
    row.querySelector("[data-text]").focus();
  };
}

/** Return the prompt: a text, or texts with their shares. */
function promptOf(form) {
  const first = form.elements.prompt.value.trim();
  const others = [...form.querySelectorAll(".blend .pair")]
    .map((row) => [row.querySelector("[data-text]").value.trim(), Number(row.querySelector("[data-share]").value)])
    .filter(([text]) => text);
  if (!first || !others.length) return first || undefined;
  const rest = Math.max(1, 100 - others.reduce((sum, [, share]) => sum + share, 0));
  return Object.fromEntries([[first, rest], ...others]);
}

const isShown = (element) => !element.closest("[hidden]");

/** Return the settings of a form that are shown and filled in. */
export function requestOf(form) {
  const request = {};
  for (const field of form.elements) {
    if (!field.name || field.name === "prompt" || !isShown(field)) continue;
    if (field.type === "checkbox") {
      if (field.checked) request[field.name] = true;
    } else if (field.value !== "") {
      request[field.name] = WORDS.has(field.name) ? field.value : Number(field.value);
    }
  }
  const prompt = promptOf(form);
  if (prompt) request.prompt = prompt;
  request.seed ??= Math.floor(Math.random() * 2 ** 31);
  return request;
}

/** Show what a kind of edit needs, and hide the rest. */
export function showKind(form, kind) {
  for (const element of form.querySelectorAll("[data-kinds]")) {
    element.hidden = !element.dataset.kinds.split(" ").includes(kind);
  }
}
