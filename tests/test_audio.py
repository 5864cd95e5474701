"""Laws of reading, writing, probing and resampling, and of files that lie."""

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import correlate

from mixdata import _headers, audio
from mixdata.errors import AudioError, UsageError
from tests.trees import noise, shared, write_mp4, write_wav

KINDS = {"wav": "PCM_16", "flac": "PCM_16", "aiff": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}


def make(path: Path, samples: np.ndarray, sample_rate: int = 44100) -> Path:
    """A file of the kind that its extension says."""
    if path.suffix == ".m4a":
        return write_mp4(path, [samples], sample_rate)
    soundfile.write(path, samples.T, sample_rate, subtype=KINDS[path.suffix[1:]])
    return path


def reason(path: Path, stream: int = 0) -> str:
    """Why a file cannot be used."""
    with pytest.raises(AudioError) as caught:
        audio.probe(path, stream)
        audio.read(path, stream=stream)
    assert str(path.name) in caught.value.message
    return caught.value.reason


@pytest.mark.parametrize("kind", [*KINDS, "m4a"])
def test_a_range_is_a_slice_of_the_whole(kind, tmp_path):
    path = make(tmp_path / f"a.{kind}", noise(1, 3.0))
    info = audio.probe(path)
    whole, rate = audio.read(path)
    assert whole.dtype == np.float32 and whole.shape == (info.channels, info.frames) and rate == info.sample_rate == 44100
    for start, frames in [(0, 10), (1, 4096), (50_001, 20_000), (info.frames - 5, 100), (0, None), (77_777, None), (info.frames + 3, 4)]:
        stop = None if frames is None else start + frames
        np.testing.assert_array_equal(audio.read(path, start, frames)[0], whole[:, start:stop])


@pytest.mark.parametrize("kind", [*KINDS, "m4a"])
def test_what_was_written_comes_back_at_its_place(kind, tmp_path):
    samples = noise(2, 2.0)
    path = make(tmp_path / f"a.{kind}", samples)
    out, _ = audio.read(path)
    assert out.shape == samples.shape
    lag = int(np.argmax(correlate(out[0], samples[0], method="fft"))) - (samples.shape[1] - 1)
    assert lag == 0
    assert np.corrcoef(out[0], samples[0])[0, 1] > 0.5  # noise is what lossy codecs keep worst
    if kind in ("wav", "flac", "aiff"):
        np.testing.assert_array_equal(out, samples)


@pytest.mark.parametrize("frames", [44100, 30011, 1024, 100])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_aac_has_neither_priming_nor_padding(frames, rate, tmp_path):
    # The container's own duration is rounded to milliseconds, and the last frame is filled up to 1024: only packets tell.
    path = write_mp4(tmp_path / "a.m4a", [noise(3, 2.0)[:, :frames]], rate)
    assert audio.probe(path).frames == frames
    assert audio.read(path)[0].shape == (2, frames)


def test_alac_is_bit_exact(tmp_path):
    streams = [noise(seed, 0.7) for seed in range(3)]
    path = write_mp4(tmp_path / "a.m4a", streams, codec="alac")
    for number, samples in enumerate(streams):
        np.testing.assert_array_equal(audio.read(path, stream=number)[0], samples)


def test_streams_of_a_container_are_told_apart(tmp_path):
    streams = [noise(seed, 0.5) for seed in range(5)]
    path = write_mp4(tmp_path / "a.stem.mp4", streams)
    for number, samples in enumerate(streams):
        read, _ = audio.read(path, stream=number)
        similarity = [np.corrcoef(read[0], other[0])[0, 1] for other in streams]
        assert int(np.argmax(similarity)) == number and read.shape == samples.shape
    assert reason(path, 5) == "missing"
    assert reason(write_wav(tmp_path / "b.wav"), 1) == "missing"


def test_a_file_that_changed_is_read_anew(tmp_path):
    path = write_mp4(tmp_path / "a.m4a", [noise(1, 0.5)])
    first = audio.read(path)[0]
    first[:] = 7  # a reader may write into what it got
    assert np.abs(audio.read(path)[0]).max() < 1
    write_mp4(path, [noise(2, 0.3)])
    assert audio.probe(path).frames == audio.read(path)[0].shape[1] == round(0.3 * 44100)


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rates_and_channels_are_kept(rate, channels, tmp_path):
    path = write_wav(tmp_path / "a.flac", sample_rate=rate, channels=channels, seconds=0.1)
    assert audio.probe(path) == audio.AudioInfo(rate, channels, rate // 10, "flac/pcm_16")
    assert audio.read(path)[0].shape == (channels, rate // 10)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", None), ("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.flac", None), ("a.flac", "PCM_16")]
)
def test_equal_audio_gives_equal_bytes(name, subtype, tmp_path):
    # libsndfile writes the second of the day into the PEAK chunk of a float WAV.
    audio.write(tmp_path / name, noise(), 44100, subtype)
    first = (tmp_path / name).read_bytes()
    if subtype is None and name == "a.wav":
        time.sleep(1.1)
    audio.write(tmp_path / name, noise(), 44100, subtype)
    assert (tmp_path / name).read_bytes() == first and b"PEAK" not in first
    np.testing.assert_array_equal(audio.read(tmp_path / name)[0], noise())
    assert [path.name for path in tmp_path.iterdir()] == [name]  # no temporary file stays


def test_integers_are_rounded_half_to_even_and_never_clipped(tmp_path):
    steps = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 32768, -32768]], np.float32) / 32768
    audio.write(tmp_path / "a.wav", steps, 44100, "PCM_16")
    assert (audio.read(tmp_path / "a.wav")[0] * 32768).tolist() == [[0, 2, 2, 0, -2, 32767, -32768]]
    for name, subtype in (("b.wav", "PCM_16"), ("b.flac", None)):
        with pytest.raises(UsageError, match=r"\+6\.02 dBFS"):
            audio.write(tmp_path / name, np.full((1, 8), 2.0), 44100, subtype)
        assert not (tmp_path / name).exists()
    audio.write(tmp_path / "loud.wav", np.full((1, 8), 2.0), 44100)
    assert audio.read(tmp_path / "loud.wav")[0].max() == 2.0


def test_write_refuses_what_it_cannot_keep(tmp_path):
    with pytest.raises(UsageError, match="cannot write"):
        audio.write(tmp_path / "a.mp3", noise(), 44100)
    with pytest.raises(UsageError, match="not finite"):
        audio.write(tmp_path / "a.wav", np.array([[np.nan]]), 44100)


@pytest.mark.parametrize(
    ("source", "target"), [(44100, 48000), (48000, 44100), (96000, 44100), (44100, 22050), (8000, 44100), (32000, 44100)]
)
def test_resampling_keeps_length_place_and_gain(source, target):
    for frames in (1000, 12345, 7):
        assert audio.resample(np.zeros((2, frames)), source, target).shape == (2, int(np.floor(frames * target / source + 0.5)))
    impulse = np.zeros((1, 20_000), np.float32)
    impulse[0, 10_000] = 1
    out = audio.resample(impulse, source, target)
    assert out.dtype == np.float32
    assert abs(int(np.argmax(np.abs(out[0]))) - 10_000 * target / source) <= 0.5  # no delay
    for hz in (100, 1000, 0.45 * min(source, target)):
        t = np.arange(source) / source
        tone = audio.resample(np.sin(2 * np.pi * hz * t)[None], source, target)[0]
        middle = tone[target // 4 : 3 * target // 4]
        assert abs(20 * np.log10(np.sqrt(2 * np.mean(middle**2)))) < 0.05  # standards: within 0.05 dB


def test_resampling_does_not_fold_back():
    t = np.arange(96000) / 96000
    out = audio.resample(np.sin(2 * np.pi * 30_000 * t)[None], 96000, 44100)[0, 4410:-4410]
    assert 20 * np.log10(np.sqrt(np.mean(out**2))) < -100


@pytest.mark.parametrize("kind", ["ogg", "mp3", "m4a"])
def test_ranges_too_long_to_be_kept_are_the_same(kind, tmp_path, monkeypatch):
    path = make(tmp_path / f"a.{kind}", noise(1, 2.0))
    kept = audio.read(path, 50_001, 20_000)[0]
    monkeypatch.setattr(audio, "CACHE_BYTES", 1000)
    np.testing.assert_array_equal(audio.read(path, 50_001, 20_000)[0], kept)
    np.testing.assert_array_equal(audio.read(path)[0][:, 50_001:70_001], kept)


def test_one_rate_is_left_as_it_is():
    np.testing.assert_array_equal(audio.resample(noise(), 44100, 44100), noise())


def test_missing_empty_and_what_is_not_a_file(tmp_path):
    assert reason(tmp_path / "none.wav") == "missing"
    (tmp_path / "zero.wav").touch()
    assert reason(tmp_path / "zero.wav") == "empty"
    soundfile.write(tmp_path / "noframes.wav", np.zeros((0, 2)), 44100)
    assert reason(tmp_path / "noframes.wav") == "empty"
    (tmp_path / "folder.wav").mkdir()
    assert reason(tmp_path / "folder.wav") == "not_audio"
    os.mkfifo(tmp_path / "pipe.wav")
    assert reason(tmp_path / "pipe.wav") == "not_audio"  # opening it would wait for ever
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    assert reason(tmp_path / "device.wav") == "not_audio"
    with pytest.raises(AudioError, match="regular"):
        audio.file_sha256(tmp_path / "device.wav")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    assert reason(tmp_path / "loop.wav") == "unreadable"


def test_text_is_not_audio_whatever_its_name(tmp_path):
    for name in ("a.wav", "a.mp3", "a.m4a", "a.flac"):
        (tmp_path / name).write_text("#EXTM3U\nhttp://localhost:1/secret.mp3\n" * 50)
        assert reason(tmp_path / name) == "not_audio"


def test_a_playlist_in_disguise_opens_nothing_else(tmp_path):
    write_wav(tmp_path / "other.wav")
    (tmp_path / "a.ogg").write_bytes(b"ffconcat version 1.0\nfile other.wav\n")
    assert reason(tmp_path / "a.ogg") == "not_audio"


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "m4a"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_cut_short_is_found(kind, share, tmp_path):
    path = make(tmp_path / f"a.{kind}", noise(1, 2.0))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert reason(path) in ("truncated", "unreadable")


def test_a_cut_wav_says_truncated_before_it_is_read(tmp_path):
    path = write_wav(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError) as caught:
        audio.probe(path)
    assert caught.value.reason == "truncated"


def with_flac_frames(path: Path, frames: int) -> Path:
    """Put another number of samples into the STREAMINFO block: 36 bits from byte 21 on."""
    data = bytearray(path.read_bytes())
    data[21] = (data[21] & 0xF0) | (frames >> 32)
    data[22:26] = struct.pack(">I", frames & 0xFFFFFFFF)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("claimed", [2**36 - 1, 44100 + 5000, 10**9])
def test_a_flac_that_promises_more_is_refused(claimed, tmp_path):
    assert reason(with_flac_frames(write_wav(tmp_path / "a.flac", seconds=1.0), claimed)) == "truncated"


def test_a_flac_of_unknown_length_is_counted(tmp_path):
    path = with_flac_frames(write_wav(tmp_path / "a.flac", seconds=1.0), 0)
    assert audio.probe(path).frames == 44100
    np.testing.assert_array_equal(audio.read(path)[0], noise(0, 1.0))


def test_a_wav_written_to_a_pipe_is_read_to_its_end(tmp_path):
    path = write_wav(tmp_path / "a.wav", seconds=0.5)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    np.testing.assert_array_equal(audio.read(path)[0], noise(0, 0.5))


def test_chunks_without_end_are_not_walked_through(tmp_path):
    data = write_wav(tmp_path / "a.wav").read_bytes()
    at = data.index(b"data")
    for chunks, found in ((1, True), (_headers.MOST_CHUNKS - 2, True), (_headers.MOST_CHUNKS, False), (10 * _headers.MOST_CHUNKS, False)):
        (tmp_path / "b.wav").write_bytes(data[:at] + b"junk\0\0\0\0" * chunks + data[at:])
        size = len(data) - at - 8
        assert _headers.pcm_bytes(tmp_path / "b.wav") == ((size, size) if found else (None, 0))


@pytest.mark.parametrize("rate", [0, 1234, 10_000_000])
def test_absurd_rates_are_unsupported(rate, tmp_path):
    path = write_wav(tmp_path / "a.wav")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)
    assert reason(path) in ("unsupported", "unreadable")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_sample_that_is_no_number_is_found(value, tmp_path):
    samples = noise()
    samples[1, 40_000] = value
    soundfile.write(tmp_path / "a.wav", samples.T, 44100, subtype="FLOAT")
    assert reason(tmp_path / "a.wav") == "nonfinite"
    assert audio.read(tmp_path / "a.wav", 0, 30_000)[0].shape == (2, 30_000)


def test_adpcm_is_not_decoded(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise().T, 44100, subtype="MS_ADPCM")
    assert reason(tmp_path / "a.wav") == "unsupported"


@pytest.mark.parametrize("name", ["with space.wav", "שלום.flac", "a.b.c.wav", "100%.wav", "http:x.wav", "UPPER.WAV"])
def test_odd_names_are_read(name, tmp_path):
    assert audio.probe(write_wav(tmp_path / name)).frames == 22050
    write_mp4(tmp_path / f"{name}.m4a", [noise(0, 0.1)])
    assert audio.probe(tmp_path / f"{name}.m4a").frames == 4410


def test_tags_come_from_the_header(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.flac", "w", 44100, 2) as file:
        file.artist, file.album, file.title = "The Band", "Album\n1", "Song"
        file.write(noise().T)
    assert audio.tags(tmp_path / "a.flac") == {"artist": "The Band", "album": "Album 1", "title": "Song"}
    write_mp4(tmp_path / "a.m4a", [noise(0, 0.1)], tags={"artist": "Someone", "title": "Else"})
    assert audio.tags(tmp_path / "a.m4a") == {"artist": "Someone", "title": "Else"}
    assert audio.tags(write_wav(tmp_path / "b.wav")) == {}


def test_inside_follows_links(tmp_path):
    root = tmp_path / "root"
    outside = write_wav(tmp_path / "b.wav")
    inside = write_wav(root / "a.wav")
    (root / "in.wav").symlink_to(inside)
    (root / "out.wav").symlink_to(outside)
    (tmp_path / "alias").symlink_to(root)
    assert audio.inside(root, root / "in.wav") and audio.inside(tmp_path / "alias", inside)
    assert not audio.inside(root, root / "out.wav") and not audio.inside(root, root / ".." / "b.wav")


def test_every_broken_file_reads_as_probed_or_says_why():
    files = [path for path in sorted(shared("bad").rglob("*")) if path.is_file()]
    outcomes = {}
    for path in files:
        try:
            info = audio.probe(path)
            samples, rate = audio.read(path)
            assert samples.shape == (info.channels, info.frames) and rate == info.sample_rate
            assert samples.dtype == np.float32 and np.isfinite(samples).all() and info.frames > 0
            outcomes[path.parent.name, path.name] = "read"
        except AudioError as error:
            assert str(path) in error.message or str(path.resolve()) in error.message
            outcomes[path.parent.name, path.name] = error.reason
    kinds = {kind: {reason for (folder, _), reason in outcomes.items() if folder == kind} for kind, _ in outcomes}
    assert kinds["nonfinite"] == {"nonfinite"} and kinds["not_audio"] == {"not_audio"}
    assert kinds["truncated"] <= {"truncated", "unreadable"} and "read" not in kinds["truncated"]
    assert kinds["bit_depth"] == kinds["chunks"] == kinds["silence"] == {"read"}
    assert outcomes["video", "video.mp4"] == "not_audio"


def test_a_name_that_can_be_no_path_lies_in_no_folder(tmp_path):
    assert not audio.inside(tmp_path, tmp_path / "a\0b.wav")
