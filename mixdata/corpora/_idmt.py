"""IDMT-SMT-Audio-Effects: what a file's name says, and what the lists say of an effect's settings.

After the ReadMe.txt of the corpus: `G73-45200-3341-33944` is ABC-DDEFF-GHHI-KKKKK with A the instrument, B its setting, C the playing
style, D the MIDI number, E the string and F the fret (in chords EE the kind of chord and F 0), G the group of the effect, H the effect,
I its setting and K a running number.
"""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mixdata.corpora._roots import subfolders

CODE = re.compile(r"(?P<note>(?P<instrument>[BGP])\d\d-(?P<midi>\d\d)\d{3})-\d(?P<effect>\d\d)(?P<setting>\d)-\d+")
DRY = "11"
EFFECTS = {
    **{"12": "amplifier simulation", "21": "feedback delay", "22": "slapback delay", "23": "reverb", "31": "chorus", "32": "flanger"},
    **{"33": "phaser", "34": "tremolo", "35": "vibrato", "41": "distortion", "42": "overdrive"},
}
STEMS = {"B": "bass", "G": "guitar", "P": "guitar"}  # P: chords
LONGEST_LIST = 1_000_000  # bytes


def parts(root: Path) -> list[Path]:
    """Return the folders with Samples: `Bass monophon`, `Gitarre polyphon2`, …, or the one that was named."""
    return [folder for folder in (root, *subfolders(root)) if (folder / "Samples").is_dir()]


def samples(root: Path) -> dict[str, tuple[re.Match[str], Path]]:
    """Return every recording by its code, sorted; the first where one is there twice, as in the corpus's second copy of a zip."""
    found: dict[str, tuple[re.Match[str], Path]] = {}
    for part in parts(root):
        for path in [file for effect in subfolders(part / "Samples") for file in sorted(effect.glob("[!.]*.wav"))]:
            if (code := CODE.fullmatch(path.stem)) and path.stem not in found:
                found[path.stem] = code, path
    return dict(sorted(found.items()))


def settings(root: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the lists say, by instrument (`G73`) and effect (`341`): `preset`, `plugin`, `settings`; not what cannot be read."""
    found = {}
    for path in [file for part in parts(root) for effect in subfolders(part / "Lists") for file in sorted(effect.glob("[!.]*.xml"))]:
        named = re.fullmatch(r"([BGP]\d\d)-\d{5}-\d(\d{3})-\d+", path.stem)
        about = _list(path) if named else None
        if named and about:
            found[named[1], named[2]] = about
    return found


def _list(path: Path) -> dict[str, Any] | None:
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > LONGEST_LIST:
            return None
        information = ElementTree.fromstring(path.read_bytes()).find("listinformation/fxinformation")
    except (OSError, ElementTree.ParseError, ValueError, LookupError):
        return None
    if information is None:
        return None
    values = {item.findtext("name", ""): item.findtext("value", "") for item in information.iterfind("paraminformation/parameter")}
    named = {"preset": information.findtext("fxsetting/name"), "plugin": information.findtext("paraminformation/fxsource")}
    return {key: value for key, value in named.items() if value} | ({"settings": values} if values else {})
