"""Laws of the corpora: what is listed, under which id and group, and how the made-up songs sound."""

import multiprocessing
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from mixdata import audio
from mixdata.cli import app
from mixdata.corpora import corpus_facts, corpus_names, corpus_options, load_corpus
from mixdata.corpora._musdb import catalogue
from mixdata.corpora.base import artist_and_title
from mixdata.errors import SongError, UsageError
from mixdata.resources import resource
from tests.trees import MUSDB_STREAMS, musdb_hq, musdb_mp4, noise, shared, song_folder, write_mp4, write_wav

STEMS = ("vocals", "drums", "bass", "other")


def titles(spec: str) -> list[str]:
    """The titles in the order of the list."""
    return [song.title for song in load_corpus(spec)]


def shape(song) -> tuple:
    """What a song is made of, by names."""
    return song.title, song.mixture and song.mixture.path.name, sorted(song.stems), sorted(song.raw), dict(song.groups)


# -- finding corpora ---------------------------------------------------------------------------------------------


def test_every_corpus_says_what_it_is():
    assert {"folder", "musdb18", "musdb18hq", "synth", "demo"} <= set(corpus_names())
    for name in corpus_names():
        facts = corpus_facts(name)
        assert facts.name == name and facts.title and facts.licence
        assert bool(facts.layout) == facts.needs_root


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("musdb18h:/x", "did you mean 'musdb18hq'"),
        ("folder", "needs the folder.*one folder per song"),
        ("folder:/no/such/folder", "does not exist.*one folder per song"),
        ("synth:song=3", "did you mean 'songs'"),
        ("synth:songs=three", "must be a whole number, got 'three'"),
        ("synth:effects=yes", "must be true or false"),
        ("synth:songs", "needs a value"),
        ("synth:songs=1,songs=2", "given twice"),
        ("demo:songs=1", "it has none"),
    ],
)
def test_a_wrong_spec_says_how_to_mend_it(spec, message):
    with pytest.raises(UsageError, match=message):
        load_corpus(spec)


@pytest.mark.parametrize("spec", ["synth:songs=0", "synth:seconds=0.1", "synth:seconds=nan", "synth:sample_rate=100", "synth:songs=-1"])
def test_an_option_out_of_range_is_refused(spec):
    with pytest.raises(UsageError, match="must lie between"):
        list(load_corpus(spec))


@pytest.mark.parametrize("name", ["folder", "musdb18", "musdb18hq"])
def test_an_empty_root_says_what_was_expected_and_what_is_there(name, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UsageError, match=r"no songs found.*expected as.*pictures.*1 × \.txt"):
        list(load_corpus(name, tmp_path))
    with pytest.raises(UsageError, match="not a folder"):
        load_corpus(name, tmp_path / "notes.txt")


def test_a_root_is_given_once():
    with pytest.raises(UsageError, match="second"):
        load_corpus("folder:/a", "/b")
    with pytest.raises(UsageError, match="takes no root"):
        load_corpus("synth", "/b")
    assert corpus_options("synth")["sample_rate"] == 44100 and corpus_options("folder") == {}


def test_resources_are_found_and_stay_inside():
    assert resource("manifests", "musdb18_tracklist.csv").is_file()
    for name in ("musdb18_tracklist", "../pyproject.toml", "/etc/passwd"):
        with pytest.raises(UsageError, match=r"musdb18_tracklist\.csv"):
            resource("manifests", name)


# -- a folder ----------------------------------------------------------------------------------------------------


def test_mixes_anywhere_below_become_songs(tmp_path):
    for name in ("b.wav", "a.flac", "Someone - Thing.wav", "03 - Deeper.wav", "sub/deep/c.wav", ".hidden/x.wav", ".y.wav", "notes.txt"):
        write_wav(tmp_path / name) if name.endswith(("wav", "flac")) else (tmp_path / name).write_text("x")
    songs = list(load_corpus("folder", tmp_path))
    assert [shape(song) for song in songs] == [
        ("Deeper", "03 - Deeper.wav", [], [], {}),
        ("Thing", "Someone - Thing.wav", [], [], {"artist": "Someone"}),
        ("a", "a.flac", [], [], {}),
        ("b", "b.wav", [], [], {}),
        ("c", "c.wav", [], [], {"folder": "deep"}),
    ]


@pytest.mark.parametrize("mixture", ["mixture", "mix", "mixture_sum", "Mixture"])
def test_a_folder_with_stems_is_one_song(mixture, tmp_path):
    song_folder(tmp_path / "Band - One", mixture=mixture)
    song_folder(tmp_path / "more" / "two", stems=("vox", "Drum", "Gtr 2"), mixture=mixture, ext="flac")
    assert [shape(song) for song in load_corpus("folder", tmp_path)] == [
        ("One", f"{mixture}.wav", sorted(STEMS), [], {"artist": "Band"}),
        ("two", f"{mixture}.flac", ["drums", "gtr-2", "vocals"], [], {"folder": "more"}),
    ]


def test_grouped_stems_go_before_stems_and_nothing_is_lost(tmp_path):
    song = tmp_path / "s"
    for name in ("mixture.wav", "mix.wav", "extra.wav", "grouped/drums.wav", "grouped/drums.flac", "stems/kick.wav", "stems/old/x.wav"):
        write_wav(song / name)
    assert [shape(song)[:4] for song in load_corpus("folder", tmp_path)] == [
        ("s", "mixture.wav", ["drums"], ["drums", "extra", "kick", "mix"]),
        ("x", "x.wav", [], []),
    ]


def test_stems_without_a_mixture_are_a_song(tmp_path):
    for name in ("vocals.wav", "drums.wav", "strange.wav"):
        write_wav(tmp_path / "s" / name)
    (song,) = load_corpus("folder", tmp_path)
    assert shape(song)[1:3] == (None, ["drums", "strange", "vocals"])
    assert song.main_track().path.name == "drums.wav"


def test_tags_name_artist_and_album_before_file_names_do(tmp_path):
    write_mp4(tmp_path / "X - Y.m4a", [noise(0, 0.1)], tags={"artist": "Tagged", "album": "Album", "title": "Title"})
    write_mp4(tmp_path / "Z - W.m4a", [noise(0, 0.1)], tags={"artist": "Various Artists"})
    first, second = load_corpus("folder", tmp_path)
    assert (first.title, dict(first.groups)) == ("Title", {"artist": "Tagged", "album": "Album"})
    assert (second.title, second.group) == ("W", "song:" + second.sha256)


def test_broken_files_stay_visible(tmp_path):
    song_folder(tmp_path / "song")
    (tmp_path / "song" / "bass.wav").write_text("not audio")
    (tmp_path / "broken.mp3").write_bytes(b"\x00" * 100)
    (tmp_path / "empty.wav").touch()
    os.mkfifo(tmp_path / "pipe.flac")
    songs = {song.title: song for song in load_corpus("folder", tmp_path)}
    assert list(songs) == ["broken", "empty", "pipe", "song"]
    found = {}
    for title, track in [(title, song.main_track()) for title, song in songs.items()] + [("bass", songs["song"].stems["bass"])]:
        try:
            found[title] = track.info().frames
        except SongError as error:
            found[title] = error.reason
    assert found == {"broken": "not_audio", "empty": "empty", "pipe": "not_audio", "song": 22050, "bass": "not_audio"}


def test_links_do_not_leave_the_root_and_loops_end(tmp_path):
    root = tmp_path / "root"
    write_wav(root / "a" / "one.wav")
    secret = write_mp4(tmp_path / "secret" / "s.m4a", [noise(0, 0.1)], tags={"title": "Secret", "artist": "Secret"})
    (root / "a" / "again").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "file.m4a").symlink_to(secret)
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "inside.wav").symlink_to(root / "a" / "one.wav")
    (root / "dangling.wav").symlink_to(root / "nothing.wav")
    reasons = {}
    for song in load_corpus("folder", root):
        assert "Secret" not in (song.title, *song.groups.values())  # nor are tags read from outside
        try:
            reasons[song.title] = song.mixture.info().frames
        except SongError as error:
            reasons[song.title] = error.reason
            with pytest.raises(SongError):
                song.mixture.read()
            with pytest.raises(SongError):
                song.mixture.sha256  # noqa: B018
    assert reasons == {"file": "outside_root", "inside": 22050, "one": 22050, "out": "outside_root", "dangling": "missing"}


def test_a_root_may_be_a_link_itself(tmp_path):
    write_wav(tmp_path / "real" / "a.wav")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (song,) = load_corpus("folder", tmp_path / "link")
    assert song.mixture.info().frames == 22050


def test_facts_that_are_not_known_are_not_shown():
    runner = CliRunner()
    for name in corpus_names():
        lines = runner.invoke(app, ["corpora", "show", name]).stdout.splitlines()
        facts = {line.split()[0]: line.split()[1:] for line in lines if not line.startswith(" ")}
        assert all(facts.values()), lines
        assert ("citation" in facts) == bool(corpus_facts(name).citation) and "licence" in facts and "needs_root" in facts


def test_odd_names_are_listed_and_can_be_stored(tmp_path):
    for name in ("with  space.wav", "שלום - עולם.flac", "a.b.c.wav", "tab\there.wav", "=cmd.wav", "name:with:colons.wav"):
        write_wav(tmp_path / name)
    write_wav(tmp_path / "x.wav").rename(os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff\xfe.wav"))
    songs = list(load_corpus(f"folder:{tmp_path}"))
    assert sorted(song.title for song in songs) == sorted(["with space", "עולם", "a.b.c", "tab here", "=cmd", "name:with:colons", "��"])
    for song in songs:
        assert song.title.encode().decode() == song.title and song.id.isascii()
        assert song.mixture.info().frames == 22050
    bad = tmp_path / os.fsdecode(b"\xff.m4a")
    bad.write_bytes(b"....ftypM4A ")
    for path in (bad, bad.with_suffix(".wav")):
        with pytest.raises(SongError) as caught:
            audio.probe(path)
        assert caught.value.message.encode()  # it can be printed and stored


def test_ids_and_order_do_not_depend_on_where_the_root_lies(tmp_path):
    song_folder(tmp_path / "first" / "Band - One")
    write_wav(tmp_path / "first" / "b.wav", seed=9)
    write_wav(tmp_path / "first" / "sub" / "c.wav", seed=8)
    before = [(song.id, song.group) for song in load_corpus("folder", tmp_path / "first")]
    assert before == [(song.id, song.group) for song in load_corpus("folder", tmp_path / "first")]
    (tmp_path / "first").rename(tmp_path / "Other - Name")
    assert [(song.id, song.group) for song in load_corpus("folder", tmp_path / "Other - Name")] == before


def test_names_are_split_into_artist_and_title():
    assert artist_and_title("A - B - C") == ("A", "B - C")
    assert artist_and_title("01 - B") == (None, "B")
    assert artist_and_title("01. - A - B") == ("A", "B")
    assert artist_and_title("A_B_-_C_D") == ("A B", "C D")
    assert artist_and_title("a_b-c") == (None, "a_b-c")
    assert artist_and_title(" - ") == (None, "-")


def test_the_real_folders_are_understood():
    for name, count in (("multitrack_cc0", 5), ("multitrack_rendered_midi", 5), ("multitrack_nc", 2), ("bad_multitracks", 9)):
        songs = list(load_corpus("folder", shared(name)))
        assert len(songs) == count
        for song in songs:
            info = song.main_track().info()
            assert song.mixture is not None and len(song.stems) >= 2 and set(song.stems) & set(STEMS)
            assert name == "bad_multitracks" or all(track.info().frames == info.frames for track in song.stems.values())
    assert {song.title for song in load_corpus("folder", shared("mixes"))} >= {"Vibe Ace", "Let's Go Fishin'", "Joshua Morin - On The Run"}


# -- MUSDB -------------------------------------------------------------------------------------------------------

NAMES = {
    "train": ["Actions - One Minute Smile", "A Classic Education - NightOwl", "ANiMAL - Rockshow", "Unknown Band - New"],
    "test": ["AM Contra - Heart Peripheral"],
}


@pytest.mark.parametrize(("name", "make"), [("musdb18hq", musdb_hq), ("musdb18", musdb_mp4)])
def test_musdb_is_listed_with_its_split_licences_and_artists(name, make, tmp_path):
    songs = {song.title: song for song in load_corpus(name, make(tmp_path, NAMES))}
    assert list(songs) == sorted(NAMES["train"]) + NAMES["test"]
    assert {title: song.split for title, song in songs.items()} == {
        "Actions - One Minute Smile": "valid",
        "ANiMAL - Rockshow": "valid",
        "A Classic Education - NightOwl": "train",
        "Unknown Band - New": "train",
        "AM Contra - Heart Peripheral": "test",
    }
    assert songs["A Classic Education - NightOwl"].licence == "CC-BY-NC-SA"
    assert songs["ANiMAL - Rockshow"].licence == "restricted"
    assert songs["Unknown Band - New"].licence == "unknown"
    assert songs["ANiMAL - Rockshow"].groups == {"artist": "ANiMAL"}
    song = songs["A Classic Education - NightOwl"]
    number = NAMES["train"].index(song.title)
    for name, track in {"mixture": song.mixture, **song.stems}.items():
        written = noise(100 * number + MUSDB_STREAMS.index(name), 0.3)
        read, rate = track.read()
        assert read.shape == written.shape and rate == 44100
        assert np.corrcoef(read[0], written[0])[0, 1] > 0.5


def test_musdb_facts_are_those_of_its_package():
    import importlib.util

    found = importlib.util.find_spec("musdb")
    facts = yaml.safe_load(Path(found.submodule_search_locations[0], "configs", "mus.yaml").read_text())
    assert catalogue()["validation_tracks"] == facts["validation_tracks"] and len(facts["validation_tracks"]) == 14
    assert catalogue()["stem_ids"] == {name: number for number, name in enumerate(MUSDB_STREAMS)}
    known = {line.split(",")[0] for line in resource("manifests", "musdb18_tracklist.csv").read_text().splitlines()[1:]}
    assert set(facts["validation_tracks"]) <= known and len(known) == 150


def test_a_missing_musdb_stem_is_reported_not_dropped(tmp_path):
    musdb_hq(tmp_path, {"train": ["A - B"], "test": []})
    (tmp_path / "train" / "A - B" / "bass.wav").unlink()
    write_mp4(tmp_path / "test" / "C - D.stem.mp4", [noise(0, 0.2)] * 3)
    for song in [*load_corpus("musdb18hq", tmp_path), *load_corpus("musdb18", tmp_path)]:
        assert list(song.stems) == list(STEMS)
        missing = {"A - B": {"bass"}, "C - D": {"other", "vocals"}}[song.title]
        for name, track in song.stems.items():
            if name in missing:
                with pytest.raises(SongError) as caught:
                    track.info()
                assert caught.value.reason == "missing"
            else:
                assert track.info().frames > 0


def test_musdb_is_not_imported_to_read_its_facts(tmp_path):
    import subprocess
    import sys

    code = "import sys; from mixdata.corpora import load_corpus; [*load_corpus('demo')];"
    code += "from mixdata.corpora import _musdb; _musdb.catalogue();"
    code += "print({'musdb', 'stempeg'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PATH": ""}, check=True)
    assert done.stdout.strip() == "set()"


def test_real_stem_mp4_is_read():
    (song,) = load_corpus("musdb18", shared("stem_mp4", "musdb"))
    assert song.licence == "CC-BY-NC-SA-3.0" and song.group == "artist:eastonellises"
    mixture, _ = song.mixture.read()
    error = mixture - sum(track.read()[0] for track in song.stems.values())
    level = 10 * np.log10((error**2).mean() / (mixture**2).mean())
    assert -60 < level < -10  # AAC: not the exact sum
    made = {song.split: song for song in load_corpus("musdb18", shared("stem_mp4", "made_cc0"))}
    assert made["train"].mixture.info() == audio.AudioInfo(44100, 2, 441000, "mp4/aac")


# -- synth and demo ----------------------------------------------------------------------------------------------


def rendered(spec: str) -> list[dict[str, np.ndarray]]:
    """All audio of a made-up corpus."""
    return [{name: t.read()[0] for name, t in {"mixture": song.mixture, **song.stems}.items()} for song in load_corpus(spec)]


@pytest.mark.parametrize("effects", ["false", "true"])
@pytest.mark.parametrize("rate", [44100, 16000])
def test_synth_stems_sum_to_the_mixture_exactly_in_any_order(effects, rate):
    for stems in rendered(f"synth:songs=2,seconds=9.5,seed=3,effects={effects},sample_rate={rate}"):
        mixture = stems.pop("mixture")
        assert mixture.shape == (2, round(9.5 * rate)) and mixture.dtype == np.float32
        for order in (STEMS, STEMS[::-1], ("other", "vocals", "bass", "drums")):
            total = np.zeros_like(mixture)
            for name in order:
                total += stems[name]
            np.testing.assert_array_equal(total, mixture)
        assert 0.1 < np.abs(mixture).max() < 1
        assert all(np.isfinite(stem).all() and np.abs(stem).max() < 1 for stem in stems.values())


def _hashes(spec: str) -> list[str]:
    import hashlib

    return [hashlib.sha256(audio.tobytes()).hexdigest() for song in rendered(spec) for audio in song.values()]


def test_synth_is_the_same_in_every_process():
    spec = "synth:songs=2,seconds=5,seed=4,effects=true"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_hashes, (spec,)) == _hashes(spec)


def test_a_synth_song_does_not_depend_on_how_many_are_asked_for():
    one = next(iter(load_corpus("synth:songs=1,first=2,seconds=4")))
    three = list(load_corpus("synth:songs=3,seconds=4"))[2]
    assert one.id == three.id and one.title == "synth-0002"
    np.testing.assert_array_equal(one.mixture.read()[0], three.mixture.read()[0])


def test_what_changes_the_sound_changes_the_hash():
    specs = ["", "seed=1", "seconds=5", "sample_rate=48000", "effects=true", "first=1"]
    songs = [next(iter(load_corpus(f"synth:songs=1{',' if spec else ''}{spec}"))) for spec in specs]
    assert len({song.sha256 for song in songs}) == len(specs)
    tracks = [songs[0].mixture, *songs[0].stems.values()]
    assert len({track.sha256 for track in tracks}) == 5


def test_synth_tracks_behave_as_files_do():
    song = next(iter(load_corpus("synth:songs=1,seconds=3,sample_rate=22050")))
    track = pickle.loads(pickle.dumps(song.stems["drums"]))  # as it travels to a worker
    whole, rate = track.read()
    info = track.info()
    assert (info.sample_rate, info.channels, info.frames) == (rate, *whole.shape) == (22050, 2, 66150)
    for start, frames in ((0, 10), (5000, 999), (66_000, 999), (70_000, 5), (100, None)):
        part, _ = track.read(start, frames)
        np.testing.assert_array_equal(part, whole[:, start : None if frames is None else start + frames])
    part[:] = 9
    np.testing.assert_array_equal(track.read()[0], whole)


def activity(stem: np.ndarray, rate: int = 44100) -> np.ndarray:
    """Which 100 ms blocks are above -60 dBFS."""
    blocks = stem[:, : stem.shape[1] // (rate // 10) * (rate // 10)].reshape(2, -1, rate // 10)
    return (blocks**2).mean((0, 2)) > 1e-6


def centroid(stem: np.ndarray) -> float:
    """Centre of the power spectrum in Hz."""
    power = (np.abs(np.fft.rfft(stem, axis=1)) ** 2).sum(0)
    return float((power * np.fft.rfftfreq(stem.shape[1], 1 / 44100)).sum() / power.sum())


def test_synth_sounds_like_a_band():
    for stems in rendered("synth:songs=3,seconds=24,seed=11"):
        centres = {name: centroid(stem) for name, stem in stems.items()}
        assert centres["bass"] < 200 < centres["other"] < centres["drums"]
        assert 250 < centres["vocals"] < 2000
        active = {name: activity(stem) for name, stem in stems.items()}
        assert not active["vocals"][:10].any() and not active["bass"][:10].any()  # the intro
        for name in STEMS:
            assert 0.3 < active[name].mean() <= 1, name
        assert active["vocals"].mean() < 0.9 and active["mixture"].mean() > 0.95
        level = 10 * np.log10((stems["mixture"] ** 2).sum(0).mean())
        assert -24 < level < -9
        # Onsets of the drums lie on the grid of some tempo: their strength is periodic.
        strength = np.maximum(np.diff((stems["drums"][0][: 24 * 44100].reshape(-1, 441) ** 2).mean(1)), 0)
        lags = np.correlate(strength - strength.mean(), strength - strength.mean(), "full")[len(strength) - 1 :]
        assert lags[30:100].max() > 0.2 * lags[0]


def test_synth_songs_differ_in_balance_and_tempo():
    songs = rendered("synth:songs=4,seconds=12,seed=5")
    balance = [np.log10((song["vocals"] ** 2).mean() / (song["drums"] ** 2).mean()) for song in songs]
    assert np.ptp(balance) > 0.2
    assert not np.array_equal(songs[0]["drums"], songs[1]["drums"])


def test_effects_make_stems_wet_and_leave_the_notes():
    dry, wet = (next(iter(load_corpus(f"synth:songs=1,seconds=12,effects={on}"))) for on in ("false", "true"))
    assert (dry.wet, wet.wet) == ("dry", "wet")
    a, b = dry.stems["vocals"].read()[0].mean(0), wet.stems["vocals"].read()[0].mean(0)
    assert 0.3 < np.corrcoef(a, b)[0, 1] < 0.999
    rest = ~activity(dry.stems["vocals"].read()[0])
    assert activity(wet.stems["vocals"].read()[0])[rest].any()  # the room rings on


def test_demo_is_one_real_excerpt_and_six_made_up_songs():
    songs = list(load_corpus("demo"))
    assert [song.split for song in songs] == ["train"] * 5 + ["valid", "test"]
    assert [song.licence for song in songs] == ["CC-BY-NC-SA-3.0"] + ["CC0-1.0"] * 6
    assert {song.corpus for song in songs} == {"demo"} and len({song.id for song in songs}) == 7
    assert songs[0].groups == {"artist": "The Easton Ellises"}
    assert songs[0].mixture.info() == audio.AudioInfo(44100, 2, 268288, "mp4/aac")
    vocals, drums = (centroid(songs[0].stems[name].read()[0]) for name in ("vocals", "drums"))
    bass = centroid(songs[0].stems["bass"].read()[0])
    assert bass < vocals and bass < drums
    assert all(song.main_track().info().frames == 20 * 44100 for song in songs[1:])


def test_a_file_called_mix_does_not_swallow_the_songs_beside_it(tmp_path):
    for name in ("mix", "song0", "song1"):
        audio.write(tmp_path / f"{name}.wav", np.zeros((2, 100), np.float32), 44100)
    for name in ("a", "b", "stems/x"):
        (tmp_path / "loose" / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(tmp_path / "loose" / f"{name}.wav", np.zeros((2, 100), np.float32), 44100)
    found = list(load_corpus(f"folder:{tmp_path}"))
    assert sorted(song.title for song in found) == ["a", "b", "mix", "song0", "song1", "x"] and not any(song.stems for song in found)


def test_audio_of_a_kind_that_is_not_read_is_counted(tmp_path):
    audio.write(tmp_path / "good.wav", np.zeros((2, 100), np.float32), 44100)
    (tmp_path / "old.WMA").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    found = {song.title: song for song in load_corpus(f"folder:{tmp_path}")}
    assert set(found) == {"good", "old.WMA"}
    with pytest.raises(SongError, match="convert it") as caught:
        found["old.WMA"].main_track().info()
    assert caught.value.reason == "unsupported"
