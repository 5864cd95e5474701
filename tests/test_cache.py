"""The cache of separated stems gives back what was put in, or nothing."""

import json
import os

import numpy as np
import pytest

from mixdata.corpora import load_corpus
from mixdata.errors import MixdataError, SongError
from mixdata.rng import stream
from mixdata.separation.cache import separate_cached

MIX = (stream(0, "mix").standard_normal((2, 8000)) * 0.3).astype(np.float32)
SONG = next(iter(load_corpus("synth:songs=1,seconds=1,sample_rate=8000")))


class Halves:
    """A separator that counts its calls and puts each half of the mixture into a stem, one of them far above full scale."""

    stems = ("one", "other")
    fingerprint = "halves"

    def __init__(self):
        self.calls = 0

    def __call__(self, audio, sample_rate, *, song=None, notes=None):
        self.calls += 1
        notes.append("a note")
        return {"one": (audio * 5).astype(np.float32), "other": (audio * 0.25).astype(np.float32)}

    def describe(self):
        return {}

    def song_fingerprint(self, song):
        return self.fingerprint


def run(separator, mode, folder, mixture=MIX):
    return separate_cached(separator, mixture, 8000, SONG, mode, folder)


@pytest.mark.parametrize(("mode", "step"), [("flac24", 8 * 2.0**-24), ("float32", 0.0)])
def test_a_fresh_answer_and_one_from_the_cache_are_the_same(tmp_path, mode, step):
    separator = Halves()
    fresh, again = run(separator, mode, tmp_path), run(separator, mode, tmp_path)
    assert separator.calls == 1 and fresh[1] == again[1] == ["a note"]
    for stem, factor in (("one", 5), ("other", 0.25)):
        assert np.array_equal(fresh[0][stem], again[0][stem]) and fresh[0][stem].dtype == np.float32
        assert np.abs(fresh[0][stem] - MIX * np.float32(factor)).max() <= step
    assert not list(tmp_path.rglob(".*"))


def test_without_a_cache_nothing_is_written(tmp_path):
    separator = Halves()
    run(separator, "off", tmp_path)
    run(separator, "off", tmp_path)
    assert separator.calls == 2 and not list(tmp_path.iterdir())


def test_another_mixture_separator_or_mode_is_another_entry(tmp_path):
    separator, other = Halves(), Halves()
    other.fingerprint = "other"
    for mode, mixture in (("flac24", MIX), ("flac24", -MIX), ("float32", MIX)):
        run(separator, mode, tmp_path, mixture)
    run(other, "flac24", tmp_path)
    assert separator.calls == 3 and other.calls == 1


@pytest.mark.parametrize("damage", ["flip", "cut", "lost", "torn entry", "list entry"])
@pytest.mark.parametrize("mode", ["flac24", "float32"])
def test_a_damaged_entry_is_made_again(tmp_path, mode, damage):
    separator = Halves()
    fresh, _ = run(separator, mode, tmp_path)
    (stem,) = tmp_path.rglob(f"one.{mode}")
    data = bytearray(stem.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
        stem.write_bytes(data)
    elif damage == "cut":
        stem.write_bytes(data[:-4])
    elif damage == "lost":
        stem.unlink()
    else:
        (stem.parent / "entry.json").write_text('{"scale": 1' if damage == "torn entry" else "[]")
    again, _ = run(separator, mode, tmp_path)
    assert separator.calls == 2 and all(np.array_equal(again[name], fresh[name]) for name in fresh)
    assert json.loads((stem.parent / "entry.json").read_text())["sha256"]


def test_a_sound_entry_survives_an_error_of_the_system(tmp_path, monkeypatch):
    separator = Halves()
    run(separator, "float32", tmp_path)
    import pathlib

    def fail(*_):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(pathlib.Path, "read_bytes", fail)
        with pytest.raises(MixdataError, match="--cache-dir"):
            run(separator, "float32", tmp_path)
    run(separator, "float32", tmp_path)
    assert separator.calls == 1


@pytest.mark.parametrize("fault", ["nan", "shape"])
def test_an_answer_that_is_no_audio_is_refused_and_not_kept(tmp_path, fault):
    class Broken(Halves):
        def __call__(self, audio, sample_rate, *, song=None, notes=None):
            found = super().__call__(audio, sample_rate, song=song, notes=notes)
            found["one"] = found["one"][:, :-1] if fault == "shape" else found["one"] * np.float32(np.nan)
            return found

    with pytest.raises(SongError):
        run(Broken(), "flac24", tmp_path)
    assert not list(tmp_path.rglob("entry.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MixdataError, match="cannot write"):
        run(Halves(), "flac24", tmp_path)
