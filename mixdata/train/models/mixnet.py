"""MixNet: a small network that works a mixing console, one fader, pan pot and equaliser per stem, and a little on the bus.

The shape follows the differentiable mixing console (Steinmetz, Pons, Pascual and Serra, "Automatic multitrack mixing with a
differentiable mixing console of neural audio effects", ICASSP 2021): one encoder shared by all stems, a context that is the mean over
the stems, controls per stem. Here the console is made of plain signal processing, so that every control can be read.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional as F

from mixdata.errors import UsageError

GAIN_DB = 24.0  # a fader's reach, up and down
EQ_DB = 18.0
BANDS = 48  # of the features
EQ_BANDS = 20
NEPERS_PER_DB = math.log(10) / 20
Layer = TypeVar("Layer", bound=nn.Module)


class MixNet(nn.Module):
    """Stems in, mix out: `(batch, stems, channels, frames)` and a mask `(batch, stems)` give `(batch, channels, frames)`.

    Stems are known by name, not by place. A masked stem is neither heard nor looked at. A new network passes the plain sum of its stems.
    """

    window: Tensor
    bands: Tensor
    eq_shape: Tensor

    def __init__(self, stems: Sequence[str], channels: int = 2, sample_rate: int = 44100, width: int = 64):
        super().__init__()
        self.stems = tuple(stems)
        self.channels = channels
        self.hop = 2 ** round(math.log2(0.023 * sample_rate))
        self.register_buffer("window", torch.hann_window(2 * self.hop), persistent=False)
        self.register_buffer("bands", triangles(BANDS, self.hop + 1, sample_rate), persistent=False)
        self.register_buffer("eq_shape", triangles(EQ_BANDS, self.hop // 2 + 1, sample_rate), persistent=False)
        self.names = nn.Embedding(len(self.stems), width)
        self.entrance = nn.Conv1d(channels * BANDS, width, 1)
        self.encoder = nn.Sequential(*(ResidualBlock(width, 3, 2**layer) for layer in range(4)))
        self.join = nn.Conv1d(2 * width, width, 1)
        self.decoder = nn.Sequential(*(ResidualBlock(width, 3, 2**layer) for layer in range(4)))
        self.fader = _silent(nn.Conv1d(width, 2, 1))
        self.equaliser = _silent(nn.Linear(width, EQ_BANDS))
        self.bus = nn.Sequential(
            nn.Conv1d(channels, 8, 9, padding=4), ResidualBlock(8, 3, 8), ResidualBlock(8, 3, 64), _silent(nn.Conv1d(8, channels, 1))
        )

    def forward(self, audio: Tensor, mask: Tensor, stems: Sequence[str] | None = None) -> Tensor:
        """Mix. `stems` names the second axis of `audio` where it is not in the network's own order."""
        gain, eq = self.controls(audio, mask, stems)
        mix = (equalise(audio, eq) * gain * mask[:, :, None, None].to(audio.dtype)).sum(1)
        return mix + self.bus(mix)

    def controls(self, audio: Tensor, mask: Tensor, stems: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Return each stem's gain per channel and frame `(batch, stems, channels, frames)` and its equaliser's zero-phase taps."""
        batch, count, _, frames = audio.shape
        places = torch.tensor([self._place(name) for name in (self.stems if stems is None else stems)], device=audio.device)
        if len(places) != count:
            raise UsageError(f"{count} stems of audio, {len(places)} names: {', '.join(self.stems if stems is None else stems)}")
        hidden = self.entrance(self.features(audio)) + self.names(places).repeat(batch, 1)[:, :, None]
        hidden = self.encoder(hidden).unflatten(0, (batch, count))
        weight = mask.to(hidden.dtype)[:, :, None, None]
        context = (hidden * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        hidden = self.decoder(self.join(torch.cat([hidden, context.expand_as(hidden)], 2).flatten(0, 1)))
        fader, pan = torch.tanh(self.fader(hidden)).unbind(1)
        gain = torch.exp(fader * (GAIN_DB * NEPERS_PER_DB))[:, None]
        if self.channels == 2:  # a balance control of constant power, unity in the middle
            angle = (pan + 1) * (torch.pi / 4)
            gain = gain * torch.stack([torch.cos(angle), torch.sin(angle)], 1) * 2**0.5
        padded = (gain.shape[-1] - 1) * self.hop + 1
        gain = F.interpolate(gain, padded, mode="linear", align_corners=True)[..., :frames]
        response = torch.exp(torch.tanh(self.equaliser(hidden.mean(-1))) @ self.eq_shape * (EQ_DB * NEPERS_PER_DB))
        taps = torch.roll(torch.fft.irfft(response), self.hop // 2, -1) * torch.hann_window(self.hop, device=audio.device)
        return gain.unflatten(0, (batch, count)), taps.unflatten(0, (batch, count))

    def features(self, audio: Tensor) -> Tensor:
        """Return the log power per channel, band and hop: `(batch x stems, channels x bands, hops + 1)`."""
        batch, count, channels, frames = audio.shape
        flat = F.pad(audio.reshape(-1, frames), (0, -frames % self.hop))
        spectrum = torch.stft(flat, 2 * self.hop, self.hop, window=self.window, center=True, pad_mode="constant", return_complex=True)
        power = self.bands @ (spectrum.real.square() + spectrum.imag.square())
        return (torch.log10(power + 1e-6) / 3).reshape(batch * count, channels * BANDS, -1)

    def _place(self, name: str) -> int:
        if name not in self.stems:
            raise UsageError(f"the model knows no stem {name!r}, only {', '.join(self.stems)}")
        return self.stems.index(name)


class ResidualBlock(nn.Module):
    """A dilated convolution with a way round it; length is kept."""

    def __init__(self, width: int, kernel: int, dilation: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, kernel, dilation=dilation, padding=dilation * (kernel // 2))
        self.act = nn.PReLU(width)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(batch, width, frames)` to the same shape."""
        return x + self.mix(self.act(self.conv(x)))


def equalise(audio: Tensor, taps: Tensor) -> Tensor:
    """Filter `(batch, stems, channels, frames)` with symmetric taps `(batch, stems, length)` without shifting it in time."""
    frames, length = audio.shape[-1], taps.shape[-1]
    size = next_fast_len(frames + length, real=True)
    spectrum = torch.fft.rfft(audio, size) * torch.fft.rfft(taps, size)[:, :, None]
    return torch.fft.irfft(spectrum, size)[..., length // 2 : length // 2 + frames]


def triangles(bands: int, bins: int, sample_rate: int, low: float = 50.0) -> Tensor:
    """Return `(bands, bins)` triangles at equal steps of log frequency; over the bands they sum to one in each bin."""
    nyquist = sample_rate / 2
    frequency = torch.linspace(0, nyquist, bins).clamp(min=low)
    place = torch.log(frequency / low) / torch.log(torch.tensor(nyquist / low)) * (bands - 1)
    return (1 - (place - torch.arange(bands)[:, None]).abs()).clamp(min=0)


def _silent(layer: Layer) -> Layer:
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer
