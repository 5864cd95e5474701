"""Demucs: hybrid transformer, hybrid and time-domain networks, run by the demucs package on weights that we read ourselves."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator

from mixdata.audio import resample
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.rng import stream
from mixdata.separation.base import Separator, SeparatorSettings, checked_audio, checked_stems, fingerprint_of, register, with_frames
from mixdata.song import Song

if TYPE_CHECKING:
    import torch

    from mixdata.separation.demucs_weights import Weights

VERSION = 1
SHIFT_SECONDS = 0.5
SILENCE = 1e-8  # what demucs itself adds to the standard deviation

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@register
class DemucsSettings(SeparatorSettings):
    """A model of the demucs package: `demucs:htdemucs`, `demucs:htdemucs_ft`, `demucs:hf://user/name`.

    `repo` is a local model repository (a folder with `<model>.yaml` and `<signature>.safetensors` or `.th` files). `overlap` is
    the share of a segment that the next one repeats, `segment` its length in seconds (None: the model's own), `shifts` the number of
    shifted passes that are averaged. `weights_sha256` (signature -> SHA-256) pins the weights; a `.th` file, a pickle,
    which can run any code when opened, is opened only if it is pinned.
    """

    separator: Literal["demucs"] = "demucs"
    main: ClassVar[str | None] = "model"
    model: str = "htdemucs"
    repo: str | None = None
    device: str = "auto"
    overlap: Annotated[float, Field(ge=0, le=0.95)] = 0.25
    shifts: Annotated[int, Field(ge=0, le=100)] = 0
    segment: Annotated[float, Field(ge=0.5, le=600)] | None = None
    weights_sha256: dict[str, Hash] | None = None
    local: ClassVar[frozenset[str]] = frozenset({"repo", "device"})

    def pinned(self, separator: Any) -> "DemucsSettings":
        """Return the settings with the full hash of every weights file written down."""
        return self.model_copy(update={"weights_sha256": dict(separator.weights.sha256)})

    @field_validator("weights_sha256", mode="before")
    @classmethod
    def _lower(cls, hashes: Any) -> Any:
        return {k: v.lower() if isinstance(v, str) else v for k, v in hashes.items()} if isinstance(hashes, dict) else hashes

    def load(self) -> "Demucs":
        from mixdata.separation.demucs_weights import read_weights

        device = _device(self.device)
        return Demucs(self, read_weights(self.model, self.repo, self.weights_sha256 or {}), device)


class Demucs(Separator):
    """A loaded demucs model. Any rate and length, mono or the model's own number of channels."""

    def __init__(self, settings: DemucsSettings, weights: "Weights", device: "torch.device"):
        from importlib.metadata import version

        from mixdata.separation.demucs_weights import training_data

        self.settings, self.weights, self.device = settings, weights, device
        self.model = weights.model.to(device).eval()
        try:
            self.stems = tuple(checked_stems(list(self.model.sources)))
        except ValueError as error:
            raise MixdataError(f"demucs: {settings.model}: {error}") from None
        self.package = version("demucs")
        self.licence, self.trained_on = weights.origin.terms, training_data(settings.model)
        if settings.segment is not None and settings.segment > float(self.model.max_allowed_segment):
            raise UsageError(
                f"demucs: {settings.model} was trained on segments of {float(self.model.max_allowed_segment):.3g} s "
                f"and takes no longer ones, got segment {settings.segment}"
            )
        self.fingerprint = fingerprint_of(
            "demucs",
            VERSION,
            self.package,
            list(weights.sha256.items()),
            [weights.bag.models, weights.bag.weights, weights.bag.segment],
            [settings.segment, settings.overlap, settings.shifts],
            list(self.stems),
        )

    def __call__(
        self, audio: np.ndarray, sample_rate: int, *, song: Song | None = None, notes: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return the estimates. Raises `SongError("channels")` where the model takes another number of channels.

        The input is standardized as demucs does it (mean and standard deviation of the channel mean). The
        deviation is undone, the mean is not added back: demucs adds it to every stem, so that even a silent one gets the
        offset and the sum has it once per stem. A constant offset is no instrument's; mixture consistency puts it into `other`.
        """
        audio = checked_audio(audio, sample_rate)
        rate, channels = self.model.samplerate, self.model.audio_channels
        if channels == 1 and len(audio) > 1:
            each = [self(row[None], sample_rate) for row in audio]
            return {stem: np.concatenate([found[stem] for found in each]) for stem in self.stems}
        if len(audio) not in (1, channels):
            raise SongError(
                "channels", f"{self.settings.model} takes 1 or {channels} channels, the audio has {len(audio)}: mix it down first"
            )
        mix = resample(audio, sample_rate, rate)
        middle = mix.mean(axis=0, dtype=np.float64)
        deviation = (float(middle.std(ddof=1)) if len(middle) > 1 else 0.0) + SILENCE
        standard = ((mix - middle.mean()) / deviation).astype(np.float32)
        estimates = self._applied(np.repeat(standard, channels // len(mix), axis=0)) * np.float32(deviation)
        if len(audio) == 1:
            estimates = estimates.mean(axis=1, keepdims=True)
        return {
            stem: np.ascontiguousarray(with_frames(resample(estimate, rate, sample_rate), audio.shape[-1]), np.float32)
            for stem, estimate in zip(self.stems, estimates, strict=True)
        }

    def _applied(self, mix: np.ndarray) -> np.ndarray:
        """Run the network on standardized `(channels, frames)` at its own rate; return `(stems, channels, frames)`."""
        import torch
        from demucs.apply import TensorChunk, apply_model
        from torch.nn.functional import pad

        settings = self.settings
        frames = mix.shape[-1]
        whole = TensorChunk(torch.from_numpy(mix)[None])
        try:
            with torch.inference_mode(), _exact(), _own_randomness():

                def run(piece: TensorChunk) -> "torch.Tensor":
                    length = self._without_short_tail(piece.length)
                    longer = piece if length == piece.length else pad(piece.padded(piece.length), (0, length - piece.length))
                    found = apply_model(
                        self.model, longer, shifts=0, split=True, overlap=settings.overlap, device=self.device, segment=settings.segment
                    )
                    return found[0, ..., : piece.length]

                if not settings.shifts:
                    return run(whole).numpy()
                # The shift trick as in demucs, whose offsets come from Python's global generator.
                most = int(SHIFT_SECONDS * self.model.samplerate)
                padded = whole.padded(frames + 2 * most)
                total = torch.zeros(len(self.stems), len(mix), frames)
                for number in range(settings.shifts):
                    offset = int(stream(0, "demucs", "shift", number).integers(most + 1))
                    total += run(TensorChunk(padded, offset, frames + most - offset))[..., most - offset :]
                return (total / settings.shifts).numpy()
        except torch.OutOfMemoryError as error:
            raise MixdataError(f"demucs: out of memory on {self.device}: set a shorter `segment`, or `device: cpu`") from error
        except (RuntimeError, ValueError, AssertionError) as error:  # a network whose parts do not fit fails only when it runs
            raise MixdataError(f"demucs: {settings.model} failed on {frames} frames: {type(error).__name__}: {error}") from error

    def _without_short_tail(self, frames: int) -> int:
        """Return the length to which `frames` must be filled up so that no segment of an HDemucs network is under a second.

        HDemucs does not fill segments up itself as the others do, and fails on a last one of a few samples.
        """
        from demucs.hdemucs import HDemucs

        for model in self.model.models:
            if isinstance(model, HDemucs):
                stride = int((1 - self.settings.overlap) * int(model.samplerate * (self.settings.segment or model.segment)))
                least = min(model.samplerate, stride)
                frames += max(0, least - frames % stride) if frames % stride else 0
        return frames

    def describe(self) -> dict[str, Any]:
        from mixdata.separation.demucs_weights import warnings_for

        settings, weights = self.settings, self.weights
        return {
            "separator": "demucs",
            "kind": "neural network",
            "package": f"demucs {self.package}",
            "version": VERSION,
            "model": settings.model,
            "source": weights.origin.source,
            "signatures": list(weights.sha256),
            "weights_sha256": dict(weights.sha256),
            "bag_weights": weights.bag.weights,
            "stems": list(self.stems),
            "device": self.device.type,
            "overlap": settings.overlap,
            "shifts": settings.shifts,
            "segment": settings.segment,
            "licence": weights.origin.licence,
            "licence_note": weights.origin.licence_note,
            "ignored_arguments": weights.ignored,
            "warnings": warnings_for(settings.model),
        }


@contextmanager
def _exact() -> Iterator[None]:
    """Compute the same bits whatever the process is set to: one CPU thread (their number changes the last bits), no TF32."""
    import torch

    threads, tf32 = torch.get_num_threads(), torch.backends.cuda.matmul.allow_tf32
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cuda.matmul.allow_tf32 = tf32


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Give demucs generators in a fixed state (its transformer draws a shift per pass), and put back what was there."""
    import torch

    state = random.getstate()
    random.seed(0)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        random.setstate(state)


def _device(name: str) -> "torch.device":
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"demucs: unknown device {name!r}: use auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"demucs: there is no device {name!r} here ({torch.cuda.device_count()} CUDA devices): use auto or cpu")
    return device
