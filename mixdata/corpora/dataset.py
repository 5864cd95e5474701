"""A dataset made by mixdata, as a corpus: separate once, then build differently normalized or processed sets of the result."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._stored import StoredTrack, opened
from mixdata.corpora.base import corpus
from mixdata.licences import joined
from mixdata.song import Song, Track

MIXTURE = "mixture"


@corpus("dataset")
def songs(root: Path, *, role: str = "") -> Iterator[Song]:
    """The songs of one role (`target`, else `dry`, else the first), in their splits; where blocks do not join, each block is a song."""
    from mixdata.interchange.source import Source  # loads slowly, and every list of corpora imports this file

    dataset = opened(root)
    chosen = role or next((name for name in ("target", "dry") if name in dataset.roles), next(iter(dataset.roles)))
    source = Source(dataset, chosen, None)
    about = {row["song"]: row for row in dataset.songs.to_dict("records")}
    for piece in source.pieces(source.blocks):
        first = piece.blocks[0]
        row, (title, groups) = about.get(first.song, {}), source.titles.get(first.song, (first.song, {}))
        held = [stem for name, stem in source.members_of(first) if any(source.active(block, name, stem) for block in piece.blocks)]
        tracks: dict[str, Track] = {stem: StoredTrack(root, role=chosen, stem=stem, blocks=piece.blocks) for stem in held}
        variable = chosen in dataset.variable
        yield Song(
            title if piece.name == first.song else f"{title} ({first.block})",
            first.corpus,
            mixture=tracks.pop(MIXTURE, None),
            stems={} if variable else tracks,
            raw=tracks if variable else {},
            split=first.split,
            groups=groups or {"song": first.song},
            licence=joined([first.licence, *dataset.meta.get("licences", {}).get("steps", {}).values()]),
            wet=str(row.get("wet", "unknown")),
        )
