"""Small trees in the true layouts of published corpora; each docstring names the layout's source and the odd cases that the tree has."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mixdata import audio
from tests.trees import noise, write_wav

FOUR = ("bass", "drums", "other", "vocals")
TAKE = "107_minus-one_salsa_sticks"


def wav(path: Path, seed: int = 0, seconds: float = 0.5, channels: int = 2, bits: int = 16, sample_rate: int = 44100) -> Path:
    """A WAV of noise with 16 or 24 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, noise(seed, seconds, channels, sample_rate), sample_rate, f"PCM_{bits}")
    return path


def dsd100(root: Path, seconds: float = 0.5) -> Path:
    """DSD100: `{Mixtures,Sources}/{Dev,Test}/NNN - Artist - Title/…wav`, 44.1 kHz, 16 bit, stereo.

    Source: sisec.inria.fr/sisec-2016 (folders, files); names as in "Mixtures/Dev/051 - AM Contra - Heart Peripheral", which is in MUSDB18's
    test set. Odd: a title with " - " in it, and a song whose sources were not unpacked.
    """
    for subset, names in {
        "Dev": ["051 - AM Contra - Heart Peripheral", "055 - Angels In Amplifiers - I'm Alright"],
        "Test": ["005 - Angela Thomas Wade - Milk Cow Blues", "049 - Young Griffo - Facade - Part 2"],
    }.items():
        for name in names:
            number = int(name[:3])
            write_wav(root / "Mixtures" / subset / name / "mixture.wav", seed=10 * number, seconds=seconds)
            for place, stem in enumerate(FOUR, 1):
                if number != 55:
                    write_wav(root / "Sources" / subset / name / f"{stem}.wav", seed=10 * number + place, seconds=seconds)
    (root / "dsd100.xlsx").write_bytes(b"not read")
    return root


def medleydb_song(folder: Path, data: dict[str, Any], seconds: float = 0.5, seed: int = 0, sums: bool = False) -> Path:
    """The audio of one song of MedleyDB, for its metadata: `NAME_MIX.wav`, `NAME_STEMS/NAME_STEM_01.wav`, `NAME_RAW/NAME_RAW_01_01.wav`.

    44.1 kHz; raw tracks mono, stems and mix stereo. Source: marl/medleydb, medleydb/multitrack.py, which has the names from the YAML; and
    its issue tracker for the folders. With `sums` the mix is half the sum of the stems, and the first stem ends before the others.
    """
    total = np.zeros((2, round(seconds * 44100)), np.float32)
    for number, stem in enumerate(data["stems"].values()):
        part = noise(seed + number, seconds * (0.8 if sums and number == 0 else 1))
        path = folder / data["stem_dir"] / stem["filename"]
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, part, 44100, "PCM_16")
        total[:, : part.shape[1]] += 0.5 * part
        for source in stem["raw"].values():
            wav(folder / data["raw_dir"] / source["filename"], seed + number, seconds, channels=1)
    if sums:
        folder.mkdir(parents=True, exist_ok=True)
        audio.write(folder / data["mix_filename"], total, 44100, "PCM_24")
    else:
        wav(folder / data["mix_filename"], seed, seconds)
    return folder


def medleydb_metadata(name: str, artist: str, title: str, stems: list[tuple[str, str, list[str]]], **about: Any) -> dict[str, Any]:
    """Metadata as in `NAME_METADATA.yaml`; a stem is given by instrument, component and the instruments of its raw tracks."""
    return {
        "album": "",
        "artist": artist,
        "composer": [artist],
        "excerpt": "no",
        "genre": "Rock",
        "has_bleed": "no",
        "instrumental": "no",
        "mix_filename": f"{name}_MIX.wav",
        "origin": "Independent Artist",
        "producer": [""],
        "raw_dir": f"{name}_RAW",
        "stem_dir": f"{name}_STEMS",
        "stems": {
            f"S{number:02d}": {
                "component": component,
                "filename": f"{name}_STEM_{number:02d}.wav",
                "instrument": instrument,
                "raw": {
                    f"R{place:02d}": {"filename": f"{name}_RAW_{number:02d}_{place:02d}.wav", "instrument": label}
                    for place, label in enumerate(raw, 1)
                },
            }
            for number, (instrument, component, raw) in enumerate(stems, 1)
        },
        "title": title,
        "version": 1.2,
        "website": [""],
        **about,
    }


def medleydb(root: Path, seconds: float = 0.5) -> Path:
    """MedleyDB with its metadata beside the audio, as in a clone of its code (`Metadata`, `Ranking`, `resources`) under the root.

    Odd: one song of version 2 with bleed and an instrument that nobody knows, its folder (V2) named otherwise than its files, as
    happens in the real download; a stem that ends early; one song whose metadata lies in its own folder, as in the first release.
    """
    songs = {
        "Audio/AClassicEducation_NightOwl": medleydb_metadata(
            "AClassicEducation_NightOwl",
            "A Classic Education",
            "Night Owl",
            [
                ("electric bass", "bass", ["electric bass", "electric bass"]),
                ("drum set", "", ["kick drum", "snare drum"]),
                ("distorted electric guitar", "", ["distorted electric guitar"]),
                ("clean electric guitar", "melody", ["clean electric guitar"]),
            ],
        ),
        "Audio/LizNelson_Rainfall": medleydb_metadata(
            "LizNelson_Rainfall", "Liz Nelson", "Rainfall", [("female singer", "melody", ["female singer"]), ("piano", "", ["piano"])]
        ),
        "V2/TrevorAndTheSoundflaces_AloneAndSad": medleydb_metadata(
            "TrevorAndTheSoundwaves_AloneAndSad",
            "Trevor and the Soundwaves",
            "Alone and Sad",
            [("male singer", "melody", ["male singer"]), ("hurdy-gurdy zither", "", ["hurdy-gurdy zither"])],
            has_bleed="yes",
        ),
    }
    for number, (place, data) in enumerate(songs.items()):
        medleydb_song(root / place, data, seconds, seed=100 * number, sums=True)
        name = data["mix_filename"].removesuffix("_MIX.wav")
        folder = root / place if number == 1 else root / "Metadata"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}_METADATA.yaml").write_text(yaml.safe_dump(data))
    (root / "Ranking").mkdir()
    (root / "Ranking" / "AClassicEducation_NightOwl_RANKING.txt").write_text(
        "AClassicEducation_NightOwl_STEM_04.csv,1\nAClassicEducation_NightOwl_STEM_03.csv,2\n"
    )
    (root / "resources").mkdir()
    coefficients = {"AClassicEducation_NightOwl": {1: 0.9755, 2: 10.86, 3: 0.823, 4: 0.9017}}
    (root / "resources" / "mixing_coefficients.yaml").write_text(yaml.safe_dump(coefficients))
    both = {name: {"audio": {1: 4.0, 2: 4.0}, "stft": {1: 2.86, 2: 0.72}} for name in ("LizNelson_Rainfall", *coefficients)}
    (root / "resources" / "mixing_coefficients_version2.yaml").write_text(yaml.safe_dump(both))
    return root


UUIDS = ("02ee37da-eea3-42b4-83bf-ab7f243afa13", "11845abc-8ca3-4fb2-bd84-521aeeff56f4", "3e41f238-7c48-4a42-ba70-5ee39824a844")


def moisesdb(root: Path, seconds: float = 0.5) -> Path:
    """MoisesDB: `moisesdb_v0.1/UUID/{data.json,STEM/TRACK.wav}`, 44.1 kHz.

    Source: moises-ai/moises-db, README.md, moisesdb/dataset.py and track.py (song, artist, genre, stems[].stemName,
    .tracks[].{trackType,id,extension,has_bleed}). Odd: sources of unequal lengths within a stem (its issue 3), a stem that is
    listed twice, two sources of one type, mono sources, bleed, "hi-hat" (missing in its own list of types), a song without artist.
    """
    songs: list[tuple[str, str, list[tuple[str, list[tuple[str, bool, float, int]]]]]] = [
        (
            "Song One",
            "Band A",
            [
                (
                    "vocals",
                    [("lead female singer", False, 1.0, 1), ("background vocals", False, 0.7, 2), ("background vocals", False, 1.0, 2)],
                ),
                ("drums", [("kick drum", True, 1.0, 1), ("hi-hat", False, 0.9, 2)]),
                ("other_keys", [("synth pad", False, 1.0, 2)]),
                ("bass", [("bass guitar", False, 1.0, 2)]),
                ("drums", [("snare drum", False, 1.0, 2)]),
            ],
        ),
        ("Song Two", "", [("vocals", [("lead male singer", False, 1.0, 2)]), ("guitar", [("acoustic guitar", False, 0.5, 2)])]),
        ("Song Three", "Band A", [("wind", [("other wind", False, 1.0, 2)]), ("percussion", [("cymbals", False, 1.0, 2)])]),
    ]
    for number, (uuid, (song, artist, stems)) in enumerate(zip(UUIDS, songs, strict=True)):
        folder = root / "moisesdb_v0.1" / uuid
        data: dict[str, Any] = {"song": song, "artist": artist, "genre": "rock", "stems": []}
        for place, (stem, tracks) in enumerate(stems):
            entry: dict[str, Any] = {"id": f"stem-{place}", "stemName": stem, "tracks": []}
            for index, (kind, bleed, share, channels) in enumerate(tracks):
                track = f"{number}{place}{index}00000-0000-4000-8000-000000000000"
                entry["tracks"].append({"trackType": kind, "id": track, "extension": "wav", "has_bleed": bleed})
                wav(folder / stem / f"{track}.wav", 100 * number + 10 * place + index, share * seconds, channels, bits=24)
            data["stems"].append(entry)
        (folder / "data.json").write_text(json.dumps(data))
    return root / "moisesdb_v0.1"


TAKES = {
    1: ["001_hits_snare-drum_sticks_x6", "060_phrase_salsa_simple_slow_sticks", "096_solo_latin_hands", TAKE],
    2: ["115_minus-one_salsa_sticks", "152_MIDI-minus-one_fusion-125_sticks"],
    3: ["067_phrase_afro_simple_slow_sticks"],
}


def enst_drums(root: Path, seconds: float = 0.5) -> Path:
    """ENST-Drums: `drummer_N/audio/{dry_mix,wet_mix,accompaniment,MICROPHONE}/TAKE.wav`, `drummer_N/annotation/TAKE.txt`.

    44.1 kHz, 16 bit, microphones mono, mixes stereo (Gillet and Richard 2006, section 3). Source of the folders: automix-toolkit's loader;
    of the takes' names: MZehren/ADTOF, splits.py. Odd: the third tom has a microphone for drummer 3 only; accompaniment for the
    minus-one takes only; a `_norm` copy beside a mix, as the loader has to leave out.
    """
    for drummer, takes in TAKES.items():
        sound = root / f"drummer_{drummer}" / "audio"
        for number, take in enumerate(takes):
            seed = 1000 * drummer + 100 * number
            microphones = ("kick", "snare", "hi-hat", "tom_1", "tom_2", "overhead_L", "overhead_R", *(["tom_3"] if drummer == 3 else []))
            for place, name in enumerate(microphones):
                wav(sound / name / f"{take}.wav", seed + place, seconds, channels=1)
            for place, name in enumerate(("dry_mix", "wet_mix", *(["accompaniment"] if "minus-one" in take else [])), 20):
                wav(sound / name / f"{take}.wav", seed + place, seconds)
            (sound.parent / "annotation").mkdir(exist_ok=True)
            (sound.parent / "annotation" / f"{take}.txt").write_text("0.1 bd\n")
    wav(root / "drummer_1" / "audio" / "wet_mix" / f"{TAKE}_norm.wav", 1, seconds)
    return root
