"""Datasets as other tools want them, opened by those tools."""

import csv
import fcntl
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import webdataset
import yaml

import mixdata
from conftest import files_of
from mixdata.corpora import load_corpus
from mixdata.errors import MixdataError, UsageError
from mixdata.interchange import export, exporting
from mixdata.interchange.wav import wav_bytes
from servers import http_server
from tiny_dataset import ROLES, STEMS, write_tiny

RATE = 8000
TARGETS = ("webdataset", "hf", "musdb", "folder")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """16 bit, never above full scale, so its integers are the true level; songs have titles and artists."""
    made = write_tiny(tmp_path_factory.mktemp("tiny") / "set")
    songs = pd.read_parquet(made.path / "songs.parquet").rename(columns={"id": "song"})
    songs["title"] = [f"Title: {place}" for place in range(len(songs))]
    songs["groups"] = json.dumps({"artist": "Some/One"})
    songs.to_parquet(made.path / "songs.parquet")
    return made


@pytest.fixture(scope="module")
def loud(tmp_path_factory):
    """24 bit, above full scale, so it is stored scaled down; no bass anywhere; each block for itself."""
    return write_tiny(tmp_path_factory.mktemp("loud") / "set", codec="flac24", loud=5, continuous=False, gated=("bass",))


def stored(path, name):
    """Every sample of a dataset's member as its file says, `(channels, frames)`, by key; read by tarfile and soundfile or NumPy."""
    found = {}
    for tar in sorted((path / "shards").glob("*.tar")):
        with tarfile.open(tar) as members:
            for member in members:
                key, _, suffix = member.name.partition(".")
                if suffix.rpartition(".")[0] == name:
                    found[key] = audio_of(members.extractfile(member).read(), suffix)
    return found


def audio_of(data, suffix):
    """A member as float64 in [-1, 1)."""
    if suffix.endswith("npy"):
        array = np.load(io.BytesIO(data))
        return array / 32768 if array.dtype == np.int16 else array.astype(np.float64)
    return soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)[0].T


def metadata(out):
    return list(csv.DictReader(io.StringIO((out / "metadata.csv").read_text("utf-8"), newline="")))


# folders of WAV files


def test_folder_holds_whole_songs_as_the_integers_that_were_stored(tiny, tmp_path):
    out = export(tiny.path, "folder", tmp_path / "out")
    for split, songs in tiny.songs.items():
        for song, roles in songs.items():
            for role, stems in roles.items():
                for stem, audio in stems.items():
                    path = out / split / song / role / f"{stem}.wav"
                    assert soundfile.info(path).subtype == "PCM_16"
                    integers = soundfile.read(path, dtype="int16", always_2d=True)[0].T
                    assert np.array_equal(integers, np.rint(audio.astype(np.float64) * 32768))
    table = metadata(out)
    assert [(row["path"], int(row["frames"]), row["licence"]) for row in table] == [
        (f"{split}/{song}", stems["input"]["bass"].shape[1], "CC0-1.0")
        for split, songs in tiny.songs.items()
        for song, stems in songs.items()
    ]


def test_folder_is_read_back_by_the_folder_corpus(tiny, tmp_path):
    out = export(tiny.path, "folder", tmp_path / "out", role="target")
    songs = {song.title: song for song in load_corpus("folder", out / "train")}
    assert len(songs) == len(tiny.songs["train"])
    for name, roles in tiny.songs["train"].items():
        song = songs[name]
        assert set(song.stems) == set(STEMS)
        for stem, track in (("mixture", song.mixture), *song.stems.items()):
            audio, rate = track.read()
            assert rate == RATE and np.abs(audio - roles["target"][stem]).max() <= 0.5 / 32768 + 1e-7


def test_folder_undoes_the_scale_and_keeps_blocks_apart_where_they_do_not_join(loud, tmp_path):
    out = export(loud.path, "folder", tmp_path / "out")
    examples = mixdata.open_dataset(loud.path).examples.set_index("key")
    assert (examples["scale"] < 1).all()
    audio = stored(loud.path, "target.mixture")
    table = metadata(out)
    assert [row["path"] for row in table] == [f"{examples.at[key, 'split']}/{key}" for key in audio]
    for row in table:
        key = row["path"].rpartition("/")[2]
        path = out / row["path"] / "target" / "mixture.wav"
        assert soundfile.info(path).subtype == "FLOAT"
        true = soundfile.read(path, dtype="float64", always_2d=True)[0].T
        song, start = examples.at[key, "song"], int(row["start"])
        wanted = loud.song(song)["target"]["mixture"][:, start : start + true.shape[1]]
        assert np.abs(true * examples.at[key, "scale"] - audio[key]).max() <= 2**-24
        assert np.abs(true - wanted).max() <= 2**-23 / examples.at[key, "scale"]
        assert row["absent"] == "input.bass target.bass" and float(row["scale"]) == examples.at[key, "scale"]
        assert not soundfile.read(out / row["path"] / "input" / "bass.wav")[0].any()


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("FLOAT", None)])
@pytest.mark.parametrize("frames", [0, 1, 7])
def test_wav_files_are_what_libsndfile_reads_bit_for_bit(subtype, bits, frames):
    if bits:
        integers = np.random.default_rng(0).integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, frames))
        if frames:
            integers[0, 0], integers[2, -1] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        audio = (integers / 2.0 ** (bits - 1)).astype(np.float32)
    else:
        audio = np.random.default_rng(0).standard_normal((3, frames)).astype(np.float32) * 3
    data = wav_bytes(audio, 11025, subtype)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.channels, file.frames, file.subtype) == (11025, 3, frames, subtype)
        assert np.array_equal(file.read(dtype="float32", always_2d=True).T, audio)
    assert len(data) % 2 == 0 and int.from_bytes(data[4:8], "little") == len(data) - 8


def test_a_wav_that_would_clip_or_is_too_long_is_refused():
    with pytest.raises(MixdataError, match="full scale"):
        wav_bytes(np.full((1, 4), 1.0, np.float32), RATE, "PCM_16")
    with pytest.raises(MixdataError, match="4 GiB"):
        from mixdata.interchange.wav import wav_header

        wav_header(44100, 2, 2**30, "FLOAT")


# musdb

STAND_IN = """#!{python} -S
# What musdb asks of ffprobe and ffmpeg, for 16-bit WAV files: the package itself will not even be imported without them.
import json, sys, wave
words = sys.argv[1:]
if "-codecs" in words:
    sys.exit("not here")
path = words[words.index("-i") + 1] if "-i" in words else words[-1]
with wave.open(path) as file:
    rate, frames, channels = file.getframerate(), file.getnframes(), file.getnchannels()
    if "-i" in words:
        assert words[words.index("-f") + 1] == "s16le" and file.getsampwidth() == 2 and "0:0" in words
        sys.stdout.buffer.write(file.readframes(frames))
    else:
        stream = dict(index=0, codec_type="audio", duration_ts=frames, duration=frames / rate, sample_rate=str(rate), channels=channels)
        print(json.dumps(dict(streams=[stream])))
"""


def musdb_environment(folder):
    """The environment with ffmpeg and ffprobe on the path: the machine's own, else stand-ins."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        for name in ("ffmpeg", "ffprobe"):
            (folder / name).write_text(STAND_IN.format(python=sys.executable))
            (folder / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_musdb_opens_the_tree_with_its_validation_tracks_and_audio(tiny, tmp_path):
    out = export(tiny.path, "musdb", tmp_path / "out")
    script = (
        "import json, sys\n"
        "import musdb, numpy as np\n"
        "def names(**words):\n"
        "    return [t.name for t in musdb.DB(sys.argv[1], setup_file='setup.yaml', is_wav=True, **words)]\n"
        "train, valid = names(subsets='train', split='train'), names(subsets='train', split='valid')\n"
        "db = musdb.DB(sys.argv[1], setup_file='setup.yaml', is_wav=True)\n"
        "track = db[0]\n"
        "np.save(sys.argv[2], np.stack([track.audio, *(track.sources[s].audio for s in ('vocals', 'drums', 'bass', 'other'))]))\n"
        "facts = dict(all=[[t.name, t.subset, t.artist, t.title, t.samples, t.rate] for t in db], sources=sorted(track.sources))\n"
        "print(json.dumps(dict(facts, train=train, valid=valid, targets=sorted(track.targets))))\n"
    )
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(out), str(tmp_path / "audio.npy")],
        env=musdb_environment(tmp_path / "bin"), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["train"] == [f"Some_One - Title_ {place}" for place in range(3)] and found["valid"] == ["Some_One - Title_ 3"]
    lengths = [stems["input"]["bass"].shape[1] for songs in tiny.songs.values() for stems in songs.values()]
    assert found["all"] == [[f"Some_One - Title_ {i}", "train", "Some_One", f"Title_ {i}", n, RATE] for i, n in enumerate(lengths)]
    assert yaml.safe_load((out / "setup.yaml").read_text())["sample_rate"] == RATE
    assert found["sources"] == sorted(STEMS) and "accompaniment" in found["targets"]
    target = next(iter(tiny.songs["train"].values()))["target"]
    wanted = np.stack([target[stem].T for stem in ("mixture", "vocals", "drums", "bass", "other")])
    assert np.abs(np.load(tmp_path / "audio.npy") - wanted).max() <= 0.5 / 32768 + 1e-4  # musdb divides by 32767


def test_our_own_musdb_corpus_reads_the_tree(tiny, tmp_path):
    songs = list(load_corpus("musdb18hq", export(tiny.path, "musdb", tmp_path / "out", role="target")))
    assert [song.title for song in songs] == [f"Some_One - Title_ {place}" for place in range(4)]
    whole = next(iter(tiny.songs["train"].values()))["target"]
    for stem, track in (("mixture", songs[0].mixture), *songs[0].stems.items()):
        assert np.abs(track.read()[0] - whole[stem]).max() <= 0.5 / 32768 + 1e-7


def test_musdb_keeps_the_stored_level_and_blocks_that_do_not_join_apart(loud, tmp_path):
    out = export(loud.path, "musdb", tmp_path / "out")
    audio = stored(loud.path, "target.vocals")
    assert len(list(out.glob("train/*"))) == len(audio)
    assert json.loads((out / "export.json").read_text())["roles"] == {"target": ROLES["target"]}
    for row in metadata(out):
        key = row["path"].partition("(")[2].removesuffix(")")
        path = out / row["path"] / "vocals.wav"
        assert soundfile.info(path).subtype == "PCM_24" and float(row["scale"]) < 1 and row["absent"] == "target.bass"
        assert np.array_equal(soundfile.read(path, dtype="float64", always_2d=True)[0].T, audio[key])


def test_musdb_names_are_unique_and_of_one_folder(tmp_path):
    made = write_tiny(tmp_path / "set", {"train": [8000, 8000, 8000, 8000]})
    songs = pd.read_parquet(made.path / "songs.parquet").rename(columns={"id": "song"})
    songs["title"], songs["groups"] = ["A - Same", "A - same", "../" + 300 * "x", ".."], json.dumps({"artist": "A"})
    songs.to_parquet(made.path / "songs.parquet")
    out = export(made.path, "musdb", tmp_path / "out")
    names = sorted(path.name for path in (out / "train").iterdir())
    assert all(name == name.strip(" .") and len(name.encode()) <= 255 for name in names)
    assert len({name.casefold() for name in names}) == 4 and sorted(p.name for p in out.iterdir() if p.is_dir()) == ["test", "train"]
    assert all((out / "train" / name / "mixture.wav").is_file() for name in names)


def test_musdb_wants_its_stems(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"musdb has the stems mixture, vocals, .*this has input: vocals"):
        export(tiny.path, "musdb", tmp_path / "out", role="input")
    assert not list(tmp_path.iterdir())


def test_musdb_refuses_other_splits_and_a_choice_of_roles(tiny, tmp_path):
    with pytest.raises(UsageError, match="but not dev"):
        export(write_tiny(tmp_path / "set", {"dev": [8000]}).path, "musdb", tmp_path / "out")
    dataset = mixdata.open_dataset(tiny.path)
    dataset.roles = {"target": dataset.roles["target"], "other": dataset.roles["target"]}
    with pytest.raises(UsageError, match="choose with role= which to export to musdb: target, other"):
        export(dataset, "musdb", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


# Hugging Face


HUGGING_FACE = """
import io, json, sys
import numpy as np, soundfile
from datasets import Audio, load_dataset

for folder in sys.argv[1:]:
    facts, audio = {}, {}
    for split, rows in load_dataset(folder, cache_dir=folder + "-cache").items():
        assert rows.features["target_vocals"] == Audio(sampling_rate=8000), rows.features
        names = [name for name, kind in rows.features.items() if isinstance(kind, Audio)]
        for name in names:
            rows = rows.cast_column(name, Audio(decode=False))
        for row in rows:
            data, rate = soundfile.read(io.BytesIO(row["target_vocals"]["bytes"]), dtype="float64", always_2d=True)
            assert rate == row["sample_rate"] == 8000 and row["target_vocals"]["path"].startswith(row["key"])
            audio[row["key"]] = data.T
        columns = {name: list(rows[name]) for name in ("key", "scale", "mask", "activity", "record", "licence")}
        facts[split] = dict(columns, names=names)
    np.savez(folder + ".npz", **audio)
    json.dump(facts, open(folder + ".json", "w"))
"""


def test_hugging_face_opens_the_folder(tiny, loud, tmp_path):
    """In a process of its own: its libraries read the environment when imported."""
    outs = [export(tiny.path, "hf", tmp_path / "flac"), export(loud.path, "hf", tmp_path / "wav", codec="wav")]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HUGGING_FACE, *map(str, outs)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for made, out in ((tiny, outs[0]), (loud, outs[1])):
        found, audio = json.loads(Path(f"{out}.json").read_text()), np.load(f"{out}.npz")
        examples, wanted = mixdata.open_dataset(made.path).examples, stored(made.path, "target.vocals")
        assert list(found) == ["train", "valid"]
        for split, columns in found.items():
            rows = examples[examples["split"] == split]
            assert columns["names"] == [f"{role}_{stem}" for role, stems in ROLES.items() for stem in stems]
            assert columns["key"] == rows["key"].tolist() and columns["scale"] == rows["scale"].tolist()
            assert [json.loads(record)["key"] for record in columns["record"]] == columns["key"]
            assert set(columns["licence"]) == {"CC0-1.0"}
            assert all(mask == {name: made is tiny or "bass" not in name for name in columns["names"]} for mask in columns["mask"])
            assert [row["drums"] for row in columns["activity"]] == pytest.approx(rows["activity_drums"].tolist())
        assert set(audio) == set(wanted) and all(np.array_equal(audio[key], wanted[key]) for key in wanted)


def test_parquet_files_and_row_groups_are_bounded(tiny, tmp_path, monkeypatch):
    from mixdata.interchange import hf

    monkeypatch.setattr(hf, "GROUP_BYTES", 150_000)
    monkeypatch.setattr(hf, "FILE_BYTES", 300_000)
    out = export(tiny.path, "hf", tmp_path / "out", codec="wav", split="train")
    files = sorted((out / "data").iterdir())
    assert [path.name for path in files] == [f"train-{place:05d}-of-{len(files):05d}.parquet" for place in range(len(files))] and len(
        files
    ) > 1
    keys = []
    for path in files:
        file = pq.ParquetFile(path)
        sizes = []
        for group in range(file.num_row_groups):
            rows = file.read_row_group(group).to_pylist()
            keys += [row["key"] for row in rows]
            sizes.append(sum(len(row[name]["bytes"]) for row in rows for name in row if name.startswith(("input_", "target_"))))
            assert sizes[-1] <= 150_000 or len(rows) == 1
        assert sum(sizes[:-1]) < 300_000
    assert keys == mixdata.open_dataset(tiny.path).examples.query("split == 'train'")["key"].tolist()


def test_row_groups_have_a_number_of_rows_at_most_and_unmeasured_activity_is_null(tiny, tmp_path, monkeypatch):
    from mixdata.interchange import hf

    monkeypatch.setattr(hf, "ROWS", 3)
    shutil.copytree(tiny.path, tmp_path / "set")
    table = pq.read_table(tiny.path / "examples.parquet")
    place = table.column_names.index("activity_bass")
    unmeasured = table.set_column(place, "activity_bass", pa.array([float("nan")] * len(table), pa.float32()))
    pq.write_table(unmeasured, tmp_path / "set" / "examples.parquet")
    (path,) = (export(tmp_path / "set", "hf", tmp_path / "out", split="train") / "data").iterdir()
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [3, 3, 2]
    activity = file.read()["activity"].to_pylist()
    assert all(row["bass"] is None and row["drums"] > 0 for row in activity)


def test_two_columns_of_one_name_are_refused(tiny, tmp_path):
    dataset = mixdata.open_dataset(tiny.path)
    dataset.roles = {"a": ("b_c",), "a_b": ("c",)}
    with pytest.raises(UsageError, match="two columns would be called a_b_c"):
        export(dataset, "hf", tmp_path / "out")


# WebDataset


def read_webdataset(out, split="train"):
    tars = [str(path) for path in sorted(out.glob(f"{split}-*.tar"))]
    return list(webdataset.WebDataset(tars, shardshuffle=False))


def test_webdataset_copies_are_the_shards_byte_for_byte(tiny, tmp_path):
    out = export(tiny.path, "webdataset", tmp_path / "out")
    tars = {path.name: path.read_bytes() for path in (tiny.path / "shards").glob("*.tar")}
    assert {path.name: path.read_bytes() for path in out.glob("*.tar")} == tars
    assert [sample["__key__"] for sample in read_webdataset(out)] == list(stored(tiny.path, "input.bass"))[:8]


@pytest.mark.parametrize("codec", ["wav", "flac", "npy", "as-is"])
def test_webdataset_members_hold_what_is_stored_in_another_codec(tiny, loud, tmp_path, codec):
    for made in (tiny, loud):
        out = export(made.path, "webdataset", tmp_path / made.path.parent.name, codec=codec, role="target")
        suffix = {"as-is": "npy" if made is tiny else "flac"}.get(codec, codec)
        samples = {sample["__key__"]: sample for split in ("train", "valid") for sample in read_webdataset(out, split)}
        for stem in ROLES["target"]:
            wanted = stored(made.path, f"target.{stem}")
            assert list(samples) == list(wanted)
            for key, audio in wanted.items():
                assert np.array_equal(audio_of(samples[key][f"target.{stem}.{suffix}"], suffix), audio)
        for key, sample in samples.items():
            assert not any(name.startswith("input.") for name in sample) and json.loads(sample["json"])["key"] == key
            stands_for = {"wav": ("wav16", "wav24"), "flac": ("flac16", "flac24"), "npy": ("npy16", "npyf32"), "as-is": (None, None)}
            assert json.loads(sample["json"]).get("codec") == stands_for[codec][made is loud]


@pytest.mark.parametrize("seconds", [0.4, 1.0, 1.7])
def test_crops_of_one_length_cover_every_song_from_end_to_end(tiny, tmp_path, seconds):
    out = export(tiny.path, "webdataset", tmp_path / "out", codec="wav", crop=seconds, role="input")
    length = round(seconds * RATE)
    covered = {song: np.zeros(stems["input"]["bass"].shape[1], int) for song, stems in tiny.songs["train"].items()}
    samples = read_webdataset(out)
    assert len({sample["__key__"] for sample in samples}) == len(samples)
    for sample in samples:
        record = json.loads(sample["json"])
        song, start, valid = sample["__key__"].rpartition("_")[0], record["start"], record["valid_frames"]
        covered[song][start : start + valid] += 1
        assert record["key"] == sample["__key__"] and record["frames"] == length and valid == min(length, len(covered[song]))
        for stem in STEMS:
            audio = audio_of(sample[f"input.{stem}.wav"], "wav")
            whole = tiny.song(song)["input"][stem][:, start : start + valid].astype(np.float64)
            assert audio.shape == (2, length) and not audio[:, valid:].any()
            assert np.array_equal(audio[:, :valid], np.rint(whole * 32768) / 32768)
    for song, times in covered.items():
        assert times.min() == 1 and times.sum() == min(length, len(times)) * -(-len(times) // length), song


def test_the_record_of_a_crop_is_that_of_the_block_under_its_middle_without_its_measures(tiny, tmp_path, monkeypatch):
    made = {"activity": {"vocals": 1.0}, "loudness": {"vocals": -20.0}}
    monkeypatch.setattr(exporting.Source, "record", lambda _, block: {"song": {"id": block.song}, "block": block.block, **made})
    samples = read_webdataset(export(tiny.path, "webdataset", tmp_path / "out", codec="npy", crop=0.8))
    records = [json.loads(sample["json"]) for sample in samples]
    assert [record["block"] for record in records] == [(record["start"] + record["valid_frames"] // 2) // 8000 for record in records]
    assert any(record["block"] > record["start"] // 8000 for record in records)
    assert all(set(record) == {"song", "block", "key", "start", "frames", "valid_frames", "codec"} for record in records)


def test_crops_stay_in_their_block_where_blocks_do_not_join(loud, tmp_path):
    out = export(loud.path, "webdataset", tmp_path / "out", crop=0.6)
    wanted = stored(loud.path, "target.other")
    starts = mixdata.open_dataset(loud.path).examples.set_index("key")["start"]
    for sample in read_webdataset(out):
        key, record = sample["__key__"].rpartition("-")[0], json.loads(sample["json"])
        offset, valid = record["start"] - starts[key], record["valid_frames"]
        assert offset >= 0 and offset + valid <= wanted[key].shape[1] and valid == min(4800, wanted[key].shape[1])
        audio = audio_of(sample["target.other.flac"], "flac")
        assert np.array_equal(audio[:, :valid], wanted[key][:, offset : offset + valid]) and audio.shape[1] == 4800


# all targets


def test_floats_are_exported_as_floats_and_not_as_flac(tmp_path):
    made = write_tiny(tmp_path / "set", {"train": [9000]}, codec="npyf32", loud=5)
    (song,) = made.songs["train"]
    audio = made.song(song)["target"]["mixture"]
    assert np.abs(audio).max() > 1
    path = export(made.path, "folder", tmp_path / "wavs") / "train" / song / "target" / "mixture.wav"
    assert np.array_equal(soundfile.read(path, dtype="float32", always_2d=True)[0].T, audio)
    path = next((export(made.path, "musdb", tmp_path / "musdb") / "train").iterdir()) / "mixture.wav"
    assert np.array_equal(soundfile.read(path, dtype="float32", always_2d=True)[0].T, audio)
    for codec in ("as-is", "npy", "wav"):
        out = export(made.path, "webdataset", tmp_path / codec, codec=codec)
        suffix = {"as-is": "npy"}.get(codec, codec)
        parts = [audio_of(sample[f"target.mixture.{suffix}"], suffix) for sample in read_webdataset(out)]
        assert np.array_equal(np.concatenate(parts, axis=1), audio)
    rows = pq.read_table(next((export(made.path, "hf", tmp_path / "hf") / "data").iterdir()))["target_mixture"].to_pylist()
    assert np.array_equal(np.concatenate([audio_of(row["bytes"], "wav") for row in rows], axis=1), audio)
    for to in ("hf", "webdataset"):
        with pytest.raises(UsageError, match="which FLAC cannot"):
            export(made.path, to, tmp_path / "out", codec="flac")


@pytest.mark.parametrize("to", TARGETS)
def test_exports_are_the_same_bytes_every_time_and_carry_the_licence(tiny, tmp_path, to):
    first, second = (files_of(export(tiny.path, to, tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert "| tiny | CC0-1.0 | 4 |" in first["LICENCE.md"].decode()
    summary = json.loads(first["export.json"])
    assert summary["to"] == to and summary["licences"] == ["CC0-1.0"]
    assert summary["splits"] == {"train": {"examples": 8, "seconds": 6.888}, "valid": {"examples": 2, "seconds": 2.0}}
    assert str(tmp_path).encode() not in b"".join(first.values())


@pytest.mark.parametrize("to", TARGETS)
def test_an_export_of_one_split_holds_nothing_of_the_others(tiny, tmp_path, to):
    files = files_of(export(tiny.path, to, tmp_path / "out", split="valid"))
    (valid,) = tiny.songs["valid"]
    assert json.loads(files["export.json"])["splits"] == {"valid": {"examples": 2, "seconds": 2.0}}
    assert not any(song.encode() in name.encode() + data for song in tiny.songs["train"] for name, data in files.items())
    assert any(valid.encode() in name.encode() + data for name, data in files.items())


@pytest.mark.parametrize("to", TARGETS)
def test_damage_is_told_and_nothing_is_left(tiny, tmp_path, to):
    broken = tmp_path / "set"
    shutil.copytree(tiny.path, broken)
    tar = broken / "shards" / "train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[-30_000] ^= 1  # in the audio of target.other
    tar.write_bytes(data)
    with pytest.raises(MixdataError, match=r"train-000001\.tar.*(checksum|hash)"):
        export(broken, to, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


@contextmanager
def largest_file(size):
    """The largest file size allowed stands in for a full disk: the same failing write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("to", TARGETS)
def test_a_full_disk_is_told_and_leaves_nothing(tiny, tmp_path, to):
    with largest_file(20_000), pytest.raises(MixdataError, match="largest size allowed"):
        export(tiny.path, to, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_refused_an_empty_one_is_taken(tiny, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "empty").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError, match="not an empty folder"):
            export(tiny.path, "folder", tmp_path / name)
    assert (tmp_path / "full" / "mine").read_text() == "precious"
    export(tiny.path, "folder", tmp_path / "empty", split="valid", role="input")
    assert (tmp_path / "empty" / "metadata.csv").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "empty", "file", "full", "link"]


@pytest.mark.parametrize(
    ("to", "words", "message"),
    [
        ("wav", {}, "use one of webdataset, hf, musdb, folder"),
        ("webdatset", {}, "did you mean 'webdataset'"),
        ("folder", {"role": "inputs"}, "did you mean 'input'"),
        ("folder", {"split": "validation"}, "did you mean 'valid'"),
        ("folder", {"codec": "flac"}, "always WAV"),
        ("hf", {"codec": "npy"}, "use one of flac, wav"),
        ("hf", {"crop": 2.0}, "webdataset does"),
        ("webdataset", {"crop": 0.0}, "longer than 0"),
        ("webdataset", {"crop": 1 / 9000}, "longer than 0"),
        ("webdataset", {"crop": 3601.0}, "at most 3600"),
        ("webdataset", {"crop": float("nan")}, "longer than 0"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_written(tiny, tmp_path, to, words, message):
    with pytest.raises(UsageError, match=message):
        export(tiny.path, to, tmp_path / "out", **words)
    assert not list(tmp_path.iterdir())


def test_blocks_that_should_join_and_do_not_are_told(tiny, tmp_path):
    shutil.copytree(tiny.path, tmp_path / "set")
    table = pq.read_table(tiny.path / "examples.parquet")
    pq.write_table(pa.concat_tables([table.slice(0, 1), table.slice(2)]), tmp_path / "set" / "examples.parquet")
    with pytest.raises(MixdataError, match="00002 does not join the block before it"):
        export(tmp_path / "set", "folder", tmp_path / "out")
    scale = [1.0, 0.5, *[1.0] * (len(table) - 2)]
    pq.write_table(table.set_column(table.column_names.index("scale"), "scale", [scale]), tmp_path / "set" / "examples.parquet")
    with pytest.raises(MixdataError, match="00001 does not join the block before it"):
        export(tmp_path / "set", "folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_export_does_not_go_into_the_dataset(tiny):
    with pytest.raises(UsageError, match="inside the dataset"):
        export(tiny.path, "folder", tiny.path / "shards" / "out")


def test_a_built_set_is_exported_to_all_targets(built, tmp_path):
    dataset = mixdata.open_dataset(built)
    for to in TARGETS:
        out = export(built, to, tmp_path / to)
        assert set(json.loads((out / "export.json").read_text())["splits"]) == set(dataset.splits)
    song = dataset.examples["song"].iloc[0]
    rows = dataset.examples[dataset.examples["song"] == song]
    whole = np.concatenate([dataset.load(key).roles["target"]["mixture"] for key in rows["key"]], axis=1)
    audio = soundfile.read(tmp_path / "folder" / rows["split"].iloc[0] / song / "target" / "mixture.wav", always_2d=True, dtype="float32")[
        0
    ]
    assert np.abs(audio.T - whole).max() <= 1e-7


# elsewhere, interrupted, killed


@pytest.mark.parametrize("to", TARGETS)
def test_a_set_behind_a_url_is_exported_as_if_it_lay_here_with_one_read_of_audio_per_example(tiny, tmp_path, to):
    words = {"codec": "flac"} if to == "webdataset" else {}
    with http_server(tiny.path) as (url, handler):
        there = files_of(export(url, to, tmp_path / "there", **words))
    assert there == files_of(export(tiny.path, to, tmp_path / "here", **words))
    reads = [path for path, span in handler.asked if path.endswith(".tar") and span]
    assert len(reads) == len(mixdata.open_dataset(tiny.path))


@pytest.mark.parametrize("words", [{}, {"crop": 0.4, "codec": "npy"}])
def test_shards_behind_a_url_are_copied_and_cut_as_if_they_lay_here(loud, tmp_path, monkeypatch, words):
    from mixdata.interchange import webdataset as exporter

    monkeypatch.setattr(exporter, "CHUNK", 100_000)
    with http_server(loud.path) as (url, _):
        there = files_of(export(url, "webdataset", tmp_path / "there", **words))
    assert there == files_of(export(loud.path, "webdataset", tmp_path / "here", **words))


def test_errors_of_a_set_behind_a_url_name_the_url(tiny, loud, tmp_path):
    with http_server(loud.path) as (url, _):
        for to, words, told in (
            ("folder", {"split": "test"}, "has no split"),
            ("folder", {"role": "mix"}, "has no role"),
            ("musdb", {"role": "input"}, "musdb has the stems"),
        ):
            with pytest.raises(UsageError, match=f"^{url}: {told}"):
                export(url, to, tmp_path / "out", **words)
    broken = shutil.copytree(tiny.path, tmp_path / "set")
    table = pq.read_table(broken / "examples.parquet")
    pq.write_table(table.slice(0, 8), broken / "examples.parquet")
    with http_server(broken) as (url, _), pytest.raises(UsageError, match=f"^{url}: holds no example of valid"):
        export(url, "folder", tmp_path / "out", split="valid")
    tar = broken / "shards" / "train-000001.tar"
    tar.write_bytes(tar.read_bytes()[:-30_000])
    for to in ("folder", "webdataset"):
        with http_server(broken) as (url, _), pytest.raises(MixdataError, match=f"{url}/shards/train-000001.tar"):
            export(url, to, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("to", ["hf", "webdataset"])
def test_a_damaged_record_is_told(tiny, tmp_path, to):
    broken = shutil.copytree(tiny.path, tmp_path / "set")
    tar = broken / "shards" / "train-000001.tar"
    data = bytearray(tar.read_bytes())
    data[data.rindex(b'"song"') + 2] ^= 1  # still JSON
    tar.write_bytes(data)
    with pytest.raises(MixdataError, match=r"train-000001\.tar: song-3\S*_00003\.record \(bytes \d+ to \d+\): .*checksum"):
        export(broken, to, tmp_path / "out", role="target")


def test_ctrl_c_leaves_nothing(tiny, tmp_path, monkeypatch):
    def stop(*_):
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting.Progress, "update", stop)
    for to in TARGETS:
        with pytest.raises(KeyboardInterrupt):
            export(tiny.path, to, tmp_path / "out")
        assert not list(tmp_path.iterdir())


def test_what_a_killed_export_left_is_removed_by_the_next_and_what_is_being_written_is_not(tiny, tmp_path, monkeypatch):
    names = [".out.0123abcd.tmp", ".out.89abcdef.tmp", ".out.mine.tmp", ".other.0123abcd.tmp", ".out.0123abcd.tmpx"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_text("half")
    (tmp_path / ".out.00000000.tmp").symlink_to(tmp_path / ".other.0123abcd.tmp")
    used = os.open(tmp_path / names[1], os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_EX)

    def look(*_):
        (mine,) = [path for path in tmp_path.glob(".out.????????.tmp") if path.name not in names and not path.is_symlink()]
        other = os.open(mine, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)
        seen.append(mine)

    seen = []
    monkeypatch.setattr(exporting.Progress, "update", look)
    export(tiny.path, "folder", tmp_path / "out", split="valid")
    os.close(used)
    assert seen and sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[1:], ".out.00000000.tmp", "out"])
    assert (tmp_path / ".other.0123abcd.tmp" / "half").is_file()


def test_the_command_line_exports(tiny, tmp_path, monkeypatch, capsys):
    from mixdata.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mixdata", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        return (done.value.code or 0, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    code, said, _ = run("export", tiny.path, "--to", "webdataset", "--codec", "wav", "--split", "valid", "-o", "out", "--json")
    facts = json.loads(said)
    assert code == 0 and facts["path"] == "out" and facts["splits"]["valid"]["examples"] == 2 and facts["codec"] == "wav"
    for to, words, made in (
        ("folder", ["--role", "input"], "1 folders of WAV files"),
        ("musdb", [], "1 tracks (1 for validation)"),
        ("hf", ["--codec", "wav"], "1 parquet files (wav)"),
        ("webdataset", ["--crop", "0.5"], "4 samples (as-is) in 1 tars"),
    ):
        code, said, _ = run("export", tiny.path, "--to", to, "-o", to, "--split", "valid", "-q", *words)
        assert code == 0 and said == f"{to}: {made} of 2 examples (valid 2)\nlicence: CC0-1.0 (LICENCE.md)\n"
    assert {path.name for path in Path("folder").glob("valid/*/*")} == {f"{stem}.wav" for stem in STEMS}
    with http_server(tiny.path) as (url, _):
        assert run("export", url, "--to", "folder", "-o", "there", "--split", "valid", "--role", "input", "-q")[0] == 0
    assert files_of(Path("there")) == files_of(Path("folder"))
    for words, told in (
        ((tiny.path, "--to", "zip", "-o", "x"), "use one of webdataset, hf, musdb, folder"),
        ((tiny.path, "--to", "folder", "-o", "folder"), "not an empty folder"),
        (("nowhere", "--to", "folder", "-o", "x"), "nowhere: no such folder"),
    ):
        code, _, said = run("export", *words)
        assert code == 2 and told in said
    assert "mixdata export my-set --to folder" in run("export", "--help")[1]
