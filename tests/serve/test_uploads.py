"""Names of uploaded recordings, and how much sound may be in them."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from latentfoley.errors import AudioFileError
from latentfoley.serve.uploads import clean_name, measure


class TestNames:
    @given(st.text(max_size=300))
    def test_are_names_of_files_in_their_folder(self, name):
        clean = clean_name(name)
        assert clean == clean_name(clean)
        assert "/" not in clean and "\\" not in clean and clean.isprintable()
        assert not clean.startswith(".") and 0 < len(clean.encode()) <= 160

    @pytest.mark.parametrize(
        ("given_", "clean"),
        [
            ("violin.wav", "violin.wav"),
            ("../../etc/passwd", "passwd"),
            ("C:\\sounds\\a.flac", "a.flac"),
            (".wav", "wav"),
            ("", "recording"),
            ("x" * 500 + ".wav", "x" * 100 + ".wav"),
            ("noise.raw", "noise.raw.wav"),
        ],
    )
    def test_keep_what_can_be_kept(self, given_, clean):
        assert clean_name(given_) == clean


class TestLength:
    def test_is_counted_while_decoding(self, tmp_path):
        path = tmp_path / "source" / "long.flac"
        path.parent.mkdir()
        soundfile.write(path, np.zeros(16_000 * 120, np.int16), 16_000)
        assert path.stat().st_size < 50_000
        assert measure(path, 120) == 120
        with pytest.raises(AudioFileError, match=r"^'long.flac' holds 120\.000 s of sound or more"):
            measure(path, 119)
