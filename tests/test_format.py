"""The members of shards: what goes in comes out."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mixdata
from conftest import SONGS, small_recipe
from mixdata.errors import MixdataError, UsageError
from mixdata.rng import stream
from mixdata.shards import verify as verifying
from mixdata.shards.format import BITS, CODECS, decode, decode_flac, decode_stored, encode, headroom_scale, quantize
from mixdata.shards.verify import verify

audio = hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 400)), elements=st.floats(-1, 0.99993896484375, width=32))


@pytest.mark.parametrize("codec", CODECS)
@given(samples=audio)
@settings(max_examples=30, deadline=None)
def test_decoding_gives_back_the_audio_within_half_a_step(codec, samples):
    step = 2.0 ** (1 - BITS[codec])
    decoded = decode(encode(samples, 44100, codec), codec)
    assert decoded.dtype == np.float32 and decoded.shape == samples.shape
    assert np.abs(decoded.astype(np.float64) - samples).max() <= step / 2 + 2.0**-25


@pytest.mark.parametrize("codec", CODECS)
def test_a_part_is_the_slice_of_the_whole_and_bytes_are_repeatable(codec):
    samples = (stream(0, "part").standard_normal((2, 30_000)) * 0.1).astype(np.float32)
    data = encode(samples, 44100, codec)
    whole = decode_stored(data, codec)
    assert np.array_equal(decode_stored(data, codec, 12_345, 678), whole[:, 12_345:13_023])
    assert np.array_equal(decode_stored(data, codec, 29_990), whole[:, 29_990:])
    assert encode(samples, 44100, codec) == data


def test_integers_survive_exactly():
    integers = stream(0, "integers").integers(-(2**15), 2**15, (2, 5000))
    samples = (integers / 2**15).astype(np.float32)
    for codec in ("flac16", "npy16"):
        assert np.array_equal(decode_stored(encode(samples, 48000, codec), codec), integers)
    integers = stream(1, "integers").integers(-(2**23), 2**23, (2, 5000))
    assert np.array_equal(decode_stored(encode((integers / 2**23).astype(np.float32), 48000, "flac24"), "flac24"), integers)


def test_rounding_is_half_to_even():
    assert quantize(np.array([[0.5, 1.5, 2.5, -0.5, -1.5]]) / 2**15, 16).tolist() == [[0, 2, 2, 0, -2]]


INTEGERS = [codec for codec in CODECS if codec != "npyf32"]


@given(samples=hnp.arrays(np.float32, (2, 50), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
@settings(max_examples=30, deadline=None)
def test_floats_come_back_exactly_at_any_level(samples):
    decoded = decode(encode(samples, 44100, "npyf32"), "npyf32")
    assert decoded.dtype == np.float32 and np.array_equal(decoded.view(np.uint32), samples.view(np.uint32))
    assert headroom_scale(float(np.abs(samples).max()), "npyf32") == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("codec", CODECS)
def test_what_is_no_number_is_refused(codec, value):
    with pytest.raises(MixdataError, match="not a number"):
        encode(np.array([[0, value, 0]], np.float32), 44100, codec)


@pytest.mark.parametrize("codec", INTEGERS)
@given(peak=st.floats(1e-3, 1e4))
def test_headroom_is_just_enough(codec, peak):
    scale = headroom_scale(peak, codec)
    assert scale <= 1
    samples = np.array([[peak, -peak]], dtype=np.float32) * np.float32(scale)
    assert np.abs(quantize(samples, BITS[codec])).max() <= 2 ** (BITS[codec] - 1) - 1
    if peak < 0.99:
        assert scale == 1


def test_clipping_is_refused_and_unknown_codecs_too():
    with pytest.raises(MixdataError, match="above full scale"):
        encode(np.array([[1.0]], dtype=np.float32), 44100, "flac16")
    with pytest.raises(UsageError, match="unknown codec"):
        encode(np.zeros((1, 4), np.float32), 44100, "mp3")


def test_npy_members_are_plain_numpy_files_and_flac_members_plain_flac():
    samples = (stream(0, "plain").standard_normal((2, 1000)) * 0.1).astype(np.float32)
    stored = np.load(io.BytesIO(encode(samples, 44100, "npy16")), allow_pickle=False)
    assert stored.dtype == np.int16 and stored.shape == (2, 1000) and stored.flags.c_contiguous
    floats = np.load(io.BytesIO(encode(samples[:, ::-1], 44100, "npyf32")), allow_pickle=False)
    assert floats.dtype == np.float32 and floats.flags.c_contiguous and np.array_equal(floats, samples[:, ::-1])
    info = soundfile.info(io.BytesIO(encode(samples, 44100, "flac24")))
    assert (info.format, info.subtype, info.samplerate, info.frames) == ("FLAC", "PCM_24", 44100, 1000)


def test_the_webdataset_handler_takes_flac_and_nothing_else():
    samples = np.full((2, 10), 0.25, np.float32)
    assert np.array_equal(decode_flac("input.vocals.flac", encode(samples, 44100, "flac16")), samples)
    assert decode_flac("json", b"{}") is None


def test_a_damaged_flac_member_is_noticed():
    data = bytearray(encode((stream(0, "x").standard_normal((2, 20_000)) * 0.1).astype(np.float32), 44100, "flac16"))
    data[len(data) // 2] ^= 0x10
    with pytest.raises(RuntimeError):
        decode_stored(bytes(data), "flac16")


def test_a_set_of_floats_is_built_at_its_true_level_and_verifies(tmp_path):
    mixdata.build(small_recipe("output.codec=npyf32"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    dataset = mixdata.open_dataset(tmp_path / "set")
    assert dataset.codec == "npyf32" and (dataset.examples["scale"] == 1).all()
    assert verify(tmp_path / "set") == []


def test_floats_that_miss_their_sum_or_are_no_numbers_are_found(tmp_path, monkeypatch):
    mixdata.build(small_recipe("output.codec=npyf32"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    plain = verifying.decode_stored
    for change, told in ((2.0**-16, "miss mixture by up to"), (np.nan, "has samples that are no numbers")):

        def changed(data, codec, change=change):
            audio = plain(data, codec).copy()
            if audio.any():
                audio[0, 0] += change
            return audio

        monkeypatch.setattr(verifying, "decode_stored", changed)
        assert any(told in problem.what for problem in verify(tmp_path / "set"))


@pytest.mark.parametrize(("stems", "frames"), [(2, 400), (7, 400)])
def test_float_sums_stay_within_their_tolerance(stems, frames):
    draws = (stream(0, "sums", stems).standard_normal((stems, 1, frames)) * 3).astype(np.float32)
    total = np.zeros((1, frames), np.float32)
    for each in draws:
        total += each
    missed = np.abs(total.astype(np.float64) - draws.astype(np.float64).sum(axis=0)).max()
    loudest = (np.abs(total) + np.abs(draws).sum(axis=0)).max()
    assert 0 < missed <= verifying.float_sum_tolerance(stems, loudest) < 2.0**-15
