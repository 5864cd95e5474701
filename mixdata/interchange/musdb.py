"""A tree that the musdb package opens: `{train,test}/Artist - Title/{mixture,vocals,drums,bass,other}.wav`.

musdb knows two folders; which songs of `train` are for validation stands in its setup file. So `valid` goes into `train`, and a
`setup.yaml` of our own names its songs: `musdb.DB(root, setup_file="setup.yaml", is_wav=True, subsets="train", split="valid")`.

The stored integers are written as they are, at the level at which nothing clips, for musdb reads 16 bit; the factor stands in
metadata.csv and is the same for all stems of a song. Floats are written as floats.
"""

from typing import Any

import yaml

from mixdata.corpora._musdb import catalogue
from mixdata.errors import UsageError
from mixdata.files import write_synced
from mixdata.interchange.exporting import Job, table_row, write_table
from mixdata.interchange.folder import write_wavs
from mixdata.interchange.source import Piece, Source
from mixdata.text import cleaned

STEMS = ("mixture", "vocals", "drums", "bass", "other")
FOLDERS = {"train": "train", "valid": "train", "test": "test"}
FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|', "_"))  # in names of files, here or on other systems
LONGEST = 200  # bytes of a folder's name


def write(job: Job) -> dict[str, Any]:
    """Write the tree, metadata.csv and setup.yaml of the source's one role."""
    source = job.source
    (role,) = source.roles
    for name in ("train", "test"):
        (job.out / name).mkdir()
    if strangers := [split for split in source.splits if split not in FOLDERS]:
        raise UsageError(f"musdb has train, valid and test, but not {', '.join(strangers)}: choose one of those with split=")
    subtype = "FLOAT" if source.bits is None else f"PCM_{source.bits}"
    names = {(role, stem): f"{stem}.wav" for stem in STEMS}
    taken: set[str] = set()
    rows, validation = [], []
    for piece in source.pieces(source.blocks):
        name = _name(source, piece, taken)
        split = piece.blocks[0].split
        path = f"{FOLDERS[split]}/{name}"
        write_wavs(job, piece, job.out / path, names, subtype, true_level=False)
        rows.append(table_row(source, piece, path))
        if split == "valid":
            validation.append(name)
    write_table(job.out / "metadata.csv", rows)
    facts = {key: value for key, value in catalogue().items() if key != "sample-url"}
    facts |= {"sample_rate": float(source.dataset.sample_rate), "validation_tracks": validation}
    write_synced(job.out / "setup.yaml", yaml.safe_dump(facts, sort_keys=False, allow_unicode=True).encode())
    return {"tracks": len(rows), "validation_tracks": len(validation), "role": role}


def role_of(source: Source) -> str:
    """Return the role that has musdb's stems. Raises `UsageError` where there is none, or more than one."""
    fitting = [role for role, stems in source.roles.items() if set(stems) == set(STEMS)]  # never one that varies, of t000, t001, …
    if not fitting:
        told = {role: f"up to {len(stems)} tracks" if role in source.variable else ", ".join(stems) for role, stems in source.roles.items()}
        found = "; ".join(f"{role}: {stems}" for role, stems in told.items())
        raise UsageError(f"{source.dataset.where}: musdb has the stems {', '.join(STEMS)}; this has {found}. Export to a folder instead")
    if len(fitting) > 1:
        raise UsageError(f"{source.dataset.where}: choose with role= which to export to musdb: {', '.join(fitting)}")
    return fitting[0]


def _name(source: Source, piece: Piece, taken: set[str]) -> str:
    """Return `Artist - Title` for a folder, with the song's id (or the block's key) behind it where that stands for another already."""
    title, groups = source.titles.get(piece.blocks[0].song, ("", {}))
    artist, title = cleaned(groups.get("artist", "")), cleaned(title) or piece.blocks[0].song
    whole = title if not artist or title.startswith(f"{artist} - ") else f"{artist} - {title}"
    whole = whole.translate(FORBIDDEN).encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").strip(" .") or "song"
    if not source.dataset.continuous or whole.casefold() in taken:
        whole = f"{whole} ({piece.name})"
    taken.add(whole.casefold())
    return whole
