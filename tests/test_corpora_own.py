"""One's own corpora: tables, datasets made by mixdata, ready-made pairs, impulse responses; and the step that checks pairs."""

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from scipy.signal import lfilter

import mixdata
from mixdata import audio
from mixdata.corpora import corpus_names, load_corpus
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.index import check_corpus
from mixdata.song import Track, summed
from tests.conftest import REPOSITORY, SONGS, small_recipe
from tests.trees import musdb_hq, noise, write_wav

RATE = 44100


def song_of(spec: str):
    """The only song of a corpus."""
    (song,) = load_corpus(spec)
    return song


# -- sums of tracks ----------------------------------------------------------------------------------------------


def test_a_sum_is_as_long_as_its_longest_part_and_adds_samples(tmp_path):
    parts = [write_wav(tmp_path / f"{n}.wav", seed=n, seconds=0.3 + 0.1 * n, channels=1 + n % 2) for n in range(3)]
    total = summed(Track(path) for path in parts)
    expected = np.zeros((2, round(0.5 * RATE)))
    for path in parts:
        samples, _ = sf.read(path, always_2d=True)
        expected[:, : len(samples)] += samples.T  # one channel goes to both
    read, rate = total.read()
    assert rate == RATE and np.array_equal(read, expected.astype(np.float32))
    assert total.info() == audio.AudioInfo(RATE, 2, expected.shape[1], "sum")
    for start, frames in ((0, 10), (13000, 5000), (20000, 10**6), (22049, 1), (30000, 5)):
        assert np.array_equal(total.read(start, frames)[0], expected[:, start : start + frames].astype(np.float32))
    assert summed([Track(parts[0])]) == Track(parts[0])


def test_a_sum_of_two_rates_has_the_higher_one(tmp_path):
    low = write_wav(tmp_path / "low.wav", seed=1, sample_rate=22050)
    high = write_wav(tmp_path / "high.wav", seed=2, sample_rate=44100)
    total = summed([Track(low), Track(high)])
    expected = audio.resample(noise(1, 0.5, 2, 22050), 22050, 44100).astype(np.float64) + noise(2, 0.5)
    assert total.info().sample_rate == 44100 and total.info().frames == 22050
    np.testing.assert_allclose(total.read()[0], expected, atol=1e-6)


def test_a_sum_s_hash_is_of_its_parts_and_their_order(tmp_path):
    one, two = Track(write_wav(tmp_path / "a.wav", seed=1)), Track(write_wav(tmp_path / "b.wav", seed=2))
    assert len({summed(parts).sha256 for parts in ([one, two], [two, one], [one], [one, one])}) == 4
    assert set(summed([one, two]).files) == {one.path, two.path}


def test_a_sum_with_a_missing_part_says_which(tmp_path):
    total = summed([Track(write_wav(tmp_path / "a.wav")), Track(tmp_path / "b.wav")])
    for use in (total.info, total.read, lambda: total.sha256):
        with pytest.raises(SongError, match=r"b\.wav") as caught:
            use()
        assert caught.value.reason == "missing"


# -- tables ------------------------------------------------------------------------------------------------------


def written(table: pd.DataFrame, path: Path) -> str:
    """Write a table in the format of its name; return its corpus."""
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps({k: v for k, v in row.items() if v != ""}) + "\n" for row in table.to_dict("records")))
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return f"table:{path}"


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_s_columns_are_stems_groups_split_and_facts(ending, tmp_path):
    for name in ("mix.wav", "v.flac", "raw/kick.wav"):
        write_wav(tmp_path / "audio" / name)
    row = {"title": "One", "mixture": "audio/mix.wav", "vocals": "audio/v.flac", "raw.kick": "audio/raw/kick.wav", "artist": "Björk"}
    row |= {"album": "A", "split": "dev", "licence": "CC-BY-4.0", "wet": "dry", "tempo": "120", "note": "a, b"}
    song = song_of(written(pd.DataFrame([row]), tmp_path / f"songs{ending}"))
    assert (song.title, song.split, song.licence, song.wet, song.corpus) == ("One", "valid", "CC-BY-4.0", "dry", "table")
    assert (set(song.stems), set(song.raw)) == ({"vocals"}, {"kick"})
    assert dict(song.groups) == {"artist": "Björk", "album": "A"} and dict(song.facts) == {"tempo": "120", "note": "a, b"}
    assert all(track.info().frames == 22050 for _, track in song.tracks())


def test_empty_cells_are_nothing_and_titles_come_from_files(tmp_path):
    write_wav(tmp_path / "a.wav")
    write_wav(tmp_path / "b.wav")
    rows = [{"mixture": "a.wav", "vocals": "", "artist": ""}, {"mixture": "", "vocals": "b.wav", "artist": "X"}]
    first, second = load_corpus(written(pd.DataFrame(rows), tmp_path / "t.csv"))
    assert (first.title, dict(first.stems), dict(first.groups), first.licence) == ("a", {}, {}, "unknown")
    assert (second.title, second.mixture, list(second.stems)) == ("b", None, ["vocals"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixture,split\na.wav,training\n", r"row 1: split 'training' is none of train"),
        ("mixture,artist\na.wav,X\n,Y\n", r"row 2 names no audio: a column mixture"),
        ("mixture,wet\na.wav,soaked\n", r"row 1: wet 'soaked' is none of wet, dry"),
        ("mixture,stems.vocals\na.wav,a.wav\n", r"row 1: column 'stems.vocals' holds audio: name it as a stem, without a dot"),
        ("mixture,mixture\na.wav,a.wav\n", r"column 'mixture.1' holds audio"),  # pandas' name for the second of two
        ("", "cannot be read as a table"),
        ('mixture\n"a.wav', "cannot be read as a table"),
        ("mixture\n", "no songs found"),
    ],
)
def test_a_table_that_cannot_be_used_says_where(text, message, tmp_path):
    write_wav(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        list(load_corpus(f"table:{tmp_path / 't.csv'}"))


def test_values_of_any_type_become_facts(tmp_path):
    write_wav(tmp_path / "a.wav")
    row = {"mixture": ["a.wav"], "tags": [["x", "y"]], "when": pd.to_datetime(["2001-02-03"]), "none": pd.array([None], "Int64")}
    song = song_of(written(pd.DataFrame(row), tmp_path / "t.parquet"))
    assert dict(song.facts) == {"tags": ["x", "y"], "when": "2001-02-03 00:00:00"}


def test_a_table_is_a_file_of_a_known_kind(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    for path in (tmp_path, tmp_path / "t.xlsx"):
        with pytest.raises(UsageError, match=r"\.csv, \.tsv, \.jsonl, \.parquet"):
            list(load_corpus(f"table:{path}"))
    with pytest.raises(UsageError, match="does not exist"):
        load_corpus(f"table:{tmp_path / 'no.csv'}")


def test_a_file_that_a_table_names_and_that_is_not_there_is_reported_when_probed(tmp_path):
    song = song_of(written(pd.DataFrame([{"mixture": "gone.wav"}]), tmp_path / "t.csv"))
    with pytest.raises(SongError, match=r"gone\.wav"):
        song.mixture.info()


def test_a_cell_that_names_audio_of_an_unread_kind_is_a_stem_that_cannot_be_used(tmp_path):
    write_wav(tmp_path / "a.wav")
    (tmp_path / "v.wv").write_bytes(b"wvpk" + bytes(100))
    song = song_of(written(pd.DataFrame([{"mixture": "a.wav", "vocals": "v.wv"}]), tmp_path / "t.csv"))
    with pytest.raises(SongError, match=r"v\.wv"):
        song.stems["vocals"].info()


# -- options behind a root -----------------------------------------------------------------------------------------


def test_options_stand_behind_a_root_that_may_hold_commas(tmp_path):
    root = tmp_path / "a,b,c=d"
    write_wav(root / "x" / "one.wav", seed=1)
    write_wav(root / "y" / "one.wav", seed=2)
    song = song_of(f"pairs:{root},input=x,target=y,stem=guitar")
    assert set(song.pair["input"]) == {"guitar"} and song.pair["target"]["guitar"].path == root / "y" / "one.wav"
    assert song_of(f"pairs:{root},target=x,input=y").pair["input"]["mixture"].path == root / "y" / "one.wav"
    (again,) = load_corpus("pairs", root, input="x", target="y")
    assert again.pair["input"]["mixture"].path == root / "x" / "one.wav"
    for spec, message in ((f"pairs:{root},input=x", "name both"), (f"pairs:{root},stem=a,stem=b", "given twice")):
        with pytest.raises(UsageError, match=message):
            list(load_corpus(spec))
    with pytest.raises(UsageError, match=r"does not exist.*did you mean 'input'"):
        load_corpus("pairs", root, inputs="x")


# -- pairs -------------------------------------------------------------------------------------------------------


def pair_files(root: Path, name: str, wet: np.ndarray, dry: np.ndarray) -> None:
    """Write the halves of a pair, `(frames, 2)`, as 24-bit WAV."""
    for side, samples in (("input", wet), ("target", dry)):
        (root / side / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(root / side / f"{name}.wav", samples, RATE, "PCM_24")


def dry(seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    """Noise, `(frames, 2)`."""
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 2))


def outcomes(dataset) -> dict[str, str]:
    """Title to reason, `used` for what was used."""
    return {row.title: row.reason if row.status == "rejected" else "used" for row in dataset.songs.itertuples()}


@pytest.mark.parametrize("sides", [("input", "target"), ("Wet", "Dry"), ("degraded", "clean")])
def test_halves_of_a_pair_have_one_name(sides, tmp_path):
    for split in ("train", "test"):
        for side in sides:
            write_wav(tmp_path / split / side / "sub" / f"Band - {split}.{'wav' if side == sides[0] else 'flac'}")
    songs = list(load_corpus(f"pairs:{tmp_path}"))
    assert [(song.title, song.split, song.groups["artist"]) for song in songs] == [("test", "test", "Band"), ("train", "train", "Band")]
    assert all(song.pair[role]["mixture"].info().frames == 22050 for song in songs for role in ("input", "target"))


def test_halves_are_never_taken_for_another_s(tmp_path):
    for place in ("input/a.v1.wav", "input/a.wav", "target/a.wav", "input/b.wav", "input/b.flac", "target/b.wav"):
        write_wav(tmp_path / "Train" / place)
    for form, side in (("NFD", "input"), ("NFC", "target")):
        write_wav(tmp_path / "Train" / side / f"{unicodedata.normalize(form, 'Café')}.wav")
    songs = {song.title: song for song in load_corpus(f"pairs:{tmp_path}")}
    assert {song.split for song in songs.values()} == {"train"} and len(songs) == 4
    reasons = {}
    for title, song in songs.items():
        for track in (song.pair["input"]["mixture"], song.pair["target"]["mixture"]):
            try:
                track.info()
            except SongError as error:
                reasons[title] = (error.reason, error.message.rpartition("/")[2])
    assert reasons == {
        "a.v1": ("missing", "a.v1.wav: there is no such file"),
        "b": ("unreadable", "b.wav: b.flac has the same name: which of the two is meant?"),
    }


@pytest.mark.parametrize(("corpus", "place"), [("pairs", "input"), ("impulse_responses", "hall")])
def test_what_cannot_be_entered_or_read_is_listed_with_its_reason(corpus, place, tmp_path):
    for side in ("input", "target", "hall"):
        write_wav(tmp_path / "c" / side / "a.wav")
    write_wav(tmp_path / "elsewhere" / "x.wav")
    (tmp_path / "c" / place / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "c" / place / "old.wma").write_bytes(b"x")
    found = check_corpus(load_corpus(f"{corpus}:{tmp_path / 'c'}"), quiet=True).by_kind()
    assert (found["outside_root"], found["unsupported"]) == (1, 1)


def test_a_pair_with_one_half_is_left_out_and_counted(tmp_path):
    pair_files(tmp_path, "whole", np.tanh(5 * dry()), dry())
    write_wav(tmp_path / "input" / "half.wav", seconds=3)
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    assert outcomes(made) == {"whole": "used", "half": "missing"}
    assert "target/half.wav" in made.songs.set_index("title").message["half"]


def test_pairs_are_stored_as_they_are_and_their_relation_is_measured(tmp_path):
    clean = dry()
    pair_files(tmp_path, "a", 0.5 * clean + 0.05 * dry(seed=1), clean)
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    example = made[0]
    for role, path in (("input", "input/a.wav"), ("target", "target/a.wav")):
        stored = sf.read(tmp_path / path)[0].T
        np.testing.assert_allclose(example.roles[role]["mixture"], stored, atol=2**-23)
    (row,) = made.songs.to_dict("records")
    assert row["pair_lag_ms"] == 0 and row["pair_correlation"] > 0.98
    assert row["pair_gain_db"] == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert row["pair_difference_db"] == pytest.approx(-20, abs=0.1)  # a tenth of the amplitude, not of the same sound


@pytest.mark.parametrize("frames", [-4000, -45, 45, 441, 4000])
def test_a_pair_that_does_not_start_together_is_left_out(frames, tmp_path):
    clean = dry(4)
    pair_files(tmp_path, "a", np.roll(np.tanh(4 * clean), frames, axis=0), clean)
    pair_files(tmp_path, "b", np.roll(np.tanh(4 * dry(4, 1)), 44, axis=0), dry(4, 1))  # just within a millisecond
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    assert outcomes(made) == {"a": "unaligned", "b": "used"}
    side = "after" if frames > 0 else "before"
    assert f"{abs(frames) / 44.1:.2f} ms {side} the target" in made.songs.set_index("title").message["a"]
    kept = mixdata.load_recipe("ready_pairs", ["pair.max_lag_ms=null"])
    assert set(outcomes(mixdata.build(kept, tmp_path / "kept", [f"pairs:{tmp_path}"], workers=0, quiet=True)).values()) == {"used"}


def test_what_had_to_be_changed_to_read_a_pair_is_told_once(tmp_path):
    for side, shape in (("input", 5), ("target", 0)):
        samples = dry()[:, 0]
        (tmp_path / side).mkdir()
        sf.write(tmp_path / side / "a.wav", np.tanh(shape * samples) if shape else samples, 48000, "PCM_24")
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    assert made[0].record["song"]["warnings"] == ["mono", "resampled"]


def note(hz: float, seconds: float = 3.0) -> np.ndarray:
    """A plucked string without its highs, `(frames, 2)`: overtones that fade, in a little noise, after some silence."""
    time = np.arange(round(seconds * RATE)) / RATE
    tones = [np.exp(-(1 + n) * time) * np.sin(2 * np.pi * n * hz * time + n * n) / n**3 for n in range(1, 20) if n * hz < RATE / 2]
    played = np.pad(0.3 * np.sum(tones, axis=0), (2000, 2000))
    return played[:, None].repeat(2, axis=1) + 1e-4 * np.random.default_rng(int(hz)).standard_normal((len(played), 2))


def all_passed(wet: np.ndarray) -> np.ndarray:
    """The four all-pass filters of a phaser, which turn phases and move nothing: the waveform's peak comes some ms later."""
    for hz in (200, 400, 800, 1600):
        c = (np.tan(np.pi * hz / RATE) - 1) / (np.tan(np.pi * hz / RATE) + 1)
        wet = lfilter([c, 1], [1, c], wet, axis=0)
    return wet


@pytest.mark.parametrize("hz", [82.4, 146.8])
def test_phases_that_an_effect_turns_are_no_lag(hz, tmp_path):
    pair_files(tmp_path, "phaser", all_passed(note(hz)), note(hz))
    pair_files(tmp_path, "late", np.roll(np.tanh(9 * note(hz)), 88, axis=0), note(hz))
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    assert outcomes(made) == {"phaser": "used", "late": "unaligned"}
    row = made.songs.set_index("title").loc["phaser"]
    assert abs(row["pair_lag_ms"]) > 1.2 and row["pair_correlation"] > 0.7  # by the waveform alone it would have been left out


def test_polarity_is_no_lag_and_a_gain_is_no_effect(tmp_path):
    clean = dry()
    pair_files(tmp_path, "inverted", -np.tanh(4 * clean), clean)
    pair_files(tmp_path, "same", 0.25 * clean, clean)
    pair_files(tmp_path, "short", np.tanh(4 * clean)[: 2 * RATE], clean)
    pair_files(tmp_path, "nearly", np.tanh(4 * clean)[: -RATE // 4], clean)
    made = mixdata.build("ready_pairs", tmp_path / "set", [f"pairs:{tmp_path}"], workers=0, quiet=True)
    assert outcomes(made) == {"inverted": "used", "same": "no_effect", "short": "length", "nearly": "used"}
    frames = made.examples.groupby("song").frames.sum()
    assert frames[made.songs.set_index("title").song["nearly"]] == 3 * RATE - RATE // 4


def test_a_song_that_is_no_pair_is_told_apart_from_a_pair_without_the_stem(tmp_path):
    pair_files(tmp_path / "p", "a", np.tanh(4 * dry()), dry())
    recipe = mixdata.load_recipe("ready_pairs", ["pair.take=[guitar]"])
    with pytest.raises(MixdataError, match="its pair has mixture"):
        mixdata.build(recipe, tmp_path / "one", [f"pairs:{tmp_path / 'p'}"], workers=0, quiet=True)
    write_wav(tmp_path / "f" / "a.wav", seconds=3)
    with pytest.raises(MixdataError, match="the song is no pair"):
        mixdata.build("ready_pairs", tmp_path / "two", [f"folder:{tmp_path / 'f'}"], workers=0, quiet=True)


def test_musdb_xl_pairs_limited_songs_with_the_originals(tmp_path):
    hq = musdb_hq(tmp_path / "hq", {"train": ["A - B"], "test": ["PR - Oh No", "AM Contra - Heart Peripheral"]}, seconds=2)
    for name in ("PR - Oh No", "AM Contra - Heart Peripheral"):
        for number, stem in enumerate(("mixture", "vocals", "drums", "bass", "other")):
            write_wav(tmp_path / "xl" / name / f"{stem}.wav", seed=50 + number, seconds=2)
    write_wav(tmp_path / "xl" / "ozone_train_fixed" / "A - B.wav", seed=60, seconds=2)
    with pytest.raises(UsageError, match="needs MUSDB18-HQ beside it"):
        list(load_corpus(f"musdb_xl:{tmp_path / 'xl'}"))
    songs = {song.title: song for song in load_corpus(f"musdb_xl:{tmp_path / 'xl'},hq={hq}")}
    assert {title: song.split for title, song in songs.items()} == {
        "AM Contra - Heart Peripheral": "test",
        "PR - Oh No": "test",
        "A - B": "train",
    }
    usual, odd, train = songs["AM Contra - Heart Peripheral"], songs["PR - Oh No"], songs["A - B"]
    assert usual.pair["target"]["mixture"].path == hq / "test" / usual.title / "mixture.wav" and usual.licence == "restricted"
    for song, folder in ((odd, hq / "test" / odd.title), (train, hq / "train" / train.title)):  # what was limited is the sum of the stems
        total = sum(sf.read(folder / f"{stem}.wav")[0] for stem in ("vocals", "drums", "bass", "other"))
        np.testing.assert_allclose(song.pair["target"]["mixture"].read()[0], total.T, atol=1e-6)
    assert set(usual.pair["input"]) == {"mixture", "vocals", "drums", "bass", "other"} and set(train.pair["input"]) == {"mixture"}


# -- datasets ----------------------------------------------------------------------------------------------------


def test_a_dataset_is_a_corpus_of_its_songs(built):
    first = mixdata.open_dataset(built)
    songs = {song.id: song for song in load_corpus(f"dataset:{built}")}
    assert len(songs) == first.examples.song.nunique()
    titles = first.songs.set_index("title")
    for song in songs.values():
        keys = first.examples[first.examples.song == titles.song[song.title]].sort_values("block").key
        whole = np.concatenate([first.load(key).roles["target"]["mixture"] for key in keys], axis=1)
        assert np.array_equal(song.mixture.read()[0], whole)
        assert np.array_equal(song.mixture.read(20000, 50001)[0], whole[:, 20000:70001])
        assert song.mixture.info().frames == whole.shape[1] and song.split == titles.split[song.title]
        assert song.corpus == "synth" and song.licence == "CC0-1.0"
        total = sum(track.read()[0].astype(np.float64) for track in song.stems.values())
        assert np.abs(total - whole).max() < 1e-3  # stems sum to the mix, as stored at 16 bit


def test_sets_are_built_of_a_dataset(built, tmp_path):
    recipe = mixdata.load_recipe("effect_removal", ["sample_rate=16000", "segment.seconds=2"])
    made = mixdata.build(recipe, tmp_path / "pairs", [f"dataset:{built}"], workers=0, quiet=True)
    assert set(made.roles) >= {"input", "target"} and len(made) > 0
    splits = mixdata.open_dataset(built).songs.set_index("title").split
    assert all(row.split == splits[row.title] for row in made.songs.itertuples())


def test_a_role_can_be_chosen_and_blocks_that_do_not_join_are_songs(built, tmp_path):
    inputs = list(load_corpus(f"dataset:{built},role=input"))
    assert all(song.mixture is None and set(song.stems) <= {"vocals", "drums", "bass", "other"} for song in inputs)
    with pytest.raises(UsageError, match="did you mean 'input'"):
        list(load_corpus(f"dataset:{built},role=imput"))
    recipe = mixdata.load_recipe("effect_removal", ["sample_rate=16000", "segment.seconds=2"])
    made = mixdata.build(recipe, tmp_path / "pairs", [SONGS], workers=0, limit=2, quiet=True)
    songs = list(load_corpus(f"dataset:{made.path}"))
    assert len(songs) == len(made) and all(song.groups["song"] in set(made.examples.song) for song in songs)


def test_damage_in_a_dataset_is_the_song_s(tmp_path):
    made = mixdata.build(small_recipe("output.codec=npy16"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    tar = next((tmp_path / "set" / "shards").glob("train-*.tar"))
    data = bytearray(tar.read_bytes())
    members = made.members(tar.stem).to_pylist()
    hit = next(row for row in members if (row["role"], row["stem"]) == ("target", "mixture"))
    data[hit["byte_offset"] + 5000] ^= 255
    tar.write_bytes(data)
    broken = []
    for song in load_corpus(f"dataset:{tmp_path / 'set'}"):
        try:
            song.mixture.read()
        except SongError as error:
            broken.append(error.reason)
    assert broken == ["unreadable"]


def test_every_stem_of_a_dataset_is_checked_and_a_shard_that_is_gone_is_missed(built, tmp_path):
    place = shutil.copytree(built, tmp_path / "copy")
    songs = list(load_corpus(f"dataset:{place}"))
    found = check_corpus(load_corpus(f"dataset:{place}"), quiet=True)
    assert found.whole and found.tracks == sum(len(song.tracks()) for song in songs) > len(songs)
    for tar in (place / "shards").glob("*.tar"):
        tar.unlink()
    found = check_corpus(load_corpus(f"dataset:{place}"), quiet=True)
    assert found.by_kind() == {"missing": found.tracks}


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a mixdata dataset"):
        list(load_corpus(f"dataset:{tmp_path}"))


# -- impulse responses -------------------------------------------------------------------------------------------


def test_rooms_are_those_that_chains_are_dealt_by(tmp_path):
    places = {
        "hall/left.wav": "hall",
        "hall/deep/right.wav": "hall",
        "plate.wav": "plate",
        "Single/Office_1/1/Single_403_1_RIR.wav": "Office_1",
        "Chromebook/Office_1/2/Chromebook_403_2_RIR.wav": "Office_1",
        "Single/loose.wav": "Single",
        "Single/Office_1/1/Single_403_1_Babble.wav": None,
        "Single/Office_1/1/Single_403_1_Fan.wav": None,
    }
    for number, place in enumerate(places):
        write_wav(tmp_path / place, seed=number, seconds=0.2)
    listed = {song.title: song.groups["room"] for song in load_corpus(f"impulse_responses:{tmp_path}")}
    assert listed == {place.removesuffix(".wav"): room for place, room in places.items() if room}
    dealt = {response.path: response.room for response in ImpulseResponses.open(tmp_path).responses}
    assert all(dealt[place] == room for place, room in places.items() if room)


def test_impulse_responses_are_no_songs(tmp_path):
    write_wav(tmp_path / "hall" / "a.wav", seconds=2)
    with pytest.raises(UsageError, match="impulse responses, not songs"):
        mixdata.build("separated_pseudo", tmp_path / "set", [f"impulse_responses:{tmp_path}"], workers=0, quiet=True)


# -- all of them -------------------------------------------------------------------------------------------------


def test_the_table_in_the_docs_is_that_of_the_facts():
    from mixdata.report.corpora import corpora_table

    text = (REPOSITORY / "docs" / "corpora.md").read_text(encoding="utf-8")
    shown = text.partition("corpora list --markdown -->\n")[2].partition("<!-- end of table")[0]
    assert shown == corpora_table(), "mixdata corpora list --markdown prints the table for docs/corpora.md"
    assert {f"`{name}`" for name in corpus_names()} == {line.split(" | ")[0].removeprefix("| ") for line in shown.splitlines()[2:]}


def test_a_corpus_is_one_file_of_at_most_sixty_lines():
    import mixdata.corpora as package

    (folder,) = package.__path__
    made = {"synth", "folder"}  # the first makes its audio, the second guesses what any folder is
    long = {name: count for name in corpus_names() if (count := len(Path(folder, f"{name}.py").read_text().splitlines())) > 60}
    assert set(long) <= made


def test_a_list_of_corpora_imports_none_of_them():
    import subprocess
    import sys

    code = "import sys; from mixdata.corpora import corpus_facts, corpus_names; [corpus_facts(name) for name in corpus_names()]; "
    code += "print({'pandas', 'scipy.signal', 'mirdata', 'numba'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
