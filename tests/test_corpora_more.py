"""Laws of Slakh2100, the Mixing Secrets library, mirdata's datasets, EGFxSet and IDMT-SMT-Audio-Effects, on trees in their true layouts."""

import hashlib
import json
import logging
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from typer.testing import CliRunner

import mixdata
from mixdata.cli import app
from mixdata.corpora import corpus_facts, load_corpus
from mixdata.corpora._cambridge import artist_and_title, words
from mixdata.corpora._mirdata import MISSING, checksums
from mixdata.corpora._slakh import split_of
from mixdata.errors import SongError, UsageError
from mixdata.recipes import load_recipe
from mixdata.resources import resource
from mixdata.song import Song
from mixdata.taxonomy import GROUPS
from tests import corpora_trees_more as trees
from tests.trees import shared, write_wav

REDUX = {"train": 1289, "valid": 270, "test": 151}  # github.com/ethman/slakh-utils, splits/README.md
ALL_SLAKH = {"train": 1500, "valid": 375, "test": 225}


def listed(spec: str, root: Path, **options: str) -> dict[str, Song]:
    """The songs by title."""
    return {song.title: song for song in load_corpus(spec, root, **options)}


def files(song: Song) -> dict[str, list[str]]:
    """The files of each stem."""
    return {name: [path.name for path in track.files] for name, track in song.stems.items()}


def refusal(track) -> str:
    """The reason why a track cannot be used."""
    with pytest.raises(SongError) as caught:
        track.info()
    return caught.value.reason


# -- facts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slakh2100", "cambridge_mt", "mirdata", "egfxset", "idmt_smt_audio_effects"])
def test_the_facts_name_a_known_licence_and_their_sources(name):
    from mixdata.licences import licence

    facts = corpus_facts(name)
    assert facts.licence == "per song" or licence(facts.licence).known
    assert facts.sources and facts.layout and facts.home and set(facts.stems) <= set(GROUPS)
    assert sum((facts.splits or {}).values()) in (0, facts.songs)


def test_the_addresses_and_checksums_are_those_of_mirdata():
    import mirdata.datasets.egfxset
    import mirdata.datasets.idmt_smt_audio_effects
    import mirdata.datasets.slakh

    for name, module in (("egfxset", "egfxset"), ("idmt_smt_audio_effects", "idmt_smt_audio_effects"), ("slakh2100", "slakh")):
        remotes = getattr(mirdata.datasets, module).REMOTES
        expected = {remote.url: remote.checksum for key, remote in remotes.items() if key not in ("baby", "index")}
        assert {item.url: item.md5 for item in corpus_facts(name).downloads} == expected


# -- wrong roots -------------------------------------------------------------------------------------------------

ROOTS = {"slakh2100": "train", "cambridge_mt": trees.ANGELS, "egfxset": "TapeEcho", "idmt_smt_audio_effects": "Gitarre monophon2"}


@pytest.mark.parametrize("name", ROOTS)
def test_an_empty_root_says_what_was_expected_and_what_is_there(name, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UsageError, match=r"no songs found.*expected as.*pictures.*1 × \.txt"):
        list(load_corpus(name, tmp_path))


@pytest.mark.parametrize("name", ROOTS)
def test_the_folder_above_finds_the_same_songs(name, tmp_path):
    root = getattr(trees, name)(tmp_path / "download" / "corpus")
    there = [(song.title, [path for _, track in song.tracks() for path in track.files]) for song in load_corpus(name, root)]
    (tmp_path / "download" / "other").mkdir()
    for above in (tmp_path / "download", tmp_path):
        assert [(song.title, [path for _, track in song.tracks() for path in track.files]) for song in load_corpus(name, above)] == there
    assert there


def test_a_part_of_a_corpus_is_used_or_the_whole_is_named(tmp_path):
    slakh, egfx, idmt = trees.slakh2100(tmp_path / "a"), trees.egfxset(tmp_path / "b"), trees.idmt_smt_audio_effects(tmp_path / "c")
    assert [(title, song.split) for title, song in listed("slakh2100", slakh / "train").items()] == [
        ("Track00001", "train"),
        ("Track00003", "train"),
    ]
    with pytest.raises(UsageError, match=f"part of the corpus.*Name the folder above it: {slakh / 'train'}"):
        listed("slakh2100", slakh / "train" / "Track00001")
    with pytest.raises(UsageError, match=f"part of the corpus.*Name the folder above it: {egfx}"):
        listed("egfxset", egfx / "TapeEcho")
    assert all(
        refusal(song.pair["target"]["guitar"]) == "missing" for song in load_corpus("idmt_smt_audio_effects", idmt / "Gitarre monophon2")
    )


def test_two_corpora_in_a_folder_are_told_apart_by_the_user(tmp_path):
    trees.slakh2100(tmp_path / "slakh2100_flac")
    trees.babyslakh(tmp_path / "babyslakh_16k")
    with pytest.raises(UsageError, match="2 folders in it could be meant: babyslakh_16k, slakh2100_flac"):
        listed("slakh2100", tmp_path)


@pytest.mark.parametrize("name", ["slakh2100", "cambridge_mt", "egfxset", "idmt_smt_audio_effects"])
def test_links_out_of_the_corpus_are_refused(name, tmp_path):
    root = getattr(trees, name)(tmp_path / "corpus")
    secret = write_wav(tmp_path / "secret.wav")
    song = next(song for song in load_corpus(name, root) if song.facts.get("effect") or len(song.raw) > 2)
    linked = next(iter(song.pair.values()))["bass" if name.startswith("idmt") else "guitar"] if song.pair else next(iter(song.raw.values()))
    linked.path.unlink()
    linked.path.symlink_to(secret)
    reasons = [refusal(track) for found in load_corpus(name, root) for _, track in found.tracks() if track.path == linked.path]
    assert reasons and set(reasons) == {"outside_root"}


# -- Slakh2100 ---------------------------------------------------------------------------------------------------


def test_the_editions_have_the_published_numbers_of_songs(tmp_path):
    for edition, expected in (("redux", REDUX), ("v2", ALL_SLAKH), ("original", ALL_SLAKH)):
        counts = Counter(split_of(tmp_path / "train" / f"Track{number:05d}", edition) for number in range(1, 2101))
        assert {split: count for split, count in counts.items() if split != "omitted"} == expected
    assert counts["omitted"] == 0 and corpus_facts("slakh2100").splits == REDUX


def test_the_list_of_moves_is_balanced():
    # as many of splits_v2.json's songs go from one split into another as come back from it
    lists = yaml.safe_load(resource("manifests", "slakh2100_splits.yaml").read_text())
    home = {number: "train" if number <= 1500 else "valid" if number <= 1875 else "test" for number in range(1, 2101)}
    moved = Counter((home[number], split) for split, numbers in lists["v2"].items() for number in numbers)
    assert all(moved[pair] == moved[pair[::-1]] for pair in moved) and all(there != here for there, here in moved)


@pytest.mark.parametrize(
    ("edition", "expected"),
    [
        ("redux", {"Track00001": "train", "Track00003": "train", "Track01501": "valid", "Track01876": "test"}),
        ("v2", {"Track00001": "train", "Track00003": "test", "Track00049": "train", "Track01501": "valid", "Track01876": "test"}),
        ("original", {"Track00001": "train", "Track00003": "train", "Track00049": "train", "Track01501": "valid", "Track01876": "test"}),
    ],
)
def test_an_edition_is_chosen_wherever_its_songs_lie(edition, expected, tmp_path):
    trees.slakh2100(tmp_path)
    for moved in (False, True):
        if moved:  # as resplit_slakh.py leaves it
            (tmp_path / "omitted").mkdir()
            (tmp_path / "train/Track00049").rename(tmp_path / "omitted/Track00049")
        assert {title: song.split for title, song in listed("slakh2100", tmp_path, split=edition).items()} == expected


def test_an_unknown_edition_is_refused(tmp_path):
    with pytest.raises(UsageError, match="split must be redux or v2 or original, got 'split2'"):
        listed("slakh2100", trees.slakh2100(tmp_path), split="split2")


def test_songs_of_one_midi_file_are_of_one_group(tmp_path):
    songs = listed("slakh2100", trees.slakh2100(tmp_path), split="original")
    assert songs["Track00001"].group == songs["Track00049"].group == "midi:1a81" != songs["Track00003"].group


@pytest.mark.parametrize("make", [lambda root: trees.slakh2100(root) and root, trees.babyslakh])
def test_stems_are_sums_by_instrument_and_sum_to_the_mix(make, tmp_path):
    song = listed("slakh2100", make(tmp_path))["Track00001"]
    suffix = song.mixture.path.suffix
    assert files(song) == {
        "vocals": [f"S03{suffix}"],  # Choir Aahs, though its class is Strings (continued)
        "bass": [f"S02{suffix}"],
        "drums": [f"S01{suffix}"],
        "guitar": [f"S00{suffix}", f"S04{suffix}"],
    }
    assert list(song.raw) == ["S00", "S01", "S02", "S03", "S04"] and song.facts["unrendered"] == 1
    assert song.raw["S03"].instrument == "Strings (continued)" and song.raw["S03"].facts["program_num"] == 52
    mixture, rate = soundfile.read(song.mixture.path)
    parts = [soundfile.read(path)[0] for track in song.stems.values() for path in track.files]
    np.testing.assert_allclose(np.sum(parts, axis=0), mixture, atol=1e-7)
    total = sum(track.read()[0] for track in song.stems.values())
    np.testing.assert_allclose(total[0], mixture, atol=1e-6)
    assert (rate, song.wet, song.licence, song.errata) == (16000, "rendered", "CC-BY-4.0", ())


def test_babyslakh_has_no_splits(tmp_path):
    assert listed("slakh2100", trees.babyslakh(tmp_path))["Track00001"].split is None


def test_what_was_not_downloaded_stays_listed_and_broken_metadata_stop_their_song_alone(tmp_path):
    songs = listed("slakh2100", trees.slakh2100(tmp_path))
    broken, partial = songs["Track01501"], songs["Track01876"]
    assert refusal(broken.mixture) == "metadata" and broken.split == "valid"
    assert refusal(partial.mixture) == refusal(partial.raw["S00"]) == "missing" and partial.raw["S01"].info().frames == 8000
    assert songs["Track00001"].mixture.info().frames == 8000


@pytest.mark.parametrize("text", ["stems: [1, 2]", "stems: {S00: guitar}", "UUID: x", "[]", "stems: {../../../x: {}}"])
def test_metadata_that_are_not_as_expected_have_a_clear_outcome(text, tmp_path):
    trees.slakh_song(tmp_path / "corpus" / "Track00001", "1")
    (tmp_path / "corpus" / "Track00001" / "metadata.yaml").write_text(text)
    write_wav(tmp_path / "x.flac")
    song = listed("slakh2100", tmp_path / "corpus")["Track00001"]
    reasons = {refusal(track) for name, track in song.tracks() if name != "mixture" or not song.raw}
    assert reasons == ({"outside_root"} if ".." in text else {"metadata"})


@pytest.mark.parametrize("name", ["a\\0b", "a" * 300, "/".join(["a" * 200] * 30)])
@pytest.mark.parametrize("rendered", [True, False])
def test_a_name_that_no_file_can_have_stops_its_song_alone(name, rendered, tmp_path):
    for folder in ("Track00001", "Track00002"):
        trees.slakh_song(tmp_path / folder, "1")
    (tmp_path / "Track00001/metadata.yaml").write_text(f'stems: {{"{name}": {{audio_rendered: {str(rendered).lower()}}}}}')
    songs = listed("slakh2100", tmp_path)
    assert refusal(songs["Track00001"].mixture) == "metadata" and len(songs["Track00002"].raw) == 5


@pytest.mark.parametrize(("written", "licence"), [("unknown", "not stated"), ("none", "not stated"), ("MIT", "MIT"), (None, "CC-BY-4.0")])
def test_a_tree_of_ones_own_has_its_own_licence_and_an_unknown_one_is_not_slakhs(written, licence, tmp_path):
    folder = trees.slakh_song(tmp_path / "Track00001", "1")
    meta = yaml.safe_load((folder / "metadata.yaml").read_text())
    (folder / "metadata.yaml").write_text(yaml.safe_dump(meta | ({"licence": written} if written else {})))
    assert listed("slakh2100", tmp_path)["Track00001"].licence == licence


def test_metadata_outside_the_corpus_are_not_read(tmp_path):
    trees.slakh_song(tmp_path / "corpus" / "Track00001", "1")
    (tmp_path / "corpus" / "Track00001" / "metadata.yaml").rename(tmp_path / "secret.yaml")
    (tmp_path / "corpus" / "Track00001" / "metadata.yaml").symlink_to(tmp_path / "secret.yaml")
    assert refusal(listed("slakh2100", tmp_path / "corpus")["Track00001"].mixture) == "outside_root"


def test_an_instrument_that_nobody_knows_is_reported(tmp_path):
    folder = trees.slakh_song(tmp_path / "Track00001", "1")
    meta = yaml.safe_load((folder / "metadata.yaml").read_text())
    meta["stems"]["S04"] |= {"inst_class": "Zrgl", "program_num": 999}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(meta))
    song = listed("slakh2100", tmp_path)["Track00001"]
    assert song.errata == ("unknown instrument 'Zrgl': counted as other",) and files(song)["other"] == ["S04.flac"]


def test_facts_are_plain_json_data(tmp_path):
    folder = trees.slakh_song(tmp_path / "Track00001", "1")
    meta = yaml.safe_load((folder / "metadata.yaml").read_text()) | {"overall_gain": [1]}
    meta["stems"]["S04"] |= {"integrated_loudness": float("-inf"), "plugin_name": None}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(meta))
    song = listed("slakh2100", tmp_path)["Track00001"]
    assert song.raw["S04"].facts["integrated_loudness"] is None and song.raw["S04"].facts["plugin_name"] is None
    json.dumps([song.facts, *(track.facts for track in song.raw.values())], allow_nan=False)


def test_the_real_excerpts_of_slakh_sum_to_their_mixes_to_the_bit():
    for place in ("slakh2100_flac_redux", "babyslakh_16k"):
        song = listed("slakh2100", shared("mirdata_resources", "slakh", place))["Track00001"]
        parts = [soundfile.read(track.path, dtype="int16")[0].astype(int) for track in song.raw.values()]
        assert len(parts) == 10 and set(song.stems) == {"vocals", "bass", "drums", "guitar", "piano", "other_keys", "wind"}
        np.testing.assert_array_equal(sum(parts), soundfile.read(song.mixture.path, dtype="int16")[0])


def test_a_set_of_dry_stems_is_built_from_slakh(tmp_path):
    recipe = load_recipe(
        "dry_stems", ["sample_rate=16000", "segment.seconds=2", "stems.take=[vocals,drums,bass,guitar,other]", "output.codec=npyf32"]
    )
    corpus = trees.slakh2100(tmp_path / "corpus", seconds=1.25)
    dataset = mixdata.build(recipe, tmp_path / "set", [f"slakh2100:{corpus}"], workers=0, quiet=True)
    rows = dataset.songs.set_index("title")
    assert rows["status"].to_dict() == {"Track00001": "used", "Track00003": "used", "Track01501": "rejected", "Track01876": "rejected"}
    assert rows.loc["Track01501", "reason"] == "metadata" and rows.loc["Track01876", "reason"] == "missing"
    example = next(dataset[number] for number in range(len(dataset)) if "track00001" in dataset[number].key)
    expected = soundfile.read(tmp_path / "corpus/train/Track00001/stems/S03.flac")[0]
    np.testing.assert_allclose(example.roles["dry"]["vocals"][0], expected, atol=1e-6)


# -- the Mixing Secrets library ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "artist", "title"),
    [
        ("AngelsInAmplifiers_ImAlright_Full", "Angels In Amplifiers", "Im Alright"),
        ("APZX_FromEarthToPlanetOmega_Full", "APZX", "From Earth To Planet Omega"),
        ("JPLantieri_ChardonnayOrneryRemix", "JP Lantieri", "Chardonnay Ornery Remix"),
        ("BigStoneCulture_FragileThoughts_Excerpt (1)", "Big Stone Culture", "Fragile Thoughts"),
        ("Diesel13_ColourMeRed_Full", "Diesel 13", "Colour Me Red"),
        ("MySongs", None, "My Songs"),
    ],
)
def test_artist_and_title_are_the_words_of_the_folder(folder, artist, title):
    assert artist_and_title(folder) == (artist, title)


@pytest.mark.parametrize(
    ("name", "expected"), [("ElecGtr1DT", "Elec Gtr 1DT"), ("LeadVox", "Lead Vox"), ("DIBass", "DI Bass"), ("Kick", "Kick")]
)
def test_roles_are_split_into_words(name, expected):
    assert words(name) == expected


def test_raw_tracks_are_grouped_by_their_names(tmp_path):
    song = listed("cambridge_mt", trees.cambridge_mt(tmp_path))["Angels In Amplifiers - Im Alright"]
    assert {name: (track.path.name, track.instrument) for name, track in song.raw.items()} == {
        "01_kick": ("01_Kick.wav", "Kick"),
        "02_overheads-1": ("02_Overheads (1).wav", "Overheads"),  # not the same as the other, so no copy
        "02_overheads": ("02_Overheads.wav", "Overheads"),
        "03_elecgtr1dt": ("03_ElecGtr1DT.wav", "Elec Gtr 1DT"),
        "04_leadvox": ("04_LeadVox.wav", "Lead Vox"),
        "05_zrgl": ("05_Zrgl.wav", "Zrgl"),
    }
    assert files(song) == {
        "vocals": ["04_LeadVox.wav"],
        "drums": ["01_Kick.wav", "02_Overheads (1).wav", "02_Overheads.wav"],
        "guitar": ["03_ElecGtr1DT.wav"],
        "other": ["05_Zrgl.wav"],
    }
    assert song.errata == ("unknown instrument '05_Zrgl.wav': counted as other",)
    assert (song.groups, song.licence, song.free_lengths, song.mixture) == (
        {"artist": "Angels In Amplifiers"},
        "mixing-secrets",
        True,
        None,
    )
    assert {(track.info().sample_rate, track.info().channels) for track in song.raw.values()} >= {(48000, 1), (44100, 2)}
    assert song.stems["drums"].info().sample_rate == 48000  # tracks of several rates are summed at the highest


def test_a_mix_is_found_by_its_name_or_its_place_and_the_unmastered_one_is_preferred(tmp_path):
    songs = listed("cambridge_mt", trees.cambridge_mt(tmp_path))
    found = {title: song.published and song.published.path.name for title, song in songs.items()}
    assert found == {
        "Angels In Amplifiers - Im Alright": "ImAlright_UnmasteredWAV.wav",
        "APZX - Lacuna": "APZXLacuna_Preview.wav",
        "One Artist - Same": None,
        "Two Artists - Same": None,
        "BKS_TooMuch_Full": None,
        "Lonely Preview": "Lonely_Preview.wav",  # its tracks are missing, but it is not lost
    }
    assert songs["One Artist - Same"].errata == ("the mix Same_Full_Preview.wav could be of 2 songs, so it was taken for none",)
    assert songs["APZX - Lacuna"].facts == {"published": "APZXLacuna_Preview.wav"} and len(songs["APZX - Lacuna"].raw) == 2
    assert refusal(songs["BKS_TooMuch_Full"].mixture) == "missing"


def test_an_excerpts_mix_is_not_the_whole_songs(tmp_path):
    for part in ("Full", "Excerpt"):
        for name in ("01_Kick.wav", "02_Bass.wav"):
            write_wav(tmp_path / f"Some_Song_{part}" / name, seed=len(part))
        write_wav(tmp_path / f"Song_{part}_Preview.wav", seed=20 + len(part))
    songs = list(load_corpus("cambridge_mt", tmp_path))
    assert [(song.stems["drums"].path.parent.name, song.published.path.name) for song in songs] == [
        ("Some_Song_Excerpt", "Song_Excerpt_Preview.wav"),
        ("Some_Song_Full", "Song_Full_Preview.wav"),
    ]


def test_a_song_may_lie_deeper_than_its_folder_and_a_stray_file_makes_none_of_others(tmp_path):
    write_wav(tmp_path / "Band_One_Full/Band_One_Full/01_Kick.wav")
    write_wav(tmp_path / "Band_One_Full/Band_One_Full/Vox/02_LeadVox.wav")
    write_wav(tmp_path / "Rock/Band_Two/01_Kick.wav")
    write_wav(tmp_path / "Rock/Band_Two/02_Bass.wav")
    write_wav(tmp_path / "Rock/stray.wav")
    songs = listed("cambridge_mt", tmp_path)
    assert {title: sorted(song.raw) for title, song in songs.items()} == {
        "Band - One": ["01_kick", "02_leadvox"],
        "Band - Two": ["01_kick", "02_bass"],
        "stray": ["stray"],
    }


def test_the_number_of_a_stray_track_is_no_artist(tmp_path):
    write_wav(tmp_path / "Rock/01_Kick.wav")
    write_wav(tmp_path / "Rock/Other/01_Kick.wav")
    write_wav(tmp_path / "Rock/Other/02_Bass.wav")
    write_wav(tmp_path / "Band_Song.wav")
    songs = {song.title: song.groups for song in load_corpus("cambridge_mt", tmp_path)}
    assert songs["01 Kick"] == {} and songs["Band - Song"] == {"artist": "Band"}


# -- mirdata -----------------------------------------------------------------------------------------------------


def index(name: str) -> Path:
    """One of mirdata's sample indexes."""
    return shared("mirdata_resources", "indexes", f"{name}_sample.json")


def bridged(root: Path, dataset: str, path: Path) -> dict[str, Song]:
    """The songs of a dataset with an index."""
    return listed(f"mirdata:{root},dataset={dataset},index={path}", root=None)


def test_players_of_a_section_are_tracks_of_their_own_and_sum_to_its_stem():
    root = shared("mirdata_resources", "phenicx_anechoic")
    songs = bridged(root, "phenicx_anechoic", index("phenicx_anechoic_index_1.0"))
    song = songs["beethoven"]
    expected = sorted(path.stem for path in (root / "audio/beethoven").glob("*.wav"))
    assert list(songs) == ["beethoven"] and sorted(song.raw) == expected and len(expected) == 20
    assert {song.raw[name].instrument for name in ("horn1", "horn2")} == {"horn"}
    assert {name: len(names) for name, names in files(song).items()} == {"bass": 1, "bowed_strings": 7, "wind": 12}
    strings = sum(soundfile.read(root / "audio/beethoven" / name)[0] for name in files(song)["bowed_strings"])
    np.testing.assert_allclose(song.stems["bowed_strings"].read()[0][0], strings, atol=1e-6)
    assert (song.licence, song.wet, song.mixture, song.errata) == ("CC-BY-NC-SA-4.0", "dry", None, ())


def test_microphones_of_a_singer_are_not_summed():
    songs = bridged(shared("mirdata_resources", "dagstuhl_choirset"), "dagstuhl_choirset", index("dagstuhl_choirset_index_1.2.3"))
    song = songs["DCS_LI_QuartetB_Take04"]
    assert len(songs) == 108
    assert {"s1_dyn", "s1_lrx", "a2_hsm", "stm", "stl", "str", "rev"} <= set(song.raw) and "s1_hsm" not in song.raw
    assert files(song) == {"vocals": [f"DCS_LI_QuartetB_Take04_{singer}_DYN.wav" for singer in ("A2", "B2", "S1", "T2")]}
    assert song.raw["stm"].instrument is None and song.raw["stm"].facts == {"of": "the whole"}
    assert song.groups == {"piece": "dagstuhl_choirset LI"} and song.licence == "CC-BY-4.0"
    assert song.stems["vocals"].info().frames == 22050
    missing = songs["DCS_LI_Basses_Take01"]
    assert refusal(missing.raw["b1_dyn"]) == "missing"  # a file of the index that is not there stays listed


def test_where_mirdatas_microphone_is_missing_the_first_stands_for_the_singer(tmp_path):
    files_of = {"audio_dyn": None, "audio_hsm": None, "audio_lrx": "x_LRX.wav"} | dict.fromkeys(
        [f"f0_{kind}_{mic}" for kind in ("crepe", "pyin") for mic in ("dyn", "hsm", "lrx")] + ["f0_manual_lrx", "score"]
    )
    whole = dict.fromkeys(["audio_stm", "audio_str", "audio_stl", "audio_rev", "audio_spl", "audio_spr", "beat"])
    path = trees.mirdata_index(
        tmp_path / "i.json", {"DCS_LI_X_Take01_S1": files_of}, {"DCS_LI_X_Take01": whole | {"tracks": ["DCS_LI_X_Take01_S1"]}}
    )
    song = bridged(tmp_path, "dagstuhl_choirset", path)["DCS_LI_X_Take01"]
    assert files(song) == {"vocals": ["x_LRX.wav"]}


def test_mirdatas_folder_is_found_below_and_named_above(tmp_path):
    path = trees.mirdata_index(tmp_path / "i.json", {"x": {"audio": "audio/x.wav"}, "y": {"audio": "audio/y.wav"}})
    write_wav(tmp_path / "all" / "PHENICX-Anechoic" / "audio" / "y.wav")
    for root in (tmp_path / "all", tmp_path / "all" / "PHENICX-Anechoic"):
        songs = bridged(root, "candombe", path)
        assert refusal(songs["x"].mixture) == "missing" and songs["y"].mixture.info().frames == 22050
    with pytest.raises(UsageError, match=r"holds audio/x.wav, audio/y.wav, ….*Name the folder above it: .*PHENICX-Anechoic"):
        bridged(tmp_path / "all" / "PHENICX-Anechoic" / "audio", "candombe", path)


SAMPLES = {
    "egfxset_index_1.0": ("egfxset", 2, "mixture"),
    "filosax_index_lite_1.0": ("filosax", 1, "raw"),
    "guitarset_index_1.1.0": ("guitarset", 2, "mixture raw"),
    "idmt_smt_audio_effects_index": ("idmt_smt_audio_effects", 1, "mixture"),
    "ikala_index_2.0": ("ikala", 1, "stems"),
    "jtd_index_2.0": ("jtd", 1, "mixture stems raw"),
    "mdb_stem_synth_index_1.0.0": ("mdb_stem_synth", 1, "mixture"),
    "saraga_carnatic_index_1.5": ("saraga_carnatic", 3, "published stems raw"),
    "saraga_hindustani_index_1.5": ("saraga_hindustani", 2, "mixture"),
    "slakh_index_2100-redux": ("slakh", 4, "mixture stems raw"),
    "slakh_index_baby": ("slakh", 1, "mixture stems raw"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_index_is_listed_without_its_audio(name, tmp_path):
    dataset, count, parts = SAMPLES[name]
    songs = bridged(tmp_path, dataset, index(name))
    assert len(songs) == count
    for song in songs.values():
        assert " ".join(part for part in ("mixture", "published", "stems", "raw") if getattr(song, part)) == parts
        assert all(refusal(track) == "missing" for _, track in song.tracks() for track in getattr(track, "parts", (track,)))
        assert song.facts["dataset"] == dataset and song.licence


def test_instruments_named_by_keys_make_stems_and_pictures_of_one_source_do_not(tmp_path):
    saraga = bridged(tmp_path, "saraga_carnatic", index("saraga_carnatic_index_1.5"))["116_Bhuvini_Dasudane"]
    assert {name: len(names) for name, names in files(saraga).items()} == {"vocals": 1, "bowed_strings": 1, "other": 3}
    assert saraga.errata == tuple(f"unknown instrument {name!r}: counted as other" for name in ("ghatam", "mridangam"))
    guitar = bridged(tmp_path, "guitarset", index("guitarset_index_1.1.0"))["03_BN3-119-G_solo"]
    assert set(guitar.raw) == {"hex", "hex_cln", "mic"} and guitar.groups == {"artist": "guitarset 03"} and guitar.licence == "MIT"
    jtd = bridged(tmp_path, "jtd", index("jtd_index_2.0"))
    assert bridged(tmp_path, "idmt_smt_audio_effects", index("idmt_smt_audio_effects_index")).popitem()[1].licence == "CC-BY-NC-ND-4.0"
    assert all(set(song.stems) == {"piano", "bass", "drums"} and song.licence.startswith("The MIT License (MIT)") for song in jtd.values())


def test_keys_that_name_no_instrument_make_no_stems(tmp_path):
    tracks = {
        "a": {"audio_hex": "h.wav", "audio_mic": "m.wav"},
        "b": {"audio_mix": "x.wav", "audio_violin": "v.wav", "audio_zrgl": "z.wav"},
    }
    songs = bridged(tmp_path, "candombe", trees.mirdata_index(tmp_path / "i.json", tracks))
    assert (set(songs["a"].raw), songs["a"].stems) == ({"hex", "mic"}, {})
    assert files(songs["b"]) == {"bowed_strings": ["v.wav"], "other": ["z.wav"]} and songs["b"].published.path.name == "x.wav"
    assert songs["b"].errata == ("unknown instrument 'zrgl': counted as other",) and songs["b"].mixture is None


def test_stems_in_the_channels_of_a_file_are_read_from_them(tmp_path):
    (tmp_path / "Wavfile").mkdir()
    samples = np.stack([np.full(4410, 0.25), np.full(4410, -0.5)], axis=1)
    soundfile.write(tmp_path / "Wavfile/10161_chorus.wav", samples, 44100, "PCM_16")
    files_of = {"audio": "Wavfile/10161_chorus.wav"} | dict.fromkeys(["pitch", "lyrics", "notes_pyin"])
    song = bridged(tmp_path, "ikala", trees.mirdata_index(tmp_path / "i.json", {"10161_chorus": files_of}))["10161_chorus"]
    # mirdata 1.0.0, datasets/ikala.py: instrumental_audio is channel 0, vocal_audio channel 1
    assert {name: float(track.read(10, 1)[0][0, 0]) for name, track in song.stems.items()} == {"other": 0.25, "vocals": -0.5}
    assert song.stems["vocals"].info().channels == 1 and len({track.sha256 for track in song.stems.values()}) == 2
    soundfile.write(tmp_path / "Wavfile/10161_chorus.wav", samples[:, 0], 44100, "PCM_16")
    assert refusal(song.stems["vocals"]) == "channels"


def test_the_bridge_and_the_loader_of_slakh_agree():
    root = shared("mirdata_resources", "slakh")
    bridge = bridged(root.parent, "slakh", index("slakh_index_2100-redux"))["Track00001"]  # the dataset's folder is found below
    own = listed("slakh2100", root / "slakh2100_flac_redux")["Track00001"]
    assert [track.path for track in bridge.raw.values()] == [track.path for track in own.raw.values()]
    assert [track.instrument for track in bridge.raw.values()] == [track.instrument for track in own.raw.values()]
    assert (bridge.mixture.path, bridge.split, bridge.licence) == (own.mixture.path, own.split, own.licence)


def test_checksums_are_those_of_the_files():
    # mirdata cut the audio of its test resources, so only what it left whole has the checksums of the index
    root = shared("mirdata_resources", "slakh")
    for name, whole in (("slakh_index_2100-redux", 12), ("slakh_index_baby", 12)):
        sums = checksums("slakh", index(name))
        there = [file for file in sums if (root / file).is_file() and "Track00001" in file and not file.endswith((".flac", ".wav"))]
        assert len(there) == whole and list(sums) == sorted(sums)
        assert all(hashlib.md5((root / file).read_bytes()).hexdigest() == sums[file] for file in there)


def test_checksums_are_of_every_file_that_the_index_names(tmp_path):
    path = trees.mirdata_index(
        tmp_path / "i.json",
        {"m_a": {"audio": "b.wav", "notes": None}, "m_b": {"audio": "a b.wav", "notes": "n.txt"}},
        {"m": {"tracks": ["m_a", "m_b"], "mix": "mix.wav"}},
    )
    data = json.loads(path.read_text()) | {"metadata": {"id_mapping": ["id_mapping.txt", "81097b58"]}}
    path.write_text(json.dumps(data))
    assert checksums("slakh", path) == {
        "a b.wav": f"{7:032x}",
        "b.wav": f"{5:032x}",
        "id_mapping.txt": "81097b58",
        "mix.wav": f"{7:032x}",
        "n.txt": f"{5:032x}",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "needs the dataset's name: mirdata:ROOT,dataset="),
        (",dataset=phenicx", "no dataset 'phenicx'.*did you mean 'phenicx_anechoic'"),
        (",dataset=slakh,version=9", "has no version '9': use one of .*2100-redux"),
        (
            ",dataset=slakh,index=/no/index.json",
            r"/no/index.json: there is no such index.*initialize\('slakh', .*\.download\(\['index'\]\)",
        ),
        (",dataset=candombe", r"index of candombe is missing .*Download it: python -c .*or name a file: index="),
    ],
)
def test_what_is_missing_for_mirdata_is_said_with_how_to_get_it(options, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        list(load_corpus(f"mirdata:{tmp_path}{options}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no index of mirdata's"),
        ("{", "cannot be read as JSON"),
        ('{"tracks": {}}', "no table of tracks"),
        ('{"tracks": {"a": 1}}', "no table of tracks"),
        ('{"tracks": {"a": {}}, "multitracks": {"m": {"tracks": [1]}}}', "a multitrack does not name its tracks"),
        ('{"tracks": {"a": {"audio": ["../../secret.wav", "0"]}}}', "names a file outside the dataset's folder: ../../secret.wav"),
        ('{"tracks": {"a": {"audio": ["/etc/secret.wav", "0"]}}}', "names a file outside the dataset's folder: /etc/secret.wav"),
    ],
)
def test_an_index_that_is_none_is_refused(text, message, tmp_path):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        bridged(tmp_path, "candombe", tmp_path / "index.json")


def test_classes_that_fail_on_an_index_do_not_stop_the_list(tmp_path):
    # mirdata's Track of guitarset wants four audio files and a JAMS file
    path = trees.mirdata_index(tmp_path / "i.json", {"x": {"audio_mic": "x.wav", "audio_hex": "y.wav"}})
    song = bridged(tmp_path, "guitarset", path)["x"]
    assert set(song.raw) == {"mic", "hex"} and song.groups == {}


def test_without_mirdata_the_bridge_says_what_to_install_and_nothing_else_needs_it(tmp_path):
    code = f"""
import sys
sys.modules["mirdata"] = None
from mixdata.corpora import load_corpus
from mixdata.errors import UsageError
assert len(load_corpus("slakh2100", {str(trees.slakh2100(tmp_path))!r})) == 4
try:
    list(load_corpus({f"mirdata:{tmp_path},dataset=slakh"!r}))
except UsageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == MISSING, done.stderr


def test_mirdata_is_imported_only_when_it_is_used_and_leaves_logging_alone(tmp_path):
    code = f"""
import logging, sys
import mixdata.cli
from mixdata.corpora import corpus_names, load_corpus
corpus_names()
assert not {{"mirdata", "librosa"}} & set(sys.modules)
before = logging.getLogger().level, list(logging.getLogger().handlers)
index = {str(trees.mirdata_index(tmp_path / "i.json", {"x": {"audio": "x.wav"}}))!r}
list(load_corpus("mirdata", {str(tmp_path)!r}, dataset="candombe", index=index))
assert (logging.getLogger().level, logging.getLogger().handlers) == before and "mirdata" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert logging.getLogger().level == logging.WARNING


def test_a_set_of_dry_stems_is_built_from_phenicx(tmp_path):
    root, path = shared("mirdata_resources", "phenicx_anechoic"), index("phenicx_anechoic_index_1.0")
    recipe = load_recipe("dry_stems", ["segment.seconds=2", "stems.take=[wind,bowed_strings,bass]", "output.codec=npyf32"])
    dataset = mixdata.build(recipe, tmp_path / "set", [f"mirdata:{root},dataset=phenicx_anechoic,index={path}"], workers=0, quiet=True)
    (row,) = dataset.songs.to_dict("records")
    assert row["status"] == "used" and row["licence"] == "CC-BY-NC-SA-4.0"
    bass = soundfile.read(root / "audio/beethoven/doublebass.wav")[0]
    np.testing.assert_allclose(dataset[0].roles["dry"]["bass"][0], bass, atol=1e-6)


# -- pairs -------------------------------------------------------------------------------------------------------


def test_every_wet_note_has_the_clean_one_of_its_pickup_string_and_fret(tmp_path):
    songs = listed("egfxset", trees.egfxset(tmp_path))
    assert len(songs) == 3 * len(trees.EGFX_FOLDERS)
    for song in songs.values():
        wet, clean = song.pair["input"]["guitar"], song.pair["target"]["guitar"]
        assert wet.path.relative_to(tmp_path).parts[1:] == clean.path.relative_to(tmp_path).parts[1:]
        assert clean.path.relative_to(tmp_path).parts[0] == "Clean" != wet.path.relative_to(tmp_path).parts[0]
        assert (song.mixture, song.stems, song.raw, song.licence) == (None, {}, {}, "CC-BY-4.0")
    assert refusal(songs["Phaser Middle 6-22"].pair["target"]["guitar"]) == "missing"
    assert songs["Phaser Bridge 2-0"].pair["target"]["guitar"].info().channels == 1


def test_pairs_of_a_note_are_of_one_group_and_other_notes_of_another(tmp_path):
    groups = {title: song.group for title, song in listed("egfxset", trees.egfxset(tmp_path)).items()}
    assert len(set(groups.values())) == 3
    assert groups["RAT Bridge 2-0"] == groups["TapeEcho Bridge 2-0"] != groups["RAT Bridge-Middle 2-0"]


def test_the_table_tells_hardware_and_settings(tmp_path):
    songs = listed("egfxset", trees.egfxset(tmp_path))
    assert songs["RAT Bridge 2-0"].facts == {
        "effect": "distortion",
        "pickup": "Bridge",
        "model": "Pro Co Sound RAT2 Distortion",
        "type": "distortion",
        "settings": {"distortion": 1.0, "filter": 0.5},
    }
    assert songs["Digital-Delay Bridge 2-0"].facts["settings"] == {"effect selector": "digital delay", "mix": 0.5}
    assert songs["Phaser Bridge 2-0"].facts["settings"] == {"speed": "120 bpm"}
    assert songs["Chorus Bridge 2-0"].facts == {"effect": "Chorus", "pickup": "Bridge"}  # not in this tree's table
    json.dumps([dict(song.facts) for song in songs.values()])


INFINITE = b"Effect ,Model,Effect Type,Knob Names,Setting \nchorus,x,y,['rate'],[1e999]\n"


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2\n", b"Effect ,Knob Names,Setting \nx,__import__('os'),[1]\n", b"\xff\xfe", INFINITE])
def test_a_broken_table_costs_its_facts_alone(text, tmp_path):
    trees.egfxset(tmp_path)
    (tmp_path / "egfxset_metadata.csv").write_bytes(text)
    assert {tuple(song.facts) for song in load_corpus("egfxset", tmp_path)} == {("effect", "pickup")}


def test_a_point_between_string_and_fret_is_a_dash(tmp_path):
    # mirdata's module splits names at "." where there is no "-" in them
    write_wav(tmp_path / "Clean/Neck/1-3.wav")
    write_wav(tmp_path / "Clean/Neck/2.4.wav")
    write_wav(tmp_path / "Chorus/Neck/1.3.wav")
    write_wav(tmp_path / "Chorus/Neck/2-4.wav")
    songs = listed("egfxset", tmp_path)
    assert {title: song.pair["target"]["guitar"].path.name for title, song in songs.items()} == {
        "Chorus Neck 1-3": "1-3.wav",
        "Chorus Neck 2-4": "2.4.wav",
    }


def test_without_the_clean_notes_the_pairs_stay_listed(tmp_path):
    trees.egfxset(tmp_path / "a")
    (tmp_path / "a" / "Clean").rename(tmp_path / "elsewhere")
    songs = listed("egfxset", tmp_path / "a")
    assert len(songs) == 36 and all(refusal(song.pair["target"]["guitar"]) == "missing" for song in songs.values())


def test_idmt_pairs_go_by_the_first_two_parts_of_the_names(tmp_path):
    songs = listed("idmt_smt_audio_effects", trees.idmt_smt_audio_effects(tmp_path))
    found = {
        title: {role: track.path.stem for role, stems in song.pair.items() for track in stems.values()} for title, song in songs.items()
    }
    assert found.pop("G73-46201-3341-33945")["input"] == "G73-46201-3341-33945"
    assert found == {
        "B11-28100-3311-00625": {"input": "B11-28100-3311-00625", "target": "B11-28100-1111-00001"},
        "G73-45200-3341-33944": {"input": "G73-45200-3341-33944", "target": "G73-45200-1111-20605"},
        "P64-43110-2231-46225": {"input": "P64-43110-2231-46225", "target": "P64-43110-1111-41185"},
    }
    copied = songs["P64-43110-2231-46225"].pair["input"]["guitar"].path
    assert copied.relative_to(tmp_path).parts[0] == "Gitarre polyphon2"  # not the corpus's second copy
    assert [list(song.pair["input"]) for song in songs.values()] == [["bass"], ["guitar"], ["guitar"], ["guitar"]]
    assert songs["G73-45200-3341-33944"].groups == {"note": "G73-45200"} and songs["B11-28100-3311-00625"].licence == "CC-BY-NC-ND-4.0"


def test_idmt_facts_are_the_code_and_the_list(tmp_path):
    songs = listed("idmt_smt_audio_effects", trees.idmt_smt_audio_effects(tmp_path))
    settings = {"preset": "Standard Tremolo", "plugin": "Ndc Trem+", "settings": {"Frequency": "6 Hz", "Level": "100%"}}
    assert songs["G73-45200-3341-33944"].facts == {"effect": "tremolo", "setting": 1, "midi": 45} | settings
    assert songs["P64-43110-2231-46225"].facts == {"effect": "reverb", "setting": 1, "midi": 43}


def test_a_note_without_its_dry_recording_says_which_is_missing(tmp_path):
    song = listed("idmt_smt_audio_effects", trees.idmt_smt_audio_effects(tmp_path))["G73-46201-3341-33945"]
    with pytest.raises(SongError, match=r"no dry recording \*/Samples/NoFX/G73-46201-1111-\*\.wav"):
        song.pair["target"]["guitar"].read()


def test_entities_in_a_list_are_not_expanded(tmp_path):
    trees.idmt_smt_audio_effects(tmp_path)
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    (tmp_path / "Gitarre monophon/Lists/Tremolo/G73-00000-3341-568.xml").write_text(
        f'<!DOCTYPE x [<!ENTITY a0 "lol">{bomb}]><content><listinformation>&a11;</listinformation></content>'
    )
    assert "settings" not in listed("idmt_smt_audio_effects", tmp_path)["G73-45200-3341-33944"].facts


def test_a_mix_among_the_tracks_of_cambridge_mt_is_no_track(tmp_path):
    song = tmp_path / "Some_Song_Full"
    for number, name in enumerate(("01_Kick", "02_LeadVox", "03_MixBus", "Full Mix 1")):
        write_wav(song / f"{name}.wav", seed=number)
    (found,) = load_corpus(f"cambridge_mt:{tmp_path}")
    assert [track.path.name for track in found.raw.values()] == ["01_Kick.wav", "02_LeadVox.wav"]
    assert sorted(text.partition(":")[0] for text in found.errata) == ["03_MixBus.wav", "Full Mix 1.wav"]
    for name in ("01_Kick", "02_LeadVox", "Full Mix 1"):
        (song / f"{name}.wav").unlink()
    (alone,) = load_corpus(f"cambridge_mt:{tmp_path}")  # nothing but it: then it is what there is
    assert [track.path.name for track in alone.raw.values()] == ["03_MixBus.wav"]


def test_a_corpus_is_checked_by_mirdata_s_index_which_starts_at_the_folder_above(tmp_path):
    root = trees.slakh2100(tmp_path / "slakh2100_flac_redux")
    files = sorted(path for path in root.rglob("*") if path.suffix in (".flac", ".yaml"))
    named = {
        str(path.relative_to(tmp_path)): [str(path.relative_to(tmp_path)), hashlib.md5(path.read_bytes()).hexdigest()] for path in files
    }
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"version": "1", "tracks": {name: {"audio": entry} for name, entry in named.items()}}))
    ask = ["corpora", "check", f"slakh2100:{root}", "--index", str(index), "--json"]
    found = json.loads(CliRunner().invoke(app, ask).stdout)
    assert found["compared"] == len(files) and not [fault for fault in found["faults"] if fault["kind"] in ("changed", "unlisted")]
    hit = next(path for path in files if path.name == "mix.flac")
    hit.write_bytes(hit.read_bytes()[:-1] + b"!")
    changed = [fault for fault in json.loads(CliRunner().invoke(app, ask).stdout)["faults"] if fault["kind"] == "changed"]
    assert [fault["what"] for fault in changed] == [str(hit.relative_to(root))]
