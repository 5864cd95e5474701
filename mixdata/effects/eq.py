"""Parametric equalizer."""

from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, Parameters, effect, parameter, refuse_above_nyquist
from mixdata.effects.biquad import GAIN_KINDS, KINDS, cascade, rbj


@dataclass(frozen=True)
class Band(Parameters):
    """One filter of an equalizer. `gain_db` counts for `peak`, `low_shelf` and `high_shelf` alone."""

    kind: str = parameter("peak", choices=KINDS)
    frequency_hz: float = parameter(1000.0, low=1, high=500_000, draw={"loguniform": [30, 10_000]})
    gain_db: float = parameter(0.0, low=-60, high=60, draw={"uniform": [-12, 12]})
    q: float = parameter(0.707, low=0.01, high=100, draw={"uniform": [0.3, 2]})

    def is_identity(self) -> bool:
        """Whether this filter does nothing."""
        return self.kind in GAIN_KINDS and self.gain_db == 0


def _law(kind: str, low_hz: float, high_hz: float) -> dict[str, object]:
    return {"kind": kind, "frequency_hz": {"loguniform": [low_hz, high_hz]}, "gain_db": {"uniform": [-12, 12]}, "q": {"uniform": [0.3, 2]}}


@effect
@dataclass(frozen=True)
class Eq(Effect):
    """Parametric equalizer: any number of bands, one after the other.

    Each band is a section of the Audio EQ Cookbook (Robert Bristow-Johnson; W3C Note, 2021). Drawn by default are five bands in the
    frequency ranges of Koo et al., "Music Mixing Style Transfer", ICASSP 2023, with +-12 dB and a Q of 0.3 to 2.
    """

    lanes: ClassVar[bool] = True

    bands: tuple[Band, ...] = parameter(
        (
            Band("low_shelf", 80.0),
            Band("peak", 450.0),
            Band("peak", 1700.0),
            Band("peak", 4900.0),
            Band("high_shelf", 7100.0),
        ),
        items=Band,
        draw=[
            _law("low_shelf", 30, 200),
            _law("peak", 200, 1000),
            _law("peak", 1000, 3000),
            _law("peak", 3000, 8000),
            _law("high_shelf", 5000, 10_000),
        ],
    )

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return cascade(audio, [rbj(each.kind, each.frequency_hz, each.gain_db, each.q, sample_rate) for each in self.bands])

    def check_rate(self, sample_rate: int) -> None:
        for place, each in enumerate(self.bands):
            refuse_above_nyquist(f"{self.name}.bands.{place}.frequency_hz", each.frequency_hz, sample_rate)

    def is_identity(self) -> bool:
        return all(each.is_identity() for each in self.bands)
