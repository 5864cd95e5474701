"""Other people's tars as datasets."""

import csv
import errno
import io
import json
import os
import re
import sys
import tarfile
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import webdataset

import mixdata
from conftest import files_of
from mixdata.errors import MixdataError, UsageError
from mixdata.interchange import export, import_webdataset
from mixdata.interchange.importing import split_of
from mixdata.torch import ShardDataset
from tiny_dataset import write_tiny
from trees import noise

RATE = 8000

KINDS = {
    "flac16": ("FLAC", "PCM_16"),
    "flac24": ("FLAC", "PCM_24"),
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "npy16": None,
    "npyf32": None,
}


def member(audio, codec, rate=RATE):
    """Audio as somebody else would encode it, without anything of ours."""
    buffer = io.BytesIO()
    if codec == "npy16":
        np.save(buffer, np.rint(audio * 32768).astype(np.int16))
    elif codec == "npyf32":
        np.save(buffer, 3 * audio)  # floats may exceed full scale
    else:
        form, subtype = KINDS[codec]
        soundfile.write(buffer, audio.T, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def write_tar(path, members):
    """A tar as Python's tarfile makes it: a list of (name, bytes)."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def their_tar(path, codec="flac16", keys=("a song", "dir/Other.", "third"), rate=RATE):
    """A tar of their own making by the webdataset package, and what is in it."""
    songs = {}
    with webdataset.TarWriter(str(path)) as writer:
        for place, key in enumerate(key.rstrip(".") for key in keys):
            songs[key] = {stem: noise(10 * place + n, 0.5 + place / 4, sample_rate=rate) for n, stem in enumerate(("vocals", "drums"))}
            suffix = codec[:3] if codec.startswith("npy") else codec[:-2]
            sample = {f"{stem}.{suffix}": member(audio, codec, rate) for stem, audio in songs[key].items()}
            writer.write({"__key__": key, **sample, "json": {"title": key, "license": f"L{place}"}, "txt": "words"})
    return path, songs


@pytest.mark.parametrize("codec", KINDS)
def test_their_tars_are_read_in_place(tmp_path, codec):
    tar, songs = their_tar(tmp_path / "their-000.tar", codec)
    before = tar.read_bytes()
    dataset = import_webdataset([tar], tmp_path / "set", role="target", sample_rate=RATE if codec.startswith("npy") else None)
    assert tar.read_bytes() == before and (tmp_path / "set" / "shards" / "train-000000.tar").resolve() == tar
    assert (dataset.codec, dataset.sample_rate, dataset.channels) == (codec, RATE, 2)
    assert dataset.roles == {"target": ("drums", "vocals")} and dataset.examples["source_key"].tolist() == list(songs)
    assert dataset.meta["imported"]["ignored"] == {"txt": 3} and dataset.examples["licence"].tolist() == ["L0", "L1", "L2"]
    songs = {key: {stem: audio * (3 if codec == "npyf32" else 1) for stem, audio in stems.items()} for key, stems in songs.items()}
    for (key, stems), example in zip(songs.items(), dataset, strict=True):
        assert example.record["title"] == key
        for stem, audio in stems.items():
            assert np.array_equal(example.roles["target"][stem], audio)
    for row in dataset.examples.itertuples():  # the span of an example is a tar of its members alone
        with tarfile.open(fileobj=io.BytesIO(before[row.byte_offset : row.byte_offset + row.byte_size] + bytes(1024))) as members:
            assert [name.partition(".")[0] for name in members.getnames()] == [row.source_key] * 4
    crops = ShardDataset(tmp_path / "set", crop=0.3, seed=1)
    for item in (crops[place] for place in range(6)):
        start, key = int(item["start"]), dataset.examples.set_index("key").at[item["key"], "source_key"]
        for place, stem in enumerate(("drums", "vocals")):
            assert np.array_equal(item["target"][place].numpy(), songs[key][stem][:, start : start + 2400])
    assert mixdata.verify(tmp_path / "set") == []


def test_names_give_roles_and_a_lone_file_is_the_mixture(tmp_path):
    audio = member(noise(0), "flac16")
    one = write_tar(tmp_path / "one.tar", [("x.Input.Vocals.FLAC", audio), ("x.target.mixture.flac", audio)])
    assert import_webdataset([one], tmp_path / "a").roles == {"input": ("vocals",), "target": ("mixture",)}
    two = write_tar(tmp_path / "two.tar", [("./x.flac", audio), ("./y.flac", member(noise(1), "flac16"))])
    dataset = import_webdataset([two], tmp_path / "b", role="target")
    assert dataset.examples["source_key"].tolist() == ["x", "y"]
    assert dataset.roles == {"target": ("mixture",)} and dataset[0].record == {} and mixdata.verify(tmp_path / "b") == []


def test_a_stem_that_a_sample_lacks_is_masked_silence(tmp_path):
    audio = noise(0)
    tar = write_tar(
        tmp_path / "t.tar",
        [("a.vocals.wav", member(audio, "wav16")), ("a.drums.wav", member(audio / 2, "wav16")), ("b.drums.wav", member(audio, "wav16"))],
    )
    dataset = import_webdataset([tar], tmp_path / "set")
    assert [list(warnings) for warnings in dataset.songs["warnings"]] == [[], ["missing_input_vocals"]]
    assert dataset.meta["imported"]["missing"] == {"input.vocals": 1} and mixdata.verify(tmp_path / "set") == []
    example = dataset[1]
    assert example.active == {"input": {"vocals": False, "drums": True}}
    assert not example.roles["input"]["vocals"].any() and np.array_equal(example.roles["input"]["drums"], audio)
    crops = ShardDataset(tmp_path / "set", crop=0.2)
    assert sorted(crops[place]["mask"].tolist() for place in range(2)) == [[False, True], [True, True]]
    out = export(tmp_path / "set", "folder", tmp_path / "out")
    rows = csv.DictReader(io.StringIO((out / "metadata.csv").read_text()))
    assert {row["absent"] for row in rows} == {"", "input.vocals"}
    export(tmp_path / "set", "webdataset", tmp_path / "again", codec="flac")
    assert import_webdataset(sorted((tmp_path / "again").glob("*.tar")), tmp_path / "set2").codec == "flac16"


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_tars_are_linked_or_copied(tmp_path, link):
    tar, _ = their_tar(tmp_path / "x.tar")
    import_webdataset([tar], tmp_path / "set", link=link)
    inside = tmp_path / "set" / "shards" / "train-000000.tar"
    assert inside.is_symlink() == (link == "symlink") and inside.samefile(tar) == (link != "copy")
    assert inside.read_bytes() == tar.read_bytes()
    if link == "symlink":  # relative: tars and dataset may move together
        assert not os.readlink(inside).startswith("/")


def test_splits_come_from_names_or_the_user(tmp_path):
    assert [split_of(Path(p)) for p in ("a/train-0.tar", "a/x_val_1.tar", "test/0.tar", "a/validation.tar", "test_x/latest.tar")] == [
        "train", "valid", "test", "valid", "train",
    ]  # fmt: skip
    tars = [their_tar(tmp_path / f"{name}.tar", keys=(name,))[0] for name in ("train-1", "train-0", "valid-0")]
    dataset = import_webdataset(tars, tmp_path / "set")
    assert {name: [s["name"] for s in facts["shards"]] for name, facts in dataset.splits.items()} == {
        "train": ["train-000000", "train-000001"], "valid": ["valid-000000"],
    }  # fmt: skip
    assert list(import_webdataset(tars, tmp_path / "two", split="test").splits) == ["test"]


def test_an_export_imported_again_is_the_same_audio(tmp_path):
    tiny = write_tiny(tmp_path / "tiny")
    out = export(tiny.path, "webdataset", tmp_path / "out", codec="flac")
    dataset, first = import_webdataset(sorted(out.glob("*.tar")), tmp_path / "set"), mixdata.open_dataset(tiny.path)
    assert dataset.roles == first.roles and dataset.examples["source_key"].tolist() == first.examples["key"].tolist()
    assert dataset.examples["split"].tolist() == first.examples["split"].tolist()
    for mine, theirs in zip(dataset, first, strict=True):
        for (role, stem, audio), (*_, wanted) in zip(mine.members(), theirs.members(), strict=True):
            assert np.array_equal(audio, wanted), (role, stem)
    assert mixdata.verify(tmp_path / "set") == []


def test_imports_are_the_same_bytes_and_ids_do_not_hang_on_the_order_of_tars(tmp_path):
    tars = [their_tar(tmp_path / f"{name}.tar", keys=(name,))[0] for name in ("x", "y")]
    one, two = (files_of(import_webdataset(tars, tmp_path / name / "set").path) for name in ("one", "two"))
    assert one == two and str(tmp_path).encode() not in b"".join(data for name, data in one.items() if not name.endswith(".tar"))
    other = import_webdataset(tars[::-1], tmp_path / "three")
    keys = pq.read_table(io.BytesIO(one["examples.parquet"]))["key"].to_pylist()
    assert set(other.examples["key"]) == set(keys)


def test_members_that_have_the_wanted_form_are_exported_as_they_are(tmp_path):
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 2, "PCM_16", format="FLAC") as file:
        file.title = "theirs"  # which no member that mixdata encodes has
        file.write(noise(0).T)
    dataset = import_webdataset([write_tar(tmp_path / "x.tar", [("a.x.flac", buffer.getvalue())])], tmp_path / "set")
    (tar,) = export(dataset, "webdataset", tmp_path / "out", codec="flac").glob("*.tar")
    with tarfile.open(tar) as members:
        assert members.extractfile(members.next()).read() == buffer.getvalue()


def test_samples_of_one_key_are_told_apart_by_their_content(tmp_path):
    tars = [write_tar(tmp_path / f"{place}.tar", [("song.x.flac", member(noise(place), "flac16"))]) for place in range(2)]
    dataset = import_webdataset(tars, tmp_path / "set")
    assert len(set(dataset.examples["key"])) == 2 and dataset.examples["source_key"].tolist() == ["song", "song"]
    assert all(np.array_equal(dataset[place].roles["input"]["x"], noise(place)) for place in range(2))


def test_samples_of_one_content_are_told_apart_by_their_keys(tmp_path):
    audio = member(noise(0), "flac16")
    dataset = import_webdataset([write_tar(tmp_path / "x.tar", [("a b.x.flac", audio), ("a-b.x.flac", audio)])], tmp_path / "set")
    assert len(set(dataset.examples["key"])) == 2 and dataset.examples["source_key"].tolist() == ["a b", "a-b"]


@pytest.mark.parametrize("told", [True, -1, "8000", None])
def test_a_rate_in_json_that_is_no_rate_is_not_taken(tmp_path, told):
    members = [("a.x.npy", member(noise(0), "npy16")), ("a.json", json.dumps({"sample_rate": told}).encode())]
    assert import_webdataset([write_tar(tmp_path / "x.tar", members)], tmp_path / "set", sample_rate=16000).sample_rate == 16000


def test_a_rate_in_json_goes_before_the_users(tmp_path):
    members = [("a.x.npy", member(noise(0), "npy16")), ("a.json", RATE_IN_JSON)]
    assert import_webdataset([write_tar(tmp_path / "x.tar", members)], tmp_path / "set", sample_rate=16000).sample_rate == RATE


def test_a_wav_with_a_chunk_of_odd_length_before_its_audio_is_read(tmp_path):
    data = member(noise(0), "wav16")
    place = data.index(b"data")
    odd = data[:place] + b"note" + (3).to_bytes(4, "little") + b"odd\0" + data[place:]
    odd = odd[:4] + (len(odd) - 8).to_bytes(4, "little") + odd[8:]
    dataset = import_webdataset([write_tar(tmp_path / "x.tar", [("a.x.wav", odd)])], tmp_path / "set")
    assert np.array_equal(dataset[0].roles["input"]["x"], noise(0)) and mixdata.verify(tmp_path / "set") == []


def test_a_record_that_is_too_large_is_refused(tmp_path, monkeypatch):
    from mixdata.interchange import samples

    monkeypatch.setattr(samples, "LONGEST_RECORD", 10)
    members = [("a.x.flac", member(noise(0), "flac16")), ("a.json", b'{"a": "bcd"}')]
    with pytest.raises(MixdataError, match=r"a\.json \(bytes \d+ to \d+\): too large"):
        import_webdataset([write_tar(tmp_path / "x.tar", members)], tmp_path / "set")


def test_verify_finds_another_tar_in_the_place_of_the_imported_one(tmp_path):
    tar = write_tar(tmp_path / "x.tar", [("a.x.flac", member(noise(0), "flac16"))])
    folder = import_webdataset([tar], tmp_path / "set").path
    write_tar(tar, [("a.y.flac", member(noise(0), "flac16")), ("b.x.flac", member(noise(1), "flac16", 16000))])
    said = "\n".join(map(str, mixdata.verify(folder)))
    assert "input.y (bytes 512 to" in said and "is not among the roles of dataset.json" in said
    assert "holds 2 samples, dataset.json says 1" in said
    assert re.search(r"b: is AudioFacts\(.*sample_rate=16000\), dataset\.json says AudioFacts\(.*sample_rate=8000\)", said)


def gnu_long(name, data):
    """A member with GNU's long name in a header of its own."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def claiming(kind, size):
    """A header that claims this many bytes behind it."""
    info = tarfile.TarInfo("a.vocals.flac")
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def special(kind, name="a.vocals.flac", target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info.tobuf() + bytes(1024)


RATE_IN_JSON = b'{"sample_rate": 8000}'


def hostile():
    good = member(noise(0), "flac16")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("a.vocals.flac", "b.vocals.flac"):
            info = tarfile.TarInfo(name)
            info.size = len(good)
            tar.addfile(info, io.BytesIO(good))
    whole = plain.getvalue()
    second = 512 + len(good) + -len(good) % 512
    broken = bytearray(whole)
    broken[second + 10] ^= 1
    fake = bytearray(good)
    fake[21:26] = bytes([fake[21] | 15, 255, 255, 255, 255])  # STREAMINFO: 2^36 - 1 samples
    wav = bytearray(member(noise(0), "wav16"))
    wav[40:44] = (2**31).to_bytes(4, "little")
    array = io.BytesIO()
    np.save(array, np.array([{}]), allow_pickle=True)
    turned, short = io.BytesIO(), io.BytesIO()
    np.save(turned, np.zeros((2000, 2), np.int16))
    np.save(short, np.zeros((2, 2000), np.int16))
    columns, newer = io.BytesIO(), io.BytesIO()
    np.save(columns, np.asfortranarray(np.zeros((2, 2000), np.int16)))
    np.lib.format.write_array(newer, np.zeros((2, 2000), np.int16), version=(2, 0))
    aiff = io.BytesIO()
    soundfile.write(aiff, noise(0).T, RATE, format="AIFF", subtype="PCM_16")
    f = lambda *members: [(name, data) for name, data in members]  # noqa: E731
    return {
        "cut in a member": (whole[: second + 700], r"b\.vocals\.flac.*bytes \d+ to \d+.*cut off"),
        "cut between members": (whole[:second], r"no end after byte \d+"),
        "cut in a header": (whole[: second + 100], r"no end after byte \d+"),
        "damaged header": (bytes(broken), rf"bytes {second} to {second + 512}: a damaged tar header"),
        "giant member": (claiming(tarfile.REGTYPE, 2**62) + bytes(1024), "cut off"),
        "giant long name": (claiming(tarfile.GNUTYPE_LONGNAME, 2**62) + bytes(1024), r"x\.tar: "),
        "giant pax header": (claiming(tarfile.XHDTYPE, 2**40) + bytes(1024), r"x\.tar: "),
        "negative size": (claiming(tarfile.REGTYPE, -(2**40)) + bytes(1024), r"x\.tar: "),
        "symbolic link": (special(tarfile.SYMTYPE, target="/etc/passwd"), "link to '/etc/passwd'"),
        "hard link": (special(tarfile.LNKTYPE, target="b"), "is a link"),
        "device": (special(tarfile.CHRTYPE), "not a plain file"),
        "FIFO": (special(tarfile.FIFOTYPE), "not a plain file"),
        "absolute name": (f(("/etc/a.flac", good)), "leads out of the archive"),
        "name that leads out": (f(("x/../../a.flac", good)), "leads out of the archive"),
        "interleaved keys": (f(("a.x.flac", good), ("b.x.flac", good), ("a.y.flac", good)), "'a' do not lie together"),
        "member twice": (f(("a.x.flac", good), ("a.x.flac", good)), "stands twice"),
        "stem twice": (f(("a.x.flac", good), ("a.X.wav", member(noise(0), "wav16"))), "stands twice"),
        "too many dots": (f(("a.b.c.d.flac", good)), "is not named"),
        "strange stem": (f(("a.v\u00f6cals.flac", good)), "is not named"),
        "no audio": (f(("a.txt", b"words")), "has no audio"),
        "mp3": (f(("a.mp3", b"ID3")), "cannot be read in place"),
        "empty": (bytes(10240), "no sample"),
        "empty file": (b"", "no tar archive"),
        "no tar": (b"RIFF" * 1000, "no tar archive"),
        "compressed": (b"\x1f\x8b" + bytes(1000), "compressed"),
        "json is a list": (f(("a.x.flac", good), ("a.json", b"[]")), "no JSON object"),
        "json is none": (f(("a.x.flac", good), ("a.json", b"{")), "is no JSON"),
        "other rate": (f(("a.x.flac", good), ("b.x.flac", member(noise(1), "flac16", 16000))), "sample_rate is 16000"),
        "other channels": (f(("a.x.flac", good), ("b.x.flac", member(noise(1, channels=1), "flac16"))), "channels is 1"),
        "other codec": (f(("a.x.flac", good), ("b.x.flac", member(noise(1), "flac24"))), "codec is flac24"),
        "other length in a sample": (f(("a.x.flac", good), ("a.y.flac", member(noise(1, 0.5), "flac16"))), "differ in codec"),
        "FLAC is none": (f(("a.x.flac", b"fLaX" + good[4:])), "no FLAC"),
        "FLAC that claims too much": (f(("a.x.flac", bytes(fake))), "promises"),
        "WAV cut off": (f(("a.x.wav", bytes(wav))), "promises"),
        "WAV of floats": (f(("a.x.wav", wav_of("FLOAT"))), "wavf32 cannot be read in place"),
        "WAV of 8 bit": (f(("a.x.wav", wav_of("PCM_U8"))), "PCM_U8"),
        "pickle": (f(("a.x.npy", array.getvalue())), "is an array"),
        "npy turned": (f(("a.x.npy", turned.getvalue())), r"not \(channels, frames\)"),
        "npy cut off": (f(("a.x.npy", short.getvalue()[:-1])), "promises"),
        "npy of a rate that is none": (
            f(("a.x.npy", short.getvalue()), ("a.json", b'{"sample_rate": 1000000000000}')),
            "is 1000000000000 Hz",
        ),
        "key with a dot": (f(("a.1.x.flac", good)), "the role '1': the key ends at the first dot"),
        "too many stems": (
            f(*((f"a.s{place}.npy", short.getvalue()) for place in range(1001)), ("a.json", RATE_IN_JSON)),
            "1001 different",
        ),
        "npy by columns": (f(("a.x.npy", columns.getvalue())), "is an array"),
        "npy of a newer version": (f(("a.x.npy", newer.getvalue())), "version 1.0"),
        "WAV is none": (f(("a.x.wav", aiff.getvalue())), "no RIFF"),
        "WAV of nothing": (f(("a.x.wav", member(np.zeros((2, 0), np.float32), "wav16"))), "holds no audio"),
        "WAV of many channels": (f(("a.x.wav", member(np.zeros((300, 10), np.float32), "wav16"))), "has 300 channels"),
        "WAV of a low rate": (f(("a.x.wav", member(noise(0), "wav16", 4000))), "sample rate is 4000 Hz"),
        "sparse file": (special(tarfile.GNUTYPE_SPARSE), "not a plain file"),
        "long key": (f((f"{600 * 'k'}.x.flac", good)), "a key of 600 characters"),
        "npy without rate": (f(("a.x.npy", short.getvalue())), "sample-rate"),
        "same sample twice": (None, "same sample"),
    }


def wav_of(subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, noise(0).T, RATE, format="WAV", subtype=subtype)
    return buffer.getvalue()


HOSTILE = hostile()


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_tars_are_refused_with_a_clear_word_and_leave_nothing(tmp_path, what):
    content, message = HOSTILE[what]
    tars = [tmp_path / "x.tar"]
    if what == "same sample twice":
        tars = [their_tar(tmp_path / f"{name}.tar")[0] for name in ("x", "y")]
    elif isinstance(content, bytes):
        tars[0].write_bytes(content)
    else:
        write_tar(tars[0], content)
    with pytest.raises(MixdataError, match=message) as error:
        import_webdataset(tars, tmp_path / "set")
    assert str(tmp_path) in str(error.value)
    assert {path.suffix for path in tmp_path.iterdir()} == {".tar"}


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_much_takes_no_memory(tmp_path, kind):
    (tmp_path / "x.tar").write_bytes(claiming(kind, 2**30) + bytes(1024))
    tracemalloc.start()
    try:
        with pytest.raises(MixdataError):
            import_webdataset([tmp_path / "x.tar"], tmp_path / "set")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_long_names_and_folders_are_fine(tmp_path):
    """GNU tar's long names, POSIX (pax) ones, and the entries of folders."""
    data = member(noise(0), "flac16")
    (tmp_path / "gnu.tar").write_bytes(special(tarfile.DIRTYPE, "d")[:512] + gnu_long(f"d/{'k' * 200}.vocals.flac", data) + bytes(1024))
    write_tar(tmp_path / "pax.tar", [(f"d/{100 * 'ü'}.vocals.flac", data)])
    dataset = import_webdataset([tmp_path / "gnu.tar", tmp_path / "pax.tar"], tmp_path / "set")
    assert dataset.examples["source_key"].tolist() == [f"d/{'k' * 200}", f"d/{100 * 'ü'}"]
    assert [song[:-8] for song in dataset.examples["song"]] == [f"{'k' * 40}-", f"{'u' * 40}-"]
    assert mixdata.verify(tmp_path / "set") == [] and np.array_equal(dataset[0].roles["input"]["vocals"], noise(0))


def test_verify_finds_what_changed_in_imported_tars(tmp_path):
    tar, _ = their_tar(tmp_path / "x.tar")
    folder = import_webdataset([tar], tmp_path / "set", link="copy").path
    inside, whole = folder / "shards" / "train-000000.tar", tar.read_bytes()
    with tarfile.open(tar) as members:
        drums = members.getmember("third.drums.flac")
    inside.write_bytes(whole[: drums.offset_data + 9000] + b"\0" * 64 + whole[drums.offset_data + 9064 :])
    said = "\n".join(map(str, mixdata.verify(folder)))
    assert "was changed since it was imported" in said and "third: drums" not in said
    assert f"input.drums (bytes {drums.offset_data} to {drums.offset_data + drums.size}) does not decode" in said
    assert "is not the index of the tar beside it" in said
    with pytest.raises(MixdataError, match="checksum"):
        mixdata.open_dataset(folder)[2]
    inside.write_bytes(whole[:-20000])
    assert "cut off" in str(mixdata.verify(folder)[0]) or "no end" in str(mixdata.verify(folder)[0])
    inside.write_bytes(whole)
    assert mixdata.verify(folder) == []
    table = pq.read_table(folder / "examples.parquet")
    place = table.column_names.index("source_key")
    pq.write_table(table.set_column(place, "source_key", [["another", *table["source_key"].to_pylist()[1:]]]), folder / "examples.parquet")
    assert "its rows of shard train-000000 are not what the tar says" in "\n".join(map(str, mixdata.verify(folder)))


def test_verify_finds_a_member_that_is_shorter_than_its_header_says(tmp_path):
    data = bytearray(member(noise(0), "flac16"))
    frames = int.from_bytes(data[22:26], "big")  # the lower 32 of STREAMINFO's 36 bits
    assert frames == noise(0).shape[1]
    data[22:26] = (frames + 1000).to_bytes(4, "big")
    folder = import_webdataset([write_tar(tmp_path / "x.tar", [("a.x.flac", bytes(data))])], tmp_path / "set").path
    said = "\n".join(map(str, mixdata.verify(folder)))
    assert re.search(rf"input\.x \(bytes 512 to {512 + len(data)}\) does not decode", said), said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"split": "Train"}, "a split is named"),
        ({"role": "my role"}, "a role is named"),
        ({"link": "hard"}, "use one of symlink, hardlink, copy"),
        ({"sample_rate": 7999}, "must be 8000 to 384000 Hz"),
    ],
)
def test_wrong_words_of_an_import_are_refused(tmp_path, words, message):
    tar, _ = their_tar(tmp_path / "x.tar")
    with pytest.raises(UsageError, match=message):
        import_webdataset([tar], tmp_path / "set", **words)
    link = tmp_path / "link.tar"
    link.symlink_to(tar)
    for tars, said in (
        ([], "no tar"),
        ([tmp_path / "nowhere.tar"], "no such file"),
        ([tmp_path], "is no file"),
        ([tar, tar], "given twice"),
        ([tar, link], "given twice"),
    ):
        with pytest.raises(UsageError, match=said):
            import_webdataset(tars, tmp_path / "set")


def test_names_and_licences_that_are_no_unicode_are_taken_with_marks(tmp_path):
    """Latin-1 names are common in old archives, and JSON can hold half of a surrogate pair."""
    with tarfile.open(tmp_path / "x.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        for name, data in (("b\u00e4r.vocals.flac", member(noise(0), "flac16")), ("b\u00e4r.json", b'{"license": "a\\ud800\\n b"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    dataset = import_webdataset([tmp_path / "x.tar"], tmp_path / "set")
    assert dataset.examples["source_key"].tolist() == ["b\ufffdr"] and dataset.examples["licence"].tolist() == ["a\ufffd b"]
    (tmp_path / "y").mkdir()
    lines = write_tar(tmp_path / "y" / "lines.tar", [("a\n b.x.flac", member(noise(0), "flac16"))])
    assert import_webdataset([lines], tmp_path / "two").songs["title"].tolist() == ["a b"]
    assert dataset.songs["title"].tolist() == ["b\ufffdr"] and mixdata.verify(tmp_path / "set") == []


def test_a_licence_is_taken_from_the_record_its_song_or_the_user_and_travels_through_an_export(tmp_path):
    records = {
        "a": {"license": "A | B"},
        "b": {"song": {"licence": "B"}},
        "c": {"licence": ""},
        "d": {"licence": "D", "song": {"licence": "E"}},
        "e": None,
    }
    members = []
    for place, (key, record) in enumerate(records.items()):
        members.append((f"{key}.x.flac", member(noise(place), "flac16")))
        members += [] if record is None else [(f"{key}.json", json.dumps(record).encode())]
    first = import_webdataset([write_tar(tmp_path / "x.tar", members)], tmp_path / "set", licence="mine")
    assert first.examples["licence"].tolist() == first.songs["licence"].tolist() == ["A | B", "B", "mine", "D", "mine"]
    for words in ({"codec": "wav"}, {"crop": 0.5}):
        out = export(first, "webdataset", tmp_path / f"out-{len(words)}-{next(iter(words))}", **words)
        again = import_webdataset(sorted(out.glob("*.tar")), tmp_path / f"again-{out.name}")
        by_key = {
            key.rpartition("_")[0]: licence for key, licence in zip(again.examples["source_key"], again.examples["licence"], strict=True)
        }
        assert [by_key[key.rpartition("_")[0]] for key in first.examples["key"]] == ["A | B", "B", "mine", "D", "mine"]
        licences = (out / "LICENCE.md").read_text()
        assert "| imported | mine | 2 |" in licences and r"| imported | A \| B | 1 |" in licences


def test_datasets_of_the_same_tars_taken_otherwise_have_another_identity(tmp_path):
    tar, _ = their_tar(tmp_path / "x.tar")
    ways = [{}, {"role": "target"}, {"licence": "CC0-1.0"}, {"split": "test"}]
    assert len({import_webdataset([tar], tmp_path / str(place), **way).meta["identity"] for place, way in enumerate(ways)}) == 4


def test_a_hard_link_that_cannot_be_is_told(tmp_path, monkeypatch):
    tar, _ = their_tar(tmp_path / "x.tar")

    def no_link(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(MixdataError, match=r"x\.tar: cannot be hard-linked.*use symlink or copy"):
        import_webdataset([tar], tmp_path / "set", link="hardlink")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_the_command_line_imports(tmp_path, monkeypatch, capsys):
    from mixdata.cli import main

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["mixdata", *map(str, words)])
        with pytest.raises(SystemExit) as done:
            main()
        return (done.value.code or 0, *capsys.readouterr())

    monkeypatch.chdir(tmp_path)
    their_tar(Path("valid-0.tar"), "wav16")
    code, said, _ = run("import", "valid-0.tar", "-o", "set", "--json")
    facts = json.loads(said)
    assert code == 0 and facts["splits"] == {"valid": 3} and facts["codec"] == "wav16" and facts["roles"] == {"input": ["drums", "vocals"]}
    for words in (("verify", "set"), ("info", "set"), ("stats", "set"), ("listen", "set", "--static", "page")):
        assert run(*words)[0] == 0
    audio = member(noise(0, 0.1), "wav16")
    write_tar(Path("many.tar"), [("a.x.wav", audio), *((f"b.y{place}.wav", audio) for place in range(12)), ("b.txt", b"")])
    code, said, _ = run("import", "many.tar", "-o", "many", "-q")
    assert code == 0 and said.count("(masked)") == 10 and "and 3 more (--json lists them)" in said and "ignored   1 x .txt" in said
    for words, told in (
        (("nowhere.tar", "-o", "x"), "nowhere.tar"),
        (("valid-0.tar", "-o", "set"), "not an empty folder"),
        (("valid-0.tar", "-o", "x", "--link", "soft"), "use one of"),
    ):
        code, _, said = run("import", *words)
        assert code == 2 and told in said
    assert "mixdata import data/train" in run("import", "--help")[1]
