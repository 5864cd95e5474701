"""IDMT-SMT-Audio-Effects: single notes and chords of guitars and basses through plugins, each with the dry recording."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mixdata.corpora._idmt import DRY, EFFECTS, STEMS, parts, samples, settings
from mixdata.corpora._roots import entry, find_root
from mixdata.corpora.base import RefusedTrack, corpus, corpus_facts
from mixdata.song import Song, Track
from mixdata.text import readable


@corpus("idmt_smt_audio_effects")
def songs(root: Path) -> Iterator[Song]:
    """The pairs: `input` with the effect, `target` dry, by the first two parts of their names. All pairs of a note are of one group."""
    root = find_root(root, lambda place: bool(parts(place)), corpus_facts("idmt_smt_audio_effects").layout)
    found, lists = samples(root), settings(root)
    dry = {code["note"]: path for code, path in reversed(found.values()) if code["effect"] == DRY}
    for name, (code, path) in found.items():
        if code["effect"] == DRY:
            continue
        stem, note = STEMS[code["instrument"]], code["note"]
        target: Track = entry(root, dry[note]) if note in dry else _missing(root, note)
        yield Song(
            name,
            pair={"input": {stem: replace(entry(root, path), instrument=stem)}, "target": {stem: replace(target, instrument=stem)}},
            groups={"note": note},
            facts={
                "effect": EFFECTS.get(code["effect"], path.parent.name),
                "setting": int(code["setting"]),
                "midi": int(code["midi"]),
                **lists.get((note[:3], code["effect"] + code["setting"]), {}),
            },
        )


def _missing(root: Path, note: str) -> RefusedTrack:
    path = root / f"{note}-1{DRY}1-….wav"
    return RefusedTrack(path, reason="missing", message=f"{readable(root)}: no dry recording */Samples/NoFX/{note}-1{DRY}1-*.wav")
