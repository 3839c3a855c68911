"""The page in a real browser: generate, hear, mark, remake, compare, vary, reload, stop."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from latentfoley.audio import write_audio
from servers import finished, until
from signals import noise

playwright = pytest.importorskip("playwright.sync_api", reason="the extra 'dev' is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
WIDTHS = (1280, 390)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium; CHROMIUM can name one"),
]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        arguments = ["--no-sandbox", "--use-fake-ui-for-media-stream"]
        arguments += [
            "--use-fake-device-for-media-stream",
            "--autoplay-policy=no-user-gesture-required",
        ]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, server, http):
    """The page of an empty server; a fault in it or a foreign request fails the test."""
    for job in http.get("/v1/jobs", params={"limit": 100}).json()["jobs"]:
        http.delete(f"/v1/jobs/{job['id']}")
        if finished(http, job["id"])["state"] != "removed":
            http.delete(f"/v1/jobs/{job['id']}")
    faults, asked = [], []
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    opened = context.new_page()
    opened.set_default_timeout(120_000)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    open_page(opened, server)
    yield opened
    context.close()
    assert faults == []
    assert [url for url in asked if not url.startswith((server.url, "blob:", "data:"))] == []


def open_page(page, server):
    page.goto(server.url)
    page.wait_for_selector("#about:has-text('Model')")


def wait(page, expression):
    """Wait until an expression is true: the page's policy lets nothing poll in it by `eval`."""
    until(lambda: page.evaluate(expression))


def done(page, n):
    """Wait until so many takes are done."""
    page.locator(".job[data-state=done]").nth(n - 1).wait_for()
    assert page.locator(".job[data-state=done]").count() == n


def generate(page, **fields):
    for name, value in {"prompt": "a dog barking", "duration_s": "0.8", **fields}.items():
        if name == "steps":
            page.eval_on_selector("#generate details", "element => { element.open = true }")
        page.fill(f"#generate [name={name}]", value)
    page.click("#generate .go")


def first_clip(page):
    """Return the first clip of the newest take, once its sound is there."""
    clip = page.locator("#takes .job").first.locator(".clip").first
    clip.wait_for()
    wait(page, "document.querySelector('.job .clip audio')?.duration > 0")
    return clip


def samples(http, job, clip=0):
    data, _ = soundfile.read(
        io.BytesIO(http.get(job["sounds"][clip]["audio"]).content), dtype="int16"
    )
    return data


def newest(http):
    return http.get("/v1/jobs").json()["jobs"][0]


def test_a_prompt_becomes_a_sound_that_plays(page, http):
    generate(page, seed="7", steps="3")
    first_clip(page)
    heard = page.evaluate(
        """async () => {
          const answer = await fetch(document.querySelector('.clip audio').src);
          const bytes = await answer.arrayBuffer();
          const sound = (await new AudioContext().decodeAudioData(bytes)).getChannelData(0);
          return Math.max(...sound.map(Math.abs));
        }"""
    )
    assert heard > 0.001
    assert page.eval_on_selector(".clip audio", "audio => audio.duration") == pytest.approx(0.8)
    assert newest(http)["request"]["seed"] == 7
    for canvas in ("canvas:nth-of-type(1)", "canvas:nth-of-type(2)"):
        assert colours(page, f".clip {canvas}") > 1


def colours(page, selector):
    """Return how many colours a canvas shows."""
    return page.eval_on_selector(
        selector,
        """canvas => new Set(new Uint32Array(canvas.getContext('2d')
          .getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size""",
    )


def drag(page, selector, start, stop):
    """Drag across a canvas, by shares of its size."""
    page.locator(selector).scroll_into_view_if_needed()
    box = page.locator(selector).bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, stop)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()


def test_a_span_marked_with_the_mouse_is_remade_and_nothing_else(page, http):
    generate(page, steps="3")
    first_clip(page)
    source = samples(http, newest(http))
    first_clip(page).get_by_text("Edit this").click()
    page.wait_for_selector("#marking:not([hidden])")
    drag(page, "#wave", (0.4, 0.5), (0.6, 0.5))
    start, stop = (float(field.input_value()) for field in page.locator("#spans input").all())
    assert (start, stop) == (pytest.approx(0.32, abs=0.01), pytest.approx(0.48, abs=0.01))
    page.fill("#edit [name=prompt]", "rain")
    page.click("#edit .go")
    done(page, 2)
    job = newest(http)
    assert job["request"]["spans"] == [[start, stop]]
    edited, fade = samples(http, job), 321
    first, last = round(start * 16_000), round(stop * 16_000)
    assert np.array_equal(edited[: first - fade], source[: first - fade])
    assert np.array_equal(edited[last + fade :], source[last + fade :])
    assert not np.array_equal(edited[first:last], source[first:last])

    player = page.locator(".clip audio").first
    edited_url = player.get_attribute("src")
    page.get_by_text("A/B: hear the source").first.click()
    wait(page, f"document.querySelector('.clip audio').src != '{edited_url}'")
    played = page.evaluate(
        "async () => [...new Uint8Array(await (await fetch("
        "document.querySelector('.clip audio').src)).arrayBuffer())]"
    )
    kept = http.get(f"/v1/jobs/{job['id']}/recording").content
    assert bytes(played) == kept


def test_bands_are_marked_on_the_spectrogram_and_by_keys(page, tmp_path):
    path = tmp_path / "noise.wav"
    write_audio(path, noise(1.0), 16_000, provenance=None)
    page.click("#tab-edit")
    page.set_input_files("#edit [data-part=source] input", path)
    page.wait_for_selector("#marking:not([hidden])")
    drag(page, "#spectrum", (0.5, 0.75), (0.5, 0.25))
    low, high = (float(field.input_value()) for field in page.locator("#bands input").all())
    assert (low, high) == (pytest.approx(2000, abs=60), pytest.approx(6000, abs=60))
    page.focus("[data-add=spans]")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator("#spans input").count() == 2


def test_what_is_no_sound_gets_a_sentence(page, tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("this is text, and no sound")
    page.click("#tab-edit")
    page.set_input_files("#edit [data-part=source] input", path)
    page.select_option("#edit [name=kind]", "vary")
    page.click("#edit .go")
    page.wait_for_selector("#said:not([hidden])")
    assert "'notes.wav' is not a recording that can be read here" in page.inner_text("#said")


def test_takes_are_varied_kept_copied_and_survive_a_reload(page, server, http):
    generate(page, n="2", seed="3", steps="2")
    first_clip(page).get_by_text("Keep").click()
    first_clip(page).get_by_text("Copy command").click()
    page.wait_for_selector("button:has-text('Copied')")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("latentfoley generate 'a dog barking'") and "--seed 3" in command
    first_clip(page).get_by_text("Again with another seed").click()
    done(page, 2)
    again = newest(http)["request"]
    assert again["n"] == 2 and again["seed"] != 3
    first_clip(page).get_by_text("Vary this").click()
    done(page, 3)
    assert newest(http)["request"]["kind"] == "vary"
    titles = page.locator(".job h3").all_inner_texts()
    open_page(page, server)
    done(page, 3)
    assert page.locator(".job h3").all_inner_texts() == titles
    page.check("#kept-only")
    assert page.locator(".clip:visible").count() == 1


def test_stop_cancels(page, http):
    generate(page, duration_s="5", steps="1000")
    page.wait_for_selector(".job progress[value]")
    assert "left" in page.inner_text(".job p") or "Step" in page.inner_text(".job p")
    page.click("text=Stop")
    page.wait_for_selector(".job[data-state=cancelled]")
    assert newest(http)["state"] == "cancelled"


def test_a_blend_and_a_recording_from_the_microphone(page, http):
    page.fill("#generate [name=prompt]", "rain")
    page.click("#generate [data-blend]")
    page.fill("#generate [data-text]", "wind")
    page.fill("#generate [data-share]", "30")
    page.fill("#generate [name=duration_s]", "0.5")
    page.click("#generate .go")
    page.wait_for_selector(".job[data-state=done]")
    assert newest(http)["request"]["prompt"] == {"rain": 70.0, "wind": 30.0}
    page.click("#tab-edit")
    page.select_option("#edit [name=kind]", "vary")
    record = page.locator("#edit [data-part=source] [data-record]")
    record.click()
    wait(page, "document.querySelector('#edit [data-record]').textContent != 'Record'")
    page.wait_for_timeout(700)
    record.click()
    wait(page, "document.querySelector('#edit [data-part=source] [data-chosen]').textContent != ''")
    page.click("#edit .go")
    done(page, 2)
    assert newest(http)["request"]["files"] == {"source": "recording.wav"}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_the_width_in_light_and_dark(page, width, scheme, tmp_path):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    generate(page, steps="2", n="2")
    first_clip(page)
    for tab in ("generate", "edit"):
        page.click(f"#tab-{tab}")
        if tab == "edit":
            first_clip(page).get_by_text("Edit this").click()
            page.wait_for_selector("#marking:not([hidden])")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"page-{tab}-{width}-{scheme}.png", full_page=True)


def test_every_field_has_a_name_and_the_tabs_work_by_keys(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea, button, canvas')]
          .filter(e => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))
          .map(e => e.outerHTML)"""
    )
    assert unnamed == []
    page.focus("#tab-generate")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-edit"
    assert page.is_visible("#edit") and not page.is_visible("#generate")


def test_a_token_is_asked_for_and_kept(browser, micro_model_folder, tmp_path):
    from servers import Server

    token = "a-token-of-sixteen"
    server = Server(micro_model_folder, tmp_path, "--token", token)
    context = browser.new_context()
    page = context.new_page()
    try:
        page.goto(server.url)
        page.fill("#token input", "wrong-wrong-wrong")
        page.click("#token button")
        page.wait_for_selector("#said:has-text('the token is none of this server')")
        page.fill("#token input", token)
        page.click("#token button")
        until(lambda: "Model" in page.inner_text("#about"))
    finally:
        context.close()
        server.kill()
