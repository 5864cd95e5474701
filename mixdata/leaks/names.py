"""Names of artists and titles, folded so that spellings of one name are equal.

Folded away: case, accents, punctuation, a leading "The", "and" and its signs, a guest ("feat. X", also in brackets), and the spaces
(MedleyDB writes `AClassicEducation`). An unbracketed "with" stays: it is part of names such as "Death with Dignity".
"""

import re
import unicodedata

_GUEST_IN_BRACKETS = re.compile(r"[(\[{]\s*(?:feat|ft|featuring|with)\b[^)\]}]*[)\]}]?", re.IGNORECASE)
_APOSTROPHES = re.compile("['’‘`´]")
_GUEST = {"feat", "ft", "featuring"}
_AND = {"and"}
_NOBODY = {"various", "variousartists", "va", "unknown", "unknownartist", "none", "na", "untitled"}


def words(name: str) -> str:
    """Return the words of a name that tell it from others, in lower case. Only a name without letters and digits has none.

    >>> words("The Björk & Friends (feat. X)")
    'bjork friends'
    """
    text = _GUEST_IN_BRACKETS.sub(" ", unicodedata.normalize("NFKC", name))
    kept = _split(text) or _split(name)  # a name that is nothing but a guest is a name
    kept = [word for word in kept if word not in _AND] or kept[:1]
    guest = next((place for place, word in enumerate(kept) if place and word in _GUEST), len(kept))
    kept = kept[:guest]
    while len(kept) > 1 and kept[0] == "the":
        kept = kept[1:]
    return " ".join(kept)


def folded(name: str) -> str:
    """Return a name such that equal results are spellings of one name.

    >>> folded("AClassicEducation") == folded("A Classic Education"), folded("Triviul feat. The Fiend")
    (True, 'triviul')
    """
    return words(name).replace(" ", "")


def known_artist(name: str | None) -> str:
    """Return the folded artist, or "" where the name stands for nobody ("Various Artists")."""
    key = folded(name or "")
    return "" if key in _NOBODY else key


def song_key(title: str, artist: str | None) -> str:
    """Return the key of a song, the same for `Artist - Title`, `Artist_Title` and a title beside its artist; "" where nobody knows whose.

    >>> song_key("AClassicEducation_NightOwl", None) == song_key("Night Owl", "A Classic Education")
    True
    """
    before, rest = _parted(title)
    if artist is None:
        artist, title = before, rest
    elif before is not None and folded(before) == folded(artist):
        title = rest
    who, what = known_artist(artist), folded(title)
    return f"{who}/{what}" if who and what else ""


def _parted(title: str) -> tuple[str | None, str]:
    """Part `055 - Artist - Title`, or an id such as `TheArtist_TheTitle`."""
    parts = [part.strip() for part in title.split(" - ") if part.strip()]
    if len(parts) > 1 and parts[0].rstrip(".").isdigit():
        parts = parts[1:]
    if len(parts) > 1:
        return parts[0], " - ".join(parts[1:])
    artist, line, rest = title.partition("_")
    return (artist, rest) if line and artist.strip() and rest.strip() and " " not in title else (None, title)


def _split(text: str) -> list[str]:
    """Return the words of a text: camel case parted, accents off, apostrophes without a trace."""
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text))
    spaced = "".join(f" {char}" if _begins(text, place) else char for place, char in enumerate(text))
    plain = spaced
    for _ in range(3):  # some letters fold into others that have marks again
        plain = "".join(char for char in unicodedata.normalize("NFKD", plain.casefold()) if not unicodedata.combining(char))
    plain = unicodedata.normalize("NFC", plain)
    return "".join(char if char.isalnum() else " " for char in plain).split()


def _begins(text: str, place: int) -> bool:
    """Say whether a word of camel case begins here: `aB`, or the last capital of `ABc`."""
    if place == 0 or not text[place].isupper():
        return False
    return text[place - 1].islower() or (text[place - 1].isupper() and place + 1 < len(text) and text[place + 1].islower())
