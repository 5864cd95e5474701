"""Fit targets to songs with stems."""

from collections.abc import Iterable, Iterator, Mapping

from mixdata.errors import SongError
from mixdata.example import Audio
from mixdata.measures import sample_peak_db
from mixdata.normalization.features import Features, measure
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import Targets, mean_targets
from mixdata.song import Song


def fit_targets(songs: Iterable[Song | Mapping[str, Audio]], sample_rate: int = 44_100, about: Mapping[str, str] | None = None) -> Targets:
    """Average the features of the songs' stems, each of which counts once where it sounds (near-silent ones are not normalized either).

    A `Song` is read from its files (stereo, at `sample_rate`) and counts only if its split is `train` or not said; a mapping of
    `(channels, frames)` audio is taken as it is. `mixdata targets fit` does the same for the stems that a recipe makes, on its train split.
    Raises `SongError` for files that cannot be read, `UsageError` where no stem is left.
    """
    return mean_targets(_all_features(songs, sample_rate), about or {"name": "fitted"})


def stem_features(stems: Mapping[str, Audio], sample_rate: int, quiet_dbfs: float = Settings().quiet_dbfs) -> dict[str, Features]:
    """Measure every stem that normalization would not leave as it is because it peaks under `quiet_dbfs`."""
    return {name: measure(audio, sample_rate) for name, audio in stems.items() if sample_peak_db(audio) >= quiet_dbfs}


def _all_features(songs: Iterable[Song | Mapping[str, Audio]], sample_rate: int) -> Iterator[dict[str, Features]]:
    from mixdata.recipes.work import read_stereo

    for song in songs:
        if not isinstance(song, Song):
            yield stem_features(song, sample_rate)
        elif song.split in (None, "train"):
            if not song.stems:
                raise SongError("no_stems", f"{song.title}: the song has a mixture only; see `mixdata targets fit --recipe`")
            yield stem_features({name: read_stereo(track, sample_rate, []) for name, track in song.stems.items()}, sample_rate)
