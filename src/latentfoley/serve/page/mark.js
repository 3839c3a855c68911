// Marking spans of time and bands of frequency on the pictures of a recording, by mouse, touch or keys.

import { drawSpectrum, drawWave } from "./sound.js";

const LEAST = 6; // pixels: less is a click

export class Marker {
  constructor(root, topHz) {
    this.root = root;
    this.topHz = topHz;
    this.marks = { spans: [], bands: [] };
    this.wave = root.querySelector("#wave");
    this.spectrum = root.querySelector("#spectrum");
    this.lists = { spans: root.querySelector("#spans"), bands: root.querySelector("#bands") };
    for (const canvas of [this.wave, this.spectrum]) this.#listen(canvas);
    for (const button of root.querySelectorAll("[data-add]")) {
      button.onclick = () => {
        const kind = button.dataset.add, end = kind === "spans" ? this.sound.duration : this.topHz;
        this.#add(kind, [0.25 * end, 0.75 * end]);
        this.lists[kind].lastElementChild.querySelector("input").focus();
      };
    }
    new ResizeObserver(() => this.sound && this.#draw()).observe(root);
  }

  /** Show another recording, without marks. */
  show(sound) {
    this.sound = sound;
    this.clear();
  }

  clear() {
    this.marks = { spans: [], bands: [] };
    this.#list();
    this.#draw();
  }

  #add(kind, pair) {
    const digits = kind === "spans" ? 1000 : 1;
    const end = kind === "spans" ? this.sound.duration : this.topHz;
    this.marks[kind].push(pair.map((x) => Math.round(Math.max(0, Math.min(end, x)) * digits) / digits));
    this.#list();
    this.#draw();
  }

  #listen(canvas) {
    canvas.onpointerdown = (event) => {
      if (!this.sound || !this.enabled) return;
      canvas.setPointerCapture(event.pointerId);
      this.drag = { canvas, x0: event.offsetX, y0: event.offsetY, x1: event.offsetX, y1: event.offsetY };
    };
    canvas.onpointermove = (event) => {
      if (this.drag?.canvas !== canvas) return;
      Object.assign(this.drag, { x1: event.offsetX, y1: event.offsetY });
      this.#draw();
    };
    canvas.onpointerup = () => {
      const found = this.#dragged();
      this.drag = undefined;
      if (found) this.#add(...found);
      else this.#draw();
    };
    canvas.onpointercancel = () => { this.drag = undefined; this.#draw(); };
  }

  /** Return what is being marked: time across, or on the spectrogram frequencies upwards. */
  #dragged() {
    const { canvas, x0, y0, x1, y1 } = this.drag ?? {};
    if (!canvas) return undefined;
    const w = canvas.clientWidth, h = canvas.clientHeight;
    const across = Math.abs(x1 - x0), upwards = Math.abs(y1 - y0);
    if (canvas === this.spectrum && upwards > across) {
      const hz = [y0, y1].map((y) => (1 - y / h) * this.topHz).sort((a, b) => a - b);
      return upwards > LEAST ? ["bands", hz] : undefined;
    }
    const s = [x0, x1].map((x) => (x / w) * this.sound.duration).sort((a, b) => a - b);
    return across > LEAST ? ["spans", s] : undefined;
  }

  #draw() {
    if (!this.sound || this.root.hidden) return;
    drawWave(this.wave, this.sound);
    drawSpectrum(this.spectrum, this.sound, this.topHz);
    if (!this.enabled) return;
    const dragged = this.#dragged();
    const all = (kind) => [...this.marks[kind], ...(dragged?.[0] === kind ? [dragged[1]] : [])];
    for (const canvas of [this.wave, this.spectrum]) {
      const pen = canvas.getContext("2d");
      pen.fillStyle = "rgba(255, 255, 255, 0.35)";
      for (const [from, to] of all("spans")) {
        const x = (from / this.sound.duration) * canvas.width;
        pen.fillRect(x, 0, (to / this.sound.duration) * canvas.width - x, canvas.height);
      }
    }
    const pen = this.spectrum.getContext("2d");
    for (const [low, high] of all("bands")) {
      const y = (1 - high / this.topHz) * this.spectrum.height;
      pen.fillRect(0, y, this.spectrum.width, (1 - low / this.topHz) * this.spectrum.height - y);
    }
  }

  /** Show the marks as numbers that can be changed. */
  #list() {
    for (const [kind, list] of Object.entries(this.lists)) {
      const unit = kind === "spans" ? "second" : "Hz";
      list.replaceChildren(...this.marks[kind].map((pair, k) => {
        const row = document.createElement("div");
        row.className = "pair";
        pair.forEach((value, side) => {
          const input = document.createElement("input");
          Object.assign(input, { type: "number", min: 0, step: "any", value });
          input.setAttribute("aria-label", `${side ? "To" : "From"} ${unit}`);
          input.onchange = () => { pair[side] = Number(input.value); this.#draw(); };
          row.append(input);
        });
        const remove = document.createElement("button");
        Object.assign(remove, { type: "button", textContent: "Remove" });
        remove.onclick = () => { this.marks[kind].splice(k, 1); this.#list(); this.#draw(); };
        row.append(remove);
        return row;
      }));
    }
  }
}
