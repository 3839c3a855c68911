// The page: forms on one side, takes on the other.

import { getJson, token } from "./api.js";
import { prepareBlend, Recording, requestOf, showKind } from "./form.js";
import { Marker } from "./mark.js";
import { decode } from "./sound.js";
import { Takes } from "./takes.js";

const $ = (selector) => document.querySelector(selector);
const forms = { generate: $("#generate"), edit: $("#edit") };
let topHz = 8000;

function fail(error) {
  $("#said").textContent = error.message;
  $("#said").hidden = false;
  if (error.status === 401) $("#token").hidden = false;
}

function choose(name) {
  for (const [other, form] of Object.entries(forms)) {
    const tab = $(`#tab-${other}`);
    tab.setAttribute("aria-selected", other === name);
    tab.tabIndex = other === name ? 0 : -1;
    form.hidden = other !== name;
  }
}

const marker = new Marker($("#marking"), topHz);
const player = $("#source-player");

async function showSource(file) {
  $("#marking").hidden = !file;
  if (!file) return;
  player.src = URL.createObjectURL(file);
  try {
    marker.show(await decode(file));
  } catch {
    $("#marking").hidden = true; // the server says what is wrong with it
  }
}

const recordings = Object.fromEntries([...document.querySelectorAll(".recording")].map((root) => {
  const recording = new Recording(root, root.dataset.part === "source" ? showSource : undefined);
  return [recording.part, recording];
}));

const takes = new Takes($("#takes"), {
  fail,
  topHz: () => topHz,
  edit: async (file) => {
    choose("edit");
    recordings.source.choose(file);
    forms.edit.scrollIntoView({ block: "start" });
    forms.edit.elements.kind.focus({ preventScroll: true });
  },
});

for (const [name, form] of Object.entries(forms)) {
  $(`#tab-${name}`).onclick = () => choose(name);
  $(`#tab-${name}`).onkeydown = (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = name === "generate" ? "edit" : "generate";
    choose(other);
    $(`#tab-${other}`).focus();
  };
  prepareBlend(form);
  form.onsubmit = async (event) => {
    event.preventDefault();
    $("#said").hidden = true;
    const request = requestOf(form), files = {};
    if (request.kind === "inpaint") Object.assign(request, onlyFilled(marker.marks));
    for (const [part, { file, root }] of Object.entries(recordings)) {
      if (file && form.contains(root) && !root.closest("[hidden]")) files[part] = file;
    }
    const go = form.querySelector(".go");
    go.disabled = true;
    try {
      await takes.ask(request, files);
    } catch (error) {
      fail(error);
    } finally {
      go.disabled = false;
    }
  };
}

const onlyFilled = (marks) => Object.fromEntries(Object.entries(marks).filter(([, pairs]) => pairs.length));

forms.edit.elements.kind.onchange = (event) => {
  showKind(forms.edit, event.target.value);
  marker.enabled = event.target.value === "inpaint";
  marker.clear();
};
showKind(forms.edit, forms.edit.elements.kind.value);
marker.enabled = forms.edit.elements.kind.value === "inpaint";

$("#kept-only").onchange = (event) => document.body.classList.toggle("kept-only", event.target.checked);
$("#token").onsubmit = (event) => {
  event.preventDefault();
  token.set(event.target.elements.token.value);
  location.reload();
};

async function start() {
  try {
    await takes.restore();
    $("#takes").setAttribute("aria-busy", "false");
    const { data: [model] } = await getJson("/v1/models");
    topHz = model.mel.f_max_hz;
    marker.topHz = topHz;
    const hz = `${(model.mel.sample_rate / 1000).toLocaleString()} kHz, one channel`;
    $("#about").textContent = `Model ${model.id}, ${hz}.`;
    $("#knows").hidden = !model.knows.length;
    $("#knows p").textContent =
      `${model.knows.join(", ").replaceAll("_", " ")}. Whatever else you ask for comes out as one of these.`;
  } catch (error) {
    if (error.status === 503) setTimeout(start, 2000);
    else fail(error);
  }
}
start();
