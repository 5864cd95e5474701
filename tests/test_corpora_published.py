"""Laws of the corpora that researchers have: MUSDB18, DSD100, MedleyDB, MoisesDB and ENST-Drums, on small trees in their true layouts."""

import csv
import errno
import json
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import yaml

import mixdata
from mixdata.corpora import corpus_facts, load_corpus
from mixdata.corpora._facts import errata
from mixdata.errors import SongError, UsageError
from mixdata.recipes import load_recipe
from mixdata.resources import resource
from mixdata.song import Song
from mixdata.taxonomy import GROUPS
from tests import corpora_trees as trees
from tests.trees import musdb_hq, musdb_mp4, shared, write_mp4

MAKERS = {
    "dsd100": trees.dsd100,
    "medleydb": trees.medleydb,
    "moisesdb": lambda root: trees.moisesdb(root).parent,
    "enst_drums": trees.enst_drums,
    "musdb18hq": lambda root: musdb_hq(root, {"train": ["A - B"], "test": ["C - D"]}, 0.2),
    "musdb18": lambda root: musdb_mp4(root, {"train": ["A - B"], "test": ["C - D"]}, 0.2),
}
PARTS = {
    "dsd100": "Mixtures",
    "moisesdb": f"moisesdb_v0.1/{trees.UUIDS[0]}",
    "enst_drums": "drummer_1",
    "musdb18hq": "train",
    "musdb18": "train",
}
PARTS |= {"medleydb": "Audio/LizNelson_Rainfall"}
NIGHT_OWL = "AClassicEducation_NightOwl"


def listed(spec: str) -> dict[str, Song]:
    """The songs by title."""
    return {song.title: song for song in load_corpus(spec)}


def by_id(spec: str) -> dict[str, Song]:
    """The songs by the corpus's own name."""
    return {song.facts["id"]: song for song in load_corpus(spec) if "id" in song.facts}


def names_in(table: str) -> set[str]:
    """The songs that one of our lists names."""
    with open(resource("manifests", table), encoding="utf-8") as file:
        return {row["name"] for row in csv.DictReader(file)}


def missing(songs: list[Song]) -> dict[str, list[str]]:
    """By song, the tracks that cannot be opened because there is no such file."""
    found: dict[str, list[str]] = {}
    for song in songs:
        for name, track in song.tracks():
            try:
                track.info()
            except SongError as error:
                assert error.reason == "missing", error
                found.setdefault(song.title, []).append(name)
    return found


def built(recipe: str, spec: str, out: Path, *settings: str):
    """A small dataset, made by a real build."""
    small = ["sample_rate=16000", "segment.seconds=1", "output.shard=300kB", *settings]
    return mixdata.build(load_recipe(recipe, small, {}), out, [spec], workers=0, quiet=True)


# -- every corpus ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_a_wrong_folder_shows_what_was_expected_and_what_was_found(name, tmp_path):
    (tmp_path / "holiday").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match=r"no songs found.*expected as.*folders holiday; files 1 × \.txt"):
        list(load_corpus(name, tmp_path))


@pytest.mark.parametrize("name", MAKERS)
def test_the_folder_above_finds_the_corpus_and_a_part_of_it_names_the_whole(name, tmp_path):
    MAKERS[name](tmp_path / "given" / "download" / "corpus")
    songs = list(load_corpus(name, tmp_path / "given" / "download" / "corpus"))
    assert len(songs) >= 2
    assert [song.title for song in load_corpus(name, tmp_path / "given" / "download")] == [song.title for song in songs]
    with pytest.raises(UsageError, match=r"part of"):
        list(load_corpus(name, tmp_path / "given" / "download" / "corpus" / PARTS[name]))


@pytest.mark.parametrize("name", MAKERS)
def test_two_copies_below_the_folder_are_not_guessed_between(name, tmp_path):
    for copy in ("one", "two"):
        MAKERS[name](tmp_path / copy)
    with pytest.raises(UsageError, match=r"one.*two"):
        list(load_corpus(name, tmp_path))


@pytest.mark.parametrize("name", MAKERS)
def test_links_that_lead_out_are_refused(name, tmp_path):
    root = MAKERS[name](tmp_path / "corpus")
    outside = trees.wav(tmp_path / "secret.wav")
    victim = sorted(
        path for path in root.rglob("*") if path.suffix in (".wav", ".mp4") and "_norm" not in path.name and "hits" not in path.name
    )[-1]
    victim.unlink()
    victim.symlink_to(outside)
    refused = []
    for song in load_corpus(f"{name}:{root}"):
        for part in (track for _, whole in song.tracks() for track in getattr(whole, "parts", [whole])):
            if part.path == victim:
                with pytest.raises(SongError) as caught:
                    part.read()
                refused.append(caught.value.reason)
    assert refused and set(refused) == {"outside_root"}


@pytest.mark.parametrize("name", MAKERS)
def test_lists_are_the_same_every_time_and_every_song_is_whole_json(name, tmp_path):
    root = MAKERS[name](tmp_path / "corpus")
    first, second = (list(load_corpus(f"{name}:{root}")) for _ in range(2))
    assert [(s.title, s.split, sorted(s.stems), sorted(s.raw), s.facts) for s in first] == [
        (s.title, s.split, sorted(s.stems), sorted(s.raw), s.facts) for s in second
    ]
    for song in first:
        json.dumps([song.facts, song.groups, [track.facts for _, track in song.tracks()]])
        assert song.licence in ("unknown", corpus_facts(name).licence) and song.corpus == name


@pytest.mark.parametrize("name", MAKERS)
def test_facts_say_how_to_get_it_what_it_should_hold_and_whom_to_cite(name):
    facts = corpus_facts(name)
    assert facts.get and facts.citation.count("@") >= 1 and facts.sources and facts.home.startswith("https://")
    assert facts.citation.count("{") == facts.citation.count("}")
    if facts.splits:
        assert sum(facts.splits.values()) == facts.songs
    assert set(facts.stems) <= {*GROUPS}
    for download in facts.downloads:
        assert download.url.startswith("http") and len(download.md5 or "") == 32


def test_known_faults_name_songs_that_exist():
    known = {
        "musdb18": names_in("musdb18_tracklist.csv"),
        "medleydb": names_in("medleydb_tracklist.csv"),
    }
    for corpus, names in known.items():
        assert errata(corpus) and set(errata(corpus)) <= names
    assert errata("musdb18") == errata("musdb18hq") and len(errata("musdb18")) == 8  # as many as sigsep's page lists


# -- MUSDB18 -----------------------------------------------------------------------------------------------------


def test_musdb_errata_are_warnings_not_refusals(tmp_path):
    musdb_hq(tmp_path, {"train": [], "test": ["PR - Oh No", "BKS - Bulldozer", "AM Contra - Heart Peripheral"]}, 0.2)
    songs = listed(f"musdb18hq:{tmp_path}")
    assert songs["PR - Oh No"].errata == ("mixture: its left channel is not the sum of the stems",)
    assert "cowbell" in songs["BKS - Bulldozer"].errata[0] and not songs["AM Contra - Heart Peripheral"].errata
    assert not any(song.unfit for song in songs.values())


def test_the_other_edition_of_musdb_is_named(tmp_path):
    musdb_hq(tmp_path / "hq", {"train": ["A - B"], "test": []}, 0.2)
    musdb_mp4(tmp_path / "mp4", {"train": ["A - B"], "test": []}, 0.2)
    with pytest.raises(UsageError, match=r"WAV files of MUSDB18-HQ; use musdb18hq:"):
        list(load_corpus("musdb18", tmp_path / "hq"))
    with pytest.raises(UsageError, match=r"stem\.mp4 files of MUSDB18; use musdb18:"):
        list(load_corpus("musdb18hq", tmp_path / "mp4"))


def test_in_musdb18_the_mixture_is_the_sum_within_the_codecs_error_only(tmp_path):
    # Five AAC streams of 256 kbit/s; true stems that sum exactly before they are encoded.
    parts = [0.25 * np.repeat(np.cumsum(np.random.default_rng(seed).standard_normal((1, 44100)), 1), 2, 0) for seed in range(4)]
    parts = [(part / np.abs(part).max() / 5).astype(np.float32) for part in parts]
    write_mp4(tmp_path / "train" / "A - B.stem.mp4", [sum(parts), *parts])
    (song,) = load_corpus("musdb18", tmp_path)
    mixture = song.mixture.read()[0].astype(np.float64)
    error = mixture - sum(track.read()[0].astype(np.float64) for track in song.stems.values())
    level = 10 * np.log10((error**2).mean() / (mixture**2).mean())
    assert -90 < level < -25  # neither exact nor another signal
    assert "not exactly the sum" in corpus_facts("musdb18").title


@pytest.mark.skipif(not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="musdb needs ffmpeg and ffprobe on the PATH")
@pytest.mark.parametrize("edition", ["musdb18hq", "musdb18", "the real excerpt"])
def test_songs_splits_and_audio_are_those_of_the_musdb_package(edition, tmp_path):
    import musdb

    names = {
        "train": ["Actions - One Minute Smile", "A Classic Education - NightOwl", "ANiMAL - Rockshow"],
        "test": ["AM Contra - Heart Peripheral"],
    }
    hq = edition == "musdb18hq"
    root = shared("stem_mp4", "musdb") if "real" in edition else (musdb_hq if hq else musdb_mp4)(tmp_path, names, 0.5)
    songs = {song.title: song for song in load_corpus("musdb18hq" if hq else "musdb18", root)}
    subsets = [("train", "train"), ("train", "valid"), ("test", None)]
    theirs = {(split or subset): musdb.DB(str(root), is_wav=hq, subsets=subset, split=split).tracks for subset, split in subsets}
    assert {track.name: split for split, tracks in theirs.items() for track in tracks} == {
        title: song.split for title, song in songs.items()
    }
    assert len(songs) == (1 if "real" in edition else 4)
    for track in (track for tracks in theirs.values() for track in tracks):
        ours = songs[track.name]
        assert ours.groups["artist"] == track.artist and set(track.sources) == set(ours.stems)
        for name, source in {"mixture": track, **track.sources}.items():
            mine, rate = (ours.mixture if name == "mixture" else ours.stems[name]).read()
            other = np.asarray(source.audio, np.float64).T
            assert rate == source.rate == 44100
            # ffmpeg gives the encoder's padding at the end as well where an edit list cuts it off (not so in the real files); 16 bits clip.
            assert mine.shape == other.shape if hq or "real" in edition else 0 <= other.shape[1] - mine.shape[1] < 1024
            clipped = np.clip(mine, -1, 32767 / 32768)
            np.testing.assert_allclose(clipped, other[:, : mine.shape[1]], atol=0 if hq else 1.01 / 32768)


# -- DSD100 ------------------------------------------------------------------------------------------------------


def test_dsd100_is_named_and_split_as_published(tmp_path):
    songs = listed(f"dsd100:{trees.dsd100(tmp_path)}")
    assert {title: song.split for title, song in songs.items()} == {
        "AM Contra - Heart Peripheral": "train",
        "Angels In Amplifiers - I'm Alright": "train",
        "Angela Thomas Wade - Milk Cow Blues": "test",
        "Young Griffo - Facade - Part 2": "test",
    }
    song = songs["Young Griffo - Facade - Part 2"]
    assert song.groups == {"artist": "Young Griffo"} and song.licence == "restricted" and song.facts == {"number": "049"}
    for place, stem in enumerate(trees.FOUR, 1):
        np.testing.assert_array_equal(song.stems[stem].read()[0], trees.noise(490 + place, 0.5))
    np.testing.assert_array_equal(song.mixture.read()[0], trees.noise(490, 0.5))
    known = names_in("musdb18_tracklist.csv")
    assert {"AM Contra - Heart Peripheral", "Angela Thomas Wade - Milk Cow Blues"} <= known  # so the names can be compared


def test_what_was_not_unpacked_of_dsd100_is_listed_by_song(tmp_path):
    trees.dsd100(tmp_path)
    shutil.rmtree(tmp_path / "Mixtures" / "Test" / "005 - Angela Thomas Wade - Milk Cow Blues")
    (tmp_path / "Sources" / "Test" / "049 - Young Griffo - Facade - Part 2" / "bass.wav").unlink()
    assert missing(list(load_corpus("dsd100", tmp_path))) == {
        "Angels In Amplifiers - I'm Alright": ["bass", "drums", "other", "vocals"],
        "Angela Thomas Wade - Milk Cow Blues": ["mixture"],
        "Young Griffo - Facade - Part 2": ["bass"],
    }


# -- MedleyDB ----------------------------------------------------------------------------------------------------


def test_medleydb_has_mix_stems_by_group_and_raw_tracks_with_their_facts(tmp_path):
    songs = by_id(f"medleydb:{trees.medleydb(tmp_path)}")
    song = songs[NIGHT_OWL]
    assert song.title == "A Classic Education - Night Owl" and song.groups == {"artist": "A Classic Education"}
    assert (song.licence, song.wet, song.free_lengths, song.split) == ("CC-BY-NC-SA-4.0", "wet", True, None)
    assert list(song.stems) == ["bass", "drums", "guitar"] and list(song.raw) == [
        "s01_r01",
        "s01_r02",
        "s02_r01",
        "s02_r02",
        "s03_r01",
        "s04_r01",
    ]
    guitar, _ = song.stems["guitar"].read()
    np.testing.assert_allclose(guitar, trees.noise(2, 0.5) + trees.noise(3, 0.5), atol=1e-7)
    assert song.stems["bass"].info().frames == round(0.4 * 44100) < song.mixture.info().frames  # it ends early
    assert song.mixture.info().codec == "wav/pcm_24" and song.raw["s02_r01"].info().channels == 1
    assert song.raw["s02_r01"].instrument == "kick drum"
    assert song.raw["s02_r02"].facts == {"stem": "S02", "mixing_coefficient": 10.86, "mixing_coefficient_from": "version 1"}
    assert song.raw["s04_r01"].facts["component"] == "melody" and song.raw["s04_r01"].facts["ranking"] == 1
    assert song.facts["has_bleed"] is False and song.facts["excerpt"] is False and song.facts["version"] == "1"
    assert song.facts["genre"] == "Rock" and song.facts["origin"] == "Independent Artist" and "album" not in song.facts
    assert songs["LizNelson_Rainfall"].raw["s01_r01"].facts["mixing_coefficient_from"] == "stft"  # none in the first list


def test_medleydb_stems_can_be_had_as_files_and_without_raw_tracks(tmp_path):
    song = by_id(f"medleydb:{trees.medleydb(tmp_path)},stems=files,raw=false")[NIGHT_OWL]
    assert list(song.stems) == ["s01", "s02", "s03", "s04"] and not song.raw
    assert song.stems["s04"].facts == {
        "stem": "S04", "component": "melody", "mixing_coefficient": 0.9017, "mixing_coefficient_from": "version 1", "ranking": 1,
    }  # fmt: skip
    assert song.stems["s03"].instrument == "distorted electric guitar"


def test_bleed_and_unknown_instruments_of_medleydb_are_told(tmp_path):
    song = by_id(f"medleydb:{trees.medleydb(tmp_path)}")["TrevorAndTheSoundwaves_AloneAndSad"]
    assert song.facts["has_bleed"] is True and list(song.stems) == ["vocals", "other"]
    assert "unknown instrument 'hurdy-gurdy zither': counted as other" in song.errata
    assert any("has_bleed" in text for text in song.errata)
    assert missing([song]) == {}  # though its folder is named otherwise than its files


def test_versions_of_medleydb_can_be_chosen(tmp_path):
    root = trees.medleydb(tmp_path)
    ids = {version: sorted(by_id(f"medleydb:{root},version={version}")) for version in ("1", "2", "all")}
    assert ids["1"] == [NIGHT_OWL, "LizNelson_Rainfall"] and ids["2"] == ["TrevorAndTheSoundwaves_AloneAndSad"]
    assert sorted(ids["1"] + ids["2"]) == ids["all"]
    for wrong in ("version=3", "stems=all"):
        with pytest.raises(UsageError, match="version must be 1, 2 or all, stems groups or files"):
            by_id(f"medleydb:{root},{wrong}")


def test_medleydbs_list_of_songs_is_the_published_one():
    with open(resource("manifests", "medleydb_tracklist.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [sum(row["version"] == version for row in rows) for version in "12"] == [122, 74]  # medleydb.weebly.com/description.html
    for version in "12":
        published = shared("metadata", "medleydb", f"tracklist_v{version}.txt").read_text().split()
        assert sorted(published) == [row["name"] for row in rows if row["version"] == version]


def test_the_known_broken_song_is_unfit_and_files_with_faults_are_named(tmp_path):
    name = "AimeeNorwich_Child"
    data = trees.medleydb_metadata(name, "Aimee Norwich", "Child", [("cello", "", ["cello"])])
    folder = trees.medleydb_song(tmp_path / name, data, 0.2)
    (folder / f"{name}_METADATA.yaml").write_text(yaml.safe_dump(data))
    (song,) = load_corpus("medleydb", tmp_path)
    assert song.unfit.startswith("mixture: broken file")
    (tmp_path / "other").mkdir()
    owl = by_id(f"medleydb:{trees.medleydb(tmp_path / 'other')}")[NIGHT_OWL]
    assert {text.partition(":")[0] for text in owl.errata} == {"s02_r09", "s02_r10", "s02_r13", "s13_r01", "s13_r02"}  # ERRATA.md


def test_broken_or_missing_metadata_stops_only_its_song(tmp_path):
    root = trees.medleydb(tmp_path)
    (root / "Metadata" / f"{NIGHT_OWL}_METADATA.yaml").write_text("stems: [1, 2")
    (root / "Audio" / "LizNelson_Rainfall" / "LizNelson_Rainfall_METADATA.yaml").unlink()
    songs = listed(f"medleydb:{root}")
    assert set(songs) == {NIGHT_OWL, "LizNelson_Rainfall", "Trevor and the Soundwaves - Alone and Sad"}
    for title, message in ((NIGHT_OWL, "cannot be read as YAML"), ("LizNelson_Rainfall", r"github\.com/marl/medleydb.*metadata=PATH")):
        with pytest.raises(SongError, match=message) as caught:
            songs[title].main_track().info()
        assert caught.value.reason == "metadata"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stems: 3", "artist|not as expected"),
        ("stems: {S01: {component: ''}}", "is missing"),
        ("stems: {first: {component: '', filename: x, instrument: piano, raw: {}}}", "not as expected"),
        ("artist: x", "'stems' is missing"),
        ("[]", "holds list"),
        pytest.param("[" * 60_000, "nested deeper", id="flow"),  # overran the stack of libyaml's composer: the process died
        pytest.param("\n".join("- " * depth + "-" for depth in (300,)), "nested deeper", id="block"),
    ],
)
def test_metadata_of_another_shape_is_named(text, message, tmp_path):
    trees.medleydb(tmp_path)
    path = tmp_path / "Metadata" / f"{NIGHT_OWL}_METADATA.yaml"
    path.write_text(text)
    with pytest.raises(SongError, match=message) as caught:
        listed(f"medleydb:{tmp_path}")[NIGHT_OWL].main_track().info()
    assert caught.value.reason == "metadata" and path.name in str(caught.value)


def test_facts_of_metadata_are_plain_data_whatever_it_holds(tmp_path):
    trees.medleydb(tmp_path / "one")
    path = tmp_path / "one" / "Metadata" / f"{NIGHT_OWL}_METADATA.yaml"
    data = yaml.safe_load(path.read_text()) | {"genre": date(2001, 1, 2), "album": {3: {4, 5}}, "origin": float("nan")}
    path.write_text(yaml.safe_dump(data))
    facts = by_id(f"medleydb:{tmp_path / 'one'}")[NIGHT_OWL].facts
    assert (facts["genre"], facts["album"], facts["origin"]) == ("2001-01-02", {"3": [4, 5]}, "nan")
    trees.moisesdb(tmp_path / "two")
    place = next((tmp_path / "two").rglob(f"{trees.UUIDS[0]}/data.json"))
    data = json.loads(place.read_text()) | {"genre": "\ud800"}
    place.write_text(json.dumps(data))
    facts = by_id(f"moisesdb:{tmp_path / 'two'}")[trees.UUIDS[0]].facts
    assert facts["genre"] == "\ufffd" and json.dumps(dict(facts), allow_nan=False).encode()


def test_a_song_that_names_no_files_stays_in_the_list_and_says_so(tmp_path):
    trees.moisesdb(tmp_path)
    place = next(tmp_path.rglob(f"{trees.UUIDS[0]}/data.json"))
    place.write_text(json.dumps(json.loads(place.read_text()) | {"stems": []}))
    with pytest.raises(SongError, match="neither mixture nor stems") as caught:
        by_id(f"moisesdb:{tmp_path}")[trees.UUIDS[0]].main_track().info()
    assert caught.value.reason == "empty"


@pytest.mark.parametrize("spec", ["musdb18hq:{}", "medleydb:{root},metadata={}", "musdb_xl:{root},hq={}"])
@pytest.mark.parametrize("place", ["~nobody-of-that-name/x", "a" * 5000])
def test_a_path_that_cannot_be_is_said_plainly(spec, place, tmp_path):
    with pytest.raises(UsageError, match="cannot be looked for"):
        list(load_corpus(spec.format(place, root=tmp_path)))


def test_names_in_the_metadata_cannot_lead_out_of_the_corpus(tmp_path):
    root = trees.medleydb(tmp_path / "root")
    trees.wav(tmp_path / "secret.wav")
    path = root / "Metadata" / f"{NIGHT_OWL}_METADATA.yaml"
    data = yaml.safe_load(path.read_text())
    data["stems"]["S02"]["filename"] = "../../../../secret.wav"
    data["mix_filename"] = str(tmp_path / "secret.wav")
    path.write_text(yaml.safe_dump(data))
    song = by_id(f"medleydb:{root}")[NIGHT_OWL]
    for track in (song.stems["drums"], song.mixture):
        with pytest.raises(SongError, match="leads out"):
            track.read()
    path.unlink()
    path.symlink_to(tmp_path / "meta.yaml")
    (tmp_path / "meta.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(SongError, match="leads out"):
        listed(f"medleydb:{root}")[NIGHT_OWL].main_track().info()


def test_a_broken_ranking_stops_only_its_song(tmp_path):
    root = trees.medleydb(tmp_path)
    (root / "Ranking" / f"{NIGHT_OWL}_RANKING.txt").write_text("nothing that could be a ranking")
    songs = listed(f"medleydb:{root}")
    with pytest.raises(SongError, match=r"RANKING\.txt: not as expected"):
        songs[NIGHT_OWL].main_track().info()
    assert missing([song for title, song in songs.items() if title != NIGHT_OWL]) == {} and len(songs) == 3


def test_metadata_may_lie_in_a_clone_of_the_code(tmp_path):
    root = trees.medleydb(tmp_path / "audio")
    clone = tmp_path / "clone"
    for folder, place in (("Metadata", "medleydb/data"), ("Ranking", "medleydb/data/Annotations/Melody"), ("resources", "medleydb")):
        (clone / place).mkdir(parents=True, exist_ok=True)
        (root / folder).rename(clone / place / folder)
    for given in (clone, clone / "medleydb", clone / "medleydb" / "data" / "Metadata"):
        facts = by_id(f"medleydb:{root},metadata={given}")[NIGHT_OWL].raw["s04_r01"].facts
        assert facts["mixing_coefficient"] == 0.9017 and facts["stem"] == "S04", given
        assert facts.get("ranking") == 1
    with pytest.raises(UsageError, match="is no folder"):
        by_id(f"medleydb:{root},metadata={tmp_path / 'nothing'}")
    (clone / "medleydb" / "resources" / "mixing_coefficients.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="cannot be read as YAML"):
        by_id(f"medleydb:{root},metadata={clone}")
    (clone / "medleydb" / "resources" / "mixing_coefficients.yaml").write_text("a: 3")
    with pytest.raises(UsageError, match="not as expected"):
        by_id(f"medleydb:{root},metadata={clone}")


def test_a_partial_download_of_medleydb_is_counted_by_song(tmp_path):
    root = trees.medleydb(tmp_path)
    raw = root / "Audio" / "LizNelson_Rainfall" / "LizNelson_Rainfall_RAW"
    for path in raw.iterdir():
        path.unlink()
    (root / "Audio" / NIGHT_OWL / f"{NIGHT_OWL}_STEMS" / f"{NIGHT_OWL}_STEM_03.wav").unlink()
    (root / "Audio" / NIGHT_OWL / f"{NIGHT_OWL}_MIX.wav").unlink()
    assert missing(list(load_corpus("medleydb", root))) == {
        "A Classic Education - Night Owl": ["mixture", "guitar"],
        "Liz Nelson - Rainfall": ["s01_r01", "s02_r01"],
    }
    raw.rmdir()  # the raw tracks are a download of their own: who has none of them misses none
    assert set(missing(list(load_corpus("medleydb", root)))) == {"A Classic Education - Night Owl"}


def test_the_real_metadata_of_medleydb_is_read_whole(tmp_path):
    real = shared("metadata", "medleydb")
    names = sorted(path.name.removesuffix("_METADATA.yaml") for path in (real / "Metadata").glob("*.yaml"))
    for name in names:  # empty files: what is listed comes from the metadata
        (tmp_path / "V1" / name).mkdir(parents=True)
        (tmp_path / "V1" / name / f"{name}_MIX.wav").touch()
        (tmp_path / "V1" / name / f"{name}_RAW").mkdir()
    songs = by_id(f"medleydb:{tmp_path},metadata={real}")
    assert sorted(songs) == names and len(names) == 96
    stems = sum(len(song.stems) for song in by_id(f"medleydb:{tmp_path},metadata={real},stems=files").values())
    assert stems == sum(path.read_text().count("component:") for path in (real / "Metadata").glob("*.yaml")) == 677
    assert sum(song.facts["has_bleed"] for song in songs.values()) == 37
    assert {version: sum(song.facts["version"] == version for song in songs.values()) for version in "12"} == {"1": 60, "2": 36}
    assert all(set(song.stems) <= {*GROUPS} for song in songs.values())
    assert not [text for song in songs.values() for text in song.errata if "unknown instrument" in text]
    assert len({song.groups["artist"] for name, song in songs.items() if name.startswith(("MusicDelta_", "HopsNVinyl_"))}) == 2
    owl = songs[NIGHT_OWL]
    assert owl.title == "A Classic Education - Night Owl" and owl.facts["album"] == "Shaking Through Volume 2"
    assert owl.raw["s01_r02"].facts == {
        "stem": "S01", "component": "bass", "mixing_coefficient": 0.9755085215032004, "mixing_coefficient_from": "version 1",
    }  # fmt: skip
    assert owl.raw["s08_r01"].facts["ranking"] == 1 and len(owl.raw) == sum(key.startswith("s") for key in owl.raw)
    weighted = [song for song in songs.values() if all("mixing_coefficient" in track.facts for track in song.raw.values())]
    assert len(weighted) == 96


def test_small_files_for_real_metadata_make_songs_that_read(tmp_path):
    real = shared("metadata", "medleydb")
    for name in (NIGHT_OWL, "Phoenix_ScotchMorris"):
        data = yaml.safe_load((real / "Metadata" / f"{name}_METADATA.yaml").read_text())
        trees.medleydb_song(tmp_path / name, data, 0.05)
    songs = list(load_corpus(f"medleydb:{tmp_path},metadata={real}"))
    assert missing(songs) == {} and len(songs) == 2
    for song in songs:
        for track in song.stems.values():
            assert track.read()[0].shape == (2, 2205)


# -- MoisesDB ----------------------------------------------------------------------------------------------------


def test_moisesdb_stems_are_the_sums_of_their_sources_and_none_is_lost(tmp_path):
    songs = by_id(f"moisesdb:{trees.moisesdb(tmp_path)}")
    assert list(songs) == list(trees.UUIDS)
    song = songs[trees.UUIDS[0]]
    assert song.title == "Band A - Song One" and song.groups == {"artist": "Band A"} and song.mixture is None and song.free_lengths
    assert list(song.stems) == ["vocals", "bass", "drums", "other_keys"] and len(song.raw) == 8
    assert song.raw["drums-hi-hat"].instrument == "hi-hat" and song.raw["drums-kick-drum"].facts["has_bleed"] is True
    assert song.errata == ("bleed in drums-kick-drum",)
    # both entries of drums; the kick is mono, the hi-hat ends early
    parts = [trees.noise(10, 0.5, 1), trees.noise(11, 0.45), trees.noise(40, 0.5)]
    total = np.zeros((2, 22050))
    for part in parts:
        total[:, : part.shape[1]] += part
    np.testing.assert_allclose(song.stems["drums"].read()[0], total, atol=1e-6)
    lengths = {track.info().frames for track in song.raw.values()}
    assert len(lengths) == 3 and {song.stems["vocals"].info().frames} == {22050}
    assert songs[trees.UUIDS[1]].title == "Song Two" and songs[trees.UUIDS[1]].groups == {}
    assert not songs[trees.UUIDS[1]].errata


def test_moisesdbs_own_names_of_stems_are_the_taxonomys(tmp_path):
    assert corpus_facts("moisesdb").stems == GROUPS
    trees.moisesdb(tmp_path)
    path = tmp_path / "moisesdb_v0.1" / trees.UUIDS[1] / "data.json"
    path.write_text(path.read_text().replace('"guitar"', '"lutes and so on"'))
    path.parent.joinpath("guitar").rename(path.parent / "lutes and so on")
    song = by_id(f"moisesdb:{tmp_path}")[trees.UUIDS[1]]
    assert list(song.stems) == ["vocals", "other"] and "unknown stem 'lutes and so on': counted as other" in song.errata
    assert missing([song]) == {}


def test_several_providers_of_moisesdb_are_read(tmp_path):
    root = trees.moisesdb(tmp_path / "x")
    (root / "second").mkdir()
    (root / trees.UUIDS[2]).rename(root / "second" / trees.UUIDS[2])
    (root / "first").mkdir()
    for uuid in trees.UUIDS[:2]:
        (root / uuid).rename(root / "first" / uuid)
    assert sorted(by_id(f"moisesdb:{root}")) == sorted(trees.UUIDS)


def test_broken_songs_of_moisesdb_stay_in_the_list(tmp_path):
    root = trees.moisesdb(tmp_path)
    (root / trees.UUIDS[0] / "data.json").write_text("{")
    (root / trees.UUIDS[1] / "data.json").write_text('{"stems": [{"stemName": "vocals", "tracks": [{"trackType": "x"}]}]}')
    (root / "no-metadata").mkdir()
    (root / trees.UUIDS[2] / "data.json").rename(tmp_path / "elsewhere.json")
    (root / trees.UUIDS[2] / "data.json").symlink_to(tmp_path / "elsewhere.json")
    assert "leads out of the corpus" in reported(root, trees.UUIDS[2])
    assert sorted(listed(f"moisesdb:{root}")) == sorted([*trees.UUIDS, "no-metadata"])
    assert "cannot be read as JSON" in reported(root, trees.UUIDS[0])
    assert "'id' is missing" in reported(root, trees.UUIDS[1]) and "missing" in reported(root, "no-metadata")


def reported(root: Path, title: str) -> str:
    """What the probe of a song says."""
    with pytest.raises(SongError) as caught:
        listed(f"moisesdb:{root}")[title].main_track().info()
    return str(caught.value)


def test_sources_that_were_not_unpacked_are_listed(tmp_path):
    root = trees.moisesdb(tmp_path)
    shutil.rmtree(root / trees.UUIDS[0] / "drums")
    assert missing(list(load_corpus("moisesdb", root))) == {
        "Band A - Song One": ["drums", "drums-hi-hat", "drums-kick-drum", "drums-snare-drum"]
    }


# -- ENST-Drums --------------------------------------------------------------------------------------------------


def test_every_take_of_enst_drums_is_a_song_of_its_drummer(tmp_path):
    songs = by_id(f"enst_drums:{trees.enst_drums(tmp_path)}")
    assert {name: song.facts["take"] for name, song in songs.items()} == {
        "drummer_1/060_phrase_salsa_simple_slow_sticks": "phrases",
        "drummer_1/096_solo_latin_hands": "solos",
        f"drummer_1/{trees.TAKE}": "minus-one",
        "drummer_2/115_minus-one_salsa_sticks": "minus-one",
        "drummer_2/152_MIDI-minus-one_fusion-125_sticks": "minus-one",
        "drummer_3/067_phrase_afro_simple_slow_sticks": "phrases",
    }
    song = songs[f"drummer_1/{trees.TAKE}"]
    assert song.groups == {"drummer": "drummer_1"} and song.licence == "enst-drums" and song.split is None
    assert list(song.raw) == ["kick", "snare", "hi_hat", "tom_1", "tom_2", "overhead_l", "overhead_r"]
    assert "tom_3" in songs["drummer_3/067_phrase_afro_simple_slow_sticks"].raw  # no microphone of the others
    assert song.raw["kick"].info().channels == 1 and song.mixture.info().channels == 2
    np.testing.assert_array_equal(song.mixture.read()[0], song.stems["drums"].read()[0])
    np.testing.assert_array_equal(song.mixture.read()[0], trees.noise(1321, 0.5))  # the wet mix
    assert missing(list(songs.values())) == {}


def test_mix_and_takes_of_enst_drums_can_be_chosen(tmp_path):
    root = trees.enst_drums(tmp_path)
    wet, dry = (by_id(f"enst_drums:{root},mix={mix}")[f"drummer_1/{trees.TAKE}"] for mix in ("wet", "dry"))
    assert (wet.wet, dry.wet) == ("wet", "dry") and wet.mixture.path.parent.name == "wet_mix" and dry.mixture.path.parent.name == "dry_mix"
    counts = {takes: len(by_id(f"enst_drums:{root},takes={takes}")) for takes in ("music", "all", "hits", "phrases", "solos+phrases")}
    assert counts == {"music": 6, "all": 7, "hits": 1, "phrases": 2, "solos+phrases": 3}
    for wrong in ("mix=both", "takes=drums", "takes="):
        with pytest.raises(UsageError, match="mix must be dry or wet"):
            by_id(f"enst_drums:{root},{wrong}")


def test_drummers_can_be_held_out(tmp_path):
    splits = {name.partition("/")[0]: song.split for name, song in by_id(f"enst_drums:{trees.enst_drums(tmp_path)},test=3,valid=2").items()}
    assert splits == {"drummer_1": "train", "drummer_2": "valid", "drummer_3": "test"}


def test_the_accompaniment_comes_with_minus_one_takes_only(tmp_path):
    songs = by_id(f"enst_drums:{trees.enst_drums(tmp_path)},accompaniment=true")
    for song in songs.values():
        accompanied = song.facts["take"] == "minus-one"
        assert ("accompaniment" in song.stems) == ("accompaniment" in song.raw) == (song.mixture is None) == accompanied
    assert missing(list(songs.values())) == {}


def test_missing_microphones_and_strange_takes_are_told(tmp_path):
    root = trees.enst_drums(tmp_path)
    (root / "drummer_1" / "audio" / "wet_mix" / "096_solo_latin_hands.wav").unlink()
    (root / "drummer_2" / "audio" / "kick" / "115_minus-one_salsa_sticks.wav").unlink()
    trees.wav(root / "drummer_3" / "audio" / "wet_mix" / "interview.wav")
    songs = listed(f"enst_drums:{root}")
    assert missing(list(songs.values())) == {
        "drummer_1 - 096_solo_latin_hands": ["mixture", "drums"],
        "drummer_2 - 115_minus-one_salsa_sticks": ["kick"],
        "drummer_3 - interview": sorted(["kick", "snare", "hi_hat", "tom_1", "tom_2", "tom_3", "overhead_l", "overhead_r"]),
    }
    assert songs["drummer_3 - interview"].errata == ("unknown kind of take",)


# -- builds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "used", "skipped"), [("medleydb", 3, 0), ("moisesdb", 3, 0), ("dsd100", 3, 1), ("enst_drums", 6, 0)])
def test_a_build_uses_every_song_that_is_whole(name, used, skipped, tmp_path):
    tree = getattr(trees, name)(tmp_path / "corpus", 1.2)
    dataset = built("dry_stems", f"{name}:{tree}", tmp_path / "set")
    status = dataset.songs["status"].value_counts().to_dict()
    assert (status.get("used"), len(dataset.songs)) == (used, used + skipped)
    assert mixdata.verify(tmp_path / "set") == []
    assert {example.record["song"]["licence"] for example in dataset} == {corpus_facts(name).licence}


def test_records_of_medleydb_hold_its_facts_and_faults_and_its_stems_their_sound(tmp_path):
    dataset = built("dry_stems", f"medleydb:{trees.medleydb(tmp_path / 'corpus', 1.2)}", tmp_path / "set", "sample_rate=44100")
    (example,) = [example for example in dataset if example.record["song"]["facts"]["id"] == NIGHT_OWL]
    assert "s02_r09: is not what its stem was made of" in example.record["song"]["errata"]
    assert "unequal_lengths" in example.record["song"]["warnings"]  # the bass ends early, which free lengths allow
    assert example.roles["dry"]["bass"].shape == (2, round(1.2 * 44100))
    np.testing.assert_allclose(example.roles["dry"]["drums"], trees.noise(1, 1.2), atol=2 / 32768)
    assert not example.roles["dry"]["bass"][:, -4410:].any() and example.roles["dry"]["bass"][:, :4410].any()


@pytest.mark.parametrize("name", ["medleydb", "moisesdb"])
def test_stems_of_published_corpora_can_be_normalized(name, tmp_path):
    dataset = built("effect_normalization", f"{name}:{getattr(trees, name)(tmp_path / 'corpus', 2.0)}", tmp_path / "set")
    assert (dataset.songs["status"] == "used").all() and len(dataset.songs) == 3
    assert mixdata.verify(tmp_path / "set") == []


@pytest.mark.parametrize(("spec", "tracks"), [("medleydb:{}", 6), ("enst_drums:{},mix=dry,takes=phrases", 8)])
def test_raw_tracks_become_the_inputs_of_automix(spec, tracks, tmp_path):
    tree = getattr(trees, spec.partition(":")[0])(tmp_path / "corpus", 1.2)
    dataset = built("automix", spec.format(tree), tmp_path / "set", "tracks.take=raw")
    assert max(len(example.record["tracks"]) for example in dataset) == tracks


@pytest.mark.parametrize("name", ["medleydb", "moisesdb", "musdb18hq", "enst_drums"])
def test_a_song_s_folder_that_may_not_be_entered_is_said_plainly(name, tmp_path, monkeypatch):
    locked = MAKERS[name](tmp_path) / PARTS[name]

    def refusing(method):
        def refuse(path, *args, **kwargs):
            if locked in path.parents or (path == locked and method.__name__ == "iterdir"):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return method(path, *args, **kwargs)

        return refuse

    for method in ("iterdir", "is_dir", "exists", "is_file"):  # as for one who is not root
        monkeypatch.setattr(Path, method, refusing(getattr(Path, method)))
    with pytest.raises(UsageError, match=r"cannot be read: Permission denied"):
        list(load_corpus(name, tmp_path))


def test_a_folder_that_may_not_be_read_is_said_plainly(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    root = trees.moisesdb(tmp_path)
    root.chmod(0)
    try:
        with pytest.raises(UsageError, match="cannot be read"):
            list(load_corpus("moisesdb", root))
    finally:
        root.chmod(0o755)
