"""What file headers say, read by ourselves where libsndfile keeps quiet about it."""

import struct
from pathlib import Path

MOST_CHUNKS = 10_000  # that are looked through for the audio: one chunk takes 8 bytes, so a file can hold any number of them
STREAMED = {0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF}  # what programs that write to a pipe put where the size should be


MAGIC: tuple[bytes, ...] = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"FORM",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3",
    b"\xff\xfa",
    b"\xff\xf2",
    b"\xff\xe3",
)
MAGIC += (b"\xff\xf1", b"\xff\xf9", b"\x1aE\xdf\xa3", b"\xff\xfc", b"\xff\xfd")  # ADTS, Matroska, MP2


def is_mp4(head: bytes) -> bool:
    """Say whether a file begins as an ISO base media file (MP4, M4A, MOV) does."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp")


def looks_like_audio(head: bytes) -> bool:
    """Say whether a file's first bytes are those of a format that is worth a second try when libsndfile refuses it."""
    return is_mp4(head) or head.startswith(MAGIC)


def pcm_bytes(path: str | Path) -> tuple[int | None, int]:
    """Return the bytes of audio that a WAV, RF64 or AIFF header declares, and the bytes that are there behind it.

    libsndfile quietly shortens a truncated file. None stands for a size that is not declared (a WAV written to a
    pipe) or a data chunk that is not among the first `MOST_CHUNKS`. Chunks: id, 32-bit size, data, padded to even
    length; RF64 (EBU Tech 3306) keeps the true size in `ds64`.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(12)
        order = ">" if head[:4] in (b"FORM", b"RIFX") else "<"
        wanted = b"SSND" if head[:4] == b"FORM" else b"data"
        long_size = None
        place = 12
        for _ in range(MOST_CHUNKS):
            if place + 8 > size:
                break
            file.seek(place)
            kind, length = struct.unpack(f"{order}4sI", file.read(8))
            if kind == b"ds64":
                long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
            if kind == wanted:
                if length == 0xFFFFFFFF and long_size is not None:
                    length = long_size
                return (None if length in STREAMED else length), size - place - 8
            place += 8 + length + length % 2
    return None, 0


def has_length_tag(path: str | Path) -> bool:
    """Say whether an MP3 carries a Xing, Info or VBRI header, the only places that give its length."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":
            a, b, c, d = (byte & 0x7F for byte in head[6:10].ljust(4, b"\0"))
            file.seek(10 + (a << 21 | b << 14 | c << 7 | d))
        else:
            file.seek(0)
        head = file.read(4096)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))
