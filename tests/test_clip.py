"""What a notebook shows of a clip: the file that `save` writes, and the picture of `plot`."""

import base64
import re

import matplotlib
import pytest

from latentfoley.provenance import read_provenance


@pytest.fixture(scope="module")
def clip(micro_model):
    return micro_model.generate("rain <b>&</b> wind", duration_s=0.5, steps=2)[0]


def embedded(html, media_type):
    (data,) = re.findall(f'src="data:{media_type};base64,([^"]+)"', html)
    return base64.b64decode(data)


def test_a_notebook_plays_the_file_that_is_saved(clip, tmp_path):
    sound = embedded(clip._repr_html_(), "audio/wav")
    assert sound == clip.save(tmp_path / "saved.wav").read_bytes()
    (tmp_path / "played.wav").write_bytes(sound)
    assert read_provenance(tmp_path / "played.wav") == clip.provenance


def test_a_notebook_shows_the_picture(clip, tmp_path):
    assert embedded(clip._repr_html_(), "image/png") == clip.plot(tmp_path / "p.png").read_bytes()


def test_a_prompt_is_text_and_not_html(clip):
    html = clip._repr_html_()
    assert "<b>" not in html
    assert "rain &lt;b&gt;&amp;&lt;/b&gt; wind" in html


def test_the_plots_of_a_notebook_stay_its_own(clip, tmp_path):
    """Drawing a clip leaves the backend alone that shows a notebook's own figures."""
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        clip.plot(tmp_path / "p.png")
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)
