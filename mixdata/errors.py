"""What can go wrong, in the words a user needs: what, where, and how to mend it.

Every error that a user can cause is a `MixdataError`; the CLI prints its message without a traceback and
ends with its exit code. A `SongError` concerns one song: the build leaves that song out, writes its `reason`
into `songs.parquet` and goes on.
"""


class MixdataError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do."""

    exit_code = 1


class UsageError(MixdataError):
    """A wrong argument, recipe or path: nothing was started."""

    exit_code = 2


class DamageError(MixdataError):
    """Part of a dataset is missing or broken: no second try mends it, but the rest can be read."""


class RecipeError(UsageError):
    """A recipe that cannot be used. The message lists every mistake with file, line and path."""


class EffectError(UsageError, ValueError):
    """An effect's parameter out of its range, or audio that no effect can take. The message names it."""


class RateError(EffectError):
    """A parameter that audio at this sample rate cannot hold, such as a frequency above half of it."""


class SongError(MixdataError):
    """One song cannot be used. `reason` is a short fixed word (for counting), the message is for people.

    Reasons in use: unreadable, not_audio, unsupported, empty, truncated, nonfinite, level, silent, too_short, too_long, channels, missing,
    metadata, known_bad, outside_root, duplicate, id_taken, licence, changed, no_active_stem, no_stems, no_tracks, too_many_tracks, no_mix,
    no_pair, no_effect, length, unaligned, no_examples, crushed, clipped, failed (the worker died on it), and those of separators.
    """

    def __init__(self, reason: str, message: str, counts: dict[str, int] | None = None):
        super().__init__(reason, message, counts)
        self.reason = reason
        self.message = message
        self.counts = counts or {}  # what was counted before the song was given up, for songs.parquet

    def __str__(self) -> str:
        return self.message


class AudioError(SongError):
    """A file that cannot be read as audio."""
