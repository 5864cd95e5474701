"""Laws of unpacking: nothing outside the folder, nothing half done, no archive is believed."""

import bz2
import gzip
import io
import lzma
import os
import random
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from mixdata.archives import Limits, archive_kind, extract, safe_parts
from mixdata.errors import MixdataError

FILES = {"set/drums/kick.wav": b"kick" * 5000, "set/bass.wav": bytes(range(256)) * 40, "set/empty.txt": b"", "README": b"read me"}
PACKERS = {"tar": lambda data: data, "tar.gz": gzip.compress, "tar.bz2": bz2.compress, "tar.xz": lzma.compress}
KINDS = ["zip", *PACKERS]


def tar_of(*members: tuple[str, bytes] | tarfile.TarInfo, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar whose members are taken as they are: no name is mended."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as bundle:
        for member in members:
            info, data = (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
            info.size = len(data) or info.size
            bundle.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


def zip_of(*members: tuple[str, bytes] | tuple[str, bytes, int]) -> bytes:
    """A zip whose names go in as they are; the third item of a member is its Unix mode."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data, *mode in members:
            info = zipfile.ZipInfo("x")
            info.filename, info.compress_type = name, zipfile.ZIP_DEFLATED
            info.external_attr = (mode[0] if mode else 0o100644) << 16
            bundle.writestr(info, data)
    return out.getvalue()


def packed(kind: str, files: dict[str, bytes]) -> bytes:
    return zip_of(*files.items()) if kind == "zip" else PACKERS[kind](tar_of(*files.items()))


def tar_info(name: str, kind: bytes, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(tmp_path: Path, data: bytes, message: str, limits: Limits | None = None, name: str = "in/archive") -> None:
    """The archive is refused, and the whole of `tmp_path` is as before."""
    archive = tmp_path / name
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(MixdataError) as error:
        extract(archive, tmp_path / "a" / "target", limits)
    assert re.search(message, str(error.value).replace(str(tmp_path), "")), error.value  # whose name holds the test's
    assert archive.name in str(error.value) and str(error.value).isprintable()
    shutil.rmtree(tmp_path / "a", ignore_errors=True) if not any((tmp_path / "a").rglob("*")) else None
    assert sorted(tmp_path.rglob("*")) == before


# -- what is good ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_known_by_content_and_unpacked_byte_for_byte(tmp_path, kind):
    archive = tmp_path / "download"  # no ending to go by
    archive.write_bytes(packed(kind, FILES))
    assert archive_kind(archive) == kind
    paths = extract(archive, tmp_path / "out")
    assert tree(tmp_path / "out") == FILES
    assert sorted(paths) == sorted(tmp_path / "out" / name for name in FILES)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o7111 for path in paths} == {0}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download", "out"]


@pytest.mark.parametrize("kind", KINDS)
def test_once_more_keeps_what_is_there_and_adds_what_is_missing(tmp_path, kind):
    (tmp_path / "archive").write_bytes(packed(kind, FILES))
    paths = extract(tmp_path / "archive", tmp_path / "out")
    (tmp_path / "out/set/mine.txt").write_text("of the user")
    inodes = {path: path.stat().st_ino for path in paths}
    (tmp_path / "out/set/bass.wav").unlink()
    assert extract(tmp_path / "archive", tmp_path / "out") == paths
    assert tree(tmp_path / "out") == {**FILES, "set/mine.txt": b"of the user"}
    assert [path.name for path in paths if path.stat().st_ino != inodes[path]] in (["bass.wav"], [])  # an inode may be given again


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [b"kick" * 4999 + b"kicc", b"kick", b"kick" * 5001])
def test_a_file_that_is_there_and_differs_is_an_error(tmp_path, kind, other):
    (tmp_path / "archive").write_bytes(packed(kind, {"a.wav": b"a", **FILES}))
    (tmp_path / "out/set/drums").mkdir(parents=True)
    (tmp_path / "out/set/drums/kick.wav").write_bytes(other)
    with pytest.raises(MixdataError, match=r"kick\.wav.*not the same"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "out") == {"set/drums/kick.wav": other}


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_what_apple_adds_is_left_out(tmp_path, kind):
    junk = {"__MACOSX/set/._bass.wav": b"x" * 3000, "set/._bass.wav": b"y", "set/.DS_Store": b"z"}
    (tmp_path / "archive").write_bytes(packed(kind, {**junk, **FILES}))
    extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "out") == FILES


def test_names_in_utf8_without_the_mark_are_read_as_such(tmp_path):
    """As the Archive Utility of macOS writes them; bit 11 of the flags is not set."""
    data = zip_of(("K_h.wav", b"a"))
    (tmp_path / "archive").write_bytes(data.replace(b"K_h", "ü.".encode()))
    assert [path.name for path in extract(tmp_path / "archive", tmp_path / "out")] == ["ü..wav"]


def test_long_and_foreign_names_are_kept_by_tar(tmp_path):
    names = {"d" * 120 + "/" + "שיר" * 30 + ".wav": b"1", "nicht-\udcfc-utf8.wav": b"2"}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        (tmp_path / f"{form}").write_bytes(tar_of(*names.items(), form=form))
        extract(tmp_path / f"{form}", tmp_path / f"out{form}")
        assert tree(tmp_path / f"out{form}") == names


def test_the_target_may_be_a_link_itself(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    (tmp_path / "archive").write_bytes(packed("zip", FILES))
    extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "disk") == FILES


# -- names that lead out, and other tricks -----------------------------------------------------------------------

NAMES = {
    "../evil": "leads out",
    "a/../../evil": "leads out",
    "a/b/..": "leads out",
    "/evil": "absolute",
    "//host/evil": "absolute",
    "C:/evil": "absolute",
    "c:evil": "absolute",
    "..\\evil": "backslash",
    "a\\b": "backslash",
    "a\nb": "control",
    "a\x1b[31mb": "control",
    "a\x7f": "control",
    "a\u2028b": "control",
    "x" * 256: "too long",
    "d/" * 1200 + "x": "too long",
    ".mixdata-unpacking/lock": "reserved",
    "./.mixdata-downloads.json": "reserved",  # would say of other files that they are here
    ".": "no name",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_name_that_leads_out_is_refused_before_anything_is_written(tmp_path, kind, name):
    refused(tmp_path, packed(kind, {"good.wav": b"good", name: b"evil", "more.wav": b"more"}), NAMES[name])


def test_a_name_is_refused_whatever_stands_before_it(tmp_path):
    for name in ("..", "a/..", "../..", "./../x", "a//../b/../../x"):
        with pytest.raises(ValueError, match="leads out"):
            safe_parts(name)
    assert safe_parts("..a/b../...") == ("..a", "b..", "...")


def test_a_name_that_goes_on_behind_a_nul_is_refused(tmp_path):
    """zipfile shows only what is before the NUL."""
    refused(tmp_path, zip_of(("good_/x", b"1")).replace(b"good_/x", b"a.wav\0x"), "control")
    info = tarfile.TarInfo("short")
    info.pax_headers = {"path": "a.wav\0../x"}
    refused(tmp_path, tar_of(info), "control")


def test_a_pax_header_or_long_name_is_checked_as_any_name(tmp_path):
    info = tarfile.TarInfo("good.wav")
    info.pax_headers = {"path": "../evil.wav"}
    refused(tmp_path, tar_of(info), "leads out")
    refused(tmp_path, tar_of(("../" + "x" * 150, b"1"), form=tarfile.GNU_FORMAT), "leads out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("set/Kick.wav", "set/kick.wav", "case"),
        ("SET/a.wav", "set/b.wav", "case"),
        ("stra\u00dfe.wav", "STRASSE.wav", "case"),
        ("caf\u00e9.wav", "cafe\u0301.wav", "form of its letters"),
        ("a", "a/b", "both a file and a folder"),
        ("a/b", "a", "both a file and a folder"),
        ("a.wav", "a.wav", "twice"),
        ("a.wav", "./a.wav", "twice"),
    ],
)
def test_two_members_for_one_place_are_refused(tmp_path, kind, first, second, message):
    members = [(first, b"1"), (second, b"2")]
    with pytest.warns(UserWarning) if kind == "zip" and first == second else open(os.devnull):
        data = zip_of(*members) if kind == "zip" else tar_of(*members)
    refused(tmp_path, data, message)


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode):
    refused(tmp_path, zip_of(("good", b"1"), ("evil", b"/etc/passwd", mode | 0o777), ("evil/x", b"2")), "it is a link|no file")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    refused(tmp_path, tar_of(("good", b"1"), tar_info("evil", kind, "/etc"), ("evil/x", b"2")), "it is a link|no file")


def test_a_link_inside_a_link_is_refused_by_its_first(tmp_path):  # the kind of CVE-2025-4517
    refused(tmp_path, tar_of(tar_info("a", tarfile.SYMTYPE, "."), tar_info("a/b", tarfile.SYMTYPE, "../.."), ("a/b/x", b"1")), "'a'.*link")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize("place", ["set", "set/drums", "set/bass.wav", "README"])
def test_a_link_in_the_target_is_not_followed(tmp_path, kind, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = tmp_path / "out" / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "new" if place in ("set/bass.wav", "README") else outside)
    (tmp_path / "archive").write_bytes(packed(kind, FILES))
    with pytest.raises(MixdataError, match="through a link"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert tree(outside) == {} and tree(tmp_path / "out") == {}


def test_a_link_in_place_of_the_work_folder_is_not_followed(tmp_path):
    (tmp_path / "outside/new").mkdir(parents=True)
    (tmp_path / "outside/new/keep").write_text("me")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.mixdata-unpacking").symlink_to(tmp_path / "outside")
    (tmp_path / "archive").write_bytes(packed("zip", FILES))
    with pytest.raises(MixdataError, match="is a link"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "outside") == {"new/keep": b"me"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_folder_where_a_file_should_be_is_an_error(tmp_path, kind):
    (tmp_path / "out/README").mkdir(parents=True)
    (tmp_path / "archive").write_bytes(packed(kind, FILES))
    with pytest.raises(MixdataError, match="does not fit"):
        extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "out") == {}


# -- bombs and lies ----------------------------------------------------------------------------------------------

SMALL = Limits(total_bytes=1_000_000, members=50, ratio=20, ratio_from_bytes=100_000, reserve_bytes=0)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_bomb_is_refused_by_its_ratio(tmp_path, kind):
    refused(tmp_path, packed(kind, {"zeros": bytes(500_000)}), "20 times its size", SMALL)
    refused(tmp_path, packed(kind, {f"{n}": bytes(99_000) for n in range(10)}), "20 times its size", SMALL)


@pytest.mark.parametrize("kind", KINDS)
def test_the_total_and_the_count_are_capped(tmp_path, kind):
    noise = random.Random(0).randbytes(700_000)
    refused(tmp_path, packed(kind, {"a": noise, "b": noise}), "more than 1.0 MB", SMALL)
    refused(tmp_path, packed(kind, {f"{n:02}": b"1" for n in range(51)}), "more than 50 members", SMALL)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_the_disk_is_not_filled_up(tmp_path, monkeypatch, kind):
    refused(tmp_path, packed(kind, FILES), "in reserve", Limits(reserve_bytes=shutil.disk_usage(tmp_path).total))
    free = iter([10**9, 10**9, 10**6])  # filled by someone else while the archive is unpacked
    monkeypatch.setattr("mixdata._archive_checks.free_space", lambda path: next(free))
    loose = Limits(ratio=10_000, reserve_bytes=10**8)
    refused(tmp_path, packed(kind, {"a": bytes(150_000_000)}), "1.0 MB free: it takes 100.0 MB in reserve", loose)


def test_what_apple_adds_counts_too(tmp_path):
    refused(tmp_path, packed("tar.gz", {"a": b"1", "__MACOSX/._a": bytes(800_000)}), "20 times its size", SMALL)


def test_a_size_that_is_a_lie_is_found_in_a_zip(tmp_path):
    data = zip_of(("a", b"abcdefgh" * 1000))
    for lie in (1, 7999, 8001):
        refused(tmp_path, data.replace(struct.pack("<I", 8000), struct.pack("<I", lie)), "damaged")


def test_a_header_that_says_it_is_huge_is_not_read_into_memory(tmp_path):
    """A PAX header of 8 GB, compressed to some kilobytes: tarfile reads headers whole."""
    header = tar_info("././@PaxHeader", tarfile.XHDTYPE, size=8_000_000_000).tobuf(tarfile.GNU_FORMAT)
    packer, out = lzma.LZMACompressor(), []
    out.append(packer.compress(header))
    out.extend(packer.compress(bytes(1_000_000)) for _ in range(20))
    refused(tmp_path, b"".join(out) + packer.flush(), "too long")
    refused(tmp_path, header + bytes(4_000_000), "too long")


def test_a_thousand_headers_before_one_member_are_refused(tmp_path):
    nested = b"".join(tar_info("p", tarfile.XHDTYPE, size=10).tobuf() + b"10 path=a\n".ljust(512, b"\0") for _ in range(3000))
    refused(tmp_path, nested + tar_of(("x", b"1")), "cannot be unpacked|too long")


def test_a_sparse_member_is_refused(tmp_path):
    info = tarfile.TarInfo("hole")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "100000000000000", "GNU.sparse.name": "hole"}
    refused(tmp_path, tar_of(info), "it is sparse")


def test_a_negative_size_is_refused(tmp_path):
    info = tarfile.TarInfo("hole")
    info.pax_headers = {"size": "-5"}
    refused(tmp_path, tar_of(info), "no file and no folder")


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """Two entries of the list, one of the file: how a small zip becomes many gigabytes."""
    data = zip_of(("a", bytes(1000)), ("b", bytes(1000)))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # the entry of b
    refused(tmp_path, data[: at + 42] + struct.pack("<I", 0) + data[at + 46 :], "lies over another")


def test_an_encrypted_member_is_refused_before_anything_is_written(tmp_path):
    data = bytearray(zip_of(("a", b"1"), ("b", b"2")))
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at + 8] |= 1
    refused(tmp_path, bytes(data), "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 9])
def test_a_method_without_a_bound_is_refused(tmp_path, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2 if method == 9 else method) as bundle:
        bundle.writestr("a", bytes(1000))
    data = bytearray(out.getvalue())
    data[data.index(b"PK\x01\x02") + 10] = method
    refused(tmp_path, bytes(data), f"method {method}")


def test_a_folder_with_content_is_refused(tmp_path):
    refused(tmp_path, zip_of(("a/", b"content")), "folder with content")


# -- what is broken, or something else ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_archive_is_damaged_wherever_it_is_cut(tmp_path, kind):
    """tarfile alone takes a tar that is cut between two members, or has a damaged header, for a shorter one."""
    data = packed(kind, {f"{n}": random.Random(n).randbytes(512) for n in range(4)})
    whole = 4 * 1024 + 512 if kind == "tar" else len(data)  # behind a tar's first block of zeros there is only padding
    for cut in sorted({*range(0, whole, 512), *range(1, whole, 301), whole - 1}):
        refused(tmp_path, data[:cut], "damaged|neither|no tar|no files")


def test_a_damaged_header_is_not_the_end_of_a_tar(tmp_path):
    data = bytearray(tar_of(("a", b"1"), ("b", b"2"), ("c", b"3")))
    data[1024 + 3] ^= 1
    refused(tmp_path, bytes(data), "damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_never_gives_a_traceback_nor_a_file_outside(tmp_path, kind):
    rng = random.Random(1)
    data = packed(kind, FILES)
    for _ in range(50):
        broken = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            broken[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        (tmp_path / "archive").write_bytes(broken)
        try:
            extract(tmp_path / "archive", tmp_path / "out")
        except MixdataError:
            assert not (tmp_path / "out").exists()
        assert {path.name for path in tmp_path.iterdir()} <= {"archive", "out"}
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_two_tars_in_a_row_are_not_taken_for_the_first(tmp_path):
    refused(tmp_path, tar_of(("a", b"1")) + tar_of(("b", b"2")), "more data behind")


def test_a_wrong_checksum_is_damage(tmp_path):
    data = bytearray(gzip.compress(tar_of(("a", b"1" * 1000))))
    data[-8] ^= 1
    refused(tmp_path, bytes(data), "damaged")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Rar!\x1a\x07\x01\x00", "RAR"),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "Zstandard"),
        (b"\n<!DOCTYPE html><html>Sign in", "web page"),
        (b"RIFF....WAVE", "neither a zip nor a tar"),
        (b"", "neither a zip nor a tar"),
        (gzip.compress(b"not a tar" * 99, mtime=0), "holds no tar"),
        (bytes(10240), "no files"),
        (zip_of(), "no files"),
        (tar_of(tar_info("a", tarfile.DIRTYPE)), "no files"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, data, message):
    refused(tmp_path, data, message)


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "archive.zip")
    with pytest.raises(MixdataError, match="not a regular file"):
        extract(tmp_path / "archive.zip", tmp_path / "out")
    with pytest.raises(MixdataError, match="cannot be read"):
        extract(tmp_path / "absent.zip", tmp_path / "out")


def test_a_split_archive_is_named_as_such(tmp_path):
    data = zip_of(("a", b"1" * 1000))
    end = data.index(b"PK\x05\x06")
    refused(tmp_path, data[: end + 4] + b"\x01\x00" + data[end + 6 :], "last part of a split zip")
    refused(tmp_path, b"PK\x07\x08" + data, "first part of a split zip")
    refused(tmp_path, data[:40], "one part of a split archive", name="x.zip.001")
    refused(tmp_path, b"middle", "one part of a split archive", name="x.tar.gz.ab")
    (tmp_path / "in/set.z01").write_bytes(b"middle")
    refused(tmp_path, data, "last part of a split zip", name="in/set.zip")


# -- kill, full disk, two at once --------------------------------------------------------------------------------

SLOW = """
import sys, time
from pathlib import Path
from mixdata import archives
real = archives._copy
def slow(*args):
    real(*args)
    print("copied", flush=True)
    time.sleep(60 if len(sys.argv) > 3 else 0)
archives._copy = slow
archives.extract(Path(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_kill_leaves_nothing_under_a_final_name_and_the_next_run_finishes(tmp_path, kind):
    (tmp_path / "archive").write_bytes(packed(kind, FILES))
    command = [sys.executable, "-c", SLOW, str(tmp_path / "archive"), str(tmp_path / "out"), "slow"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()  # one member is written
    with pytest.raises(MixdataError, match="another process is unpacking"):
        extract(tmp_path / "archive", tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".mixdata-unpacking"]
    extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "out") == FILES and not (tmp_path / "out/.mixdata-unpacking").exists()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    """The largest file size allowed stands in for a full disk."""
    (tmp_path / "archive").write_bytes(packed("tar.gz", {"small": b"1", "big": bytes(3_000_000)}))
    code = "import resource, sys; from pathlib import Path; from mixdata.archives import extract; "
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6)); extract(Path(sys.argv[1]), Path(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(tmp_path / "archive"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "MixdataError" in done.stderr and "largest size allowed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_kill_at_any_time_leaves_whole_files_only(tmp_path):
    files = {f"s{n}/f{n}.wav": random.Random(n).randbytes(30_000) for n in range(60)}
    (tmp_path / "archive").write_bytes(packed("tar", files))
    command = [sys.executable, "-c", SLOW, str(tmp_path / "archive"), str(tmp_path / "out")]
    for delay in (0.0, 0.01, 0.03, 0.06):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        final = {name: data for name, data in tree(tmp_path / "out").items() if not name.startswith(".mixdata")}
        assert final.items() <= files.items()
    extract(tmp_path / "archive", tmp_path / "out")
    assert tree(tmp_path / "out") == files
