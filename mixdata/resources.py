"""Where the recipes and manifests lie: in the source tree, or inside the installed package."""

from pathlib import Path

from mixdata.errors import UsageError

PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """Return the folder of `recipes` or `manifests`: `mixdata/_data/KIND` in a wheel, else beside the package."""
    for place in (PACKAGE / "_data" / kind, PACKAGE.parent / kind):
        if place.is_dir():
            return place
    raise UsageError(f"the folder {kind!r} is missing from this installation of mixdata: install the package again")


def resource(kind: str, name: str) -> Path:
    """Return the path of `name` among the `recipes` or `manifests`.

    >>> resource("manifests", "musdb18_tracklist.csv").name
    'musdb18_tracklist.csv'
    """
    place = folder(kind)
    path = place / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_file():
        raise UsageError(
            f"there is no {kind[:-1]} {name!r}: use one of {', '.join(sorted(p.name for p in place.iterdir() if p.is_file()))}"
        )
    return path
