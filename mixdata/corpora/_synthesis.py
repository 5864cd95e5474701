"""The music of the `synth` corpus: a score drawn from a seed, and instruments that play it.

Everything is made by array operations over the whole song: a line of notes becomes a phase and an envelope per sample and
one table of a single period per note. Stems lie on a grid of 2**-20 below ±1, so that float32 sums of them are exact in any order.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from mixdata.rng import stream

VERSION = 1  # of the sound: any change that moves a sample moves this, and with it the hash of every track
STEMS = ("vocals", "drums", "bass", "other")
GRID = 2.0**20
PERIOD = 2048  # points of a wave table

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 4, 3), (0, 2, 3, 4), (1, 4, 0, 5))
FORM = ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "outro")
PLAYS = {
    "intro": {"drums", "other"},
    "verse": {"vocals", "drums", "bass", "other"},
    "chorus": {"vocals", "drums", "bass", "other"},
    "bridge": {"vocals", "bass", "other"},
    "outro": {"drums", "bass", "other"},
}
DYNAMICS = {"intro": 0.7, "verse": 0.8, "chorus": 1.0, "bridge": 0.75, "outro": 0.7}
KICKS = ("x.......x.......", "x.....x.x.......", "x...x...x...x...", "x..x..x...x.....")
SNARES = ("....x.......x...", "....x.......x..x", "........x.......")
HATS = ("x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "..x...x...x...x.")
CHORD_RHYTHMS = ((16,), (8, 8), (6, 6, 4), (4, 4, 4, 4))
# First three formants in Hz of a, e, i, o, u (adult averages after Peterson and Barney, JASA 24, 1952), and their widths.
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
WIDTHS = (90.0, 110.0, 170.0)
BALANCE_DB = {"vocals": 0.0, "drums": 0.0, "bass": -3.0, "other": -4.0}


@dataclass(frozen=True)
class Piece:
    """What decides every sample of one synthetic song."""

    seed: int
    index: int
    seconds: float
    sample_rate: int
    effects: bool = False

    @property
    def frames(self) -> int:
        """Length of every stem."""
        return round(self.seconds * self.sample_rate)


@dataclass(frozen=True)
class Note:
    """Start and length in sixteenths, pitch as a MIDI number, strength in 0..1."""

    start: int
    length: int
    pitch: int
    strength: float


@dataclass(frozen=True)
class Score:
    """What is played: tempo, key, one section and one chord (scale degree) per bar."""

    bpm: float
    key: int
    scale: tuple[int, ...]
    sections: tuple[str, ...]
    chords: tuple[int, ...]

    @property
    def step_seconds(self) -> float:
        """Length of a sixteenth."""
        return 15 / self.bpm

    def pitch(self, degree: int, lowest: int) -> int:
        """MIDI number of a scale degree, in the octave that begins at `lowest`."""
        return lowest + (self.key + self.scale[degree % 7] - lowest) % 12

    def bars(self, stem: str) -> list[int]:
        """The bars in which a stem plays."""
        return [bar for bar, section in enumerate(self.sections) if stem in PLAYS[section]]


def compose(piece: Piece) -> Score:
    """Draw tempo, key, chords and form."""
    draw = stream(piece.seed, "synth", piece.index, "score")
    bpm = float(draw.uniform(84, 144))
    bars = int(np.ceil(piece.seconds * bpm / 240))
    form = FORM if bars >= 4 else FORM[1:]
    length = max(1, round(bars / len(FORM)))
    progression = PROGRESSIONS[draw.integers(len(PROGRESSIONS))]
    return Score(
        bpm=bpm,
        key=int(draw.integers(12)),
        scale=SCALES[("major", "minor")[draw.integers(2)]],
        sections=tuple(form[min(bar // length, len(form) - 1)] for bar in range(bars)),
        chords=tuple(progression[bar % 4] for bar in range(bars)),
    )


def render(piece: Piece) -> dict[str, np.ndarray]:
    """Return the stems and their exact sum `mixture`, float32 `(2, frames)`."""
    score = compose(piece)
    stems = {"vocals": _voice(piece, score), "drums": _drums(piece, score), "bass": _bass(piece, score), "other": _chords(piece, score)}
    if piece.effects:
        stems = {name: _process(audio, piece, name) for name, audio in stems.items()}
    draw = stream(piece.seed, "synth", piece.index, "balance")
    for name in STEMS:
        level = BALANCE_DB[name] + draw.uniform(-4, 4)
        stems[name] *= np.float32(10 ** (level / 20) / max(_active_rms(stems[name]), 1e-9))
    mixture = stems["vocals"] + stems["drums"] + stems["bass"] + stems["other"]
    gain = 10 ** (draw.uniform(-17, -14) / 20) / max(_active_rms(mixture), 1e-9)
    peak = max(max(audio.max(initial=0), -audio.min(initial=0)) for audio in (mixture, *stems.values()))
    gain = min(gain, 0.97 / max(peak, 1e-9))
    final = {name: np.rint(audio * np.float32(gain * GRID)) / np.float32(GRID) for name, audio in stems.items()}
    final["mixture"] = final["vocals"] + final["drums"] + final["bass"] + final["other"]
    return final


def _active_rms(audio: np.ndarray) -> float:
    """RMS over the 100 ms blocks within 30 dB of the loudest."""
    width = max(1, min(4410, audio.shape[1]))
    blocks = audio[:, : audio.shape[1] // width * width].reshape(len(audio), -1, width)
    power = np.einsum("cbw,cbw->b", blocks, blocks, dtype=np.float32) / (len(audio) * width)
    return float(np.sqrt(power[power >= power.max(initial=0) * 1e-3].mean())) if len(power) else 0.0


def _melody(piece: Piece, score: Score) -> list[Note]:
    """Phrases of two bars: a walk over the scale that lands on chord tones, and a rest at the end of each phrase."""
    draw = stream(piece.seed, "synth", piece.index, "melody")
    notes, degree = [], int(draw.integers(7))
    for bar in score.bars("vocals"):
        step, end = int(draw.integers(0, 3)), 16 - (6 if bar % 2 else 0)
        while step < end:
            length = int(min(draw.choice((2, 2, 3, 4, 6)), end - step))
            degree += int(draw.integers(-2, 3))
            if step == 0 or step >= 8:
                degree = score.chords[bar] + 2 * int(draw.integers(3))
            strength = DYNAMICS[score.sections[bar]] * draw.uniform(0.7, 1)
            notes.append(Note(16 * bar + step, length, score.pitch(degree, 57), strength))
            step += length + int(draw.random() < 0.15)
    return notes


def _voice(piece: Piece, score: Score) -> np.ndarray:
    draw = stream(piece.seed, "synth", piece.index, "voice")
    size = draw.uniform(0.95, 1.2)  # of the vocal tract
    notes = _melody(piece, score)
    vowels = draw.integers(len(VOWELS), size=len(notes))
    tables = np.zeros((len(notes) or 1, PERIOD + 1), np.float32)
    for row, (note, vowel) in enumerate(zip(notes, vowels, strict=True)):
        f = _harmonics(note.pitch, piece.sample_rate, 9000)
        formants = sum(g / (1 + ((f - size * F) / w) ** 2) for F, w, g in zip(VOWELS[vowel], WIDTHS, (1, 0.6, 0.35), strict=True))
        tables[row] = _table((formants + 0.01) * f[0] / f)
    line = _Line(piece, score, notes, attack=0.04, release=0.06)
    rate, frames = piece.sample_rate, piece.frames
    vibrato = 0.25 * np.minimum(line.age / 0.4, 1) * np.sin(2 * np.pi * 5.6 / rate * np.arange(frames, dtype=np.float32))
    sung = line.play(tables, [note.pitch for note in notes], vibrato)
    breath = sosfilt(butter(2, min(5000, 0.4 * rate), "high", fs=rate, output="sos"), draw.standard_normal(frames, dtype=np.float32))
    return _panned(sung + 0.015 * breath * line.envelope, 0.5)


def _bass(piece: Piece, score: Score) -> np.ndarray:
    draw = stream(piece.seed, "synth", piece.index, "bass")
    pattern = [step for step in range(0, 16, 2) if step in (0, 8) or draw.random() < 0.55]
    notes = []
    for bar in score.bars("bass"):
        for step, following in zip(pattern, [*pattern[1:], 16], strict=True):
            degree = score.chords[bar] + (4 if step and draw.random() < 0.2 else 0)
            notes.append(
                Note(16 * bar + step, following - step, score.pitch(degree, 28), DYNAMICS[score.sections[bar]] * draw.uniform(0.8, 1))
            )
    cutoff = draw.uniform(250, 600)
    tables = [
        _table(1 / np.arange(1, len(f) + 1) / (1 + (f / cutoff) ** 2))
        for f in (_harmonics(n.pitch, piece.sample_rate, 4000) for n in notes)
    ]
    line = _Line(piece, score, notes, attack=0.006, release=0.03)
    return _panned(line.play(tables, [note.pitch for note in notes]) * np.exp(-1.5 * line.age), 0.5)


def _chords(piece: Piece, score: Score) -> np.ndarray:
    draw = stream(piece.seed, "synth", piece.index, "chords")
    rhythm = CHORD_RHYTHMS[draw.integers(len(CHORD_RHYTHMS))]
    decay, cutoff = draw.uniform(0.3, 2.0), draw.uniform(1500, 4000)
    strokes = [(bar, 16 * bar + start, length) for bar in score.bars("other") for start, length in _spans(rhythm)]
    line = _Line(piece, score, [Note(start, length, 0, DYNAMICS[score.sections[bar]]) for bar, start, length in strokes], 0.012, 0.05)
    fall = np.exp(-decay * line.age)
    out = np.zeros((2, piece.frames), np.float32)
    for voice, place in zip((0, 2, 4), (0.2, 0.5, 0.8), strict=True):
        pitches = [score.pitch(score.chords[bar] + voice, 52) for bar, _, _ in strokes]
        partials = (_harmonics(pitch, piece.sample_rate, 8000) for pitch in pitches)
        tables = [_table(np.arange(1, len(f) + 1) ** -0.9 / (1 + (f / cutoff) ** 4)) for f in partials]
        out += _panned(line.play(tables, pitches) * fall, place)
    return out


def _spans(lengths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and length of each, one after the other."""
    return [(sum(lengths[:i]), length) for i, length in enumerate(lengths)]


def _drums(piece: Piece, score: Score) -> np.ndarray:
    draw = stream(piece.seed, "synth", piece.index, "drums")
    rate = piece.sample_rate
    t = np.arange(int(0.3 * rate)) / rate
    noise = draw.standard_normal((2, len(t)), dtype=np.float32)
    low = draw.uniform(42, 60)
    kick = np.sin(2 * np.pi * (low * t + 0.03 * 140 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09)
    bright = sosfilt(butter(2, min(1500, 0.3 * rate), "high", fs=rate, output="sos"), noise[0])
    snare = 0.6 * np.sin(2 * np.pi * draw.uniform(170, 220) * t) * np.exp(-t / 0.05) + 0.5 * bright * np.exp(-t / 0.09)
    hat = 0.5 * sosfilt(butter(4, min(7000, 0.35 * rate), "high", fs=rate, output="sos"), noise[1]) * np.exp(-t / draw.uniform(0.02, 0.05))
    kit = ((kick, KICKS, 1.0, 0.5), (snare, SNARES, 0.8, 0.5), (hat, HATS, 0.5, draw.uniform(0.25, 0.75)))
    fade = np.minimum(1, (t[-1] - t) / 0.02)
    out = np.zeros((2, piece.frames + len(t)), np.float32)
    for shot, patterns, level, place in kit:
        pattern = patterns[draw.integers(len(patterns))]
        shot = _panned(shot * fade * level, place)
        for bar in score.bars("drums"):
            hats_only = score.sections[bar] == "intro" and patterns is not HATS
            for step in (step for step, mark in enumerate(pattern) if mark == "x" and not hats_only):
                start = round((16 * bar + step) * score.step_seconds * rate)
                if start < piece.frames:
                    out[:, start : start + len(t)] += shot * np.float32(DYNAMICS[score.sections[bar]] * draw.uniform(0.75, 1))
    return np.tanh(out[:, : piece.frames])


class _Line:
    """One voice after the other: which note sounds at each sample, how old it is (seconds), how strong."""

    def __init__(self, piece: Piece, score: Score, notes: list[Note], attack: float, release: float):
        rate, frames = piece.sample_rate, piece.frames
        step = score.step_seconds * rate
        notes = [note for note in notes if round(note.start * step) < frames]
        starts = np.array([round(note.start * step) for note in notes], dtype=np.int32)
        ends = np.array([round((note.start + note.length) * step) for note in notes], dtype=np.int32)
        marks = np.zeros(frames, np.int32)
        marks[starts] = 1
        which = np.cumsum(marks, dtype=np.int32) - 1
        self.which = np.maximum(which, 0)
        self.rate, self.count = rate, len(notes)
        if not notes:
            self.age = self.envelope = np.zeros(frames, np.float32)
            return
        now = np.arange(frames, dtype=np.int32)
        self.age = (now - starts[self.which]).astype(np.float32) / np.float32(rate)
        left = (ends[self.which] - now).astype(np.float32) / np.float32(rate)
        strength = np.array([note.strength for note in notes], np.float32)[self.which]
        self.envelope = np.minimum(self.age / np.float32(attack), 1) * np.clip(left / np.float32(release), 0, 1) * strength * (which >= 0)

    def play(self, tables: np.ndarray | list[np.ndarray], pitches: list[int], bend: np.ndarray | None = None) -> np.ndarray:
        """Read each note's table at its pitch, bent by semitones. Linear interpolation; float32 `(frames,)`."""
        if not self.count:
            return self.envelope
        pace = (440 * PERIOD / self.rate * np.exp2((np.array(pitches[: self.count]) - 69) / 12))[self.which]
        if bend is not None:
            pace *= np.exp2(bend / 12)
        place = np.cumsum(pace)
        whole = np.floor(place)
        part = (place - whole).astype(np.float32)
        at = (whole.astype(np.int64) & (PERIOD - 1)) + self.which * (PERIOD + 1)
        flat = np.asarray(tables).ravel()
        here = flat[at]
        return (here + (flat[at + 1] - here) * part) * self.envelope


def _harmonics(pitch: int, sample_rate: int, highest: float) -> np.ndarray:
    """Frequencies of the harmonics of a MIDI note below `highest` and below the sample rate's reach."""
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    return f0 * np.arange(1, max(1, min(PERIOD // 4, int(min(highest, 0.42 * sample_rate) / f0))) + 1)


def _table(amplitudes: np.ndarray) -> np.ndarray:
    """One period (and its first point again) of these harmonics, at an RMS of 1."""
    spectrum = np.zeros(PERIOD // 2 + 1, complex)
    spectrum[1 : len(amplitudes) + 1] = -1j * amplitudes
    wave = np.fft.irfft(spectrum)
    return np.append(wave, wave[0]).astype(np.float32) / np.float32(wave.std())


def _panned(mono: np.ndarray, place: float) -> np.ndarray:
    """Constant power; 0 is left, 1 right."""
    return np.array([[np.cos(place * np.pi / 2)], [np.sin(place * np.pi / 2)]], np.float32) * mono.astype(np.float32, copy=False)


def _process(audio: np.ndarray, piece: Piece, stem: str) -> np.ndarray:
    """A simple strip for making stems wet: one band up or down, compression of the 20 ms level, a bit of a room, pan."""
    draw = stream(piece.seed, "synth", piece.index, "effects", stem)
    rate = piece.sample_rate
    low, high = 200 * 2 ** draw.uniform(0, 2), 1600 * 2 ** draw.uniform(0, 1)
    band = sosfilt(butter(1, (low, high), "band", fs=rate, output="sos").astype(np.float32), audio, axis=1)
    audio = audio + np.float32(draw.uniform(-0.6, 0.8)) * band
    width = max(1, rate // 1000)  # the level is followed once a millisecond
    power = np.add.reduceat((audio * audio).sum(0), np.arange(0, audio.shape[1], width)) / (2 * width)
    pole = np.exp(-width / (0.02 * rate))
    level = np.sqrt(lfilter([1 - pole], [1, -pole], power)) / max(_active_rms(audio), 1e-9)
    gain = np.maximum(level, 0.5) ** -draw.uniform(0.2, 0.6)
    audio *= np.interp(np.arange(audio.shape[1]), np.arange(len(gain)) * width, gain).astype(np.float32)
    t = np.arange(int(draw.uniform(0.2, 0.5) * rate)) / rate
    room = draw.standard_normal((2, len(t)), dtype=np.float32) * np.exp(-6.9 * t / t[-1]).astype(np.float32)
    room *= np.float32(draw.uniform(0.05, 0.25)) / np.sqrt((room * room).sum(1, keepdims=True))
    audio += oaconvolve(audio.mean(0, keepdims=True), room, axes=1)[:, : audio.shape[1]]
    lean = 0.0 if stem in ("bass", "vocals") else draw.uniform(-0.3, 0.3)
    return audio * np.array([[1 - lean], [1 + lean]], np.float32)
