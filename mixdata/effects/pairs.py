"""Wet/dry pairs that verify themselves: the input went through a chain, the target only through the effects that are kept.

A `Pair` is everything that was drawn: the chain with what is to be removed from it, and the levels. `render` makes input and target from it
and from the source audio; `render_checked` also says what is wrong with them. Records are exact: a pair that came back from its record
renders to the same bits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mixdata.effects.base import Audio, Effect, amplitude, describe
from mixdata.effects.base import from_record as effect_from_record
from mixdata.effects.chain import Chain
from mixdata.errors import EffectError
from mixdata.measures import integrated_loudness
from mixdata.measures.spectral import Spectra

Match = Literal["none", "input_to_target", "both_to_lufs"]

MOST_GAIN_DB = 60.0  # up or down, of any levelling: what would need more is no audio to level
LEVEL_TOLERANCE = 0.1  # LU
IMPULSE, IMPULSE_PLACE, IMPULSE_FRAMES = 0.5, 2520, 3200  # 2520 is a multiple of all hold lengths up to 10 frames
LONGEST_WAIT = 6.0  # seconds in which an impulse is looked for where nothing comes out at once; the longest delay is 5
NOTHING = Chain()
LEAST, ENERGY = 0.5, 0.1  # of a role: seconds and share of its energy in which presence is first looked for


@dataclass(frozen=True)
class Link:
    """One effect of a chain: the word it was drawn under, and whether the target is without it."""

    effect: Effect
    label: str
    removed: bool


@dataclass(frozen=True)
class Pair:
    """A drawn chain with its levels.

    `gain_db` brings the source to the chain's operating level. With `each_lufs` the signal is brought to that loudness before
    every effect. `match` says what is done at the end: nothing, one gain that makes the input as loud as the target, or both brought to
    `match_lufs`.
    """

    links: tuple[Link, ...]
    gain_db: float = 0.0
    each_lufs: float | None = None
    match: Match = "none"
    match_lufs: float | None = None

    def as_record(self) -> dict[str, Any]:
        """Return the pair as JSON-able data, exactly."""
        chain = [{**describe(link.effect), "label": link.label, "removed": link.removed} for link in self.links]
        levels = {"gain_db": self.gain_db, "each_lufs": self.each_lufs, "match": self.match, "match_lufs": self.match_lufs}
        return {"chain": chain, **levels}

    @staticmethod
    def from_record(data: dict[str, Any]) -> "Pair":
        """Return the pair of a record. Raises `EffectError` where it is none."""
        try:
            chain = [dict(entry) for entry in data["chain"]]
            links = [(entry.pop("label"), entry.pop("removed"), entry) for entry in chain]
            effects = tuple(Link(effect_from_record(entry), label, removed) for label, removed, entry in links)
            return Pair(effects, data["gain_db"], data["each_lufs"], data["match"], data["match_lufs"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, EffectError):
                raise
            raise EffectError(f"this is no record of a pair: {type(error).__name__}: {error}") from None


@dataclass
class Rendered:
    """A pair's audio, without the pre-roll, and the gains in dB that were measured on the way (they go into the record).

    `loudness` is that of input and target, LUFS, where it was measured.
    """

    input: Audio
    target: Audio
    gains: dict[str, Any] = field(default_factory=dict)
    loudness: dict[str, float] = field(default_factory=dict)


def render(pair: Pair, source: Audio, sample_rate: int, pre_roll: int = 0, gains: dict[str, Any] | None = None) -> Rendered:
    """Make input and target from `source` `(channels, pre_roll + frames)`.

    The effects run over the pre-roll, too, so that filters and detectors are settled where the audio that counts begins. `gains` are those
    of an earlier rendering, to be applied as they were; otherwise they are measured.
    """
    return _finished(pair, _traces(pair, source, sample_rate, pre_roll, gains or {}), sample_rate, pre_roll, gains or {})


def render_checked(
    pair: Pair, source: Audio, sample_rate: int, pre_roll: int = 0, difference_db: float = -40.0, stft: float = 1e-3
) -> tuple[Rendered, str | None, list[dict[str, float]]]:
    """Render a pair and verify it. Returns it, what is wrong with it (None: nothing) and, for each effect, how much it changes.

    What can be wrong: `nonfinite`; `silent` (input or target is); `shifted` (an effect moves sound in time); `not_null` (with every effect
    bypassed the chain is not the source); `absent` (an effect cannot be measured: the audio with and without it, levels matched, differs by
    less than `difference_db` or their multi-resolution STFT distance is under `stft`; effects that change nothing but level or
    polarity are judged by the difference alone, levels not matched); `level` (what `match` promises is not so).

    Presence is looked for in the beginning, up to a tenth of the energy, as if nothing changed in the rest; only where that is not
    enough in the whole. So the numbers that are returned are lower bounds.
    """
    traces = _traces(pair, source, sample_rate, pre_roll, {})
    rendered = _finished(pair, traces, sample_rate, pre_roll, {})
    for audio in (rendered.input, rendered.target):
        if not np.isfinite(audio).all():
            return rendered, "nonfinite", []
        if not audio.any():
            return rendered, "silent", []
    if any(is_shifted(link.effect, sample_rate) for link in pair.links):
        return rendered, "shifted", []
    if not _nulls(pair, source, sample_rate, pre_roll):
        return rendered, "not_null", []
    presence = []
    for link, found in _presence(pair, rendered, traces, sample_rate, pre_roll, difference_db, stft):
        presence.append(found)
        if not _is_present(link, found, difference_db, stft):
            return rendered, "absent", presence
    return rendered, None if _level_holds(pair, rendered, sample_rate) else "level", presence


def is_shifted(effect: Effect, sample_rate: int) -> bool:
    """Whether an effect moves sound in time by more than it sways: by what it says of itself, and by what an impulse tells."""
    sway = sum(each.sway_frames(sample_rate) for each in _inside(effect))
    late = arrival(effect, sample_rate)
    return effect.arrival_frames(sample_rate) != 0 or (late is not None and abs(late) > sway)


def arrival(effect: Effect, sample_rate: int) -> int | None:
    """Return how many frames late (or early) an impulse comes out of the effect, None where none comes out (of a closed gate, say).

    Judged on the first sound that comes out, or on the largest where a linear-phase filter inside rings before it.
    """
    inside = list(_inside(effect))
    floor = 0.0 if all(each.exact for each in inside) else IMPULSE * 1e-9
    for frames in (IMPULSE_FRAMES, IMPULSE_PLACE + round(LONGEST_WAIT * sample_rate)):
        impulse = np.zeros((2, frames))
        impulse[:, IMPULSE_PLACE] = IMPULSE
        out = np.abs(effect(impulse, sample_rate)).max(axis=0)
        if out.max() > floor:
            first = np.argmax(out) if any(each.rings for each in inside) else np.argmax(out > floor)
            return int(first) - IMPULSE_PLACE
    return None


def _inside(effect: Effect) -> Iterator[Effect]:
    """Yield an effect and all that are inside it."""
    yield effect
    for inner in getattr(effect, "effects", ()):
        yield from _inside(inner)


def _level_only(effect: Effect) -> bool:
    inner = getattr(effect, "effects", ())
    return all(_level_only(each) for each in inner) if inner else effect.level_only


@dataclass
class _Trace:
    """Audio on its way through some of the links: what went into each, what came out of the last, and the gain in front of each."""

    links: list[Link]
    signals: list[Audio]
    stages: list[float]


def _traces(pair: Pair, source: Audio, sample_rate: int, pre_roll: int, gains: dict[str, Any]) -> dict[str, _Trace]:
    start = _Trace([], [_times(source, pair.gain_db)], [])
    whole = _run(pair, start, pair.links, sample_rate, pre_roll, gains.get("input"))
    kept = [link for link in pair.links if not link.removed]
    return {"input": whole, "target": _run(pair, _common(whole, kept), kept, sample_rate, pre_roll, gains.get("target"))}


def _common(trace: _Trace, links: Sequence[Link]) -> _Trace:
    """Return the beginning of a trace that another run through these links shares with it."""
    count = 0
    while count < min(len(trace.links), len(links)) and trace.links[count] is links[count]:
        count += 1
    return _Trace(trace.links[:count], trace.signals[: count + 1], trace.stages[:count])


def _run(pair: Pair, begun: _Trace, links: Sequence[Link], sample_rate: int, pre_roll: int, gains: list[float] | None) -> _Trace:
    """Go on with a trace through the rest of the links; `gains` holds those in front of each where they are known."""
    trace = _Trace([*begun.links], [*begun.signals], [*begun.stages])
    for number in range(len(begun.links), len(links)):
        audio = trace.signals[-1]
        if pair.each_lufs is not None:
            trace.stages.append(gains[number] if gains else level_gain(audio[:, pre_roll:], sample_rate, pair.each_lufs))
            audio = _times(audio, trace.stages[-1])
        trace.links.append(links[number])
        trace.signals.append(links[number].effect(audio, sample_rate))
    return trace


def _finished(pair: Pair, traces: dict[str, _Trace], sample_rate: int, pre_roll: int, gains: dict[str, Any]) -> Rendered:
    outs = {role: _after(trace, pre_roll) for role, trace in traces.items()}
    match, loudness = (gains["match"], {}) if "match" in gains else _match_gains(pair, outs, sample_rate)
    known = {role: lufs for role, lufs in loudness.items() if match[role] == 0}
    outs = {role: _times(audio, match[role]) for role, audio in outs.items()}
    return Rendered(outs["input"], outs["target"], {role: trace.stages for role, trace in traces.items()} | {"match": match}, known)


def _after(trace: _Trace, pre_roll: int) -> Audio:
    return np.ascontiguousarray(trace.signals[-1][:, pre_roll:])


def level_gain(audio: Audio, sample_rate: int, lufs: float) -> float:
    """Return the gain in dB that brings audio to a loudness; 0 for silence, never more than 60 dB up or down."""
    return _gain(integrated_loudness(audio, sample_rate), lufs)


def _gain(loudness: float, lufs: float) -> float:
    return float(np.clip(lufs - loudness, -MOST_GAIN_DB, MOST_GAIN_DB)) if np.isfinite(loudness) and np.isfinite(lufs) else 0.0


def _match_gains(pair: Pair, outs: dict[str, Audio], sample_rate: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the gains that `match` asks for, and the loudness before them as far as it had to be measured."""
    if pair.match == "none":
        return {"input": 0.0, "target": 0.0}, {}
    if pair.match == "both_to_lufs" and pair.match_lufs is None:
        raise EffectError("match both_to_lufs needs match_lufs")
    loudness = {role: integrated_loudness(audio, sample_rate) for role, audio in outs.items()}
    if pair.match == "both_to_lufs":
        return {role: _gain(each, pair.match_lufs or 0.0) for role, each in loudness.items()}, loudness
    return {"input": _gain(loudness["input"], loudness["target"]), "target": 0.0}, loudness


def _times(audio: Audio, gain_db: float) -> Audio:
    return audio if gain_db == 0 else audio * audio.dtype.type(amplitude(gain_db))


def _nulls(pair: Pair, source: Audio, sample_rate: int, pre_roll: int) -> bool:
    """Whether the pair with every effect bypassed is the source, bit for bit, but for the gain in front."""
    bypassed = tuple(replace(link, effect=NOTHING) for link in pair.links)
    bare = render(replace(pair, links=bypassed, match="none", each_lufs=None), source, sample_rate, pre_roll)
    dry = _times(source[:, pre_roll:], pair.gain_db)
    return np.array_equal(bare.input, dry) and np.array_equal(bare.target, dry)


def _presence(
    pair: Pair, rendered: Rendered, traces: dict[str, _Trace], sample_rate: int, pre_roll: int, difference_db: float, stft: float
) -> Iterator[tuple[Link, dict[str, float]]]:
    """Yield for each link how much the input (of a kept effect: the target) changes when that effect alone is left out."""
    frames = rendered.input.shape[1]
    streams = pair.each_lufs is None and all(each.streams for link in pair.links for each in _inside(link.effect))
    guard = sum(link.effect.reach_frames(sample_rate) for link in pair.links)
    beginnings = {role: _beginning(getattr(rendered, role), sample_rate, guard) for role in ("input", "target")}
    spectra: dict[tuple[str, int], Spectra] = {}
    for link in pair.links:
        role = "input" if link.removed else "target"
        found: dict[str, float] = {}
        if streams and beginnings[role] < frames and not (_level_only(link.effect) and pair.match != "none"):
            found = _change(link, rendered, traces, role, pre_roll, beginnings[role], guard, pair, sample_rate, spectra)
        if not found or not _is_present(link, found, difference_db, stft):
            found = _change(link, rendered, traces, role, pre_roll, frames, 0, pair, sample_rate, spectra)
        yield link, found


def _beginning(audio: Audio, sample_rate: int, guard: int) -> int:
    """Return how many frames hold a tenth of the audio's energy, and as far as the future can reach back; all where most are needed."""
    hop = max(round(0.1 * sample_rate), 1)
    energy = np.add.reduceat(np.einsum("cn,cn->n", audio, audio), np.arange(0, audio.shape[1], hop), dtype=np.float64).cumsum()
    enough = (int(np.searchsorted(energy, ENERGY * energy[-1])) + 1) * hop
    frames = max(enough, round(LEAST * sample_rate)) + guard
    return frames if frames < 0.6 * audio.shape[1] else audio.shape[1]


def _change(
    link: Link,
    rendered: Rendered,
    traces: dict[str, _Trace],
    role: str,
    pre_roll: int,
    frames: int,
    guard: int,
    pair: Pair,
    sample_rate: int,
    spectra: dict[tuple[str, int], Spectra],
) -> dict[str, float]:
    """Return how much the first `frames` of a role, but for the last `guard` of them, change when a link is left out.

    In relation to the whole, as if nothing changed in the rest.
    """
    out, trace = getattr(rendered, role), traces[role]
    whole = out.shape[1]
    others = [other for other in trace.links if other is not link]
    begun = max((_common(each, others) for each in (trace, traces["target"])), key=lambda common: len(common.links))
    begun.signals = [signal[:, : pre_roll + frames] for signal in begun.signals[-1:]]
    left = _after(_run(pair, begun, others, sample_rate, pre_roll, None), pre_roll)
    frames -= guard
    left = np.ascontiguousarray(left[:, :frames])
    part = np.ascontiguousarray(out[:, :frames])
    if _level_only(link.effect):  # what is done to levels at the end may undo all that such an effect does
        if pair.match != "none":
            outs = {"input": rendered.input, "target": rendered.target, role: left}
            left = _times(left, _match_gains(pair, outs, sample_rate)[0][role])
        return {"difference_db": _difference_db(part, left, out), "stft": 0.0}
    power = float(np.vdot(left, left))
    matched = left * left.dtype.type(np.vdot(left, part) / power if power else 1.0)  # one gain for all channels: panning stays a change
    heard = part if frames == whole else part[:, -round(LEAST * sample_rate) :]  # spectra of half a second are enough in a beginning
    if (role, frames) not in spectra:
        spectra[role, frames] = Spectra(heard)
    # The logarithms' mean shrinks with the share of the time, the convergence with that of the energy's root.
    share = min(heard.shape[1] / whole, float(np.linalg.norm(heard)) / max(float(np.linalg.norm(out)), 1e-30))
    distance = spectra[role, frames].distance(Spectra(matched[:, -heard.shape[1] :])) * share
    return {"difference_db": _difference_db(part, matched, out), "stft": distance}


def _is_present(link: Link, found: dict[str, float], difference_db: float, stft: float) -> bool:
    return found["difference_db"] >= difference_db and (_level_only(link.effect) or found["stft"] >= stft)  # NaN is absent, too


def _difference_db(audio: Audio, other: Audio, whole: Audio) -> float:
    ratio = float(np.linalg.norm(audio - other)) / max(float(np.linalg.norm(whole)), 1e-30)
    return 20 * float(np.log10(max(ratio, 1e-15)))


def _level_holds(pair: Pair, rendered: Rendered, sample_rate: int) -> bool:
    """Whether the levels are those that `match` promises. Measures what was not measured on the way."""
    for role in ("input", "target"):
        if role not in rendered.loudness:
            rendered.loudness[role] = integrated_loudness(getattr(rendered, role), sample_rate)
    if pair.match == "none":
        return True
    wanted = pair.match_lufs if pair.match == "both_to_lufs" else rendered.loudness["target"]
    return all(abs(level - (wanted or 0.0)) <= LEVEL_TOLERANCE for level in rendered.loudness.values())
