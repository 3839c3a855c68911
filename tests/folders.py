"""Small folders laid out as the data sets of the field are when they have been downloaded."""

import json
import zlib

import soundfile

from signals import noise, tone

YOUTUBE = "-PJHxphWEs1"


def audiocaps(folder):
    """AudioCaps: one caption a row, five rows a clip in the test split."""
    head = "audiocap_id,youtube_id,start_time,caption\n"
    write(
        folder / "dataset/train.csv", head + f'91139,{YOUTUBE},130,"A woman talks, water pours"\n'
    )
    rows = "".join(f"{n},Yabcdefghij,20,Caption {n}\n" for n in (1, 2))
    write(folder / "dataset/test.csv", head + rows)
    sound(folder / f"train/Y{YOUTUBE}.wav")
    sound(folder / "test/Yabcdefghij_20.wav")
    sound(folder / "train/unknown.wav")
    return {
        f"train/Y{YOUTUBE}.wav": {
            "captions": ("A woman talks, water pours",),
            "split": "train",
            "source_url": f"https://www.youtube.com/watch?v={YOUTUBE}",
        },
        "test/Yabcdefghij_20.wav": {"captions": ("Caption 1", "Caption 2"), "split": "valid"},
        "train/unknown.wav": {"captions": (), "split": None},
    }


def clotho(folder):
    """Clotho: five captions a row, and metadata in Latin-1."""
    for split, words in (("development", "dev"), ("evaluation", "eval")):
        captions = ",".join(f"caption_{n}" for n in range(1, 6))
        cells = ",".join(f'"{words}, {n}"' for n in range(1, 6))
        write(
            folder / f"clotho_captions_{split}.csv",
            f"file_name,{captions}\nA b  (c).wav,{cells}\n",
        )
        sound(folder / split / "A b  (c).wav")
    head = "file_name,keywords,sound_id,sound_link,start_end_samples,manufacturer,license\n"
    row = 'A b  (c).wav,"rain;wind",1,Not found,"[0, 1]",Jos\xe9,http://cc/by/3.0/\n'
    (folder / "clotho_metadata_development.csv").write_bytes((head + row).encode("latin-1"))
    return {
        "development/A b  (c).wav": {
            "captions": ("dev, 1", "dev, 2", "dev, 3", "dev, 4", "dev, 5"),
            "labels": ("rain", "wind"),
            "author": "José",
            "licence": "http://cc/by/3.0/",
            "source_url": "",
            "split": "train",
        },
        "evaluation/A b  (c).wav": {
            "captions": ("eval, 1", "eval, 2", "eval, 3", "eval, 4", "eval, 5"),
            "split": "valid",
        },
    }


def esc50(folder):
    """ESC-50 as GitHub packs it: one folder deeper, with a LICENSE for all."""
    write(
        folder / "ESC-50-master/meta/esc50.csv",
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-9887-A-49.wav,1,49,sea_waves,False,9887,A\n",
    )
    write(folder / "ESC-50-master/LICENSE", "# ESC-50: CC BY-NC\n\nmore\n")
    sound(folder / "ESC-50-master/audio/1-9887-A-49.wav")
    return {
        "ESC-50-master/audio/1-9887-A-49.wav": {
            "captions": (),
            "labels": ("sea waves",),
            "licence": "# ESC-50: CC BY-NC",
            "source_url": "https://freesound.org/s/9887/",
        }
    }


def fsd50k(folder):
    """FSD50K: labels in one file, titles and licences in another."""
    write(
        folder / "FSD50K.ground_truth/dev.csv",
        'fname,labels,mids,split\n1,"Electric_guitar,Music","/m/1,/m/2",train\n2,Rain,/m/3,val\n',
    )
    write(folder / "FSD50K.ground_truth/eval.csv", "fname,labels,mids\n3,Rain,/m/3\n")
    about = {"title": "GUITAR 1", "description": "x", "tags": ["a"], "uploader": "ann"}
    clips = {"1": about | {"license": "http://cc/0/"}}
    write(folder / "FSD50K.metadata/dev_clips_info_FSD50K.json", json.dumps(clips))
    for name in ("dev_audio/1", "dev_audio/2", "eval_audio/3"):
        sound(folder / f"FSD50K.{name}.wav")
    return {
        "FSD50K.dev_audio/1.wav": {
            "labels": ("Electric guitar", "Music"),
            "captions": (),
            "title": "GUITAR 1",
            "author": "ann",
            "licence": "http://cc/0/",
            "split": "train",
        },
        "FSD50K.dev_audio/2.wav": {"labels": ("Rain",), "split": "valid"},
        "FSD50K.eval_audio/3.wav": {"labels": ("Rain",), "split": "valid"},
    }


def audioset(folder):
    """AudioSet: comments above the rows, spaces behind commas, labels by number."""
    write(
        folder / "balanced_train_segments.csv",
        "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=1, num_segs=1\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        f'{YOUTUBE}, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n',
    )
    write(
        folder / "class_labels_indices.csv",
        'index,mid,display_name\n0,/m/09x0r,"Speech, human"\n',
    )
    sound(folder / f"audio/{YOUTUBE}_30000_40000.wav")
    return {
        f"audio/{YOUTUBE}_30000_40000.wav": {
            "labels": ("Speech, human", "/t/dd00088"),
            "split": "train",
        }
    }


def table(folder):
    """Any table with a column of files, here one level down."""
    write(
        folder / "mine/metadata.csv",
        'path,class,licence,caption\naudio/a.wav,dog,CC0,"a dog, far"\nb.wav,cat,CC-BY,\n',
    )
    sound(folder / "mine/audio/a.wav")
    sound(folder / "mine/audio/deep/b.wav")
    return {
        "mine/audio/a.wav": {"captions": ("a dog, far",), "labels": ("dog",), "licence": "CC0"},
        "mine/audio/deep/b.wav": {"captions": (), "labels": ("cat",), "licence": "CC-BY"},
    }


def esc50_split(folder):
    """ESC-50 with three clips, two of them in fold 2, and one recording missing there."""
    rows = [(1, "1-100-A-0", "dog"), (2, "2-101-A-0", "dog"), (2, "2-102-A-49", "sea_waves")]
    rows += [(2, "2-103-A-10", "rain")]
    lines = [f"{name}.wav,{fold},0,{label},True,1,A" for fold, name, label in rows]
    head = "filename,fold,target,category,esc10,src_file,take"
    write(folder / "meta/esc50.csv", "\n".join([head, *lines]) + "\n")
    for _, name, _ in rows[:3]:
        sound(folder / f"audio/{name}.wav")


def audiocaps_split(folder):
    """AudioCaps' test split: three clips with two captions each, two of them here, one twice."""
    ids = ("aaaaaaaaaaa", "bbbbbbbbbbb", "ccccccccccc")
    rows = [
        f'{10 * k + n},{name},30,"Caption {n}, of {name[0]}"'
        for k, name in enumerate(ids, start=1)
        for n in (1, 2)
    ]
    head = "audiocap_id,youtube_id,start_time,caption"
    write(folder / "test.csv", "\n".join([head, *rows]) + "\n")
    write(folder / "train.csv", f"{head}\n90,ddddddddddd,0,Another\n")
    for path in ("test/Yaaaaaaaaaaa", "test/Yaaaaaaaaaaa_copy", "test/22", "train/ddddddddddd"):
        sound(folder / f"{path}.wav")


LAYOUTS = {f.__name__: f for f in (audiocaps, clotho, esc50, fsd50k, audioset, table)}


def write(path, text):
    """Write a text, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def sound(path, waveform=None, rate=16_000):
    """Write a recording that is like no other, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    like_no_other = noise(0.2, seed=zlib.crc32(str(path).encode())) + tone(300, 0.2) * 0.5
    soundfile.write(path, like_no_other if waveform is None else waveform, rate)
