"""`tracks`: any number of a song's tracks as what a model hears, the engineer's mix as what it should make."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mixdata import measures, taxonomy
from mixdata.errors import SongError
from mixdata.measures.alignment import CONFIDENT, Alignment, align
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.scratch import on_disk
from mixdata.recipes.steps.stems import MIXTURE, UNKNOWN
from mixdata.recipes.work import LOUDEST, SHORTEST, Work, added, read_stereo
from mixdata.shards.format import MOST_TRACKS, track_names
from mixdata.song import Song, Track

WHOLE = "the whole"  # what the facts of a room's microphones and reverb returns say that they are of
SETS = {4: "musdb18_4", 5: "spleeter_5", 6: "htdemucs_6s", 11: "moisesdb_11"}
STEPS = 1 << 20  # frames that are looked at at once
OFFSET_SECONDS = 0.001  # by which a corpus's own mix may lie beside its tracks without a warning
ALIKE_DB = -3.0  # residual under which the sign of the sum's gain tells the mix's polarity


class Tracks(Params):
    """`take`: the song's `raw` tracks, its `stems`, or `auto`: raw tracks where it has two or more (without a room's microphones, which
    hear all), else stems. `groups` sums them to as many stems of the taxonomy, as far as the song has them.

    `mixture` is the target: the engineer's mix (`published`), the `sum` of the tracks, or the sum where there is no mix that can be used
    (`published_or_sum`). A published mix that starts elsewhere is aligned; it is used where `min_confidence` or more of it agrees.
    `loudness` (LUFS; null: as they are) is what the target is brought to, by one gain for it and all tracks. `max_tracks`: songs with more
    are left out. `drop_silent` leaves silent tracks out. `order` of the tracks: by `name`, or `shuffled` (once per song).
    A track sounds where its momentary loudness is within `relative_lu` of the loudness of the tracks' sum and above `floor_lufs`.
    """

    take: Literal["auto", "raw", "stems"] = "auto"
    groups: Literal[4, 5, 6, 11] | None = None
    mixture: Literal["published", "sum", "published_or_sum"] = "published"
    min_confidence: Annotated[float, Field(ge=CONFIDENT, le=1)] = CONFIDENT
    loudness: Annotated[float, Field(ge=-70, le=0)] | None = None
    max_tracks: Annotated[int, Field(ge=1, le=MOST_TRACKS)] | None = None
    drop_silent: bool = False
    order: Literal["name", "shuffled"] = "name"
    relative_lu: Annotated[float, Field(gt=0, le=120)] = 60.0
    floor_lufs: Annotated[float, Field(ge=-120, le=0)] = -70.0


@dataclass
class _Input:
    """One input of a model: a track, or several that are summed."""

    name: str
    tracks: dict[str, Track]
    group: str | None
    audio: np.ndarray = field(default_factory=lambda: np.zeros((2, 0), np.float32))

    def about(self) -> dict[str, Any]:
        """Return what the record says of it; of a sum, what it is made of."""
        infos = [track.info() for track in self.tracks.values()]
        facts = [dict(track.facts) for track in self.tracks.values()]
        instruments = list(dict.fromkeys(track.instrument for track in self.tracks.values()))
        return {
            "name": self.name,
            "instrument": instruments[0] if len(instruments) == 1 else None,
            "group": self.group,
            "stem": None if self.group is None else taxonomy.home(self.group, _stems(4)),
            "channels": max(info.channels for info in infos),
            "sample_rate": max(info.sample_rate for info in infos),
            "facts": facts[0] if len(facts) == 1 else {},
        } | ({"made_of": dict(zip(self.tracks, facts, strict=True))} if len(self.tracks) > 1 else {})


def chosen(params: Tracks, song: Song) -> Mapping[str, Track]:
    """Return the tracks that are taken of a song. Raises `SongError` where it has none or too many, or no mix to aim at."""
    if params.mixture == "published" and song.published is None and song.mixture is None:
        raise SongError("no_mix", f"{song.title}: no engineer's mix comes with it; set tracks.mixture to sum, or to published_or_sum")
    raw = {name: track for name, track in song.raw.items() if track.facts.get("of") != WHOLE}  # of those, the sum would count all twice
    raw = raw if len(raw) > 1 or not song.stems else {}
    tracks = {"raw": song.raw, "stems": song.stems, "auto": raw or song.stems or song.raw}[params.take]
    if not tracks:
        kind = {"raw": "raw tracks", "stems": "stems", "auto": "tracks"}[params.take]
        raise SongError("no_tracks", f"{song.title}: it has no {kind}; use another corpus, or another tracks.take")
    most = params.max_tracks or MOST_TRACKS
    if params.groups is None and len(tracks) > most:
        raise SongError(
            "too_many_tracks", f"{song.title}: {len(tracks)} tracks, more than {most}; raise tracks.max_tracks, or set tracks.groups"
        )
    return dict(sorted(tracks.items()))


@step(
    "tracks",
    Tracks,
    version=2,
    makes=("input", "input.active", "target", "target.active", "target.mixture"),
    roles=lambda params, made: made | {"input": [], "target": [MIXTURE]},
    variable=lambda params: ["input"],
    song_tracks=lambda params, song: len(_inputs(params, song)),
)
def tracks(work: Work, params: Tracks, label: str) -> None:
    """Take the tracks as they are as role `input`, t000, t001, …, and the mix over them as role `target`."""
    if work.song.mixture is None:  # what was said of the sum of the stems, which is not used
        work.warnings = [word for word in work.warnings if word not in ("mono", "unequal_lengths")]
    inputs = _inputs(params, work.song)
    rough = _read(work, inputs)
    target, start, about = _target(work, params, rough)
    stop = start + target.shape[1]
    gain_db = _gain_db(target, params, work.sample_rate)
    gain = np.float32(10 ** (gain_db / 20))
    for each in inputs:
        each.audio = each.audio[:, start:stop]
        if gain_db:
            each.audio = on_disk(each.audio * gain, work.cache_dir)
    rough, target = rough[:, start:stop] * gain, target * gain
    if not any(each.audio.any() for each in inputs):
        raise SongError("no_active_stem", f"{work.song.title}: none of its tracks sounds anywhere in the mix")
    fit_db, residual_db, inverted = _fit(target, rough)
    if inverted:
        work.warnings.append("mix_inverted")
    kept = [each for each in inputs if not params.drop_silent or each.audio.any()]
    if params.order == "shuffled":
        kept = [kept[number] for number in work.rng(label, "order").permutation(len(kept))]
    names = track_names(len(kept))
    loudness = measures.integrated_loudness(rough, work.sample_rate)
    work.mixture = target
    work.roles |= {"input": {name: each.audio for name, each in zip(names, kept, strict=True)}, "target": {MIXTURE: target}}
    work.active |= {"input": {name: bool(audio.any()) for name, audio in work.roles["input"].items()}, "target": {MIXTURE: True}}
    for name, audio in work.roles["input"].items():
        work.activity[name] = measures.activity_mask(audio, work.sample_rate, loudness, params.relative_lu, params.floor_lufs)
    work.record["tracks"] = {name: each.about() for name, each in zip(names, kept, strict=True)}
    if any(each.group is None for each in kept):
        work.warnings.extend({UNKNOWN} - set(work.warnings))
    about |= {"gain_db": gain_db, "sum_gain_db": fit_db, "residual_db": residual_db, "inverted": inverted}
    work.measures |= {
        "input_tracks": len(kept),
        "target_is_sum": about["made_of"] == "sum",
        "residual_db": residual_db,
        "gain_mixture_db": gain_db,
    }
    work.note(label, start=start, dropped=sorted(each.name for each in inputs if each not in kept), target=about)


def _inputs(params: Tracks, song: Song) -> list[_Input]:
    """Return what a model would hear of a song, by name; nothing is read."""
    taken = chosen(params, song)
    groups = {name: _group(name, track) for name, track in taken.items()}
    if params.groups is None:
        return [_Input(name, {name: track}, groups[name]) for name, track in taken.items()]
    stems = _stems(params.groups)
    homes = {name: (taxonomy.home(group, stems) if group else None) or taxonomy.REST for name, group in groups.items()}
    parts = {stem: {name: track for name, track in taken.items() if homes[name] == stem} for stem in stems}
    return [_Input(stem, of, None if any(groups[name] is None for name in of) else stem) for stem, of in sorted(parts.items()) if of]


def _group(name: str, track: Track) -> str | None:
    labels = [label for label in (track.instrument, name) if label]
    found = (rule(label) for rule in (taxonomy.group_of, taxonomy.group_of_file) for label in labels)
    return next((group for group in found if group is not None), None)


def _stems(count: int) -> tuple[str, ...]:
    return taxonomy.rules().sets[SETS[count]]


def _read(work: Work, inputs: Iterable[_Input]) -> np.ndarray:
    """Read every input onto disk, all as long as the longest, and return their sum."""
    notes: list[str] = []
    rough, lengths = np.zeros((2, 0)), set[int]()
    for each in inputs:
        total = np.zeros((2, 0))
        for track in each.tracks.values():
            samples = read_stereo(track, work.sample_rate, notes)
            if samples.size and max(samples.max(), -samples.min()) > LOUDEST:
                raise SongError("level", f"{track.path}: samples beyond {LOUDEST:g} times full scale; is it integer data stored as floats?")
            total = added(total, samples, lengths)
        rough = added(rough, total, set())
        each.audio = on_disk(total.astype(np.float32), work.cache_dir)
    for each in inputs:
        if each.audio.shape[1] < rough.shape[1]:
            each.audio = on_disk(np.pad(each.audio, ((0, 0), (0, rough.shape[1] - each.audio.shape[1]))), work.cache_dir)
    work.warnings.extend(note for note in dict.fromkeys(notes) if note != "mono" and note not in work.warnings)
    return rough.astype(np.float32)


def _target(work: Work, params: Tracks, rough: np.ndarray) -> tuple[np.ndarray, int, dict[str, Any]]:
    """Return the target, the frame of the tracks at which it starts, and what the record says of it. Raises `SongError`."""
    song, rate = work.song, work.sample_rate
    if params.mixture == "sum":
        return rough, 0, {"made_of": "sum"}
    if song.published is not None:
        notes: list[str] = []
        mix = read_stereo(song.published, rate, notes)
        found = align(mix, rough, rate)
        refusal = found.reason or ("unsure" if found.confidence < params.min_confidence else "")
        start, stop = max(0, -found.lag_frames), min(rough.shape[1], mix.shape[1] - found.lag_frames)
        if not refusal and stop - start < SHORTEST * rate:
            refusal = "too_short"
        if refusal and params.mixture == "published":
            raise SongError("unaligned", f"{song.title}: {_why(refusal, found)}; set tracks.mixture to sum to do without the mix")
        if refusal:
            return rough, 0, {"made_of": "sum", "refused": refusal, **_said(found)}
        work.warnings.extend(note for note in dict.fromkeys(notes) if note not in work.warnings)
        work.measures |= {"mix_lag_seconds": found.lag_seconds, "mix_confidence": found.confidence}
        return mix[:, start + found.lag_frames : stop + found.lag_frames], start, {"made_of": "published", **_said(found)}
    if song.mixture is None:
        return rough, 0, {"made_of": "sum"}
    found = align(work.mixture, rough, rate)
    if found.reason:
        work.warnings.append("mix_offset" if found.reason in ("drift", "edit") else "mix_unverified")
    elif abs(found.lag_seconds) > OFFSET_SECONDS:
        work.warnings.append("mix_offset")
    stop = min(rough.shape[1], work.mixture.shape[1])
    return work.mixture[:, :stop], 0, {"made_of": "mixture", "checked": found.reason or "aligned", **_said(found)}


def _said(found: Alignment) -> dict[str, Any]:
    return {
        "lag_frames": found.lag_frames,
        "lag_seconds": found.lag_seconds,
        "confidence": found.confidence,
        "coherence": found.coherence,
        "rival": found.rival,
        "drift_ppm": found.drift_ppm,
    }


def _why(reason: str, found: Alignment) -> str:
    """Say in words why a mix cannot be laid over its tracks."""
    return {
        "silent": "its published mix or its tracks are silent",
        "too_short": "too little of its published mix lies over sounding tracks to find where it begins",
        "unsure": f"its published mix could not be aligned with its tracks (confidence {found.confidence:.2f}); is it this song's?",
        "ambiguous": f"its music repeats itself: its published mix fits at several places (the next {100 * found.rival:.0f} % as well)",
        "drift": f"its published mix runs {found.drift_ppm:+.0f} ppm against its tracks: another clock, or a wrong sample rate",
        "edit": "its published mix is edited: part of the tracks lies at another place in it",
    }[reason]


def _gain_db(target: np.ndarray, params: Tracks, sample_rate: int) -> float:
    loudness = -np.inf if params.loudness is None else measures.integrated_loudness(target, sample_rate)
    return float(params.loudness - loudness) if params.loudness is not None and np.isfinite(loudness) else 0.0


def _fit(target: np.ndarray, rough: np.ndarray) -> tuple[float | None, float | None, bool]:
    """Return the gain of the sum that comes nearest to the target, and what then is left of the target, both in dB; None for infinite.

    The third is whether the target is clearly the sum with its polarity reversed.
    """
    own = cross = power = 0.0
    for at in range(0, target.shape[1], STEPS):
        a, b = target[:, at : at + STEPS].astype(np.float64), rough[:, at : at + STEPS].astype(np.float64)
        own, cross, power = own + float(np.sum(a * a)), cross + float(np.sum(a * b)), power + float(np.sum(b * b))
    gain = cross / power if power else 0.0
    left = 1 - gain * cross / own if own else 0.0
    inverted = gain < 0 and left < 10 ** (ALIKE_DB / 10)
    return 20 * float(np.log10(abs(gain))) if gain else None, 10 * float(np.log10(left)) if left > 1e-12 else None, inverted
