"""ENST-Drums: one folder per drummer, in it one per microphone and mix; a take has the same file name in each of them.

The drums alone are the mixture; `mix` says which: dry (levels and panning) or wet (equalizers, compressors, reverb and a limiter as well).
`accompaniment=true` adds what minus-one takes were played to, as a stem and a raw track; the mixture is then the sum. `takes` names kinds,
such as `phrases+solos`; hits (single strokes with pauses: no music) come with `hits` and `all` only. `valid` and `test` number drummers.
"""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._layout import files, folders, labelled
from mixdata.corpora._roots import find_root
from mixdata.corpora.base import corpus, corpus_facts
from mixdata.errors import UsageError
from mixdata.song import Song
from mixdata.text import cleaned

KINDS = {"hits": "hits", "phrase": "phrases", "solo": "solos", "minus-one": "minus-one", "MIDI-minus-one": "minus-one"}
MUSIC = ("phrases", "solos", "minus-one")
MICROPHONES = ("kick", "snare", "hi-hat", "tom_1", "tom_2", "tom_3", "overhead_L", "overhead_R")


def _drummers(place: Path) -> list[Path]:
    return [folder for folder in folders(place) if folder.name.startswith("drummer_")]


@corpus("enst_drums")
def songs(
    root: Path, *, mix: str = "wet", takes: str = "music", accompaniment: bool = False, valid: int = 0, test: int = 0
) -> Iterator[Song]:
    """Every take is a song, every microphone that the drummer has a raw track of it."""
    wanted = {"music": MUSIC, "all": ("hits", *MUSIC)}.get(takes, takes.split("+"))
    if mix not in ("dry", "wet") or not {"hits", *MUSIC}.issuperset(wanted):
        raise UsageError(f"corpus 'enst_drums': mix must be dry or wet, takes all, music or hits+{'+'.join(MUSIC)}; got {mix}, {takes}")
    place = find_root(root, lambda folder: bool(_drummers(folder)), corpus_facts("enst_drums").layout)
    splits = {f"drummer_{number}": split for number, split in ((valid, "valid"), (test, "test")) if number}
    for drummer in _drummers(place):
        names = {path.stem for name in (f"{mix}_mix", *MICROPHONES) for path in files(drummer / "audio" / name, ".wav")}
        for name in sorted(name for name in names if not name.endswith("_norm")):  # copies, in some trees
            kind = KINDS.get([*name.split("_"), ""][1], "unknown")
            if kind in (*wanted, "unknown"):
                yield _take(root, drummer / "audio", name, kind, mix, accompaniment and kind == "minus-one", splits)


def _take(root: Path, sound: Path, name: str, kind: str, mix: str, accompanied: bool, splits: dict[str, str]) -> Song:
    drummer, file = sound.parent.name, f"{name}.wav"
    drums = labelled(root, sound / f"{mix}_mix" / file, "drum set")
    band = {"accompaniment": labelled(root, sound / "accompaniment" / file, "accompaniment")} if accompanied else {}
    kit = {slot: labelled(root, sound / slot / file, slot.replace("_", " ")) for slot in MICROPHONES if (sound / slot).is_dir()}
    return Song(
        title=cleaned(f"{drummer} - {name}"),
        mixture=None if accompanied else drums,
        stems={"drums": drums, **band},
        raw={slot.replace("-", "_").lower(): track for slot, track in (kit | band).items()},
        split=splits.get(drummer, "train") if splits else None,
        groups={"drummer": drummer},
        wet=mix,
        facts={"id": f"{drummer}/{name}", "take": kind},
        errata=("unknown kind of take",) * (kind == "unknown"),
    )
