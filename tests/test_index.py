"""Laws of manifests: what is looked at, what is kept, what a change or a kill does, and that builds from them are the same."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from typer.testing import CliRunner

import mixdata
from mixdata.cli import app
from mixdata.corpora import load_corpus
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.index import check_corpus, checksums_of, index_corpus, load_manifest, look, read_manifest
from mixdata.song import Song, Sum, Track
from tests.conftest import files_of
from tests.trees import musdb_hq, musdb_mp4, song_folder, write_wav


def small_corpus(root: Path, songs: int = 3) -> str:
    """Songs with stems, one of them with a broken stem."""
    for number in range(songs):
        song_folder(root / f"Band {number} - Song {number}")
        write_wav(root / f"Band {number} - Song {number}" / "vocals.wav", seed=100 + number)
    return f"folder:{root}"


def indexed(spec: str, out: Path, **options):
    """Index in this process, quietly."""
    return index_corpus(load_corpus(spec), out, workers=0, quiet=True, **options)


def rows_of(path: Path) -> list[dict]:
    """The manifest's rows, read by pyarrow alone."""
    return pq.read_table(path).to_pylist()


def same(one: Song, two: Song) -> bool:
    """Whether two songs say and hold the same."""
    names = ("title", "corpus", "split", "groups", "licence", "wet", "free_lengths", "facts", "errata", "unfit", "sha256", "id")
    infos = [[(name, track.info(), track.sha256, track.instrument) for name, track in song.tracks()] for song in (one, two)]
    return all(getattr(one, name) == getattr(two, name) for name in names) and infos[0] == infos[1]


def test_a_row_says_what_its_file_holds(tmp_path):
    small_corpus(tmp_path / "c", 1)
    samples = np.zeros((3000, 2), np.float32)
    samples[5] = (0.5, -0.25)
    sf.write(tmp_path / "c" / "Band 0 - Song 0" / "bass.flac", samples, 48000, "PCM_24")
    (tmp_path / "c" / "Band 0 - Song 0" / "bass.wav").unlink()
    indexed(f"folder:{tmp_path / 'c'}", tmp_path / "m.parquet")
    rows = {row["name"]: row for row in rows_of(tmp_path / "m.parquet")}
    assert set(rows) == {"mixture", "vocals", "drums", "bass", "other"}
    bass, path = rows["bass"], tmp_path / "c" / "Band 0 - Song 0" / "bass.flac"
    assert (bass["file"], bass["place"], bass["title"]) == ("Band 0 - Song 0/bass.flac", "stem", "Song 0")
    assert (bass["sample_rate"], bass["channels"], bass["frames"], bass["codec"]) == (48000, 2, 3000, "flac/pcm_24")
    assert bass["sha256"] == sha256(path.read_bytes()).hexdigest() and bass["bytes"] == path.stat().st_size
    assert bass["peak_db"] == pytest.approx(20 * np.log10(0.5), abs=1e-5)
    assert bass["rms_db"] == pytest.approx(10 * np.log10((0.25 + 0.0625) / 6000), abs=1e-5)
    assert json.loads(bass["groups"]) == {"artist": "Band 0"} and bass["reason"] is None


@pytest.mark.parametrize("make", ["folder", "musdb18", "musdb18hq"])
def test_songs_from_a_manifest_are_the_corpus_s_songs(make, tmp_path):
    names = {"train": ["A - B", "PR - Oh No"], "test": ["C - D"]}
    spec = {
        "folder": lambda: small_corpus(tmp_path / "c"),
        "musdb18": lambda: f"musdb18:{musdb_mp4(tmp_path / 'c', names)}",
        "musdb18hq": lambda: f"musdb18hq:{musdb_hq(tmp_path / 'c', names)}",
    }[make]()
    indexed(spec, tmp_path / "m.parquet")
    first, second = list(load_corpus(spec)), list(load_manifest(tmp_path / "m.parquet"))
    assert len(first) == len(second) == 3 and all(same(*both) for both in zip(first, second, strict=True))
    for one, two in zip(first, second, strict=True):
        for (_, before), (_, after) in zip(one.tracks(), two.tracks(), strict=True):
            assert np.array_equal(before.read(100, 50)[0], after.read(100, 50)[0])


def test_sums_pairs_raw_tracks_and_facts_survive(tmp_path):
    paths = [write_wav(tmp_path / "c" / f"{number}.wav", seed=number, channels=1 + number % 2) for number in range(6)]
    song = Song(
        "Title",
        "folder",
        published=Track(paths[0]),
        stems={
            "drums": Sum(paths[1], instrument="drum set", facts={"stem": "S1"}, parts=(Track(paths[1], instrument="kick"), Track(paths[2])))
        },
        raw={"r01": Track(paths[3], instrument="violin", facts={"component": "melody", "gain": 0.5})},
        pair={"input": {"mixture": Track(paths[4])}, "target": {"mixture": Track(paths[5])}},
        split="test",
        groups={"artist": "Ä", "album": "b"},
        facts={"id": "x", "excerpt": True},
        errata=("one", "two"),
        free_lengths=True,
    )
    corpus = mixdata.corpora.base.Corpus(load_corpus("folder", tmp_path / "c").facts, "folder", tmp_path / "c", {}, [song])
    index_corpus(corpus, tmp_path / "m.parquet", workers=0, quiet=True)
    (back,) = load_manifest(tmp_path / "m.parquet")
    assert same(song, back) and isinstance(back.stems["drums"], Sum)
    assert np.array_equal(back.stems["drums"].read()[0], song.stems["drums"].read()[0])
    assert dict(back.raw["r01"].facts) == {"component": "melody", "gain": 0.5} and set(back.pair) == {"input", "target"}
    assert back.stems["drums"].parts[0].instrument == "kick" and dict(back.stems["drums"].facts) == {"stem": "S1"}


def test_a_build_from_a_manifest_is_the_build_from_the_root(tmp_path):
    spec = f"musdb18hq:{musdb_hq(tmp_path / 'c', {'train': ['A - B', 'E - F'], 'test': ['C - D']}, seconds=2.5)}"
    indexed(spec, tmp_path / "m.parquet")
    recipe = mixdata.load_recipe("dry_stems", ["segment.seconds=2"])
    one = mixdata.build(recipe, tmp_path / "one", [spec], workers=0, quiet=True)
    two = mixdata.build(recipe, tmp_path / "two", [load_manifest(tmp_path / "m.parquet")], workers=0, quiet=True)
    assert len(one) > 0 and files_of(one.path) == files_of(two.path)


def test_planning_from_a_manifest_reads_no_audio_file(tmp_path, monkeypatch):
    spec = f"musdb18hq:{musdb_hq(tmp_path / 'c', {'train': ['A - B', 'C - D'], 'test': []}, seconds=2)}"
    indexed(spec, tmp_path / "m.parquet")
    corpus = load_manifest(tmp_path / "m.parquet")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("an audio file was opened")

    for name in ("file_hash", "probe", "read"):
        monkeypatch.setattr(mixdata.audio, name, refuse)
    from mixdata.builder.run import plan_build

    assert len(plan_build(mixdata.load_recipe("dry_stems"), [corpus], quiet=True).songs) == 2


def test_what_changed_after_indexing_is_refused_until_it_is_indexed_again(tmp_path):
    spec = small_corpus(tmp_path / "c", 2)
    indexed(spec, tmp_path / "m.parquet")
    first, second = load_manifest(tmp_path / "m.parquet")
    write_wav(first.mixture.path, seed=9, seconds=0.7)
    second.mixture.path.unlink()
    for song, reason in ((first, "changed"), (second, "missing")):
        for use in (lambda track: track.info(), lambda track: track.read(), lambda track: track.sha256):
            with pytest.raises(SongError) as caught:
                use(song.mixture)
            assert caught.value.reason == reason
    outcome = indexed(spec, tmp_path / "m.parquet")
    assert (outcome.read, outcome.kept) == (1, 8)
    assert next(iter(load_manifest(tmp_path / "m.parquet"))).mixture.info().frames == round(0.7 * 44100)


def test_only_new_and_changed_files_are_read_again(tmp_path, monkeypatch):
    spec = small_corpus(tmp_path / "c")
    read: list[str] = []
    before = look.look_at
    monkeypatch.setattr(look, "look_at", lambda wanted: read.append(Path(wanted.path).name) or before(wanted))
    assert indexed(spec, tmp_path / "m.parquet").read == len(read) == 15
    untouched = (tmp_path / "m.parquet").read_bytes()
    read.clear()
    assert indexed(spec, tmp_path / "m.parquet").read == 0 and read == []
    assert (tmp_path / "m.parquet").read_bytes() == untouched
    write_wav(tmp_path / "c" / "New.wav", seed=77)
    os.utime(tmp_path / "c" / "Band 1 - Song 1" / "bass.wav", ns=(1, 1))
    assert indexed(spec, tmp_path / "m.parquet").read == 2 and sorted(read) == ["New.wav", "bass.wav"]
    read.clear()
    assert indexed(spec, tmp_path / "m.parquet", fresh=True).read == len(read) == 16


def test_measures_are_added_where_they_were_left_out(tmp_path):
    spec = small_corpus(tmp_path / "c", 1)
    write_wav(tmp_path / "c" / "Band 0 - Song 0" / "bass.wav", seconds=0.1)
    sf.write(tmp_path / "c" / "Band 0 - Song 0" / "other.wav", np.zeros(4410), 44100)  # silence has a level, too: none
    indexed(spec, tmp_path / "m.parquet", measure=False)
    assert all(row["peak_db"] is None and row["sha256"] for row in rows_of(tmp_path / "m.parquet"))
    assert indexed(spec, tmp_path / "m.parquet").read == 5
    rows = {row["name"]: row for row in rows_of(tmp_path / "m.parquet")}
    assert rows["other"]["peak_db"] == -np.inf and rows["bass"]["peak_db"] < 0
    assert indexed(spec, tmp_path / "m.parquet").read == 0
    assert indexed(spec, tmp_path / "m.parquet", measure=False).read == 0


def test_several_processes_find_the_same(tmp_path):
    spec = small_corpus(tmp_path / "c")
    indexed(spec, tmp_path / "one.parquet")
    index_corpus(load_corpus(spec), tmp_path / "two.parquet", workers=2, quiet=True)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_broken_files_are_rows_with_a_reason(tmp_path):
    spec = small_corpus(tmp_path / "c", 2)
    (tmp_path / "c" / "Band 0 - Song 0" / "bass.wav").write_text("not audio")
    os.mkfifo(tmp_path / "c" / "Band 1 - Song 1" / "pipe.wav")
    secret = write_wav(tmp_path / "secret.wav")
    (tmp_path / "c" / "link.wav").symlink_to(secret)
    whole = write_wav(tmp_path / "c" / "cut.wav").read_bytes()
    (tmp_path / "c" / "cut.wav").write_bytes(whole[:-1000])
    outcome = indexed(spec, tmp_path / "m.parquet")
    assert outcome.refused == {"not_audio": 2, "outside_root": 1, "truncated": 1}
    assert all(row["message"] for row in rows_of(tmp_path / "m.parquet") if row["reason"])
    reasons = {}
    for song in load_manifest(tmp_path / "m.parquet"):
        for name, track in song.tracks():
            with contextlib.suppress(SongError):
                track.info()
                continue
            reasons[song.title, name] = True
    assert len(reasons) == 4
    assert indexed(spec, tmp_path / "m.parquet").read == 0  # what cannot be used is not tried again before it changes


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    spec = small_corpus(tmp_path / "c", 30)
    code = (
        "import os, sys; from mixdata.index import run, index_corpus; from mixdata.corpora import load_corpus; run.BATCH = 4; n = [0]\n"
        "from mixdata.index import look; before = look.look_at\n"
        "def slow(wanted):\n    n[0] += 1\n    if n[0] > 61: os.kill(os.getpid(), 9)\n    return before(wanted)\n"
        "look.look_at = slow; index_corpus(load_corpus(sys.argv[1]), sys.argv[2], workers=0, quiet=True)"
    )
    out = tmp_path / "m.parquet"
    assert subprocess.run([sys.executable, "-c", code, spec, str(out)], check=False).returncode == -9
    assert not out.exists()
    journal = tmp_path / ".m.parquet.journal"
    whole = journal.read_bytes()
    assert whole.count(b"\n") == 60
    for cut in (len(whole), len(whole) - 1, whole[:-1].rindex(b"\n") + 1, whole[:-1].rindex(b"\n") + 8, 5, 0):
        journal.write_bytes(whole[:cut])
        assert indexed(spec, out).read == 150 - whole[:cut].count(b"\n")
        assert not journal.exists()
        out.unlink()
    indexed(spec, tmp_path / "reference.parquet")
    journal.write_bytes(whole)
    indexed(spec, out)
    assert out.read_bytes() == (tmp_path / "reference.parquet").read_bytes()


def test_a_file_that_kills_its_reader_is_a_row_and_the_rest_is_read(tmp_path, monkeypatch):
    spec = small_corpus(tmp_path / "c", 2)
    poison = tmp_path / "c" / "Band 0 - Song 0" / "drums.wav"
    code = (
        "import os, sys; from mixdata.index import index_corpus, look, run; from mixdata.corpora import load_corpus\n"
        "sys.path.insert(0, sys.argv[3]); import deadly; run.BATCH = 3; run.look_at_all = deadly.look_at_all\n"
        "print(index_corpus(load_corpus(sys.argv[1]), sys.argv[2], workers=2, quiet=True).refused)"
    )
    (tmp_path / "deadly.py").write_text(
        "import os\nfrom mixdata.index import look\n"
        "def look_at_all(batch):\n"
        "    if any(wanted.path.endswith('Song 0/drums.wav') for wanted in batch): os._exit(11)\n"
        "    return look.look_at_all(batch)\n"
    )
    script = tmp_path / "main.py"
    script.write_text("if __name__ == '__main__':\n" + "".join(f"    {line}\n" for line in code.splitlines()))
    done = subprocess.run(
        [sys.executable, str(script), spec, str(tmp_path / "m.parquet"), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
    )
    assert done.stdout.strip() == "{'failed': 1}"
    rows = {(row["title"], row["name"]): row for row in rows_of(tmp_path / "m.parquet")}
    assert rows["Song 0", "drums"]["reason"] == "failed" and poison.exists()
    assert sum(row["sha256"] is not None for row in rows.values()) == 9


def test_two_runs_into_one_file_are_refused(tmp_path):
    import fcntl

    spec = small_corpus(tmp_path / "c", 1)
    with open(tmp_path / ".m.parquet.journal", "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(MixdataError, match="another process is indexing"):
            indexed(spec, tmp_path / "m.parquet")


def test_a_corpus_that_moved_is_found_by_its_root(tmp_path):
    spec = small_corpus(tmp_path / "c", 1)
    indexed(spec, tmp_path / "m.parquet")
    shutil.move(tmp_path / "c", tmp_path / "d")
    with pytest.raises(UsageError, match=r"not at .*--root"):
        load_manifest(tmp_path / "m.parquet")
    (song,) = load_manifest(tmp_path / "m.parquet", tmp_path / "d")
    assert song.mixture.info().frames == 22050


@pytest.mark.parametrize("spec", ["synth", "demo"])
def test_what_is_made_up_needs_no_manifest(spec, tmp_path):
    with pytest.raises(UsageError, match="needs no manifest"):
        indexed(spec, tmp_path / "m.parquet")


def test_what_is_no_manifest_says_how_to_make_one(tmp_path):
    (tmp_path / "text.parquet").write_text("x")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    for name in ("text.parquet", "other.parquet", "absent.parquet"):
        with pytest.raises(UsageError, match="mixdata index"):
            read_manifest(tmp_path / name)
    small_corpus(tmp_path / "c", 1)
    with pytest.raises(UsageError, match="is a folder"):
        indexed(f"folder:{tmp_path / 'c'}", tmp_path / "c")
    musdb_hq(tmp_path / "m", {"train": ["A - B"], "test": []})
    indexed(f"folder:{tmp_path / 'c'}", tmp_path / "c.parquet")
    with pytest.raises(UsageError, match="manifest of a corpus 'folder'"):
        indexed(f"musdb18hq:{tmp_path / 'm'}", tmp_path / "c.parquet")


def test_a_file_that_is_no_manifest_is_written_over_only_when_told(tmp_path):
    spec = small_corpus(tmp_path / "c", 1)
    (tmp_path / "m.parquet").write_text("nothing")
    with pytest.raises(UsageError, match="--fresh"):
        indexed(spec, tmp_path / "m.parquet")
    assert indexed(spec, tmp_path / "m.parquet", fresh=True).songs == 1


@pytest.mark.parametrize("what", ["options", "root", "groups", "place", "track_facts"])
def test_a_manifest_that_was_tampered_with_is_refused(what, tmp_path):
    path = tmp_path / "m.parquet"
    indexed(small_corpus(tmp_path / "c", 1), path)
    table = pq.read_table(path)
    about = dict(table.schema.metadata)
    if what in ("options", "root"):
        about = {key: b"[[" if key.endswith(b"options") else value for key, value in about.items() if what != "root" or b"root" not in key}
        table = table.replace_schema_metadata(about)
    else:
        column = table.schema.get_field_index(what)
        table = table.set_column(column, table.schema.field(column), pa.array(["{"] * len(table)))
    pq.write_table(table, path)
    with pytest.raises(UsageError, match="damaged"):
        load_manifest(path)


def test_a_song_without_files_is_in_the_manifest_too(tmp_path):
    write_wav(tmp_path / "c" / "x" / "stem" / "t.wav")
    song = {"song": "S", "artist": "A", "stems": []}
    for name in ("x", "y"):
        (tmp_path / "c" / name).mkdir(exist_ok=True)
        (tmp_path / "c" / name / "data.json").write_text(json.dumps(song))
    outcome = indexed(f"moisesdb:{tmp_path / 'c'}", tmp_path / "m.parquet")
    assert (outcome.songs, outcome.refused) == (2, {"empty": 2})
    assert [song.title for song in load_manifest(tmp_path / "m.parquet")] == ["A - S", "A - S"]


def test_facts_of_a_missing_track_survive(tmp_path):
    root = tmp_path / "c"
    tracks = [{"id": "t1", "trackType": "lead female singer"}, {"id": "t2", "trackType": "choir"}]
    write_wav(root / "x" / "vocals" / "t1.wav")
    (root / "x" / "data.json").write_text(json.dumps({"song": "S", "artist": "A", "stems": [{"stemName": "vocals", "tracks": tracks}]}))
    indexed(f"moisesdb:{root}", tmp_path / "m.parquet")
    (one,), (two,) = load_corpus(f"moisesdb:{root}"), load_manifest(tmp_path / "m.parquet")
    assert [(name, dict(track.facts)) for name, track in one.tracks()] == [(name, dict(track.facts)) for name, track in two.tracks()]


def test_a_name_that_no_table_can_hold_is_said(tmp_path):
    small_corpus(tmp_path / "c", 1)
    write_wav(tmp_path / "c" / os.fsdecode(b"caf\xe9.wav"))
    with pytest.raises(UsageError, match=r"not UTF-8.*rename"):
        indexed(f"folder:{tmp_path / 'c'}", tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_the_decay_of_an_impulse_response_is_measured(tmp_path):
    rate, t60 = 48000, 0.8
    noise = np.random.default_rng(0).standard_normal(2 * rate) * 10 ** (-3 * np.arange(2 * rate) / rate / t60)
    (tmp_path / "c" / "Hall").mkdir(parents=True)
    sf.write(tmp_path / "c" / "Hall" / "a.wav", 0.5 * noise / np.abs(noise).max(), rate, "PCM_24")
    indexed(f"impulse_responses:{tmp_path / 'c'}", tmp_path / "m.parquet")
    (row,) = rows_of(tmp_path / "m.parquet")
    assert row["t60_seconds"] == pytest.approx(t60, rel=0.05) and json.loads(row["groups"]) == {"room": "Hall"}


# -- is it whole? ------------------------------------------------------------------------------------------------


def test_a_partial_musdb_is_told_song_by_song(tmp_path):
    musdb_hq(tmp_path, {"train": ["A Classic Education - NightOwl", "ANiMAL - Rockshow"], "test": ["AM Contra - Heart Peripheral"]})
    (tmp_path / "train" / "ANiMAL - Rockshow" / "bass.wav").unlink()
    found = check_corpus(load_corpus("musdb18hq", tmp_path), quiet=True)
    assert (found.songs, found.expected, found.splits) == (3, 150, {"train": 1, "valid": 1, "test": 1})
    assert found.by_kind() == {"missing": 1, "missing_song": 147} and not found.whole
    assert any("ANiMAL - Rockshow/bass.wav" in fault.message for fault in found.faults if fault.kind == "missing")


def test_an_option_that_chooses_songs_changes_what_is_expected(tmp_path):
    from tests.corpora_trees import medleydb

    root = medleydb(tmp_path / "medleydb")
    all_songs, first = (check_corpus(load_corpus(f"medleydb:{root}{option}"), quiet=True) for option in ("", ",version=1"))
    assert (all_songs.expected, first.expected) == (196, 122)  # medleydb.weebly.com: 122 songs, and 74 of version 2
    assert (all_songs.by_kind()["missing_song"], first.by_kind()["missing_song"]) == (196 - 3, 122 - 2)  # one of the three is of version 2


def test_names_are_known_in_either_form_of_unicode(tmp_path, monkeypatch):
    monkeypatch.setattr("mixdata.index.check.csv.DictReader", lambda file: [{"name": "Zo\u00e9 - X"}])
    musdb_hq(tmp_path, {"train": ["Zoe\u0301 - X"], "test": []})
    assert "missing_song" not in check_corpus(load_corpus("musdb18hq", tmp_path), quiet=True).by_kind()


def test_a_split_that_is_not_there_at_all_is_shown(tmp_path):
    musdb_hq(tmp_path, {"train": ["A - B"], "test": []})
    said = CliRunner().invoke(app, ["corpora", "check", f"musdb18hq:{tmp_path}"])
    assert "(train 1 of 86, valid 0 of 14, test 0 of 50)" in said.stdout and said.exit_code == 1


def test_checksums_of_a_manifest_find_every_change(tmp_path):
    spec = small_corpus(tmp_path / "c", 2)
    indexed(spec, tmp_path / "m.parquet")
    sums = checksums_of(read_manifest(tmp_path / "m.parquet"))
    assert check_corpus(load_corpus(spec), sums, quiet=True).whole and len(sums) == 10
    song = tmp_path / "c" / "Band 0 - Song 0"
    data = bytearray((song / "bass.wav").read_bytes())
    data[-3] ^= 1
    (song / "bass.wav").write_bytes(data)
    (song / "drums.wav").unlink()
    write_wav(song / "guitar.wav", seed=5)
    found = check_corpus(load_corpus(spec), sums, quiet=True)
    assert {(fault.kind, fault.what.rpartition("/")[2]) for fault in found.faults} == {
        ("changed", "bass.wav"),
        ("missing", "drums.wav"),
        ("unlisted", "guitar.wav"),
    }


def test_the_commands_index_check_and_build(tmp_path):
    runner, spec, out = CliRunner(), small_corpus(tmp_path / "c", 2), tmp_path / "m.parquet"
    said = runner.invoke(app, ["index", spec, "-o", str(out), "-j", "0", "--json"])
    assert json.loads(said.stdout)["songs"] == 2 and json.loads(said.stdout)["read"] == 10
    said = runner.invoke(app, ["index", spec, "-o", str(out), "-j", "0"])
    assert "2 songs, 10 tracks in 10 files (0 read, 10 known)" in said.stdout
    said = runner.invoke(app, ["corpora", "check", spec, "-m", str(out)])
    assert said.exit_code == 0 and "10 compared" in said.stdout and said.stdout.endswith("whole\n")
    (tmp_path / "c" / "Band 0 - Song 0" / "bass.wav").unlink()
    said = runner.invoke(app, ["corpora", "check", spec, "-m", str(out), "--json"])
    assert said.exit_code == 1 and json.loads(said.stdout)["whole"] is False
    write_wav(tmp_path / "long" / "A - B.wav", seconds=3)
    runner.invoke(app, ["index", f"folder:{tmp_path / 'long'}", "-o", str(tmp_path / "l.parquet"), "-j", "0"])
    said = runner.invoke(app, ["build", "-m", str(tmp_path / "l.parquet"), "-o", str(tmp_path / "set"), "-j", "0", "-q"])
    assert said.exit_code == 0 and len(mixdata.open_dataset(tmp_path / "set")) == 1


def test_workers_that_cannot_start_blame_no_file(tmp_path):
    spec = small_corpus(tmp_path / "c", 1)
    code = (
        "from mixdata.corpora import load_corpus; from mixdata.errors import MixdataError; from mixdata.index import index_corpus\n"
        f"try:\n    index_corpus(load_corpus({spec!r}), {str(tmp_path / 'm.parquet')!r}, workers=2, quiet=True)\n"
        "except MixdataError as error:\n    print(error)\n"
    )
    # A script on standard input has no file that a spawned process could read again, so every worker dies at once.
    done = subprocess.run([sys.executable], input=code, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "die before they read a file" in done.stdout
    assert not (tmp_path / "m.parquet").exists()
