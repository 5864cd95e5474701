"""Finding the folder that a corpus lies in, where the one above or below it was named."""

from collections.abc import Callable
from pathlib import Path

from mixdata.corpora._files import track
from mixdata.errors import UsageError
from mixdata.song import Track
from mixdata.text import cleaned, readable

DEEPEST = 2  # folders below the one that was named
SKIPPED = {"__MACOSX"}
LONGEST_NAME = 255  # bytes, on every common file system


def find_root(root: Path, is_it: Callable[[Path], bool], layout: str) -> Path:
    """Return `root` if it is the corpus, else the only folder up to two below it that is.

    Raises `UsageError` where several are, or where the one above is: what lies above was not named, so it is not read.
    """
    level = [root]
    for _ in range(DEEPEST + 1):
        found = [folder for folder in level if is_it(folder)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join([*(cleaned(folder.name) for folder in found[:5]), *(["…"] if found[5:] else [])])
            raise UsageError(f"{readable(root)}: {len(found)} folders in it could be meant: {names}. Name one of them")
        level = [inner for folder in level for inner in subfolders(folder)]
    above = root.resolve().parent
    if is_it(above):
        raise UsageError(f"{readable(root)}: is a part of the corpus, which is expected as: {layout}. Name the folder above it: {above}")
    return root


def entry(root: Path, path: Path) -> Track:
    """Return the track of a file that was found through `subfolders`: nothing but the file itself can lead out of the root.

    For corpora of tens of thousands of files, where following every folder of every path would take a minute.
    """
    return track(root, path) if path.is_symlink() else Track(path)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted; neither hidden ones nor links, nothing where it cannot be read."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.name[0] != "." and entry.name not in SKIPPED and not entry.is_symlink() and entry.is_dir()]


def nameable(path: str) -> bool:
    """Say whether a path that metadata give can be one on disk at all; asking the system about another is an error of its own."""
    parts = path.encode("utf-8", "replace").split(b"/")
    return "\0" not in path and max(map(len, parts)) <= LONGEST_NAME and sum(map(len, parts)) < 2048
