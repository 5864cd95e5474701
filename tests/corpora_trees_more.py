"""Small trees in the true layouts of Slakh2100, the Mixing Secrets library, EGFxSet and IDMT-SMT-Audio-Effects.

Each docstring names the layout's source and the odd cases that the tree has.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mixdata import audio
from tests.trees import noise, write_wav

SLAKH_STEMS: dict[str, dict[str, Any]] = {
    "S00": {"inst_class": "Guitar", "is_drum": False, "midi_program_name": "Distortion Guitar", "program_num": 30},
    "S01": {"inst_class": "Drums", "is_drum": True, "midi_program_name": "Drums", "program_num": 128},
    "S02": {"inst_class": "Bass", "is_drum": False, "midi_program_name": "Electric Bass (finger)", "program_num": 33},
    "S03": {"inst_class": "Strings (continued)", "is_drum": False, "midi_program_name": "Choir Aahs", "program_num": 52},
    "S04": {"inst_class": "Guitar", "is_drum": False, "midi_program_name": "Electric Guitar (jazz)", "program_num": 26},
    "S05": {"inst_class": "Sound Effects", "is_drum": False, "midi_program_name": "FX 8 (sci-fi)", "program_num": 103},
}
UNRENDERED = "S05"


def slakh_song(folder: Path, uuid: str, seed: int = 0, suffix: str = ".flac", rendered: bool = True, seconds: float = 0.5) -> Path:
    """One song of Slakh: `mix.flac`, `metadata.yaml`, `stems/SNN.flac`, mono, 16 bit; the mix is the sum of the stems.

    Source: github.com/ethman/slakh-utils, README.md; mirdata's test resources (Track00001). Odd: S05 was not rendered and has no file.
    With `rendered` False the metadata say so of all, as BabySlakh's do.
    """
    stems = {}
    total = np.zeros((1, round(16000 * seconds)), np.float32)
    rate = 16000
    for number, (name, about) in enumerate(SLAKH_STEMS.items()):
        there = name != UNRENDERED
        stems[name] = about | {"audio_rendered": there and rendered, "midi_saved": there and rendered, "plugin_name": f"{name}.nkm"}
        if there:
            part = np.round(noise(10 * seed + number, seconds, 1, rate) * 0.2 * 32768).astype(np.float32) / 32768
            total += part
            (folder / "stems").mkdir(parents=True, exist_ok=True)
            audio.write(folder / "stems" / f"{name}{suffix}", part, rate, "PCM_16")
    audio.write(folder / f"mix{suffix}", total, rate, "PCM_16")
    about = {"UUID": uuid, "audio_dir": "stems", "normalized": True, "normalization_factor": -13.0, "overall_gain": 0.18, "stems": stems}
    (folder / "metadata.yaml").write_text(yaml.safe_dump(about | {"target_peak": -1.0}))
    return folder


def slakh2100(root: Path, seconds: float = 0.5) -> Path:
    """Slakh2100 in its original edition: `{train,validation,test}/TrackNNNNN`.

    Odd: Track00049's MIDI is Track00001's, so redux leaves it out; Track00003 is moved to test by splits_v2; of Track01501 the metadata
    are broken; of Track01876 a stem and the mix were not downloaded. Source: splits/{redux,splits_v2}.json of slakh-utils.
    """
    for place, name, uuid in (
        ("train", "Track00001", "1a81"),
        ("train", "Track00003", "3333"),
        ("train", "Track00049", "1a81"),
        ("validation", "Track01501", "5501"),
        ("test", "Track01876", "5876"),
    ):
        slakh_song(root / place / name, uuid, seed=int(name[5:]), seconds=seconds)
    (root / "validation/Track01501/metadata.yaml").write_text("UUID: [1, 2\nstems: {")
    (root / "test/Track01876/stems/S00.flac").unlink()
    (root / "test/Track01876/mix.flac").unlink()
    return root


def babyslakh(root: Path) -> Path:
    """BabySlakh (`babyslakh_16k.tar.gz`): `TrackNNNNN` without folders of splits, WAV of 16 kHz.

    Source: mirdata's sample index and its test resources, whose metadata.yaml (MD5 as in the index) says `audio_rendered: false` of stems
    that are there: the odd case.
    """
    slakh_song(root / "Track00001", "1a81", suffix=".wav", rendered=False)
    return root


ANGELS = "AngelsInAmplifiers_ImAlright_Full"


def cambridge_mt(root: Path) -> Path:
    """The Mixing Secrets library as its zips unpack: `ArtistName_SongTitle_Full/NN_Role.wav`, mixes by themselves.

    44.1 and 48 kHz, 16 and 24 bit, mono and stereo. Sources: sh-lee97/grafx-prune, code/data/mixing_secrets/metadata (folders, files);
    previews.cambridge-mt.com/DeadEnemies_Full_Preview.mp3, ImAlright_Preview.mp3 (names of mixes). Odd: a file that came twice (`01_Kick
    (1).wav`) beside one that only looks so, a role that no rule knows, macOS's `__MACOSX` and `._` files, two songs of one title, of which
    a mix's name does not tell which it is of, a zip without `_Full`, a zip that was not unpacked whole, a mix without its tracks.
    """
    song = root / ANGELS
    for number, name in enumerate(["01_Kick.wav", "02_Overheads.wav", "03_ElecGtr1DT.wav", "04_LeadVox.wav", "05_Zrgl.wav"]):
        song.mkdir(parents=True, exist_ok=True)
        rate, bits = (44100, "PCM_24") if number % 2 else (48000, "PCM_16")
        audio.write(song / name, noise(number, 0.2 + 0.05 * number, 1 + number % 2, rate), rate, bits)
    shutil.copy(song / "01_Kick.wav", song / "01_Kick (1).wav")
    write_wav(song / "02_Overheads (1).wav", seed=9, seconds=0.1)
    (root / "__MACOSX" / ANGELS).mkdir(parents=True)
    for junk in (root / "__MACOSX" / ANGELS / "._01_Kick.wav", root / "__MACOSX" / ANGELS / "01_Kick.wav", song / "._01_Kick.wav"):
        junk.write_bytes(b"\0\5\x16\7")
    write_wav(root / "ImAlright_Full_Preview.flac", seed=20, seconds=0.6)  # an MP3 in truth
    write_wav(root / "ImAlright_UnmasteredWAV.wav", seed=21, seconds=0.6)
    write_wav(root / "Lonely_Preview.wav", seed=22)
    for artist in ("OneArtist", "TwoArtists"):
        for name in ("01_Kick.wav", "02_Bass.wav"):
            write_wav(root / f"{artist}_Same_Full" / name, seed=len(artist) + len(name), seconds=0.2)
    write_wav(root / "Same_Full_Preview.wav", seed=23)
    for name in ("01_Bass.wav", "02_Synth1.wav"):
        write_wav(root / "Rock" / "APZX_Lacuna" / name, seed=len(name), seconds=0.2)
    write_wav(root / "Rock" / "APZX_Lacuna" / "APZXLacuna_Preview.wav", seed=24)
    (root / "BKS_TooMuch_Full").mkdir()
    return root


EGFX_FOLDERS = (
    *("BluesDriver", "Chorus", "Digital-Delay", "Flanger", "Hall-Reverb", "Phaser", "Plate-Reverb", "RAT"),
    *("Spring-Reverb", "Sweep-Echo", "TapeEcho", "TubeScreamer"),
)
EGFX_TABLE = """Effect ,Model,Effect Type,Knob Names,Knob Type,Setting \r
distortion,Pro Co Sound RAT2 Distortion,distortion,"['distortion', 'filter']","['effect amount','eq']","[1.0, 0.5]"\r
phaser,MXR Phase 45,modulation,['speed'],['rate'],['120 bpm']\r
tape echo,Line 6 DL4 Delay,delay,"['effect selector', 'repeats']","['selector', 'effect decay']","['tape echo', 0.6]"\r
digital delay,Line 6 DL4 Delay,delay,"['effect selector', 'mix']","['selector', 'effect amount']","['digital delay', 0.5] "\r
"""


def egfxset(root: Path) -> Path:
    """EGFxSet: `{Clean,EFFECT}/PICKUP/STRING-FRET.wav`, mono, and `egfxset_metadata.csv`.

    Sources: mirdata's sample index (`Clean/Middle/6-22.wav`, `TapeEcho/Bridge/2-0.wav`), the zips' names in its module, and the table in
    its test resources, whose headings end in spaces and whose name for RAT is distortion: odd cases. Odd too: a clean note that is missing.
    """
    for place, folder in enumerate(("Clean", *EGFX_FOLDERS)):
        for number, note in enumerate(("Bridge/2-0", "Bridge-Middle/2-0", "Middle/6-22")):
            write_wav(root / folder / f"{note}.wav", seed=10 * place + number, seconds=0.1, channels=1)
    (root / "Clean/Middle/6-22.wav").unlink()
    (root / "egfxset_metadata.csv").write_text(EGFX_TABLE, newline="")
    return root


IDMT_LIST = """<?xml version="1.0" encoding="utf-8"?>
<content><listinformation><listID>G73-00000-3341-568</listID><filesinlist>78</filesinlist><firstfilenr>33931</firstfilenr>
<firstfilenr>34008</firstfilenr><listnr>568</listnr><fxinformation><fxgroup><ID>3</ID><name>Modulation</name></fxgroup>
<fxtype><ID>34</ID><name>Tremolo</name></fxtype><fxsetting><ID>1</ID><name>Standard Tremolo</name></fxsetting>
<paraminformation><nrparam>2</nrparam><fxsource>Ndc Trem+</fxsource><parameter><name>Frequency</name><value>6 Hz</value></parameter>
<parameter><name>Level</name><value>100%</value></parameter></paraminformation></fxinformation></listinformation>
<audiofile><fileID>G73-45200-3341-33944</fileID></audiofile></content>
"""


def idmt_smt_audio_effects(root: Path) -> Path:
    """IDMT-SMT-Audio-Effects: `{Bass,Gitarre} {monophon,polyphon}[2]/{Samples,Lists}/EFFECT/CODE.{wav,xml}`, 44.1 kHz, 16 bit, mono.

    Sources: mirdata's sample index and module (folders), its test resources (the list), the corpus's ReadMe.txt (the code). Odd: the dry
    recording of a note lies in another folder than most of its wet ones; a note whose dry one is missing; a list that is no XML; the copy
    of a zip that the corpus has.
    """
    for seed, name in enumerate(
        [
            "Gitarre monophon/Samples/NoFX/G73-45200-1111-20605",
            "Gitarre monophon2/Samples/Tremolo/G73-45200-3341-33944",
            "Gitarre monophon2/Samples/Tremolo/G73-46201-3341-33945",
            "Bass monophon/Samples/NoFX/B11-28100-1111-00001",
            "Bass monophon/Samples/Chorus/B11-28100-3311-00625",
            "Gitarre polyphon/Samples/NoFX/P64-43110-1111-41185",
            "Gitarre polyphon2/Samples/Reverb/P64-43110-2231-46225",
            "Gitarre_polyphon2/Samples/Reverb/P64-43110-2231-46225",
        ]
    ):
        write_wav(root / f"{name}.wav", seed=min(seed, 6), seconds=0.1, channels=1)
    lists = root / "Gitarre monophon/Lists/Tremolo"
    lists.mkdir(parents=True)
    (lists / "G73-00000-3341-568.xml").write_text(IDMT_LIST)
    (lists / "G73-00000-3342-569.xml").write_text("<content><listinformation>")
    return root


def mirdata_index(path: Path, tracks: dict[str, dict[str, Any]], multitracks: dict[str, dict[str, Any]] | None = None) -> Path:
    """An index of mirdata's: `{"version", "tracks": {id: {key: [path, md5]}}, "multitracks": {id: {"tracks": [id], key: [path, md5]}}}`.

    Source: mirdata's sample indexes. A path given as a text gets a checksum; None stands for a file that a track has not.
    """

    def entry(files: dict[str, Any]) -> dict[str, Any]:
        return {key: value if isinstance(value, list) else [value, value and f"{len(value):032x}"] for key, value in files.items()}

    index: dict[str, Any] = {"version": "sample", "tracks": {name: entry(files) for name, files in tracks.items()}}
    if multitracks is not None:
        index["multitracks"] = {name: entry(files) for name, files in multitracks.items()}
    path.write_text(json.dumps(index))
    return path
