"""What audio measures: loudness by ITU-R BS.1770, levels, activity, silence, spectrum, stereo, onsets, reverberation.

Audio is `(channels, frames)`, float, full scale 1.0.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mixdata.measures.levels import clipped_samples, crest_db, dc_offset, dynamic_spread_db, rms_db, sample_peak_db, true_peak
from mixdata.measures.loudness import (
    activity,
    activity_mask,
    integrated_loudness,
    integrated_loudness_of,
    loudness_range,
    momentary_loudness,
    short_term_loudness,
)
from mixdata.measures.silence import silence_boundaries, silent_stretches

if TYPE_CHECKING:
    from mixdata.measures.onsets import onset_frames, onset_peaks
    from mixdata.measures.reverberation import Decay, blind_decay_seconds, decay_times, decay_times_by_octave
    from mixdata.measures.spectrum import (
        average_spectrum_db,
        effective_bandwidth_hz,
        rolloff_hz,
        spectral_bandwidth_hz,
        spectral_centroid_hz,
        spectral_flatness,
    )
    from mixdata.measures.stereo import PanningSpectrum, balance_db, correlation, panning_spectrum, side_share, width_db

_PLACES = {  # SciPy loads slowly; what needs it is imported when first asked for
    "onsets": ("onset_frames", "onset_peaks"),
    "reverberation": ("Decay", "blind_decay_seconds", "decay_times", "decay_times_by_octave"),
    "spectrum": (
        "average_spectrum_db",
        "effective_bandwidth_hz",
        "rolloff_hz",
        "spectral_bandwidth_hz",
        "spectral_centroid_hz",
        "spectral_flatness",
    ),
    "stereo": ("PanningSpectrum", "balance_db", "correlation", "panning_spectrum", "side_share", "width_db"),
}

__all__ = [
    "Decay",
    "PanningSpectrum",
    "activity",
    "activity_mask",
    "average_spectrum_db",
    "balance_db",
    "blind_decay_seconds",
    "clipped_samples",
    "correlation",
    "crest_db",
    "dc_offset",
    "decay_times",
    "decay_times_by_octave",
    "dynamic_spread_db",
    "effective_bandwidth_hz",
    "integrated_loudness",
    "integrated_loudness_of",
    "loudness_range",
    "momentary_loudness",
    "onset_frames",
    "onset_peaks",
    "panning_spectrum",
    "rms_db",
    "rolloff_hz",
    "sample_peak_db",
    "short_term_loudness",
    "side_share",
    "silence_boundaries",
    "silent_stretches",
    "spectral_bandwidth_hz",
    "spectral_centroid_hz",
    "spectral_flatness",
    "true_peak",
    "width_db",
]


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(f"mixdata.measures.{module}"), name)
    raise AttributeError(f"module 'mixdata.measures' has no attribute {name!r}")
