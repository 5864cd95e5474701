"""The taxonomy: every label of every corpus has a group, every group a home, and what is unknown is said, not guessed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from mixdata.audio import EXTENSIONS
from mixdata.corpora.folder import KNOWN, SAME
from mixdata.errors import RecipeError, UsageError
from mixdata.resources import resource
from mixdata.song import Sum, Track
from mixdata.taxonomy import GROUPS, group_of, group_of_file, group_of_program, grouped, home, load_rules, rules
from tests.trees import MUSDB_STREAMS, shared, write_wav

SIX = ("vocals", "drums", "bass", "guitar", "piano", "other")  # htdemucs_6s
FIVE = ("vocals", "drums", "bass", "piano", "other")  # Spleeter
FOUR = ("vocals", "drums", "bass", "other")  # MUSDB18

# moises-ai/moises-db, moisesdb/defaults.py: stem to its track types; "hi-hat" occurs in the data, but not there
MOISESDB = {
    "vocals": ["lead male singer", "lead female singer", "human choir", "background vocals", "other (vocoder, beatboxing etc)"],
    "bass": [
        *("bass guitar", "bass synthesizer (moog etc)", "contrabass/double bass (bass of instrings)"),
        *("tuba (bass of brass)", "bassoon (bass of woodwind)"),
    ],
    "drums": ["snare drum", "toms", "kick drum", "cymbals", "overheads", "full acoustic drumkit", "drum machine", "hi-hat"],
    "other": ["fx/processed sound, scratches, gun shots, explosions etc", "click track"],
    "guitar": ["clean electric guitar", "distorted electric guitar", "lap steel guitar or slide guitar", "acoustic guitar"],
    "other plucked": ["banjo, mandolin, ukulele, harp etc"],
    "percussion": ["a-tonal percussion (claps, shakers, congas, cowbell etc)", "pitched percussion (mallets, glockenspiel, ...)"],
    "piano": ["grand piano", "electric piano (rhodes, wurlitzer, piano sound alike)"],
    "other keys": ["organ, electric organ", "synth pad", "synth lead", "other sounds (hapischord, melotron etc)"],
    "bowed strings": [
        *("violin (solo)", "viola (solo)", "cello (solo)", "violin section", "viola section", "cello section"),
        *("string section", "other strings"),
    ],
    "wind": [
        "brass (trumpet, trombone, french horn, brass etc)",
        "flutes (piccolo, bamboo flute, panpipes, flutes etc)",
        "reeds (saxophone, clarinets, oboe, english horn, bagpipe)",
        "other wind",
    ],
}
# `inst_class` of Slakh2100: the families of General MIDI, in its words
SLAKH = {
    **{"Piano": "piano", "Chromatic Percussion": "percussion", "Organ": "other_keys", "Guitar": "guitar", "Bass": "bass"},
    **{"Strings": "bowed_strings", "Strings (continued)": "bowed_strings", "Brass": "wind", "Reed": "wind", "Pipe": "wind"},
    **{"Synth Lead": "other_keys", "Synth Pad": "other_keys", "Synth Effects": "other_keys", "Ethnic": "other"},
    **{"Percussive": "percussion", "Sound Effects": "other", "Sound effects": "other", "Drums": "drums"},
}


# -- labels -------------------------------------------------------------------------------------------------------------


def test_the_groups_are_moisesdbs_stems_and_each_of_its_track_types_is_in_its_own():
    assert set(GROUPS) == {stem.replace(" ", "_") for stem in MOISESDB} and len(GROUPS) == 11
    for stem, kinds in MOISESDB.items():
        assert group_of(stem) == stem.replace(" ", "_")
        assert {kind: group_of(kind) for kind in kinds} == {kind: stem.replace(" ", "_") for kind in kinds}


def test_every_instrument_of_medleydb_has_a_group():
    folder = shared("metadata", "medleydb")
    labels = set(json.loads((folder / "instrument_f0_type.json").read_text()))
    todo = [yaml.safe_load((folder / "taxonomy.yaml").read_text())]
    while todo:
        entry = todo.pop()
        todo += entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
        labels |= {entry} if isinstance(entry, str) else set()
    songs = [yaml.safe_load(path.read_text()) for path in (folder / "Metadata").glob("*.yaml")]
    for stem in (stem for song in songs for stem in song["stems"].values()):
        labels |= {stem["instrument"], *(raw["instrument"] for raw in stem["raw"].values())}
    assert len(labels) > 110 and len(songs) > 90
    assert [label for label in sorted(labels) if group_of(label) is None] == []


def test_percussion_of_medleydb_is_drums_of_four_stems_where_it_has_no_pitch():
    kinds = json.loads((shared("metadata", "medleydb") / "instrument_f0_type.json").read_text())
    percussion = {label: kind for label, kind in kinds.items() if group_of(label) == "percussion"}
    assert len(percussion) > 25
    for label, kind in percussion.items():
        assert home(label, FOUR) == ("drums" if kind == "u" else "other"), label
        assert home(label, GROUPS) == "percussion"


def test_medleydbs_sections_agree_with_the_groups():
    table = yaml.safe_load((shared("metadata", "medleydb") / "taxonomy.yaml").read_text())
    assert {group_of(label) for label in table["voices"] if label != "crowd"} == {"vocals"}
    wind = [label for section in ("flutes", "single reeds", "double reeds", "brass") for label in table["winds"][section]]
    assert {group_of(label) for label in wind} == {"wind"}
    assert {group_of(label) for label in table["strings"]["bowed"] if label != "double bass"} == {"bowed_strings"}
    assert {group_of(label) for section in table["percussion"].values() for label in section} == {"drums", "percussion", "wind"}


def test_every_class_of_slakh_has_a_group():
    assert {name: group_of(name) for name in SLAKH} == SLAKH


def test_every_stem_of_slakhs_own_files_has_a_group_by_class_program_and_name():
    paths = [*shared("mirdata_resources", "slakh").rglob("metadata.yaml"), *shared("multitrack_rendered_midi").glob("*/metadata.yaml")]
    stems = [stem for path in paths for stem in yaml.safe_load(path.read_text())["stems"].values()]
    assert len(paths) >= 7 and len(stems) > 40
    for stem in stems:
        assert group_of(stem["inst_class"]) == SLAKH[stem["inst_class"]]
        group = group_of_program(stem["program_num"], stem["is_drum"])
        assert group in GROUPS and (group == "drums") == stem["is_drum"]
        assert "GM program" in stem["midi_program_name"] or group_of(stem["midi_program_name"]) == group


@pytest.mark.parametrize(
    "group, labels",
    {
        "drums": "kick, snare, hi-hat, tom 1, tom 2, tom 3, overhead L, overhead R, overheads, hi_hat, tom_1",  # ENST-Drums
        "wind": "flute, oboe, clarinet, bassoon, horn, trumpet",  # PHENICX-Anechoic
        "bowed_strings": "violin, viola, cello, violin1",
        "bass": "doublebass, double bass",
        "vocals": "S, A, T, B, S1, B2, soprano, alto, tenor, bass voice",  # Dagstuhl ChoirSet
    }.items(),
)
def test_other_corpora(group, labels):
    assert {label: group_of(label) for label in labels.split(", ")} == dict.fromkeys(labels.split(", "), group)


def test_musdbs_stems_and_the_names_of_the_folder_corpus_have_a_group():
    for stem in MUSDB_STREAMS[1:]:
        assert group_of(stem) == stem == home(stem, FOUR)
    assert all(group_of(name) for name in KNOWN)
    assert all(group_of(name) == group_of(same) for name, same in SAME.items())
    words = ("keys", "strings", "synth", "brass", "accompaniment")
    assert [group_of(word) for word in words] == ["other_keys", "bowed_strings", "other_keys", "wind", "other"]


def test_labels_count_whatever_their_case_signs_plural_and_number():
    for label in ("Hi-Hat", "hi_hat", "HI HAT", "hihat", "Hi-Hats", "hi-hat 2", "hi_hat_2"):
        assert group_of(label) == "drums"
    assert group_of("Guïro") == "percussion" and group_of("BASS") == group_of("bass") == "bass"


@pytest.mark.parametrize(
    "label", ["", "???", "12", "mixture", "published", "bas", "violinx", "hyperphone", "барабан", "drumsticker", "vocalspiano"]
)
def test_what_no_row_names_has_no_group(label):
    assert group_of(label) is None and home(label, FOUR) is None


def test_tuba_and_bassoon_are_wind_unless_said_to_be_the_bass():
    assert group_of("tuba") == group_of("bassoon") == "wind" == group_of_program(58) == group_of_program(70)


# -- General MIDI -----------------------------------------------------------------------------------------------------

# The sixteen families of General MIDI Level 1, eight programs each, and the programs that lie elsewhere than their family.
FAMILIES = (
    *("piano", "percussion", "other_keys", "guitar", "bass", "bowed_strings", "bowed_strings", "wind", "wind", "wind"),
    *("other_keys", "other_keys", "other_keys", "other_plucked", "percussion", "other"),
)
ELSEWHERE = {
    **{6: "other_keys", 7: "other_keys"},  # harpsichord, clavinet
    **{15: "other_plucked", 22: "wind"},  # dulcimer, harmonica
    **{43: "bass", 46: "other_plucked", 47: "percussion"},  # contrabass, harp, timpani
    **{50: "other_keys", 51: "other_keys", 52: "vocals", 53: "vocals", 54: "other_keys", 55: "other"},  # synth strings, choirs, hit
    **{62: "other_keys", 63: "other_keys"},  # synth brass
    **{108: "percussion", 109: "wind", 110: "bowed_strings", 111: "wind"},  # kalimba, bagpipe, fiddle, shanai
    **{117: "drums", 118: "drums", 119: "drums"},  # melodic tom, synth drum, reverse cymbal
}


def test_the_table_of_programs_follows_the_families_of_general_midi():
    assert len(rules().programs) == 128
    assert [group_of_program(number) for number in range(128)] == [ELSEWHERE.get(number, FAMILIES[number // 8]) for number in range(128)]


def test_program_names_stand_at_their_numbers_and_are_labels():
    standard = {0: "Acoustic Grand Piano", 4: "Electric Piano 1", 10: "Music Box", 19: "Church Organ", 30: "Distortion Guitar"}
    standard |= {38: "Synth Bass 1", 40: "Violin", 47: "Timpani", 52: "Choir Aahs", 60: "French Horn", 73: "Flute", 79: "Ocarina"}
    standard |= {80: "Lead 1 (square)", 95: "Pad 8 (sweep)", 103: "FX 8 (sci-fi)", 104: "Sitar", 115: "Woodblock", 127: "Gunshot"}
    assert {number: rules().programs[number][0] for number in standard} == standard
    assert [group_of(name) for name, _ in rules().programs] == [group for _, group in rules().programs]


def test_drums_are_drums_whatever_their_program_and_no_other_program_exists():
    assert {group_of_program(number, is_drum=True) for number in (0, 40, 128, 500)} == {"drums"} == {group_of_program(128)}
    for number in (-1, 129, 1000):
        with pytest.raises(UsageError, match="0 to 127"):
            group_of_program(number)


# -- file names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "group, names",
    {
        "drums": "01_BassDrum 02_Bass-Drum 03_OHLeft 04_OHL 05_OHR 06_KickSnare 07_Drumkit1_HiHat 08_HatClosed1 "
        "09_Loop1Drums 10_DrumsReverb "
        "11_SidestickOD_Overheads 12_KickSub 13_Loop_HiHat 14_Room 15_RevCymbal 16_808_Snare 17_CymbalFX 18_Bass_Drum 19_BASSDRUM",
        "bass": "01_BassDI 02_BassAmp 03_GuitarBass 04_StringBass 05_SynthBass2 06_BassSynth 07_BassGtr 08_BassFX1 "
        "09_BassDIPedals 10_BassSub 11_DoubleBassSamples1 12_Basses 13_BassAmpRoom",
        "vocals": "01_BassVox 02_DrumVox 03_LeadVoxDT 04_BackingVox1Mic2 05_BVs 06_LeadVoxRoom 07_VoxSFX1 "
        "08_SpotMic1_Tenors 09_ElectroChoir 10_LeadVox4AdLibs 11_Vocoder 12_Gangs 13_Sample1Vox",
        "wind": "01_BassClarinet 02_SaxAlto01 03_TromboneBass 04_BassFlutes 05_ContraBassoon 06_Harmonica "
        "07_EnglishHorn 08_MIDITrombones 09_BluesHarp 10_HornsDT 11_BrassStaccatoHi",
        "guitar": "01_HarpGtr 02_ElecGtr01DTMic1 03_AcGtr_DIConvolved 04_Elec03Gtr 05_ElecGtrSFX05Mic1 06_SteelGtr "
        "07_AcGuitar1 08_Gtr03_Vs1SFX1_Dark",
        "piano": "01_PianoRoom 02_ElecPiano 03_Rhodes1FX 04_PianoSFX1 05_Piano",
        "other_keys": "01_VoxSynth 02_SynthSFX1 03_SynthLead1 04_SynthStrings 05_Farfisa 06_Clav1 07_Mellotron1 "
        "08_Hammond 09_Accordion 10_Pad1 11_SynthLoop 12_SynthFiddle",
        "bowed_strings": "01_StringsMix 02_Fiddles1Mic1 03_CelloSamples 04_Pizz1 05_ViolinsLegato",
        "percussion": "01_Shaker 02_Tambourine1Room 03_CajonMic1 04_Loop2Percussion 05_FingerCymbals 06_ClapsRoom "
        "07_TimpaniHits 08_Vibes 09_Tambo",
        "other_plucked": "01_Banjo1 02_Mandolin2 03_Sample2Harp 04_Ukulele 05_Sitar",
        "other": "01_SFX01 02_SFXLoop1 03_VinylNoise 04_OrchestraHit 05_Click 06_SFX4Dry",
    }.items(),
)
def test_names_of_the_mixing_secrets_library(group, names):
    assert {name: group_of_file(f"{name}.wav") for name in names.split()} == dict.fromkeys(names.split(), group)


def test_a_hyphen_ends_the_name_of_the_family():
    """As in the sessions that name the player or the microphone after it (00358, 00374 and 00383 of the library)."""
    names = ["Vocals-Bass-M80", "Vocals-Drums-M81", "Vocals-BG GTR-Proto", "Horns-Tenor-M81", "Drums-Room L-CU29", "Keys-Leslie BOT-M81"]
    assert [group_of_file(f"{name}.wav") for name in names] == ["vocals", "vocals", "vocals", "wind", "drums", "other_keys"]
    assert group_of_file("Acoustic Guitar-Leslie-Ela M 260.wav") == "guitar"
    assert group_of_file("03_Hi-Hat.wav") == "drums" and group_of_file("Room-Piano.wav") == "piano"


@pytest.mark.parametrize(
    "name", ["01_MainPair1", "08_Sprinkles", "CRAIGTR_02-02", "M60 LEFT", "End Vibe", "01_", "", "-", "07", "Mixdown", "Барабан"]
)
def test_file_names_without_an_instrument_have_no_group(name):
    assert group_of_file(name) is group_of_file(f"{name}.wav") is None


def test_a_prefix_an_extension_and_any_case_change_nothing():
    names = ["ElecGtr", "3_ElecGtr.wav", "03 ElecGtr.FLAC", "103-ElecGtr.aif", "elec_gtr2.mp3", "ELEC GTR DT.wav", "Elec.Gtr.wav"]
    assert {group_of_file(name) for name in names} == {"guitar"} == {group_of_file("07_ElecGtrOther.wav")}
    assert {group_of_file(f"Mixdown{extension}") for extension in EXTENSIONS} == {None}


# Grouped by hand in sh-lee97/grafx-prune, code/data/mixing_secrets/metadata/SONG/correspondence.yaml (commit 3bd74cf):
# DevilsWords, HeartPeripheral, TheDeathlessOne, RumbaChonta and SongOfIndia, without their groups Room, Strings' dulcimers, Paliteo, Guasa.
BY_HAND = {
    "drums": "01_KickTrigger 02_Snare 03_Overheads 04_Tom1 06_Tambourine 07_Loop 08_DrumsReverb 09_ReverseCymbal "
    "09_Fill1 04_Toms 06_DrumsRoom 07_OverheadsLayer 01_Bombo 03_SnareDown 04_HiHat KICK_U48 DRUM_OVERHEAD_STEREO_L",
    "bass": "10_Bass 11_BassSynth 08_BassDI 09_BassAmp 11_BassMic UPRIGHT_BASS",
    "other": "11_ElecGtr1 12_Synth1 17_ElecGtr3DTDI 18_Strings1 23_Horns 24_BrassAndReeds 25_Piano 30_Synth1 32_SFX "
    "12_Marimba 15_Saxophone1 PANO_B PIANO_A SAX_A TROMBONE_B E_GUITAR",
    "vocals": "18_LeadVox 19_LeadVoxDT 20_BackingVox1 26_Choir1 33_LeadVox1a 40_BackingVox01DT3",
}


def test_file_names_agree_with_a_grouping_by_hand():
    found = {name: home(group_of_file(f"{name}.wav") or "unknown", FOUR) for names in BY_HAND.values() for name in names.split()}
    by_hand = {name: stem for stem, names in BY_HAND.items() for name in names.split()}
    by_hand["12_Marimba"] = "drums"  # a group of its own there; its group here is percussion, and file names tell the group alone
    assert found == by_hand


# -- homes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, six, five, four",
    [
        *((name, name, name, name) for name in FOUR),
        ("guitar", "guitar", "other", "other"),
        ("piano", "piano", "piano", "other"),
        ("percussion", "drums", "drums", "drums"),
        *((name, "other", "other", "other") for name in ("other_keys", "bowed_strings", "wind", "other_plucked")),
        ("vibraphone", "other", "other", "other"),
        ("Tubular Bells", "other", "other", "other"),
        ("conga", "drums", "drums", "drums"),
        ("Rhodes", "piano", "piano", "other"),
        ("synth bass", "bass", "bass", "bass"),
        ("keys", "other", "other", "other"),
    ],
)
def test_homes_in_the_usual_sets(name, six, five, four):
    assert [home(name, stems) for stems in (SIX, FIVE, FOUR)] == [six, five, four]
    assert home(name, GROUPS) == group_of(name)


def test_the_sets_of_the_manifest_are_those():
    sets = {name: set(stems) for name, stems in rules().sets.items()}
    assert sets == {"moisesdb_11": set(GROUPS), "htdemucs_6s": set(SIX), "spleeter_5": set(FIVE), "musdb18_4": set(FOUR)}


def test_a_stem_that_is_asked_for_by_its_own_name_stays():
    assert home("vibraphone", ["drums", "vibraphone", "other"]) == "vibraphone" and home("hyperphone", ["hyperphone"]) == "hyperphone"
    assert home("vibraphone", ["percussion", "other"]) == "percussion"
    assert home("vox", ["vocals"]) == "vocals" and home("bowed strings", ["bowed_strings"]) == "bowed_strings"


def test_what_has_no_home_has_none():
    assert home("guitar", ["vocals", "drums"]) is None and home("percussion", ["bass"]) is None and home("drums", []) is None
    assert home("vibraphone", ["drums"]) is None and home("other", ["drums"]) is None and home("vocals", ["mixture"]) is None


# -- stems by group ---------------------------------------------------------------------------------------------------


def tracks(tmp_path: Path, **instruments: str | None) -> dict[str, Track]:
    rows = enumerate(instruments.items())
    return {name: Track(write_wav(tmp_path / f"{name}.wav", seed), instrument=instrument) for seed, (name, instrument) in rows}


def test_grouped_stems_are_the_sums_of_their_tracks_and_unknown_labels_are_named(tmp_path):
    found = tracks(tmp_path, t1="snare drum", t2="Kick Drum", t3="violin", t4="zorbophone", t5="ocean", t6=None, t7="fx/processed sound")
    stems, unknown = grouped(found)
    assert list(stems) == ["drums", "bowed_strings", "other"] and unknown == ["ocean", "t6", "zorbophone"]
    assert stems["bowed_strings"] is found["t3"]
    assert isinstance(stems["drums"], Sum) and stems["drums"].parts == (found["t1"], found["t2"]) and stems["drums"].instrument == "drums"
    assert isinstance(stems["other"], Sum) and stems["other"].parts == tuple(found[name] for name in ("t4", "t5", "t6", "t7"))
    for stem, names in {"drums": ("t1", "t2"), "other": ("t4", "t5", "t6", "t7")}.items():
        assert np.array_equal(stems[stem].read()[0], sum(found[name].read()[0].astype(np.float64) for name in names).astype(np.float32))
    total = sum(stem.read()[0].astype(np.float64) for stem in stems.values())
    assert np.allclose(total, sum(track.read()[0].astype(np.float64) for track in found.values()), atol=1e-6)


def test_the_label_can_be_taken_from_elsewhere(tmp_path):
    found = tracks(tmp_path, kick="piano", lead=None, what=None)
    stems, unknown = grouped(found, lambda name, track: {"kick": "drums", "lead": group_of_file("07_LeadVox.wav")}.get(name))
    assert {stem: track.path.stem for stem, track in stems.items()} == {"drums": "kick", "vocals": "lead", "other": "what"}
    assert list(stems) == ["vocals", "drums", "other"] and unknown == ["what"]
    assert grouped({}) == ({}, [])


# -- the manifest -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("[banjo, mandolin,", "[banjo, Man-Dolin, mandolin,", "instruments: 'mandolin' stands twice"),
        ("[banjo, mandolin,", "[violin, mandolin,", "instruments: 'violin' stands twice"),
        ("[banjo, mandolin,", "[bass, mandolin,", "instruments: 'bass' stands twice"),
        ("[banjo, mandolin,", "['-', mandolin,", "no letters"),
        ("  other_plucked:\n    [banjo,", "  lutes:\n    [banjo,", "instruments: 'lutes' is no group"),
        ("  other_plucked:\n    [banjo,", "  wind:\n    [banjo,", "key 'wind' stands twice"),
        ("    other_plucked: [uke,", "    other_plucked: [banjo,", "files.words: 'banjo' stands twice"),
        ("    vocals: [soprano,", "    vocals: [gtr,", "files.weak: 'gtr' stands twice"),
        ("  - [Violin, bowed_strings]", "  - [Violin, wind]", "programs: 'Violin' is wind, but bowed_strings elsewhere"),
        ("  - [Violin, bowed_strings]", "  - [Violin, fiddles]", "the groups"),
        ("  - [Violin, bowed_strings]\n", "", "128 programs"),
        ("  wind: [other]", "  wind: [others]", "the groups"),
        ("  wind: [other]\n", "", "the groups"),
        ("[vocals, drums, bass, piano, other]", "[vocals, drums, base, piano, other]", "the groups"),
        ("    [chimes, xylophone,", "    [chimes, xylofone,", "falls: no instrument has the name 'xylofone'"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, old, new, message):
    text = resource("manifests", "taxonomy.yaml").read_text("utf-8")
    assert text.count(old) == 1
    (tmp_path / "taxonomy.yaml").write_text(text.replace(old, new), "utf-8")
    with pytest.raises(RecipeError, match=message):
        load_rules(tmp_path / "taxonomy.yaml")
