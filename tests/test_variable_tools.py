"""Songs with tracks of varying number in every other tool: exports, WebDataset, Hugging Face, statistics, pages, commands."""

import csv
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import webdataset

import mixdata
from mixdata.builder.fit import fit_recipe_targets
from mixdata.builder.replay import _compare
from mixdata.errors import UsageError
from mixdata.interchange import export, import_webdataset
from mixdata.report.html import render_html
from mixdata.report.listen import listen_page
from mixdata.report.stats import dataset_statistics, render_text
from mixdata.shards.format import track_names
from mixdata.shards.reader import open_dataset
from mixdata.shards.verify import verify
from mixdata.torch import ShardDataset
from mixdata.train import train
from tiny_tracks import COUNTS, Tracks, TracksRecipe, from_tars, write_tracks


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return write_tracks(tmp_path_factory.mktemp("tracks") / "set")


@pytest.fixture(scope="module")
def flac(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return write_tracks(tmp_path_factory.mktemp("tracks") / "flac", codec="flac16")


def tars(folder: Path, split: str = "train") -> list[str]:
    return [str(path) for path in sorted(folder.glob(f"{split}-*.tar"))]


def members(sample: dict) -> set[str]:
    return {name for name in sample if not name.startswith("__") and name != "json"}


@pytest.mark.parametrize("codec", ["npy", "flac"])
def test_webdataset_gives_each_sample_its_own_tracks(tracks: Tracks, flac: Tracks, codec: str) -> None:
    folder = {"npy": tracks, "flac": flac}[codec].path
    songs = from_tars(folder)
    stream = webdataset.WebDataset(tars(folder / "shards"), shardshuffle=False)
    samples = list(stream.decode(*([mixdata.decode_flac] if codec == "flac" else [])))
    assert len(samples) == 9
    for sample in samples:
        song, start = sample["__key__"][:-6], sample["json"]["start"]
        names = [*(f"input.{name}" for name in track_names(COUNTS[song])), "target.mixture"]
        assert members(sample) == {f"{name}.{codec}" for name in names}
        for name in names:
            audio = sample[f"{name}.{codec}"] / (32768 if codec == "npy" else 1)
            assert np.abs(audio - songs[song][name][:, start : start + audio.shape[1]]).max() < 1e-6


@pytest.mark.parametrize("options", [{}, {"codec": "wav"}, {"codec": "flac", "role": "input"}])
def test_webdataset_exports_hold_the_same_tracks(tracks: Tracks, tmp_path: Path, options: dict) -> None:
    out = export(tracks.path, "webdataset", tmp_path / "out", **options)
    songs = from_tars(tracks.path)
    for path in tars(out):
        with tarfile.open(path) as tar:
            held: dict[str, set[str]] = {}
            for info in tar:
                key, _, name = info.name.partition(".")
                held.setdefault(key, set()).add(name.rpartition(".")[0] or name)
                if name.endswith(".wav"):
                    audio = soundfile.read(io.BytesIO(tar.extractfile(info).read()), always_2d=True)[0].T
                    start = 8000 * int(key[-5:])
                    assert np.abs(audio - songs[key[:-6]][name.removesuffix(".wav")][:, start : start + audio.shape[1]]).max() < 1e-6
        for key, names in held.items():
            own = {f"input.{name}" for name in track_names(COUNTS[key[:-6]])}
            assert names == own | {"json"} | (set() if "role" in options else {"target.mixture"})
    assert json.loads((out / "export.json").read_text())["variable"] == ["input"]
    absent = {row["absent"] for row in csv.DictReader((out / "metadata.csv").read_text().splitlines())}
    assert absent == {"input.t001"}  # the one that is there and silent, of no song those that it lacks


def test_pre_cut_crops_hold_the_songs_tracks(tracks: Tracks, tmp_path: Path) -> None:
    out = export(tracks.path, "webdataset", tmp_path / "out", crop=1.5, codec="wav")
    songs = from_tars(tracks.path)
    count = 0
    for sample in webdataset.WebDataset(tars(out), shardshuffle=False):
        start = json.loads(sample["json"])["start"]
        song = sample["__key__"][:-6]
        assert len(members(sample)) == COUNTS[song] + 1
        for name in members(sample):
            audio = soundfile.read(io.BytesIO(sample[name]), always_2d=True)[0].T
            assert audio.shape == (2, 12_000)
            assert np.abs(audio - songs[song][name.removesuffix(".wav")][:, start : start + 12_000]).max() < 1e-6
        count += 1
    assert count == 6


def test_an_export_comes_back_with_a_mask(tracks: Tracks, tmp_path: Path) -> None:
    """Tars of others are taken with one list of stems for all: what a sample lacks is masked."""
    out = export(tracks.path, "webdataset", tmp_path / "out")
    import_webdataset(tars(out), tmp_path / "back", sample_rate=8000)
    assert verify(tmp_path / "back") == []
    data, plain = ShardDataset(tmp_path / "back", crop=None), ShardDataset(tracks.path, crop=None)
    for index in range(len(data)):
        one, two = data[index], plain[index]
        assert one["mask"].tolist() == [place < two["tracks"] for place in range(9)]
        assert np.array_equal(one["input"], two["input"]) and "tracks" not in one


def test_folders_hold_the_songs_tracks_and_a_table_of_their_names(tracks: Tracks, tmp_path: Path) -> None:
    out, songs = export(tracks.path, "folder", tmp_path / "out"), from_tars(tracks.path)
    for song, count in COUNTS.items():
        (folder,) = out.glob(f"*/{song}")
        files = {str(path.relative_to(folder)) for path in folder.rglob("*.wav")}
        assert files == {*(f"input/{name}.wav" for name in track_names(count)), "target/mixture.wav"}
        for name in track_names(count):
            audio = soundfile.read(folder / "input" / f"{name}.wav")[0].T
            assert np.abs(audio - songs[song][f"input.{name}"]).max() < 1e-6
    rows = list(csv.DictReader((out / "tracks.csv").read_text().splitlines()))
    assert len(rows) == sum(COUNTS.values()) and all((out / row["path"]).is_file() for row in rows)
    assert [row["name"] for row in rows if row["song"] == "song-2-00000002"] == ["Kick 0", "Bass DI 1", "Lead Vocal 2", "Gtr L 3", "Kick 4"]
    alone = export(tracks.path, "folder", tmp_path / "target", role="target")
    assert not (alone / "tracks.csv").exists()


def test_musdb_needs_its_five_stems(tracks: Tracks, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"this has input: up to 9 tracks; target: mixture\. Export to a folder instead"):
        export(tracks.path, "musdb", tmp_path / "out")


def load(script: str, *arguments: object, home: Path) -> object:
    """Run Hugging Face's code in a process of its own: its libraries read the environment when imported."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_hugging_face_opens_set_and_export_with_nulls_for_what_is_not_there(flac: Tracks, tmp_path: Path) -> None:
    out = export(flac.path, "hf", tmp_path / "out")
    script = (
        "import json, sys\n"
        "from datasets import Audio, load_dataset\n"
        "rows = load_dataset(sys.argv[1], cache_dir=sys.argv[3], split='train')\n"
        "first = [[row['__key__'], [name for name, value in row.items() if value is not None], row['json']['tracks']['t000']['name']]"
        " for row in rows]\n"
        "rows = load_dataset(sys.argv[2], cache_dir=sys.argv[3], split='train')\n"
        "for column in [name for name, kind in rows.features.items() if isinstance(kind, Audio)]:\n"
        "    rows = rows.cast_column(column, Audio(decode=False))\n"
        "second = [[row['key'], row['tracks'], [n for n, v in row.items() if v is not None and n.startswith('input_')], row['mask'],"
        " row['activity']] for row in rows]\n"
        "print(json.dumps([first, second]))\n"
    )
    first, second = load(script, flac.path, out, tmp_path / "cache", home=tmp_path / "home")
    assert len(first) == len(second) == 9
    for key, names, name in first:
        own = {*(f"input.{track}.flac" for track in track_names(COUNTS[key[:-6]])), "target.mixture.flac"}
        assert set(names) == own | {"__key__", "__url__", "json"} and name == "Kick 0"
    for key, count, names, mask, activity in second:
        assert count == COUNTS[key[:-6]] and names == [f"input_{track}" for track in track_names(count)]
        assert [mask[f"input_{track}"] for track in track_names(9)] == [place < count and place != 1 for place in range(9)]
        assert [activity[track] is None for track in track_names(9)] == [place >= count for place in range(9)]
    assert "`input_t000` to `input_t008`, `target_mixture`" in (out / "README.md").read_text()


def test_card_and_croissant_tell_of_the_tracks_in_few_words(tracks: Tracks) -> None:
    card = (tracks.path / "README.md").read_text()
    front, _, text = card.removeprefix("---\n").partition("---\n")
    assert front.count("input.t") == 9 and text.count("t00") == 2
    assert "| input | the song's own tracks, up to 9: t000 to t008 |" in text
    described = json.loads((tracks.path / "croissant.json").read_text())
    types = {field["name"]: field["dataType"] for field in described["recordSet"][0]["field"]}
    assert types["tracks"] == "sc:Integer" and types["activity_t008"] == "sc:Float"


def test_statistics_speak_of_all_tracks_together(tracks: Tracks) -> None:
    dataset = open_dataset(tracks.path)
    stats = dataset_statistics(dataset)
    found = stats["tracks"]
    assert found["role"] == "input" and found["tracks"] == sum(COUNTS.values()) == 19
    assert (found["per_song"]["min"], found["per_song"]["median"], found["per_song"]["max"]) == (2, 4, 9)
    sounding = [COUNTS[song] - 1 for song in dataset.examples["song"]]  # t001 is silent
    assert found["sounding"]["mean"] == np.mean(sounding) and found["sounding"]["count"] == 12
    assert found["activity_percent"]["count"] == 3 * 19 and found["loudness"]["count"] == 3 * (19 - 4)
    assert found["spread"]["max"] == 8  # t000 at -20, t008 at -28; a song with one sounding track has none
    assert found["spread"]["count"] == 9
    assert found["kinds"] == {"kick": 7, "bass di": 5, "lead vocal": 4, "gtr l": 3} and found["kinds_of_songs"] == 4
    assert [stem["stem"] for stem in stats["stems"]] == ["mixture"] and stats["probe"] is None
    text, page = render_text(stats), render_html(stats)
    assert "19 tracks of input" in text and "kick 7" in text and "t000" not in text
    assert "tracks per song" in page and "<h2>Stems</h2>" not in page and "t000" not in page
    json.dumps(stats, allow_nan=False)


def test_statistics_of_other_sets_have_no_tracks(built: Path) -> None:
    stats = dataset_statistics(open_dataset(built), probe_examples=0)
    assert stats["tracks"] is None and "tracks" not in render_text(stats) and "<h2>Stems</h2>" in render_html(stats)


def test_hostile_names_of_tracks_stay_text(tmp_path: Path) -> None:
    folder = write_tracks(tmp_path / "set", {"train": [3]}).path
    evil = {"t000": {"name": "<b>x</b>", "instrument": "\x1b[31m<i>"}, "t001": 7, "t002": {"name": ["a"], "stem": {}}}
    dataset = open_dataset(folder)
    shard = dataset.shard("train-000000")
    shard.record = lambda key: json.dumps({"tracks": evil})  # type: ignore[method-assign]
    stats = dataset_statistics(dataset)
    assert stats["tracks"]["kinds"] == {"[31m<i>": 1, "unknown": 2} and "\x1b" not in render_text(stats)
    assert "<i>" not in render_html(stats)


def test_the_page_to_listen_shows_names_beside_numbers(tracks: Tracks, tmp_path: Path) -> None:
    page = listen_page(open_dataset(tracks.path), tmp_path / "page", n=12).read_text()
    assert page.count('t002 <span class="note">Lead Vocal 2</span>') == 9 and page.count("Kick 8") == 2 * 3  # in the record, too
    assert page.count("not in this song") == 12


def test_the_reference_trainer_refuses(tracks: Tracks, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every song has tracks of its own"):
        train(tracks.path, 2, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_targets_are_not_fitted_to_tracks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixdata.builder.fit.Recipe", TracksRecipe)
    with pytest.raises(UsageError, match="has tracks of each song's own as input"):
        fit_recipe_targets("effect_normalization", ["synth:songs=2,seconds=3"], workers=0, quiet=True)


def test_replay_names_members_that_only_one_of_both_has(tracks: Tracks) -> None:
    dataset = open_dataset(tracks.path)
    stored, made = dataset[3], dataset[3]
    assert _compare(dataset, stored, made) == []
    del made.roles["input"]["t004"]
    (problem,) = _compare(dataset, stored, made)
    assert problem.what == "the recipe makes other members than are stored: input.t004"
    made.roles["input"] = dict.fromkeys(track_names(6), stored.roles["input"]["t000"])
    (problem,) = _compare(dataset, stored, made)
    assert problem.what.endswith("input.t005")


def test_info_says_how_many_tracks(tracks: Tracks, capsys: pytest.CaptureFixture[str]) -> None:
    from mixdata.cli.info import info

    info(tracks.path)
    assert "input     up to 9 tracks, as many as the song has (t000 …)" in capsys.readouterr().out
