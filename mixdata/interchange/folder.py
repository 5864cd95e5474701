"""A tree of WAV files: `<split>/<song>/<role>/<stem>.wav`, or `<split>/<song>/<stem>.wav` where the dataset or the choice has one role.

Songs are whole where their blocks join, elsewhere each block has a folder under its key. Nothing is above or below its true level:
where the integers are stored as they were (scale 1) they are written as they are, else 32-bit floats are. Tracks of a role that varies
are `t000.wav`, …; `tracks.csv` says what each of them is.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mixdata.interchange.exporting import Job, table_row, write_table
from mixdata.interchange.source import TOLD, Piece, Source
from mixdata.interchange.wav import WavFile


def write(job: Job) -> dict[str, Any]:
    """Write the tree and metadata.csv."""
    source = job.source
    rows, tracks = [], []
    for piece in source.pieces(source.blocks):
        path = f"{piece.blocks[0].split}/{piece.name}"
        held = source.members_of(piece.blocks[0])
        names = {(role, stem): f"{stem}.wav" if len(source.roles) == 1 else f"{role}/{stem}.wav" for role, stem in held}
        tracks += [
            {"path": f"{path}/{names[role, stem]}", "song": piece.blocks[0].song, **about}
            for (role, stem), about in source.tracks(piece.blocks[0]).items()
        ]
        exact = source.bits is not None and all(block.scale == 1 for block in piece.blocks)
        write_wavs(job, piece, job.out / path, names, f"PCM_{source.bits}" if exact else "FLOAT", true_level=True)
        rows.append(table_row(source, piece, path))
    write_table(job.out / "metadata.csv", rows)
    if source.variable:
        write_table(job.out / "tracks.csv", tracks, ("path", "song", *TOLD))
    return {"folders": len(rows)}


def write_wavs(job: Job, piece: Piece, folder: Path, names: dict[tuple[str, str], str], subtype: str, true_level: bool) -> None:
    """Write the members of a piece as WAV files of these names, block by block: a song of any length takes the memory of one block."""
    source: Source = job.source
    with ExitStack() as stack:
        rate, channels = source.dataset.sample_rate, source.dataset.channels
        files = {
            member: stack.enter_context(WavFile(folder / name, rate, channels, piece.frames, subtype)) for member, name in names.items()
        }
        for block in piece.blocks:
            for (role, stem), file in files.items():
                audio = source.audio(block, role, stem)
                if true_level and block.scale != 1:
                    audio = (audio.astype(np.float64) / block.scale).astype(np.float32)
                file.write(audio)
            job.tell(block.frames / rate)
