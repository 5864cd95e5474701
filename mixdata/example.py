"""An example: roles × stems of audio, all of one length, plus its record."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Audio = np.ndarray  # float32, (channels, frames)
Roles = dict[str, dict[str, Audio]]  # role -> stem -> audio


@dataclass
class Example:
    """One training example.

    `start` is the first frame's place in its song at `sample_rate`. `active[role][stem]` is False where the
    stem does not exist in this song (gated or missing) and its audio is zeros. `activity[stem]` is the share
    of the example's time in which the stem sounds, `loudness[role][stem]` its LUFS here (-inf for silence).
    `scale` is the factor that the stored audio was multiplied with (undone when read); `record` is the JSON that travels with it.
    """

    key: str
    song: str
    split: str
    block: int
    start: int
    sample_rate: int
    roles: Roles
    active: dict[str, dict[str, bool]]
    activity: dict[str, float] = field(default_factory=dict)
    loudness: dict[str, dict[str, float]] = field(default_factory=dict)
    scale: float = 1.0
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Length of every piece of audio in it."""
        return next(audio.shape[-1] for stems in self.roles.values() for audio in stems.values())

    def members(self) -> list[tuple[str, str, Audio]]:
        """Return (role, stem, audio) in the fixed role-major order in which they are stored."""
        return [(role, stem, audio) for role, stems in self.roles.items() for stem, audio in stems.items()]
