"""Convolution with impulse responses, and the folders that they come from."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import fftconvolve

from conftest import REAL_AUDIO
from mixdata.effects import describe, from_record, impulse_responses
from mixdata.effects.convolution import BLOCK, Convolution, convolve, onset, prepared, spectra_of
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.errors import EffectError

RATE = 44100
SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}
ROOMS = REAL_AUDIO / "impulse_responses"


def noise(frames: int, channels: int = 2, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(channels, frames)) * 0.1).astype(dtype)


def room(frames: int, channels: int = 2, seed: int = 5, silent: int = 0) -> np.ndarray:
    """A direct sound, then decaying noise; before it, `silent` frames of a little noise."""
    response = noise(frames, channels, seed) * 10 ** (-3 * np.arange(frames) / frames)
    response[:, 0] = 0.5
    return np.concatenate([noise(silent, channels, seed + 1) * 0.02, response], axis=1).astype(np.float32)


def saved(folder: Path, name: str, response: np.ndarray, rate: int = RATE, **how: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, response.T, rate, **({"subtype": "FLOAT"} | how))
    return path


def opened(folder: Path, response: np.ndarray, rate: int = RATE) -> str:
    saved(folder, "room/one.wav", response, rate)
    return ImpulseResponses.open(folder).responses[0].sha256


def unit(response: np.ndarray) -> np.ndarray:
    return response / np.sqrt((response.astype(float) ** 2).sum() / len(response))


@pytest.mark.parametrize("frames", [1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 123])
@pytest.mark.parametrize("length", [1, 900, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_fast_convolution_is_convolution(frames, length):
    audio, response = noise(frames, 3), noise(length, 2, seed=1)
    out = convolve(audio, spectra_of(response, 17, np.dtype(float)), 0.3, 0.7)
    for channel in range(3):
        wet = np.concatenate([np.zeros(17), fftconvolve(audio[channel], response[channel % 2])])[:frames]
        assert np.abs(out[channel] - 0.3 * audio[channel] - 0.7 * wet).max() < 1e-12


def test_convolution_mixes_dry_and_the_response_of_unit_energy(tmp_path):
    response = room(9000)
    sha = opened(tmp_path, response)
    audio = noise(30_000)
    out = Convolution(sha, mix=0.25, predelay_ms=10)(audio, RATE)
    for channel in range(2):
        wet = np.concatenate([np.zeros(441), fftconvolve(audio[channel], unit(response)[channel])])[:30_000]
        assert np.abs(out[channel] - 0.75 * audio[channel] - 0.25 * wet).max() < 1e-9


def test_white_noise_comes_back_as_loud_as_it_was(tmp_path):
    sha = opened(tmp_path, room(20_000, 1) * 0.01)
    audio = noise(RATE * 4)
    out = Convolution(sha, mix=1)(audio, RATE)[:, RATE:]
    assert 20 * np.log10(out.std() / audio.std()) == pytest.approx(0, abs=0.3)


def test_the_direct_sound_is_put_at_frame_0(tmp_path):
    response = room(5000, silent=1234)
    assert onset(response) == 1234
    effect = Convolution(opened(tmp_path, response), mix=1)
    audio = np.zeros((2, 9000))
    audio[:, 300] = 1
    out = effect(audio, RATE)
    assert np.abs(out[:, 300:5300] - unit(response[:, 1234:])).max() < 1e-9
    assert effect.arrival_frames(RATE) == 0
    late = Convolution(effect.impulse_response, mix=1, predelay_ms=20)
    assert late.arrival_frames(RATE) == 882
    assert np.abs(late(audio, RATE)[:, 1182:] - out[:, 300:-882]).max() < 1e-9


def test_the_direct_sound_is_the_first_within_20_db_of_the_peak():  # ISO 3382-1
    response = np.zeros((2, 100))
    response[0, 60] = -1
    response[0, 40], response[1, 50] = 0.0999, 0.1001  # in any channel: both are moved alike
    assert onset(response) == 50


def test_one_channel_goes_to_all_and_of_many_the_first_two_are_taken(tmp_path):
    audio = noise(8000, 4)
    mono, many = room(3000, 1), room(3000, 6, seed=8)
    for response in (mono, many):
        out = Convolution(opened(tmp_path / str(len(response)), response), mix=1)(audio, RATE)
        for channel in range(4):
            expected = fftconvolve(audio[channel], unit(response[:2])[channel % min(2, len(response))])[:8000]
            assert np.abs(out[channel] - expected).max() < 1e-9
    single = Convolution(opened(tmp_path / "6", many), mix=1)(audio[:1], RATE)
    assert np.abs(single[0] - fftconvolve(audio[0], unit(many[:2])[0])[:8000]).max() < 1e-9


@pytest.mark.parametrize("rate", [22050, 48000, 96000])
def test_echoes_come_at_the_same_time_at_other_rates(rate):
    response = np.zeros((1, 8820), np.float32)
    response[0, [0, 1764, 7056]] = 1, 0.5, -0.25
    at_rate = prepared(response, RATE, rate, 20)[0]
    assert np.argmax(np.abs(at_rate)) == 0
    for seconds, height in ((0.04, 0.5), (0.16, -0.25)):
        near = at_rate[round(seconds * rate) - 20 : round(seconds * rate) + 20]
        assert np.argmax(np.abs(near)) == 20
        assert near[20] / at_rate[0] == pytest.approx(height, rel=0.1)
    assert (at_rate**2).sum() == pytest.approx(1)


def test_a_response_is_cut_with_a_fade():
    response = room(RATE)
    cut = prepared(response, RATE, RATE, 0.5)
    assert cut.shape == (2, 22050)
    scale = cut[0, 0] / response[0, 0]
    assert np.allclose(cut[:, :-441], scale * response[:, : 22050 - 441])
    weight = cut[0, -441:] / (scale * response[0, 22050 - 441 : 22050])
    assert np.abs(np.diff(weight)).max() < 0.005  # no step into it
    assert weight[0] > 0.99 and weight[-1] < 0.01
    assert weight[220] == pytest.approx(0.5, abs=0.01)


def test_a_response_of_one_frame_stays_one_at_any_rate():
    response = np.zeros((2, 100), np.float32)
    response[:, -1] = 0.5
    for rate in (8000, 44100, 192000):
        at_rate = prepared(response, 96000, rate, 20)
        assert np.argmax(np.abs(at_rate[0])) == 0
        assert (at_rate**2).sum() == pytest.approx(2)


def test_no_response_changes_nothing():
    audio = noise(1000, dtype=np.float32)
    assert np.array_equal(Convolution(mix=1)(audio, RATE), audio)
    assert Convolution(mix=1).arrival_frames(RATE) == 0


def test_a_response_that_is_not_known_is_refused_with_the_way_out():
    with pytest.raises(EffectError, match=r"convolution\.impulse_response abababababab… is not known: open the folder"):
        Convolution("ab" * 32)(noise(100), RATE)
    for wrong in ("hall", "AB" * 32, "ab" * 32 + "\n"):
        with pytest.raises(EffectError, match=r"convolution\.impulse_response must be the SHA-256"):
            Convolution(wrong)


def test_convolution_is_a_record(tmp_path):
    effect = Convolution(opened(tmp_path, room(2000)), mix=0.5, length_s=1.5)
    again = from_record(json.loads(json.dumps(describe(effect))))
    assert again == effect
    assert np.array_equal(again(noise(500), RATE), effect(noise(500), RATE))


def test_float32_agrees_with_float64(tmp_path):
    effect = Convolution(opened(tmp_path, room(50_000)), mix=0.6)
    audio = noise(100_000)
    single = effect(audio.astype(np.float32), RATE)
    assert single.dtype == np.float32
    assert np.abs(single - effect(audio, RATE)).max() < 2e-6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hostile_audio_through_a_room_stays_finite_and_silence_silent(tmp_path, dtype):
    effect = Convolution(opened(tmp_path, room(40_000)), mix=0.6, predelay_ms=5)
    for audio in (np.full((2, 3000), 100), np.full((2, 3000), 1e-40), np.ones((2, 1)), np.tile([1, -1], (2, 700))):
        out = effect(audio.astype(dtype), RATE)
        assert out.shape == audio.shape and out.dtype == dtype and np.isfinite(out).all()
    assert not effect(np.zeros((2, 50_000), dtype), RATE).any()
    pieces = np.stack([noise(20_000, seed=seed, dtype=dtype) for seed in range(3)])
    for piece, out in zip(pieces, effect(pieces, RATE), strict=True):
        assert np.array_equal(out, effect(piece, RATE))


def test_convolution_is_as_pedalboards(tmp_path):
    pedalboard = pytest.importorskip("pedalboard")
    response = room(30_000)
    sha = opened(tmp_path, response)
    audio = noise(60_000, dtype=np.float32)
    theirs = pedalboard.Convolution(str(tmp_path / "room/one.wav"), 1.0)(audio, RATE)
    ours = Convolution(sha, mix=1)(audio, RATE)
    gain = (ours * theirs).sum() / (theirs * theirs).sum()  # JUCE scales responses by a rule of its own
    assert np.abs(ours - gain * theirs).max() < 1e-5


# folders


def test_a_folder_says_what_is_in_it(tmp_path):
    saved(tmp_path, "hall/near/left.wav", room(4410, 1))
    saved(tmp_path, "hall/far.flac", room(8820, 2, seed=2), 48000, subtype="PCM_24")
    path = saved(tmp_path, "plate.aiff", room(2205, 3, seed=3))
    (tmp_path / "README.txt").write_text("not a response")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ImpulseResponses.open(tmp_path)
    assert [(each.path, each.room, each.channels, each.sample_rate) for each in found.responses] == [
        ("hall/far.flac", "hall", 2, 48000),
        ("hall/near/left.wav", "hall", 1, RATE),
        ("plate.aiff", "plate", 3, RATE),
    ]
    assert [each.seconds for each in found.responses] == pytest.approx([0.18375, 0.1, 0.05])
    assert found.responses[2].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.rooms == ("hall", "plate") and found.skipped == ()


def test_what_is_no_response_is_left_out_with_a_warning(tmp_path):
    good = saved(tmp_path, "good.wav", room(4410))
    saved(tmp_path, "silent.wav", np.zeros((2, 4410)))
    saved(tmp_path, "first_two_silent.wav", np.concatenate([np.zeros((2, 4410)), room(4410)]))
    saved(tmp_path, "nan.wav", np.where(np.arange(4410) == 7, np.nan, room(4410)))
    saved(tmp_path, "short.wav", room(40))
    saved(tmp_path, "long.wav", room(8000 * 20 + 1, 1), 8000)
    saved(tmp_path, "longest.wav", room(8000 * 20, 1), 8000)
    (tmp_path / "text.wav").write_text("This is not audio.")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "truncated.wav").write_bytes(good.read_bytes()[:9000])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "same.wav").write_bytes(good.read_bytes())
    outside = saved(tmp_path.parent / f"{tmp_path.name}_outside", "far.wav", room(4410, seed=9))
    (tmp_path / "link.wav").symlink_to(outside)
    os.mkfifo(tmp_path / "fifo.wav")
    with pytest.warns(UserWarning, match="11 files left out") as caught:
        found = ImpulseResponses.open(tmp_path)
    assert len(caught) == 1
    assert [each.path for each in found.responses] == ["good.wav", "longest.wav"]
    reasons = dict(found.skipped)
    for name, word in {
        "silent.wav": "silent",
        "first_two_silent.wav": "silent",
        "nan.wav": "not finite",
        "short.wav": "0.0009",
        "long.wav": "20 s",
        "text.wav": "not an audio file",
        "empty.wav": "empty",
        "truncated.wav": "promises",
        "other/same.wav": "the same file as good.wav",
        "link.wav": "outside",
        "fifo.wav": "not a regular file",
    }.items():
        assert word in reasons[name], name


@pytest.mark.parametrize(
    "make", [lambda folder: None, lambda folder: folder.mkdir(), lambda folder: saved(folder, "a.wav", np.zeros((1, 900)))]
)
def test_a_folder_without_a_response_is_refused(tmp_path, make):
    make(tmp_path / "folder")
    with pytest.raises(EffectError, match="folder"):
        ImpulseResponses.open(tmp_path / "folder")


def test_the_fingerprint_changes_with_responses_and_rooms_only(tmp_path):
    def fingerprint(name, files):
        for path, seed in files.items():
            saved(tmp_path / name, path, room(2000, seed=seed))
        return ImpulseResponses.open(tmp_path / name).fingerprint

    first = fingerprint("a", {"hall/1.wav": 1, "hall/2.wav": 2})
    assert fingerprint("b", {"hall/x/2.wav": 1, "hall/y.wav": 2}) == first
    assert fingerprint("c", {"hall/1.wav": 1, "hall/2.wav": 3}) != first
    assert fingerprint("d", {"hall/1.wav": 1, "room/2.wav": 2}) != first
    assert fingerprint("e", {"hall/1.wav": 1}) != first


@pytest.fixture
def ten_rooms(tmp_path) -> ImpulseResponses:
    for place in range(10):
        for number in range(2):
            saved(tmp_path, f"room {place}/{number}.wav", room(500, 1, seed=10 * place + number))
    return ImpulseResponses.open(tmp_path)


def test_no_room_is_in_two_splits_and_each_split_has_its_share(ten_rooms):
    dealt = {split: ten_rooms.for_split(split, SHARES) for split in SHARES}
    rooms = {split: {each.room for each in responses} for split, responses in dealt.items()}
    assert {split: len(names) for split, names in rooms.items()} == {"train": 8, "valid": 1, "test": 1}
    assert set.union(*rooms.values()) == set(ten_rooms.rooms)
    assert {split: len(responses) for split, responses in dealt.items()} == {"train": 16, "valid": 2, "test": 2}
    halves = {split: {each.room for each in ten_rooms.for_split(split, {"train": 1, "test": 1, "valid": 0})} for split in ("train", "test")}
    assert [len(names) for names in halves.values()] == [5, 5] and not set.intersection(*halves.values())


def test_rooms_are_dealt_by_their_names_alone(ten_rooms, tmp_path):
    """By no other thing: not the order of the shares, not this process, not what is in the files."""
    names = {each.room for each in ten_rooms.for_split("valid", SHARES)}
    assert {each.room for each in ten_rooms.for_split("valid", dict(reversed(SHARES.items())))} == names
    assert {each.room for each in ten_rooms.for_split("valid", {name: 3 * share for name, share in SHARES.items()})} == names
    order = sorted(ten_rooms.rooms, key=lambda name: hashlib.sha256(json.dumps(["room", name]).encode()).digest()[:8])
    assert names == {order[9]}  # test and train come before valid
    assert {each.room for each in ten_rooms.for_split("test", SHARES)} == {order[0]}


def test_too_few_rooms_and_splits_without_a_share_are_refused(tmp_path):
    saved(tmp_path, "hall/1.wav", room(500, 1))
    saved(tmp_path, "hall/2.wav", room(500, 1, seed=7))
    one = ImpulseResponses.open(tmp_path)
    assert len(one.for_split("train", {"train": 1.0, "valid": 0})) == 2
    with pytest.raises(EffectError, match=r"1 rooms of impulse responses cannot be dealt to 3 splits.*sub-folder"):
        one.for_split("train", SHARES)
    with pytest.raises(EffectError, match="no room for the split 'test'"):
        one.for_split("test", {"train": 1.0})


def test_a_changed_file_is_found_out(tmp_path):
    effect = Convolution(opened(tmp_path, room(700, seed=33)))
    saved(tmp_path, "room/one.wav", room(700, seed=34))
    impulse_responses.load.cache_clear()
    with pytest.raises(EffectError, match=r"one\.wav: the file has changed"):
        effect(noise(100), RATE)
    (tmp_path / "room/one.wav").unlink()
    with pytest.raises(EffectError, match="cannot be read any more"):
        effect(noise(100), RATE)


def test_an_opened_folder_is_known_in_the_process_it_is_sent_to(tmp_path):
    sha = opened(tmp_path, room(600, seed=21))
    (tmp_path / "sent").write_bytes(pickle.dumps(ImpulseResponses.open(tmp_path)))
    code = (
        "import pickle, sys, numpy; from mixdata.effects import Convolution\n"
        "pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "print(Convolution(sys.argv[2], mix=1)(numpy.ones((1, 9)), 44100).sum() > 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "sent"), sha], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.skipif(not ROOMS.is_dir(), reason="the real impulse responses are not here")
def test_real_responses_are_read_and_begin_with_their_direct_sound():
    found = ImpulseResponses.open(ROOMS)
    assert len(found.responses) >= 8
    audio = np.zeros((2, RATE * 2), np.float32)
    audio[:, 1000] = 0.5
    for each in found.responses:
        effect = Convolution(each.sha256, mix=1)
        out = np.abs(effect(audio, RATE)).max(axis=0)
        first = int(np.flatnonzero(out > 0.01 * out.max())[0])
        assert first == 1000, each.path
        assert (out[:1000] < 1e-5 * out.max()).all(), each.path
        assert 10 * np.log10((effect(audio, RATE) ** 2).sum() / (audio**2).sum()) == pytest.approx(0, abs=1), each.path
