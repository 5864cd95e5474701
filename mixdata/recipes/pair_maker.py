"""Making pairs: draw a chain, render it, verify it, and draw anew where it fails. The `effects` step and the loader both do it here."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mixdata.effects import pairs
from mixdata.effects.pairs import Pair, Rendered
from mixdata.errors import RateError
from mixdata.example import Audio, Roles
from mixdata.measures import integrated_loudness
from mixdata.recipes.distributions import draw
from mixdata.recipes.effect_words import Setting

MIXTURE = "mixture"
LINKED = "*"  # the name under which a chain is drawn that all stems share
QUIETEST = -70.0  # LUFS; stands for the level of a stem that has none


@dataclass(frozen=True)
class Source:
    """A stem's audio `(channels, pre_roll + frames)`, and the loudness of the whole that it is taken from."""

    audio: Audio
    pre_roll: int
    loudness: float


@dataclass(frozen=True)
class Made:
    """A verified pair of one stem and its record."""

    rendered: Rendered
    record: dict[str, Any]

    def cut(self, start: int, stop: int) -> "Made":
        """Return a stretch of it."""
        whole = self.rendered
        return Made(replace(whole, input=whole.input[:, start:stop], target=whole.target[:, start:stop], loudness={}), self.record)


@dataclass(frozen=True)
class Maker:
    """Makes pairs by the laws of `params` (of `pair_words.Effects`).

    `responses` are the impulse responses (SHA-256) that may be drawn, `source` says whether the stems carry effects already. `counts`
    gathers what was drawn and what was accepted.
    """

    params: Any
    sample_rate: int
    responses: tuple[str, ...] = ()
    source: str = "unknown"
    counts: Counter[str] = field(default_factory=Counter)

    def pre_roll(self) -> int:
        """Return how many frames before the audio are wanted."""
        return round(self.params.pre_roll * self.sample_rate)

    def make(self, sources: dict[str, Source], rng_of: Callable[[int, str], np.random.Generator]) -> dict[str, Made]:
        """Return the pairs of the stems; those of which no good one could be drawn are left out.

        `rng_of(attempt, stem)` is the generator of one attempt: every attempt has its own, so a redraw uses nothing of the one before.
        """
        made: dict[str, Made] = {}
        units = {LINKED: list(sources)} if self.params.linked and sources else {stem: [stem] for stem in sources}
        for unit, stems in units.items():
            redrawn: list[dict[str, Any]] = []
            for attempt in range(self.params.check.attempts):
                tried = {stem: self._try(stem, sources[stem], rng_of(attempt, unit)) for stem in stems}
                reason = next((found for _, found in tried.values() if isinstance(found, str)), None)
                chains = [pair for pair, _ in tried.values()]
                if attempt == 0:
                    self._count("drawn", chains)
                if reason is None:
                    self._count("accepted", chains)
                    good = {stem: each for stem, (_, each) in tried.items() if isinstance(each, Made)}
                    made |= {stem: replace(each, record=each.record | {"redrawn": redrawn}) for stem, each in good.items()}
                    break
                redrawn.append({"reason": reason, "chain": [link.label for link in chains[0].links]})
                self.counts[f"redraws_{reason}"] += 1
            else:
                self.counts["pairs_rejected"] += len(stems)
        return made

    def _try(self, stem: str, source: Source, rng: np.random.Generator) -> tuple[Pair, Made | str]:
        """Draw, render and verify one pair. Returns what was drawn, and the pair or what is wrong with it.

        `rate`: a parameter does not fit the sample rate. Everything else: see `mixdata.effects.pairs.render_checked`.
        """
        params, level = self.params, self.params.level
        block = source.audio[:, source.pre_roll :]
        loudness = integrated_loudness(block, self.sample_rate) if level is not None and level.over == "block" else source.loudness
        lufs = None if level is None else draw(level.lufs, rng)
        most = pairs.MOST_GAIN_DB
        gain = float(np.clip(lufs - loudness, -most, most)) if lufs is not None and np.isfinite(loudness) else 0.0
        operating = lufs if lufs is not None else loudness if np.isfinite(loudness) else QUIETEST
        links = params.laws_of(stem).draw(rng, Setting(operating, self.responses))
        each = lufs if level is not None and level.before == "each" else None
        drawn = Pair(links, gain, each, params.match, params.match_lufs if params.match == "both_to_lufs" else None)
        record = json.loads(json.dumps(drawn.as_record()))
        pair = Pair.from_record(record)  # what is rendered is what the record says, not what was drawn
        limits = params.check.difference_db, params.check.stft
        try:
            rendered, wrong, presence = pairs.render_checked(pair, source.audio, self.sample_rate, source.pre_roll, *limits)
        except RateError:
            return pair, "rate"
        about = {"source": params.source or self.source, "per": params.per, "pre_roll": source.pre_roll, "level_lufs": lufs}
        return pair, wrong or Made(rendered, about | record | {"gains": rendered.gains, "presence": presence})

    def _count(self, when: str, chains: list[Pair]) -> None:
        """Count what was drawn first and what was accepted, for the report: redraws bend the law."""
        for pair in chains:
            self.counts[f"pairs_{when}"] += 1
            self.counts[f"{when}_removed_{sum(link.removed for link in pair.links)}"] += 1
            for link in pair.links:
                self.counts[f"{when}_{'remove' if link.removed else 'keep'}_{link.label}"] += 1


def assemble(made: dict[str, Rendered], stems: list[str], like: Audio, mixture: bool) -> Roles:
    """Return input and target: silence for stems without a pair, and where wanted the sum of the stems as their mixture."""
    roles: Roles = {}
    for role in ("input", "target"):
        roles[role] = {stem: getattr(made[stem], role) if stem in made else np.zeros_like(like) for stem in stems}
        if mixture:
            total = sum((audio.astype(np.float64) for audio in roles[role].values()), np.zeros(like.shape))
            roles[role] = {MIXTURE: total.astype(np.float32), **roles[role]}
    return roles
