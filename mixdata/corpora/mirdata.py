"""Any dataset of the package mirdata that has multitracks or several audio files per track, by mirdata's own index."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._mirdata import open_dataset
from mixdata.corpora._mirdata_songs import multitrack, single
from mixdata.corpora.base import corpus
from mixdata.errors import UsageError
from mixdata.song import Song


@corpus("mirdata")
def songs(root: Path, *, dataset: str = "", version: str = "default", index: str = "") -> Iterator[Song]:
    """One song per multitrack of the index, or per track where it has none. Only files of the index are used; missing ones stay listed."""
    if not dataset:
        raise UsageError("corpus 'mirdata' needs the dataset's name: mirdata:ROOT,dataset=phenicx_anechoic")
    opened = open_dataset(root, dataset, version, index)
    for name in opened.index.get("multitracks", {}):
        yield multitrack(opened, name)
    if not opened.index.get("multitracks"):
        for name in opened.index.get("tracks", {}):
            yield single(opened, name)
