"""Datasets as other tools want them, opened by those tools, and other people's tars as datasets."""

import csv
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

import mixdata
from conftest import files_of
from mixdata.corpora import load_corpus
from mixdata.errors import MixdataError, UsageError
from mixdata.interchange import export, import_webdataset
from mixdata.interchange.importing import split_of
from mixdata.interchange.wav import wav_bytes
from mixdata.torch import ShardDataset
from tiny_dataset import ROLES, STEMS, write_tiny
from trees import noise

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
        assert row["absent"] == "input.bass target.bass"
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
    assert found["sources"] == sorted(STEMS) and "accompaniment" in found["targets"]
    target = next(iter(tiny.songs["train"].values()))["target"]
    wanted = np.stack([target[stem].T for stem in ("mixture", "vocals", "drums", "bass", "other")])
    assert np.abs(np.load(tmp_path / "audio.npy") - wanted).max() <= 0.5 / 32768 + 1e-4  # musdb divides by 32767


def test_our_own_musdb_corpus_reads_the_tree(tiny, tmp_path):
    songs = list(load_corpus("musdb", export(tiny.path, "musdb", tmp_path / "out", role="target")))
    assert [song.title for song in songs] == [f"Some_One - Title_ {place}" for place in range(4)]
    whole = next(iter(tiny.songs["train"].values()))["target"]
    for stem, track in (("mixture", songs[0].mixture), *songs[0].stems.items()):
        assert np.abs(track.read()[0] - whole[stem]).max() <= 0.5 / 32768 + 1e-7


def test_musdb_keeps_the_stored_level_and_blocks_that_do_not_join_apart(loud, tmp_path):
    out = export(loud.path, "musdb", tmp_path / "out")
    audio = stored(loud.path, "target.vocals")
    assert len(list(out.glob("train/*"))) == len(audio)
    for row in metadata(out):
        key = row["path"].partition("(")[2].removesuffix(")")
        path = out / row["path"] / "vocals.wav"
        assert soundfile.info(path).subtype == "PCM_24" and float(row["scale"]) < 1
        assert np.array_equal(soundfile.read(path, dtype="float64", always_2d=True)[0].T, audio[key])


def test_musdb_names_are_unique_and_of_one_folder(tmp_path):
    made = write_tiny(tmp_path / "set", {"train": [8000, 8000, 8000, 8000]})
    songs = pd.read_parquet(made.path / "songs.parquet").rename(columns={"id": "song"})
    songs["title"], songs["groups"] = ["A - Same", "a - same", "../../x", ".."], json.dumps({"artist": "A"})
    songs.to_parquet(made.path / "songs.parquet")
    out = export(made.path, "musdb", tmp_path / "out")
    names = sorted(path.name for path in (out / "train").iterdir())
    assert len({name.casefold() for name in names}) == 4 and sorted(p.name for p in out.iterdir() if p.is_dir()) == ["test", "train"]
    assert all((out / "train" / name / "mixture.wav").is_file() for name in names)


def test_musdb_wants_its_stems(tiny, tmp_path):
    with pytest.raises(UsageError, match=r"musdb has the stems mixture, vocals, .*this has input: vocals"):
        export(tiny.path, "musdb", tmp_path / "out", role="input")
    assert not list(tmp_path.iterdir())


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
    for name in ("full", "file"):
        with pytest.raises(UsageError, match="not an empty folder"):
            export(tiny.path, "folder", tmp_path / name)
    assert (tmp_path / "full" / "mine").read_text() == "precious"
    export(tiny.path, "folder", tmp_path / "empty", split="valid", role="input")
    assert (tmp_path / "empty" / "metadata.csv").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]


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


# import

KINDS = {
    "flac16": ("FLAC", "PCM_16"),
    "flac24": ("FLAC", "PCM_24"),
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "npy16": None,
    "npyf32": None,
}


def member(audio, codec, rate=RATE):
    """Audio as somebody else would encode it, without anything of ours."""
    buffer = io.BytesIO()
    if codec == "npy16":
        np.save(buffer, np.rint(audio * 32768).astype(np.int16))
    elif codec == "npyf32":
        np.save(buffer, 3 * audio)  # floats may exceed full scale
    else:
        form, subtype = KINDS[codec]
        soundfile.write(buffer, audio.T, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def write_tar(path, members):
    """A tar as Python's tarfile makes it: a list of (name, bytes)."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def their_tar(path, codec="flac16", keys=("a song", "dir/Other.", "third"), rate=RATE):
    """A tar of their own making by the webdataset package, and what is in it."""
    songs = {}
    with webdataset.TarWriter(str(path)) as writer:
        for place, key in enumerate(key.rstrip(".") for key in keys):
            songs[key] = {stem: noise(10 * place + n, 0.5 + place / 4, sample_rate=rate) for n, stem in enumerate(("vocals", "drums"))}
            suffix = codec[:3] if codec.startswith("npy") else codec[:-2]
            sample = {f"{stem}.{suffix}": member(audio, codec, rate) for stem, audio in songs[key].items()}
            writer.write({"__key__": key, **sample, "json": {"title": key, "license": f"L{place}"}, "txt": "words"})
    return path, songs


@pytest.mark.parametrize("codec", KINDS)
def test_their_tars_are_read_in_place(tmp_path, codec):
    tar, songs = their_tar(tmp_path / "their-000.tar", codec)
    before = tar.read_bytes()
    dataset = import_webdataset([tar], tmp_path / "set", role="target", sample_rate=RATE if codec.startswith("npy") else None)
    assert tar.read_bytes() == before and (tmp_path / "set" / "shards" / "train-000000.tar").resolve() == tar
    assert (dataset.codec, dataset.sample_rate, dataset.channels) == (codec, RATE, 2)
    assert dataset.roles == {"target": ("drums", "vocals")} and dataset.examples["source_key"].tolist() == list(songs)
    assert dataset.meta["imported"]["ignored"] == {"txt": 3} and dataset.examples["licence"].tolist() == ["L0", "L1", "L2"]
    songs = {key: {stem: audio * (3 if codec == "npyf32" else 1) for stem, audio in stems.items()} for key, stems in songs.items()}
    for (key, stems), example in zip(songs.items(), dataset, strict=True):
        assert example.record["title"] == key
        for stem, audio in stems.items():
            assert np.array_equal(example.roles["target"][stem], audio)
    for row in dataset.examples.itertuples():  # the span of an example is a tar of its members alone
        with tarfile.open(fileobj=io.BytesIO(before[row.byte_offset : row.byte_offset + row.byte_size] + bytes(1024))) as members:
            assert [name.partition(".")[0] for name in members.getnames()] == [row.source_key] * 4
    crops = ShardDataset(tmp_path / "set", crop=0.3, seed=1)
    for item in (crops[place] for place in range(6)):
        start, key = int(item["start"]), dataset.examples.set_index("key").at[item["key"], "source_key"]
        for place, stem in enumerate(("drums", "vocals")):
            assert np.array_equal(item["target"][place].numpy(), songs[key][stem][:, start : start + 2400])
    assert mixdata.verify(tmp_path / "set") == []


def test_names_give_roles_and_a_lone_file_is_the_mixture(tmp_path):
    audio = member(noise(0), "flac16")
    one = write_tar(tmp_path / "one.tar", [("x.Input.Vocals.FLAC", audio), ("x.target.mixture.flac", audio)])
    assert import_webdataset([one], tmp_path / "a").roles == {"input": ("vocals",), "target": ("mixture",)}
    two = write_tar(tmp_path / "two.tar", [("./x.flac", audio), ("./y.flac", member(noise(1), "flac16"))])
    dataset = import_webdataset([two], tmp_path / "b", role="target")
    assert dataset.roles == {"target": ("mixture",)} and dataset[0].record == {} and mixdata.verify(tmp_path / "b") == []


def test_a_stem_that_a_sample_lacks_is_masked_silence(tmp_path):
    audio = noise(0)
    tar = write_tar(
        tmp_path / "t.tar",
        [("a.vocals.wav", member(audio, "wav16")), ("a.drums.wav", member(audio / 2, "wav16")), ("b.drums.wav", member(audio, "wav16"))],
    )
    dataset = import_webdataset([tar], tmp_path / "set")
    assert dataset.meta["imported"]["missing"] == {"input.vocals": 1} and mixdata.verify(tmp_path / "set") == []
    example = dataset[1]
    assert example.active == {"input": {"vocals": False, "drums": True}}
    assert not example.roles["input"]["vocals"].any() and np.array_equal(example.roles["input"]["drums"], audio)
    crops = ShardDataset(tmp_path / "set", crop=0.2)
    assert sorted(crops[place]["mask"].tolist() for place in range(2)) == [[False, True], [True, True]]
    out = export(tmp_path / "set", "folder", tmp_path / "out")
    assert {row["absent"] for row in metadata(out)} == {"", "input.vocals"}
    export(tmp_path / "set", "webdataset", tmp_path / "again", codec="flac")
    assert import_webdataset(sorted((tmp_path / "again").glob("*.tar")), tmp_path / "set2").codec == "flac16"


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_tars_are_linked_or_copied(tmp_path, link):
    tar, _ = their_tar(tmp_path / "x.tar")
    import_webdataset([tar], tmp_path / "set", link=link)
    inside = tmp_path / "set" / "shards" / "train-000000.tar"
    assert inside.is_symlink() == (link == "symlink") and inside.samefile(tar) == (link != "copy")
    assert inside.read_bytes() == tar.read_bytes()
    if link == "symlink":  # relative: tars and dataset may move together
        assert not os.readlink(inside).startswith("/")


def test_splits_come_from_names_or_the_user(tmp_path):
    assert [split_of(Path(p)) for p in ("a/train-0.tar", "a/x_val_1.tar", "test/0.tar", "a/validation.tar", "test_x/latest.tar")] == [
        "train", "valid", "test", "valid", "train",
    ]  # fmt: skip
    tars = [their_tar(tmp_path / f"{name}.tar", keys=(name,))[0] for name in ("train-1", "train-0", "valid-0")]
    dataset = import_webdataset(tars, tmp_path / "set")
    assert {name: [s["name"] for s in facts["shards"]] for name, facts in dataset.splits.items()} == {
        "train": ["train-000000", "train-000001"], "valid": ["valid-000000"],
    }  # fmt: skip
    assert list(import_webdataset(tars, tmp_path / "two", split="test").splits) == ["test"]


def test_an_export_imported_again_is_the_same_audio(tiny, tmp_path):
    out = export(tiny.path, "webdataset", tmp_path / "out", codec="flac")
    dataset, first = import_webdataset(sorted(out.glob("*.tar")), tmp_path / "set"), mixdata.open_dataset(tiny.path)
    assert dataset.roles == first.roles and dataset.examples["source_key"].tolist() == first.examples["key"].tolist()
    assert dataset.examples["split"].tolist() == first.examples["split"].tolist()
    for mine, theirs in zip(dataset, first, strict=True):
        for (role, stem, audio), (*_, wanted) in zip(mine.members(), theirs.members(), strict=True):
            assert np.array_equal(audio, wanted), (role, stem)
    assert mixdata.verify(tmp_path / "set") == []


def test_imports_are_the_same_bytes_and_ids_do_not_hang_on_the_order_of_tars(tmp_path):
    tars = [their_tar(tmp_path / f"{name}.tar", keys=(name,))[0] for name in ("x", "y")]
    one, two = (files_of(import_webdataset(tars, tmp_path / name / "set").path) for name in ("one", "two"))
    assert one == two and str(tmp_path).encode() not in b"".join(data for name, data in one.items() if not name.endswith(".tar"))
    other = import_webdataset(tars[::-1], tmp_path / "three")
    keys = pq.read_table(io.BytesIO(one["examples.parquet"]))["key"].to_pylist()
    assert set(other.examples["key"]) == set(keys)


def gnu_long(name, data):
    """A member with GNU's long name in a header of its own."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def claiming(kind, size):
    """A header that claims this many bytes behind it."""
    info = tarfile.TarInfo("a.vocals.flac")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def special(kind, name="a.vocals.flac", target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info.tobuf() + bytes(1024)


def hostile():
    good = member(noise(0), "flac16")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.vocals.flac", "b.vocals.flac"):
            info = tarfile.TarInfo(name)
            info.size = len(good)
            tar.addfile(info, io.BytesIO(good))
    whole = plain.getvalue()
    second = 512 + len(good) + -len(good) % 512
    broken = bytearray(whole)
    broken[second + 10] ^= 1
    fake = bytearray(good)
    fake[21:26] = bytes([fake[21] | 15, 255, 255, 255, 255])  # STREAMINFO: 2^36 - 1 samples
    wav = bytearray(member(noise(0), "wav16"))
    wav[40:44] = (2**31).to_bytes(4, "little")
    array = io.BytesIO()
    np.save(array, np.array([{}]), allow_pickle=True)
    turned, short = io.BytesIO(), io.BytesIO()
    np.save(turned, np.zeros((2000, 2), np.int16))
    np.save(short, np.zeros((2, 2000), np.int16))
    f = lambda *members: [(name, data) for name, data in members]  # noqa: E731
    return {
        "cut in a member": (whole[: second + 700], r"b\.vocals\.flac.*bytes \d+ to \d+.*cut off"),
        "cut between members": (whole[:second], r"no end after byte \d+"),
        "cut in a header": (whole[: second + 100], r"no end after byte \d+"),
        "damaged header": (bytes(broken), rf"bytes {second} to {second + 512}: a damaged tar header"),
        "giant member": (claiming(tarfile.REGTYPE, 2**62) + bytes(1024), "cut off"),
        "giant long name": (claiming(tarfile.GNUTYPE_LONGNAME, 2**62) + bytes(1024), r"x\.tar: "),
        "giant pax header": (claiming(tarfile.XHDTYPE, 2**40) + bytes(1024), r"x\.tar: "),
        "negative size": (claiming(tarfile.REGTYPE, -(2**40)) + bytes(1024), r"x\.tar: "),
        "symbolic link": (special(tarfile.SYMTYPE, target="/etc/passwd"), "link to '/etc/passwd'"),
        "hard link": (special(tarfile.LNKTYPE, target="b"), "is a link"),
        "device": (special(tarfile.CHRTYPE), "not a plain file"),
        "FIFO": (special(tarfile.FIFOTYPE), "not a plain file"),
        "absolute name": (f(("/etc/a.flac", good)), "leads out of the archive"),
        "name that leads out": (f(("x/../../a.flac", good)), "leads out of the archive"),
        "interleaved keys": (f(("a.x.flac", good), ("b.x.flac", good), ("a.y.flac", good)), "'a' do not lie together"),
        "member twice": (f(("a.x.flac", good), ("a.x.flac", good)), "stands twice"),
        "stem twice": (f(("a.x.flac", good), ("a.X.wav", member(noise(0), "wav16"))), "stands twice"),
        "too many dots": (f(("a.b.c.d.flac", good)), "is not named"),
        "strange stem": (f(("a.v\u00f6cals.flac", good)), "is not named"),
        "no audio": (f(("a.txt", b"words")), "has no audio"),
        "mp3": (f(("a.mp3", b"ID3")), "cannot be read in place"),
        "empty": (bytes(10240), "no sample"),
        "empty file": (b"", "no tar archive"),
        "no tar": (b"RIFF" * 1000, "no tar archive"),
        "compressed": (b"\x1f\x8b" + bytes(1000), "compressed"),
        "json is a list": (f(("a.x.flac", good), ("a.json", b"[]")), "no JSON object"),
        "json is none": (f(("a.x.flac", good), ("a.json", b"{")), "is no JSON"),
        "other rate": (f(("a.x.flac", good), ("b.x.flac", member(noise(1), "flac16", 16000))), "sample_rate is 16000"),
        "other channels": (f(("a.x.flac", good), ("b.x.flac", member(noise(1, channels=1), "flac16"))), "channels is 1"),
        "other codec": (f(("a.x.flac", good), ("b.x.flac", member(noise(1), "flac24"))), "codec is flac24"),
        "other length in a sample": (f(("a.x.flac", good), ("a.y.flac", member(noise(1, 0.5), "flac16"))), "differ in codec"),
        "FLAC is none": (f(("a.x.flac", b"fLaX" + good[4:])), "no FLAC"),
        "FLAC that claims too much": (f(("a.x.flac", bytes(fake))), "promises"),
        "WAV cut off": (f(("a.x.wav", bytes(wav))), "promises"),
        "WAV of floats": (f(("a.x.wav", wav_of("FLOAT"))), "wavf32 cannot be read in place"),
        "WAV of 8 bit": (f(("a.x.wav", wav_of("PCM_U8"))), "PCM_U8"),
        "pickle": (f(("a.x.npy", array.getvalue())), "is an array"),
        "npy turned": (f(("a.x.npy", turned.getvalue())), r"not \(channels, frames\)"),
        "npy cut off": (f(("a.x.npy", short.getvalue()[:-1])), "promises"),
        "npy without rate": (f(("a.x.npy", short.getvalue())), "sample-rate"),
        "same sample twice": (None, "same sample"),
    }


def wav_of(subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0).T, RATE, format="WAV", subtype=subtype)
    return buffer.getvalue()


HOSTILE = hostile()


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_tars_are_refused_with_a_clear_word_and_leave_nothing(tmp_path, what):
    content, message = HOSTILE[what]
    tars = [tmp_path / "x.tar"]
    if what == "same sample twice":
        tars = [their_tar(tmp_path / f"{name}.tar")[0] for name in ("x", "y")]
    elif isinstance(content, bytes):
        tars[0].write_bytes(content)
    else:
        write_tar(tars[0], content)
    with pytest.raises(MixdataError, match=message) as error:
        import_webdataset(tars, tmp_path / "set")
    assert str(tmp_path) in str(error.value)
    assert {path.suffix for path in tmp_path.iterdir()} == {".tar"}


def test_long_names_and_folders_are_fine(tmp_path):
    """GNU tar's long names, POSIX (pax) ones, and the entries of folders."""
    data = member(noise(0), "flac16")
    (tmp_path / "gnu.tar").write_bytes(special(tarfile.DIRTYPE, "d")[:512] + gnu_long(f"d/{'k' * 200}.vocals.flac", data) + bytes(1024))
    write_tar(tmp_path / "pax.tar", [(f"d/{100 * 'ü'}.vocals.flac", data)])
    dataset = import_webdataset([tmp_path / "gnu.tar", tmp_path / "pax.tar"], tmp_path / "set")
    assert dataset.examples["source_key"].tolist() == [f"d/{'k' * 200}", f"d/{100 * 'ü'}"]
    assert mixdata.verify(tmp_path / "set") == [] and np.array_equal(dataset[0].roles["input"]["vocals"], noise(0))


def test_verify_finds_what_changed_in_imported_tars(tmp_path):
    tar, _ = their_tar(tmp_path / "x.tar")
    folder = import_webdataset([tar], tmp_path / "set", link="copy").path
    inside, whole = folder / "shards" / "train-000000.tar", tar.read_bytes()
    with tarfile.open(tar) as members:
        drums = members.getmember("third.drums.flac")
    inside.write_bytes(whole[: drums.offset_data + 9000] + b"\0" * 64 + whole[drums.offset_data + 9064 :])
    said = "\n".join(map(str, mixdata.verify(folder)))
    assert "was changed since it was imported" in said and "third: drums" not in said
    assert f"input.drums (bytes {drums.offset_data} to {drums.offset_data + drums.size}) does not decode" in said
    assert "is not the index of the tar beside it" in said
    with pytest.raises(MixdataError, match="checksum"):
        mixdata.open_dataset(folder)[2]
    inside.write_bytes(whole[:-20000])
    assert "cut off" in str(mixdata.verify(folder)[0]) or "no end" in str(mixdata.verify(folder)[0])
    inside.write_bytes(whole)
    assert mixdata.verify(folder) == []
    table = pq.read_table(folder / "examples.parquet")
    place = table.column_names.index("source_key")
    pq.write_table(table.set_column(place, "source_key", [["another", *table["source_key"].to_pylist()[1:]]]), folder / "examples.parquet")
    assert "its rows of shard train-000000 are not what the tar says" in "\n".join(map(str, mixdata.verify(folder)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"split": "Train"}, "a split is named"),
        ({"role": "my role"}, "a role is named"),
        ({"link": "hard"}, "use one of symlink, hardlink, copy"),
        ({"sample_rate": 0}, "must be positive"),
    ],
)
def test_wrong_words_of_an_import_are_refused(tmp_path, words, message):
    tar, _ = their_tar(tmp_path / "x.tar")
    with pytest.raises(UsageError, match=message):
        import_webdataset([tar], tmp_path / "set", **words)
    for tars, said in (
        ([], "no tar"),
        ([tmp_path / "nowhere.tar"], "no such file"),
        ([tmp_path], "is no file"),
        ([tar, tar], "given twice"),
    ):
        with pytest.raises(UsageError, match=said):
            import_webdataset(tars, tmp_path / "set")


def test_the_command_line_exports_and_imports(tiny, tmp_path, monkeypatch, capsys):
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
    code, said, _ = run("import", "out/valid-000000.tar", "-o", "set", "--json")
    facts = json.loads(said)
    assert code == 0 and facts["splits"] == {"valid": 2} and facts["codec"] == "wav16" and facts["roles"]["input"] == list(STEMS)
    assert run("verify", "set")[0] == 0 and run("info", "set")[0] == 0
    assert "valid 2" in run("export", tiny.path, "--to", "folder", "-o", "wavs", "--split", "valid", "-q")[1]
    code, _, said = run("export", tiny.path, "--to", "zip", "-o", "x")
    assert code == 2 and "use one of webdataset, hf, musdb, folder" in said
    code, _, said = run("import", "nowhere.tar", "-o", "x")
    assert code == 2 and "nowhere.tar" in said
    for command in ("export", "import"):
        assert f"mixdata {command}" in run(command, "--help")[1]
