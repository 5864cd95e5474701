"""Songs, artists and recordings in two splits: names, what is known, what a build refuses."""

import csv
import dataclasses
import io
import json
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import lameenc
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

import mixdata
import trees
from conftest import small_recipe
from mixdata import audio
from mixdata.builder.plan import make_plan
from mixdata.builder.survey import given_split, given_splits
from mixdata.cli import app
from mixdata.corpora import load_corpus
from mixdata.errors import RecipeError, UsageError
from mixdata.leaks.find import UNKNOWN, Entry, find_leaks, separated_leaks
from mixdata.leaks.fingerprint import VERSION
from mixdata.leaks.guard import refuse_leaks
from mixdata.leaks.names import folded, known_artist, song_key, words
from mixdata.leaks.overlaps import RELATIONS, edition_of, known_as, labels, overlaps, seen_by
from mixdata.song import Song, Track

SPLITS = ("train", "valid", "test")


# names


@given(st.text(max_size=30))
@example("The The The Band")
@example("And the feat. x")
@example("The")
def test_folding_twice_is_folding_once(name):
    assert words(words(name)) == words(name) and folded(folded(name)) == folded(name)


@given(st.text(max_size=30))
@example("The")
@example("feat.")
def test_only_a_name_without_letters_and_digits_folds_to_nothing(name):
    letters = [c for c in unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold()) if c.isalnum()]
    assert bool(folded(name)) == bool(letters)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Röyksopp", "ROYKSOPP"),
        ("The Long Wait", "Long Wait"),
        ("Triviul", "Triviul feat. The Fiend"),
        ("Triviul", "Triviul ft The Fiend"),
        ("Triviul", "Triviul (featuring The Fiend)"),
        ("Triviul", "Triviul [with The Fiend]"),
        ("Triviul", "Triviul featuring The Fiend"),
        ("Clara Berry And Wooldog", "Clara Berry & Wooldog"),
        ("Clara Berry And Wooldog", "ClaraBerryAndWooldog"),
        ("Elder, Thompson", "Elder and Thompson"),
        ("A Classic Education", "AClassicEducation"),
        ("The Districts", "TheDistricts"),
        ("Juliet’s Rescue", "Juliets Rescue"),
        ("M.E.R.C. Music", "MERC Music"),
        ("ＡＢＣ", "abc"),
    ],
)
def test_spellings_of_one_name_are_equal(one, other):
    assert folded(one) == folded(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Hollow Ground", "Hollow Grounds"), ("Death with Dignity", "Death"), ("Feat", "Fleet"), ("The The", "The Theatre"), ("Mu", "Must")],
)
def test_names_that_differ_stay_apart(one, other):
    assert folded(one) != folded(other)


def test_a_song_is_the_same_under_every_way_to_write_it_down():
    keys = {
        song_key("A Classic Education - NightOwl", None),
        song_key("AClassicEducation_NightOwl", None),
        song_key("Night Owl", "A Classic Education"),
        song_key("012 - A Classic Education - Night Owl", "A Classic Education"),
        song_key("Night Owl (feat. X)", "A Classic Education"),
    }
    assert len(keys) == 1 and "" not in keys
    assert {song_key("Night Owl", nobody) for nobody in (None, "Various Artists", "V.A.", "unknown", "<Unknown Artist>", "!")} == {""}


def test_a_guest_does_not_change_the_group_and_so_not_the_split():
    groups = {Song("x", groups={"artist": name}).group for name in ("Mu", "MU feat. Nu", "The Mu (with Nu)")}
    assert groups == {"artist:mu"}
    assert Song("x", groups={"artist": "!!!"}).group == "artist:!!!"  # a band, and nothing to fold


# overlaps.csv, against the lists that it was made of


def tracklist() -> list[dict[str, str]]:
    path = trees.shared("metadata").parents[1] / "facts" / "musdb18_tracklist.csv"
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def same(corpus: str) -> dict[str, tuple[str, str]]:
    """Return title_a -> (title_b, split_a)."""
    return {row.title_a: (row.title_b, row.split_a) for row in overlaps() if (row.relation, row.corpus_b) == ("same_song", corpus)}


def test_every_row_of_the_table_is_of_a_known_kind_and_names_its_source():
    assert {row.relation for row in overlaps()} == set(RELATIONS)
    assert all(row.source and row.corpus_a and row.corpus_b for row in overlaps())
    assert len(set(overlaps())) == len(overlaps())


def test_46_songs_of_medleydb_1_are_in_the_training_split_of_musdb18_and_all_are_real():  # standards.md 2.5
    ids = trees.shared("metadata", "medleydb", "tracklist_v1.txt").read_text().split()
    found = same("medleydb")
    assert set(found) == {row["Track Name"] for row in tracklist() if row["Source"] == "MedleyDB"} and len(found) == 46
    assert {title for title, _ in found.values()} <= set(ids) and len({title for title, _ in found.values()}) == 46
    assert {split for _, split in found.values()} == {"train"}
    plain = str.maketrans("", "", " -_'.,&")
    assert all(a.translate(plain).lower() == b.translate(plain).lower() for a, (b, _) in found.items())


def test_dsd100_and_cambridge_mt_are_behind_100_songs_of_which_46_are_tests():  # musdb.md; standards.md 2.5
    dsd = {row["Track Name"] for row in tracklist() if row["Source"] == "DSD"}
    for corpus in ("dsd100", "cambridge_mt"):
        assert set(same(corpus)) == dsd and len(dsd) == 100
        assert Counter(split for _, split in same(corpus).values()) == {"train": 54, "test": 46}


def test_the_table_s_splits_agree_with_the_musdb_package():
    config = pytest.importorskip("yaml").safe_load(
        (Path(pytest.importorskip("importlib.util").find_spec("musdb").origin).parent / "configs" / "mus.yaml").read_text()
    )
    splits = {title: split for corpus in ("dsd100", "medleydb") for title, (_, split) in same(corpus).items()}
    assert {splits[title] for title in config["validation_tracks"]} == {"train"}


def test_four_artists_are_in_both_official_splits_of_musdb18():  # standards.md 2.5
    splits = {title: split for corpus in ("dsd100", "medleydb") for title, (_, split) in same(corpus).items()}
    by_artist = defaultdict(set)
    for row in tracklist():
        by_artist[known_artist(row["Track Name"].split(" - ")[0])].add(splits.get(row["Track Name"], "test"))
    shared = {artist for artist, found in by_artist.items() if len(found) == 2}
    assert shared == {"hollowground", "skelpolu", "longwait", "triviul"}
    assert shared == {known_artist(row.title_a) for row in overlaps() if row.relation == "shared_artist"}


def test_editions_share_their_rows():
    assert edition_of("musdb18hq") == edition_of("musdb18") == "musdb18" and edition_of("slakh2100") == "slakh2100"


def test_demucs_has_seen_musdb18_and_mdx_extra_its_tests():  # README of demucs 4.1
    assert seen_by("demucs:htdemucs") == seen_by("demucs:htdemucs_ft") == {("musdb18", "train")}
    assert seen_by("demucs:mdx_extra") == seen_by("demucs:mdx_extra_q") == {("musdb18", "train"), ("musdb18", "test")}
    assert seen_by("builtin:") == frozenset()


def test_a_bracket_that_a_folder_s_name_cannot_have_does_not_hide_the_song():
    titles = ("Traffic Experiment - Once More (With Feeling)", "Traffic Experiment - Once More With Feeling")
    one, other = (known_as(Song(title, corpus)) for title, corpus in zip(titles, ("musdb18", "cambridge_mt"), strict=True))
    assert one & other


# find


def entry(title: str, split: str, corpus: str, artist: str | None = None) -> Entry:
    return Entry.of(Song(title, corpus, groups={"artist": artist} if artist else {}), split, corpus)


def test_a_known_song_is_found_across_corpora_by_its_id():
    one = entry("A Classic Education - NightOwl", "train", "musdb18hq", "A Classic Education")
    other = Entry.of(Song("Another Name", "medleydb", facts={"id": "AClassicEducation_NightOwl"}), "test", "medleydb")
    (leak,) = find_leaks([[one], [other]]).leaks
    assert (leak.kind, leak.crosses, leak.within) == ("same_song", True, False)
    assert leak.name == "song:medleydb/another-name~musdb18hq/a-classic-education-nightowl"
    assert labels("medleydb", [song_key("AClassicEducation_NightOwl", None)]) & one.labels


def test_an_artist_is_one_leak_however_many_songs():
    sets = [
        [entry(f"Mu - {n}", "train", "musdb18", "Mu") for n in range(5)],
        [entry(f"Mu feat. X - b{n}", "test", "folder", "MU feat. X") for n in range(3)],
    ]
    (leak,) = find_leaks(sets).leaks
    assert (leak.kind, leak.name, leak.crosses) == ("artist", "artist:mu", True)
    assert "5 in musdb18 train" in leak.evidence and "3 in folder test" in leak.evidence


def test_the_same_split_is_shared_but_no_leak():
    sets = [[entry("Mu - A", "train", "musdb18", "Mu")], [entry("Mu - A", "train", "dsd100", "Mu")]]
    found = find_leaks(sets).leaks
    assert {leak.kind for leak in found} == {"artist", "same_song"} and not any(leak.crosses for leak in found)
    assert refuse_leaks([*sets[0], *sets[1]]).warnings == ()


def test_what_a_corpus_shares_between_its_own_splits_is_a_warning():
    songs = [entry("Skelpolu - A", "train", "musdb18", "Skelpolu"), entry("Skelpolu - B", "test", "musdb18", "Skelpolu")]
    verdict = refuse_leaks([*songs, entry("Other - C", "train", "dsd100", "Other")], quiet=True)
    assert len(verdict.warnings) == 1 and "Skelpolu" in verdict.warnings[0] and verdict.allowed == ()
    with pytest.raises(UsageError, match="artist:skelpolu"):  # but not if another corpus joins in
        refuse_leaks([*songs, entry("Skelpolu - C", "train", "dsd100", "Skelpolu")], quiet=True)


def test_all_that_is_refused_is_named_and_any_spelling_of_the_name_allows_it():
    songs = [entry("The Mu - A", "train", "a", "The Mu"), entry("Mu - B", "test", "b", "Mu")]
    with pytest.raises(UsageError, match=r"artist:mu(.|\n)*--allow-leak NAME(.|\n)*allow_leaks"):
        refuse_leaks(songs)
    for allowed in ("artist:mu", "artist:The MU", "all"):
        assert refuse_leaks(songs, [allowed]).allowed == ("artist:mu",)
    with pytest.raises(UsageError, match="artist:mu"):
        refuse_leaks(songs, ["artist:nu", "song:a~b"])


def test_ten_leaks_are_told_and_the_rest_are_counted():
    songs = [entry(f"N{n} - A", split, corpus, f"N{n}") for n in range(13) for corpus, split in (("a", "train"), ("b", "valid"))]
    with pytest.raises(UsageError) as refused:
        refuse_leaks(songs)
    assert str(refused.value).count("\n  artist:") + str(refused.value).count("\n  song:") == 10
    assert "16 more" in str(refused.value)  # 13 artists and 13 songs of one name


def test_tests_separated_by_a_model_that_was_trained_on_them_are_refused():
    tests, train = entry("Zeno - Signs", "test", "musdb18hq"), entry("Actions - Devil's Words", "train", "musdb18")
    with pytest.raises(UsageError, match="trained_on:demucs:mdx_extra~test"):
        refuse_leaks([tests, train], separators=["demucs:mdx_extra"])
    assert refuse_leaks([tests, train], ["trained_on:demucs:mdx_extra~test"], ["demucs:mdx_extra"], quiet=True).allowed
    verdict = refuse_leaks([tests, train], separators=["demucs:htdemucs"], quiet=True)
    assert verdict.allowed == () and len(verdict.warnings) == 1 and "trained on 1 songs of the split train" in verdict.warnings[0]
    assert refuse_leaks([tests, train], separators=["builtin:"]).warnings == ()


def test_a_separator_knows_musdb18_s_songs_under_the_names_of_other_corpora():
    raw = Entry.of(Song("Night Owl", "medleydb", groups={"artist": "A Classic Education"}), "test", "medleydb")
    (leak,) = separated_leaks([raw], "demucs:htdemucs")
    assert (leak.split_a, leak.split_b) == ("train", "test")
    assert separated_leaks([entry("Mu - Too Loud", "test", "medleydb", "Mu")], "demucs:mdx_extra") == []


def test_a_validation_split_is_of_what_the_separator_was_trained_on_and_only_told():
    verdict = refuse_leaks([entry("Actions - One Minute Smile", "valid", "musdb18")], separators=["demucs:htdemucs"], quiet=True)
    assert verdict.allowed == () and "songs of the split valid" in verdict.warnings[0]


def test_a_song_without_a_split_goes_where_the_same_song_is_not_only_its_artist():
    official = [
        Song("Meaxic - Take A Step", "musdb18hq", split="valid", groups={"artist": "Meaxic"}),
        Song("Meaxic - You Listen", "musdb18hq", split="train", groups={"artist": "Meaxic"}),
    ]
    raw = [
        Song("Meaxic - You Listen", "medleydb", groups={"artist": "Meaxic"}),
        Song("Meaxic - Take a Step", "medleydb", groups={"artist": "Meaxic"}),
        Song("Meaxic - A Third", "medleydb", groups={"artist": "Meaxic"}),
        Song("You Listen", "medleydb", facts={"id": "Meaxic_YouListen"}),
        Song("Who", "medleydb"),
    ]
    given = given_splits([*official, *raw])
    splits = [given_split(song, given) for song in raw[:4]]
    assert splits == ["train", "valid", "valid", "train"] and given_split(raw[4], given) is None
    sets = ((official, ("valid", "train")), (raw[:2], splits[:2]))
    entries = [[Entry.of(song, split, song.corpus) for song, split in zip(songs, to, strict=True)] for songs, to in sets]
    (leak,) = (leak for leak in find_leaks(entries).leaks if leak.crosses)
    assert leak.kind == "artist" and leak.within  # the second corpus adds nothing to what the first shares


def test_a_song_whose_split_only_a_build_can_tell_is_no_leak():
    found = find_leaks([[entry("Mu - A", "train", "a", "Mu")], [entry("Mu - A", UNKNOWN, "b", "Mu")]]).leaks
    assert len(found) == 2 and not any(leak.crosses for leak in found)


def test_leaks_between_splits_come_first_and_those_of_one_corpus_after_the_others():
    sets = [
        [
            entry("Mu - A", "train", "a", "Mu"),
            entry("Nu - A", "train", "a", "Nu"),
            entry("Nu - B", "test", "a", "Nu"),
            entry("Xi - A", "train", "a", "Xi"),
        ],
        [entry("Mu - B", "train", "b", "Mu"), entry("Xi - B", "test", "b", "Xi")],
    ]
    assert [leak.name for leak in find_leaks(sets).leaks] == ["artist:xi", "artist:nu", "artist:mu"]


def test_titles_that_a_slug_cannot_write_have_names_of_their_own():
    names = {entry(title, "train", "a").name for title in ("日本語", "Тест", "Björk", "Bjork", "x" * 45 + "1", "x" * 45 + "2")}
    assert len(names) == 5 and "a/bjork" in names and all(name.isascii() for name in names)


def test_an_allowed_name_that_is_no_leak_s_is_told_with_the_nearest():
    songs = [entry("Skelpolu - A", "train", "a", "Skelpolu"), entry("Skelpolu - B", "test", "b", "Skelpolu")]
    with pytest.raises(UsageError, match=r"no leak of this set: artist:skelpollu \(did you mean artist:skelpolu\?\)"):
        refuse_leaks(songs, ["artist:skelpollu"])
    verdict = refuse_leaks(songs, ["artist:Skelpolu", "song:a~b"], quiet=True)
    assert verdict.allowed == ("artist:skelpolu",) and verdict.warnings == ("allowed, but no leak of this set: song:a~b",)


def test_two_songs_may_be_named_in_either_order():
    songs = [entry("Mu - A", "train", "a", "Mu"), entry("Mu - A", "test", "b", "Mu")]
    assert len(refuse_leaks(songs, ["song:b/mu-a~a/mu-a", "artist:mu"]).allowed) == 2


# builds


def mp3(path: Path, samples: np.ndarray, rate: int, kbps: int = 128) -> Path:
    encoder = lameenc.Encoder()
    encoder.set_bit_rate(kbps)
    encoder.set_in_sample_rate(rate)
    encoder.set_channels(len(samples))
    encoder.silence()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoder.encode(np.rint(samples.T * 32767).astype(np.int16).tobytes()) + encoder.flush())
    return path


def piece(number: int, stem: str = "mixture", seconds: float = 15) -> np.ndarray:
    """A synthetic song's track at 44100 Hz."""
    (song,) = load_corpus(f"synth:songs=1,first={number},seconds={seconds:g}")
    return dict(song.tracks())[stem].read()[0]


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Four songs by nobody in particular, in a corpus called `table` with its splits, and more of it in folders."""
    root = tmp_path_factory.mktemp("music")
    audio.write(root / "first/One - A.wav", 0.5 * piece(1), 44100)
    audio.write(root / "first/Two - B.wav", 0.5 * piece(2), 44100)
    audio.write(root / "artist/One feat. Nobody - C.wav", 0.5 * piece(3), 44100)
    mp3(root / "recording/Quiet - D.mp3", 0.1 * piece(1), 44100)
    audio.write(root / "stem/Drummer - E.wav", 0.4 * piece(2, "drums"), 44100)
    audio.write(root / "clean/Else - F.wav", 0.5 * piece(4), 44100)
    audio.write(root / "songs/Two/mixture.wav", 0.5 * piece(2), 44100)
    for stem in ("drums", "bass", "vocals", "other"):
        audio.write(root / "songs/Two" / f"{stem}.wav", 0.5 * piece(2, stem), 44100)
    return root


def planned(root: Path, first: str, second: str, *settings: str, cache: Path | None = None):
    """Plan a build of two folders: all of the first goes into train, all of the second into test."""
    corpora = []
    for name, split in ((first, "train"), (second, "test")):
        corpus = load_corpus(f"folder:{root / name}")
        listed = [dataclasses.replace(song, split=split) for song in corpus]
        corpora.append(dataclasses.replace(corpus, _listed=listed))
    return make_plan(small_recipe(*settings), corpora, quiet=True, fingerprints=cache)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("first", "artist", "artist:one"),
        ("first", "recording", "recording:folder/a~folder/d"),
        ("songs", "stem", "recording:folder/e~folder/two"),
    ],
    ids=["an artist", "a quieter MP3 under another name", "a single stem"],
)
def test_a_build_of_two_corpora_refuses_a_leak_and_names_it(music, first, second, name):
    with pytest.raises(UsageError, match=name):
        planned(music, first, second)
    with pytest.raises(UsageError, match=name):
        planned(music, first, second, "allow_leaks=[artist:else]")
    assert planned(music, first, second, f"allow_leaks=['{name}']").leaks.allowed == (name,)


def test_corpora_that_share_nothing_are_built_and_one_corpus_is_never_refused(music):
    assert planned(music, "first", "clean").leaks.allowed == ()
    plan = make_plan(small_recipe(), [load_corpus(f"folder:{music}")], quiet=True)
    assert len(plan.songs) == 7 and plan.leaks.allowed == ()


def test_names_alone_are_compared_where_the_recipe_says_so(music):
    assert planned(music, "first", "recording", "leak_check=names").leaks.allowed == ()
    with pytest.raises(UsageError, match="artist:one"):
        planned(music, "first", "artist", "leak_check=names")


def test_what_is_allowed_changes_no_identity_and_must_be_a_name():
    assert small_recipe("allow_leaks=[all]").identity() == small_recipe().identity() == small_recipe("leak_check=names").identity()
    with pytest.raises(RecipeError, match="allow_leaks"):
        small_recipe("allow_leaks=[everything]")
    with pytest.raises(UsageError, match="--allow-leak everything: no name of a leak"):
        small_recipe().allowing(["artist:mu", "everything"])


def test_fingerprints_are_kept_and_a_damaged_one_is_made_again(music, tmp_path, monkeypatch):
    planned(music, "first", "clean", cache=tmp_path)
    kept = sorted(tmp_path.rglob("*.npy"))
    assert len(kept) == 3
    before = kept[0].read_bytes()
    kept[0].write_bytes(before[: len(before) // 2])
    planned(music, "first", "clean", cache=tmp_path)
    assert kept[0].read_bytes() == before
    monkeypatch.setattr("mixdata.leaks.cache.fingerprint_track", lambda track: pytest.fail("decoded again"))
    planned(music, "first", "clean", cache=tmp_path)


def test_hashes_of_another_version_are_not_taken_nor_what_is_no_fingerprint(music, tmp_path, monkeypatch):
    planned(music, "first", "recording", "allow_leaks=[all]", cache=tmp_path)
    monkeypatch.setattr("mixdata.leaks.cache.VERSION", VERSION + 1)
    assert planned(music, "first", "recording", "allow_leaks=[all]", cache=tmp_path).leaks.allowed
    kept = sorted(tmp_path.rglob("*.npy"))
    assert len(kept) == 6 and {path.parts[-3] for path in kept} == {f"{VERSION}", f"{VERSION + 1}"}
    good = {path: path.read_bytes() for path in kept}
    for wrong in (np.zeros((2, 5), np.float32), np.zeros((3, 5), np.uint32), np.zeros(5, np.uint32)):
        for path in kept:
            np.save(path, wrong)
        assert planned(music, "first", "recording", "allow_leaks=[all]", cache=tmp_path).leaks.allowed
        assert [path.read_bytes() == good[path] for path in kept] == [path.parts[-3] == f"{VERSION + 1}" for path in kept]


def test_where_fingerprints_cannot_be_kept_they_are_made_and_used(music, tmp_path):
    (tmp_path / "cache").write_text("a file, where a folder should be")
    with pytest.raises(UsageError, match="recording:folder/a~folder/d"):
        planned(music, "first", "recording", cache=tmp_path / "cache")


def test_one_corpus_is_not_listened_to(music, monkeypatch):
    monkeypatch.setattr("mixdata.leaks.find.fingerprints", lambda *_: pytest.fail("listened"))
    make_plan(small_recipe(), [load_corpus(f"folder:{music}")], quiet=True)


def test_what_cannot_be_listened_to_is_told_and_stops_nothing(tmp_path):
    audio.write(tmp_path / "good.wav", 0.5 * piece(1), 44100)
    (tmp_path / "bad.wav").write_bytes((tmp_path / "good.wav").read_bytes()[:40] + b"nonsense")
    entries = [
        Entry(name, "folder", name, split, tracks=(("mixture", Track(tmp_path / f"{name}.wav")),))
        for name, split in (("good", "train"), ("bad", "test"))
    ]
    assert refuse_leaks(entries, quiet=True).warnings == ("could not be listened to: folder: bad (mixture)",)


def test_a_loop_in_two_splits_is_told_and_a_song_known_by_name_is_told_once(tmp_path):
    bar = piece(5, "drums")[:, : 2 * 44100]
    for name, times in (("one", 12), ("other", 15)):
        audio.write(tmp_path / f"{name}.wav", np.tile(bar, times), 44100)
    audio.write(tmp_path / "song.wav", piece(1), 44100)
    track = {path.stem: Track(path) for path in tmp_path.iterdir()}
    loops = [Entry(name, name, "x", split, tracks=(("drums", track[name]),)) for name, split in (("one", "train"), ("other", "test"))]
    verdict = refuse_leaks(loops, quiet=True)
    assert verdict.allowed == () and len(verdict.warnings) == 1 and "perhaps the same loop" in verdict.warnings[0]
    twins = [
        Entry(place, "c", "x", split, labels=labels_, tracks=(("drums", track["one"]), ("mixture", track["song"])))
        for place, split, labels_ in (("a", "train", frozenset({"mu/x"})), ("b", "test", frozenset({"mu/x"})), ("d", "valid", frozenset()))
    ]
    found = find_leaks([[twin] for twin in twins], quiet=True).leaks
    assert sorted((leak.kind, leak.split_a, leak.split_b) for leak in found) == [
        ("recording", "test", "valid"),
        ("recording", "train", "valid"),
        ("same_song", "train", "test"),
    ]
    assert all("mixture and mixture" in leak.evidence for leak in found if leak.kind == "recording")  # not the loops


def test_a_finished_dataset_says_what_was_allowed(music, tmp_path):
    corpora = [f"folder:{music / 'first'}", f"folder:{music / 'recording'}"]
    recipe = small_recipe()
    plan_splits = {song.song.title: song.split for song in make_plan(recipe.allowing(["all"]), map(load_corpus, corpora), quiet=True).songs}
    assert set(plan_splits) == {"A", "B", "D"}
    assert plan_splits["A"] != plan_splits["D"]  # else the names of the artists must be others
    dataset = mixdata.build(recipe.allowing(["recording:folder/a~folder/d"]), tmp_path / "set", corpora, workers=0, quiet=True)
    assert dataset.meta["allowed_leaks"] == ["recording:folder/a~folder/d"]
    assert "allowed by name" in (tmp_path / "set/README.md").read_text()
    assert mixdata.verify(tmp_path / "set") == []


# the command


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["leaks", *arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_tells_what_is_shared_and_fails_on_leaks(tmp_path):
    trees.musdb_hq(tmp_path / "hq", {"train": ["Skelpolu - Together Alone", "Mu - A"], "test": ["Skelpolu - Resurrection"]})
    told = json.loads(run(f"musdb18hq:{tmp_path / 'hq'}", "--json", "--no-audio", code=1))
    assert told["leaks"] == 1 and [(row["kind"], row["name"]) for row in told["shared"]] == [("artist", "artist:skelpolu")]
    assert "artist:skelpolu" in run(f"musdb18hq:{tmp_path / 'hq'}", "--no-audio", code=1)
    trees.musdb_hq(tmp_path / "clean", {"train": ["Mu - A"], "test": ["Nu - B"]})
    assert "0 leaks" in run(f"musdb18hq:{tmp_path / 'clean'}", "--no-audio")
    assert json.loads(run(f"musdb18hq:{tmp_path / 'clean'}", "--no-audio", "--json", "--between", "corpora"))["shared"] == []


def test_the_command_listens(music):
    told = json.loads(run(f"folder:{music / 'first'}", f"folder:{music / 'recording'}", "--json", "--quiet", code=1))
    assert [row["kind"] for row in told["shared"]] == ["recording"] and told["heard"] == 3
    assert "recording:folder/a~folder/d" in run(f"folder:{music / 'first'}", f"folder:{music / 'recording'}", code=1)


def test_the_command_reads_a_dataset_s_own_table(built):
    told = json.loads(run(str(built), "--json", "--no-audio"))
    assert told["leaks"] == 0 and told["shared"] == []


def test_a_folder_that_is_no_dataset_is_told_how_to_be_named(tmp_path):
    result = CliRunner().invoke(app, ["leaks", str(tmp_path)])
    assert isinstance(result.exception, UsageError) and "folder:" in str(result.exception)
