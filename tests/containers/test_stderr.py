"""What decoders write to standard error."""

import contextlib
import os
import warnings

from latentfoley.audio import read_audio
from latentfoley.containers.stderr import decoder_messages_dropped
from latentfoley.errors import AudioFileError
from signals import noise


def test_lines_of_libmpg123_are_dropped_and_others_passed_on(capfd):
    with decoder_messages_dropped():
        os.write(2, b"Note: Trying to resync...\nsomething of ours\n\n[src/libmpg123/x.c] error\n")
    assert capfd.readouterr().err == "something of ours\n"


def test_a_damaged_mp3_writes_nothing(save, capfd):
    path = save(noise(3.0), "a.mp3")
    data = bytearray(path.read_bytes())
    for place in range(3000, len(data), 777):
        data[place] ^= 0x5A
    path.write_bytes(data)
    with contextlib.suppress(AudioFileError), warnings.catch_warnings(action="ignore"):
        read_audio(path)
    assert capfd.readouterr().err == ""
