// Sounds in the browser: decoded, drawn, recorded.

let context;
const audio = () => (context ??= new AudioContext());

/** Return { samples, rate, duration } of a blob; several channels are mixed down. */
export async function decode(blob) {
  const buffer = await audio().decodeAudioData(await blob.arrayBuffer());
  const samples = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const channel = buffer.getChannelData(c);
    for (let i = 0; i < samples.length; i++) samples[i] += channel[i] / buffer.numberOfChannels;
  }
  return { samples, rate: buffer.sampleRate, duration: buffer.duration };
}

function fit(canvas) {
  const scale = window.devicePixelRatio || 1;
  const height = Number(canvas.dataset.height ?? (canvas.dataset.height = canvas.height));
  canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
  canvas.height = Math.round(height * scale);
  return canvas.getContext("2d");
}

export function drawWave(canvas, { samples }) {
  const pen = fit(canvas);
  const { width, height } = canvas;
  pen.fillStyle = "#7cc4ff";
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x * samples.length) / width);
    const to = Math.max(from + 1, Math.floor(((x + 1) * samples.length) / width));
    let low = 0, high = 0;
    for (let i = from; i < to && i < samples.length; i++) {
      if (samples[i] < low) low = samples[i];
      if (samples[i] > high) high = samples[i];
    }
    const top = (1 - Math.min(1, high)) * height / 2;
    pen.fillRect(x, top, 1, Math.max(1, (1 - Math.max(-1, low)) * height / 2 - top));
  }
}

const N_FFT = 512;
const HANN = Float32Array.from({ length: N_FFT }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / N_FFT));

/** Fourier transform in place, of a power of two. */
function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    for (let k = 0; k < size / 2; k++) {
      const angle = (-2 * Math.PI * k) / size, c = Math.cos(angle), s = Math.sin(angle);
      for (let a = k; a < n; a += size) {
        const b = a + size / 2;
        const x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
        re[b] = re[a] - x; im[b] = im[a] - y;
        re[a] += x; im[a] += y;
      }
    }
  }
}

/** Draw levels in decibels over linear frequency, from 0 to `top` Hz. */
export function drawSpectrum(canvas, { samples, rate }, top) {
  const pen = fit(canvas);
  const { width, height } = canvas;
  const columns = Math.min(width, 600);
  const bins = Math.max(1, Math.min(N_FFT / 2, Math.round((top / rate) * N_FFT)));
  const image = new ImageData(columns, bins);
  const re = new Float32Array(N_FFT), im = new Float32Array(N_FFT);
  for (let x = 0; x < columns; x++) {
    const start = Math.round(((x + 0.5) * samples.length) / columns) - N_FFT / 2;
    for (let i = 0; i < N_FFT; i++) re[i] = (samples[start + i] ?? 0) * HANN[i];
    im.fill(0);
    fft(re, im);
    for (let k = 0; k < bins; k++) {
      const db = 10 * Math.log10(re[k] ** 2 + im[k] ** 2 + 1e-9);
      const v = Math.min(1, Math.max(0, (db + 50) / 80));
      const at = 4 * ((bins - 1 - k) * columns + x);
      image.data[at] = 255 * Math.min(1, 1.6 * v);
      image.data[at + 1] = 255 * Math.max(0, 1.7 * v - 0.7);
      image.data[at + 2] = 255 * (v < 0.5 ? 0.15 + 0.9 * v : 0.6 - 0.5 * (v - 0.5));
      image.data[at + 3] = 255;
    }
  }
  const small = new OffscreenCanvas(columns, bins);
  small.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(small, 0, 0, width, height);
}

/** Return a 16-bit WAV of mono samples. */
export function toWav({ samples, rate }) {
  const data = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, i) => data.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); data.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  data.setUint32(16, 16, true); data.setUint16(20, 1, true); data.setUint16(22, 1, true);
  data.setUint32(24, rate, true); data.setUint32(28, 2 * rate, true);
  data.setUint16(32, 2, true); data.setUint16(34, 16, true);
  text(36, "data"); data.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => data.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, x)) * 32767, true));
  return new File([data], "recording.wav", { type: "audio/wav" });
}

/** Begin to record from the microphone; return a function that stops and gives a WAV. */
export async function record() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream), parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.start();
  return () => new Promise((resolve, reject) => {
    recorder.onstop = () => {
      stream.getTracks().forEach((track) => track.stop());
      decode(new Blob(parts)).then((sound) => resolve(toWav(sound)), reject);
    };
    recorder.stop();
  });
}
