"""The recordings of the embedded model: which are kept out, their captions, their kinds."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recordings():
    path = ROOT / "recipes" / "tiny" / "recordings.py"
    spec = importlib.util.spec_from_file_location("tiny_recordings", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def kinds(recordings):
    return recordings.read_kinds(ROOT / "recipes" / "tiny" / "kinds.toml")


@pytest.fixture
def sound(recordings):
    def sound(folder, label, source, number=0, **row):
        path = f"audio/{label}/{source}-{number}.ogg"
        return recordings.Sound(folder, label, source, {"path": path, "fold": "4"} | row)

    return sound


class TestKeptOut:
    def test_sources_of_the_last_fold_until_there_are_enough(self, recordings, sound):
        clips = [
            sound("esc50", "cow", f"{fold}-{k}", fold=str(fold))
            for fold in (1, 4)
            for k in range(9)
        ]
        held_out = recordings.held_out_sources(clips)
        assert held_out == {f"4-{k}" for k in range(6)}

    def test_clips_of_one_source_stay_together(self, recordings, sound):
        clips = [sound("esc50", "cow", f"s{k // 4}", k) for k in range(16)]
        held_out = recordings.held_out_sources(clips)
        assert held_out == {"s0", "s1"}  # six clips were wanted, whole sources have eight

    def test_a_source_in_two_folders_goes_where_the_first_puts_it(self, recordings, sound):
        trained = [sound("esc10", "rain", "shared", k, fold="1") for k in range(4)]
        rest = [sound("esc10", "rain", f"own{k}") for k in range(4)]
        again = [sound("esc50", "wind", "shared")]
        assert "shared" not in recordings.held_out_sources([*trained, *rest, *again])

    def test_what_comes_from_two_sources_is_all_trained_on(self, recordings, sound):
        clips = [sound("game_foley", "coin", f"s{k % 2}", k) for k in range(20)]
        assert not recordings.held_out_sources(clips)

    def test_a_tenth_of_what_comes_from_many(self, recordings, sound):
        clips = [sound("game_foley", "coin", f"s{k}", k) for k in range(20)]
        assert len(recordings.held_out_sources(clips)) == 2


class TestSources:
    @pytest.mark.parametrize(
        ("row", "source"),
        [
            ({"source": "kenney:click"}, "kenney:click"),
            (
                {"source_url": "http://www.freesound.org/people/k3pp/sounds/187207/"},
                "freesound:187207",
            ),
            ({"source_url": "https://example.org/x"}, "https://example.org/x"),
            ({"source_url": "", "path": "audio/a.flac"}, "audio/a.flac"),
        ],
    )
    def test_the_id_at_freesound_where_it_is_known(self, recordings, row, source):
        assert recordings.source_of(row) == source


class TestTitles:
    @pytest.mark.parametrize(
        ("title", "words"),
        [
            ("Cough_02 (man).WAV", "cough man"),
            ("sodacanopen.wav", "sodacanopen"),
            ("CokeCan.wav", "coke can"),
            ("20060730.bells.wav", "bells"),
            ("1125.wav", ""),
        ],
    )
    def test_a_file_name_becomes_words(self, recordings, title, words):
        assert recordings.clean_title(title) == words

    def test_one_that_says_nothing_of_the_kind_is_left_out(self, recordings, kinds, sound):
        named = sound("esc50", "cow", "a", source_title="Calf And Cow.wav")
        other = sound("esc50", "cow", "b", source_title="ambience-Blaafarveverket.wav")
        assert kinds.captions_of(named)[-1] == "calf and cow"
        assert kinds.captions_of(other) == (*kinds.captions["cow"], *kinds.also["cow"])


class TestKinds:
    def test_classes_of_several_folders_are_one_kind(self, kinds, sound):
        of = [
            sound(f, label, "s")
            for f, label in (("esc50", "thunderstorm"), ("game_foley", "thunder"))
        ]
        assert {kinds.kind(one) for one in of} == {"thunderstorm"}

    def test_a_class_of_its_own_keeps_its_name(self, kinds, sound):
        assert kinds.kind(sound("fluidr3_instruments", "gm_018_rock_organ", "s")) == "rock_organ"

    def test_the_fifty_of_esc_are_among_them(self, kinds):
        assert len(kinds.captions) >= 90
        assert all(len(captions) == len(set(captions)) for captions in kinds.captions.values())

    def test_no_caption_measures_the_model(self, recordings, kinds):
        captions = {c.lower() for some in kinds.captions.values() for c in some}
        prompts = recordings.measuring_prompts()
        assert len(prompts) == 600
        assert not captions & {prompt.lower() for prompt in prompts}

    def test_no_class_outweighs_the_others(self, recordings, sound):
        clips = [sound("ambience_speech", "speech", f"s{k}", k) for k in range(200)]
        chosen = recordings.selected(clips, {"ambience_speech": 60})
        assert len(chosen) == 60
        assert chosen == recordings.selected(clips[::-1], {"ambience_speech": 60})

    def test_a_class_under_two_kinds_is_refused(self, recordings, tmp_path):
        table = (
            '[most]\n[kinds.a]\nlabels=["x"]\ncaptions=[]\n[kinds.b]\nlabels=["x"]\ncaptions=[]\n'
        )
        (tmp_path / "kinds.toml").write_text(table)
        with pytest.raises(ValueError, match="'x' is both a and b"):
            recordings.read_kinds(tmp_path / "kinds.toml")
