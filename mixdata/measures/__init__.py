"""What audio measures: loudness by ITU-R BS.1770, levels, activity. Audio is `(channels, frames)`, float."""

from mixdata.measures.levels import clipped_samples, crest_db, rms_db, sample_peak_db, true_peak
from mixdata.measures.loudness import (
    activity,
    activity_mask,
    integrated_loudness,
    loudness_range,
    momentary_loudness,
    short_term_loudness,
)

__all__ = [
    "activity",
    "activity_mask",
    "clipped_samples",
    "crest_db",
    "integrated_loudness",
    "loudness_range",
    "momentary_loudness",
    "rms_db",
    "sample_peak_db",
    "short_term_loudness",
    "true_peak",
]
