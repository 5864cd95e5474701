"""The members of shards: what goes in comes out."""

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mixdata.errors import MixdataError, UsageError
from mixdata.rng import stream
from mixdata.shards.format import BITS, CODECS, decode, decode_flac, decode_integers, encode, headroom_scale, quantize

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
    whole = decode_integers(data, codec)
    assert np.array_equal(decode_integers(data, codec, 12_345, 678), whole[:, 12_345:13_023])
    assert np.array_equal(decode_integers(data, codec, 29_990), whole[:, 29_990:])
    assert encode(samples, 44100, codec) == data


def test_integers_survive_exactly():
    integers = stream(0, "integers").integers(-(2**15), 2**15, (2, 5000))
    samples = (integers / 2**15).astype(np.float32)
    for codec in ("flac16", "npy16"):
        assert np.array_equal(decode_integers(encode(samples, 48000, codec), codec), integers)
    integers = stream(1, "integers").integers(-(2**23), 2**23, (2, 5000))
    assert np.array_equal(decode_integers(encode((integers / 2**23).astype(np.float32), 48000, "flac24"), "flac24"), integers)


def test_rounding_is_half_to_even():
    assert quantize(np.array([[0.5, 1.5, 2.5, -0.5, -1.5]]) / 2**15, 16).tolist() == [[0, 2, 2, 0, -2]]


@pytest.mark.parametrize("codec", CODECS)
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
        decode_integers(bytes(data), "flac16")
