// The HTTP API, as any other program uses it.

const KEY = "latentfoley-token";

export const token = {
  get: () => localStorage.getItem(KEY) ?? "",
  set: (text) => localStorage.setItem(KEY, text),
};

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function send(method, path, options = {}) {
  const headers = { ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, method, headers });
  } catch {
    throw new Refused(0, "The server does not answer.");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, problem.detail ?? `The server answered ${answer.status}.`);
}

export const getJson = async (path) => (await send("GET", path)).json();
export const getBlob = async (path) => (await send("GET", path)).blob();
export const cancel = async (id) => (await send("DELETE", `/v1/jobs/${id}`)).json();

/** Have a job accepted: `request` has the names of JobBody, `files` are blobs with names. */
export async function submit(request, files = {}) {
  const form = new FormData();
  form.append("request", JSON.stringify(request));
  for (const [part, file] of Object.entries(files)) form.append(part, file, file.name);
  const headers = { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` };
  return (await send("POST", "/v1/jobs", { body: form, headers })).json();
}

/** Call `told(state)` for every event of a job; return when the stream ends. */
export async function follow(id, told) {
  const answer = await send("GET", `/v1/jobs/${id}/events`);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data) told(JSON.parse(data.slice(6)));
    }
  }
}
