// The takes: what is being made and what was made, newest first; the server keeps them.

import { cancel, follow, getBlob, getJson, submit } from "./api.js";
import { decode, drawSpectrum, drawWave } from "./sound.js";

const KEPT = "latentfoley-kept";
const ENDED = ["done", "failed", "cancelled", "removed"];

const kept = new Set(JSON.parse(localStorage.getItem(KEPT) ?? "[]"));

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const button = (text, act) => make("button", { type: "button", textContent: text, onclick: act });

function titleOf({ kind, prompt, files }) {
  const blend = (part) => typeof part === "string" ? part : Object.entries(part).map(([t, w]) => `${t} (${w})`).join(" + ");
  const words = prompt ? [].concat(prompt).map(blend).join(", ") : "";
  const from = files?.source ? ` ${files.source}` : files?.audio_prompt ? `like ${files.audio_prompt}` : "";
  return `${kind ?? ""}${from}${words && (kind || from) ? ": " : ""}${words}` || "a sound";
}

export class Takes {
  constructor(list, { fail, edit, topHz }) {
    Object.assign(this, { list, fail, edit, topHz });
  }

  /** Show every job that the server knows. */
  async restore() {
    const { jobs } = await getJson("/v1/jobs?limit=50");
    this.list.replaceChildren();
    for (const job of jobs.reverse()) this.add(job);
  }

  /** Ask for a job and show it. */
  async ask(request, files) {
    this.add(await submit(request, files));
  }

  add(job) {
    const card = make("li", { className: "job" });
    card.dataset.id = job.id;
    this.list.prepend(card);
    this.#show(card, job);
    if (!ENDED.includes(job.state)) this.#follow(card, job);
  }

  async #follow(card, job) {
    try {
      while (!ENDED.includes(job.state)) {
        await follow(job.id, (told) => {
          Object.assign(job, told);
          this.#progress(card, job);
        });
        if (!ENDED.includes(job.state)) job = await getJson(`/v1/jobs/${job.id}`);
      }
    } catch (error) {
      this.fail(error);
      setTimeout(() => this.#follow(card, job), 2000);
      return;
    }
    this.#show(card, job);
  }

  #show(card, job) {
    card.replaceChildren(make("h3", { textContent: titleOf(job.request) }));
    if (ENDED.includes(job.state)) card.append(make("div", { className: "tools" }, button("Remove", () => this.#remove(card, job))));
    card.dataset.state = job.state;
    if (!ENDED.includes(job.state)) {
      card.append(make("progress", { max: 1 }), make("p", { className: "quiet" }),
        make("div", { className: "tools" }, button("Stop", () => cancel(job.id).catch(this.fail))));
      this.#progress(card, job);
      return;
    }
    if (job.state !== "done") {
      const said = job.state === "failed" ? job.problem : `It was ${job.state}.`;
      card.append(make("p", { className: job.state === "failed" ? "problem" : "quiet", textContent: said }));
      return;
    }
    const clips = make("div", { className: "clips" });
    job.sounds.forEach((sound, k) => clips.append(this.#clip(job, sound, k)));
    card.append(clips);
  }

  #progress(card, job) {
    const bar = card.querySelector("progress"), text = card.querySelector("p");
    if (!bar) return;
    if (job.state === "queued") {
      bar.removeAttribute("value");
      text.textContent = `Waits at place ${job.place}.`;
    } else if (job.steps) {
      bar.value = job.step / job.steps;
      const left = job.seconds_left === undefined ? "" : `, ${Math.ceil(job.seconds_left)} s left`;
      text.textContent = `Step ${job.step} of ${job.steps}${left}.`;
    } else {
      text.textContent = "It begins.";
    }
  }

  #clip(job, sound, k) {
    const name = `${job.id}-${k}`;
    const wave = make("canvas", { height: 60 }), spectrum = make("canvas", { height: 110 });
    wave.setAttribute("aria-label", "Waveform");
    spectrum.setAttribute("aria-label", "Spectrogram");
    const player = make("audio", { controls: true });
    const box = make("div", { className: "clip" }, wave, spectrum, player);
    const loading = getBlob(sound.audio);
    loading.then(async (blob) => {
      player.src = URL.createObjectURL(blob);
      const decoded = await decode(blob);
      const draw = () => { drawWave(wave, decoded); drawSpectrum(spectrum, decoded, this.topHz()); };
      new ResizeObserver(draw).observe(box);
    }).catch(this.fail);
    box.append(this.#listening(job, player, loading), this.#working(job, sound, k, loading), this.#giving(job, sound, k));
    if (sound.warning) box.prepend(make("p", { className: "problem", textContent: sound.warning }));
    box.dataset.name = name;
    box.dataset.kept = kept.has(name);
    return box;
  }

  /** Loop, and A/B against the source. */
  #listening(job, player, loading) {
    const tools = make("div", { className: "tools" });
    const loop = button("Loop", () => {
      player.loop = !player.loop;
      loop.setAttribute("aria-pressed", player.loop);
    });
    loop.setAttribute("aria-pressed", player.loop);
    tools.append(loop);
    if (!job.request.files?.source) return tools;
    let source;
    const compare = button("A/B: hear the source", async () => {
      try {
        source ??= URL.createObjectURL(await getBlob(`/v1/jobs/${job.id}/recording?part=source`));
        const toSource = compare.getAttribute("aria-pressed") !== "true";
        const { currentTime, paused } = player;
        player.src = toSource ? source : URL.createObjectURL(await loading);
        player.currentTime = currentTime;
        if (!paused) player.play();
        compare.setAttribute("aria-pressed", toSource);
      } catch (error) { this.fail(error); }
    });
    compare.setAttribute("aria-pressed", "false");
    tools.append(compare);
    return tools;
  }

  /** Again, vary, edit, keep. */
  #working(job, sound, k, loading) {
    const name = `${job.id}-${k}`;
    const file = async () => new File([await loading], `take-${job.id.slice(0, 6)}-${k}.wav`, { type: "audio/wav" });
    const keep = button("Keep", () => {
      kept.has(name) ? kept.delete(name) : kept.add(name);
      localStorage.setItem(KEPT, JSON.stringify([...kept]));
      keep.setAttribute("aria-pressed", kept.has(name));
      keep.closest(".clip").dataset.kept = kept.has(name);
    });
    keep.setAttribute("aria-pressed", kept.has(name));
    const failing = (act) => () => act().catch(this.fail);
    return make("div", { className: "tools" }, keep,
      button("Again with another seed", failing(() => this.#again(job))),
      button("Vary this", failing(async () => this.ask({ kind: "vary", seed: newSeed() }, { source: await file() }))),
      button("Edit this", failing(async () => this.edit(await file()))));
  }

  async #again(job) {
    const { files, ...request } = job.request, again = {};
    for (const [part, name] of Object.entries(files ?? {})) {
      again[part] = new File([await getBlob(`/v1/jobs/${job.id}/recording?part=${part}`)], name);
    }
    await this.ask({ ...request, seed: newSeed() }, again);
  }

  /** Download, command line, JSON. */
  #giving(job, sound, k) {
    const format = make("select");
    format.setAttribute("aria-label", "Format");
    for (const name of ["wav", "flac", "opus", "mp3"]) format.append(make("option", { textContent: name }));
    const download = button("Download", async () => {
      try {
        const blob = await getBlob(`/v1/jobs/${job.id}/audio?clip=${k}&format=${format.value}`);
        const suffix = format.value === "opus" ? "ogg" : format.value;
        const words = titleOf(job.request).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40);
        const link = make("a", { href: URL.createObjectURL(blob), download: `${words}-${k}.${suffix}` });
        link.click();
        URL.revokeObjectURL(link.href);
      } catch (error) { this.fail(error); }
    });
    const copy = (label, part) => button(label, async (event) => {
      try {
        const record = await getJson(sound.record);
        await copyText(part(record));
        event.target.textContent = "Copied";
        setTimeout(() => { event.target.textContent = label; }, 1500);
      } catch (error) { this.fail(error); }
    });
    return make("div", { className: "tools" }, format, download,
      copy("Copy command", ({ command }) => command),
      copy("Copy JSON", ({ provenance }) => JSON.stringify(provenance, null, 2)));
  }

  async #remove(card, job) {
    try {
      await cancel(job.id);
      card.remove();
    } catch (error) { this.fail(error); }
  }
}

const newSeed = () => Math.floor(Math.random() * 2 ** 31);

/** Copy a text, also where the page has no clipboard (plain HTTP from another machine). */
async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.body.appendChild(make("textarea", { value: text }));
  area.select();
  document.execCommand("copy");
  area.remove();
}
