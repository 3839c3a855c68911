"""Records of provenance as generated files carry them, and prompts that are hard to carry."""

from hypothesis import strategies as st

from latentfoley.provenance import Provenance, RecordingRef

PROMPTS = [
    "a dog barking",
    "Ein Hund bellt über 3 Zäune",
    "雨が窓を叩く音 🐕‍🦺",
    'he said "don\'t" \\ $HOME `id` ; rm -rf *',
    "two\nlines\tand a tab",
    "  spaces  ",
    "-1 is a dash",
    "--help",
]
prompts = st.text("aé雨🐕 \"'\\-$`\n\t\x1b\x00\u202e", min_size=1, max_size=40)


def record(**changes):
    return Provenance(
        **{
            "prompt": "a dog barking",
            "seed": 7,
            "sampler": "ddim",
            "spacing": "trailing",
            "steps": 50,
            "eta": 0.0,
            "guidance": 2.5,
            "duration_s": 10.24,
            "model": "tiny",
            "model_hash": "sha256:0123abcd",
            **changes,
        }
    )


GUIDE = RecordingRef(file="my dog.wav", sha256="0" * 64)
