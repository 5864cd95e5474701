"""What training minimises."""

from auraloss.freq import MultiResolutionSTFTLoss, SumAndDifferenceSTFTLoss
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = [512, 1024, 2048]


class MixLoss(nn.Module):
    """Multi-resolution STFT loss on sum and difference of the channels, plus L1 on the waveform.

    Sum and difference, because left and right alone hide errors of width (Steinmetz et al., ICASSP 2021). Magnitudes are compared in
    log and linear form; spectral convergence is left out, as it divides by the target's energy and a mono or silent target has none.
    """

    def __init__(self, channels: int = 2, l1_weight: float = 10.0):
        super().__init__()
        kind = SumAndDifferenceSTFTLoss if channels == 2 else MultiResolutionSTFTLoss
        self.stft = kind(SIZES, [size // 4 for size in SIZES], SIZES, w_sc=0.0, w_log_mag=1.0, w_lin_mag=1.0)
        self.l1_weight = l1_weight

    def forward(self, mix: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compare `(batch, channels, frames)` audio. Return `loss` and its two parts, `stft` and `l1`."""
        stft = self.stft(mix, target)
        l1 = F.l1_loss(mix, target)
        return {"loss": stft + self.l1_weight * l1, "stft": stft.detach(), "l1": l1.detach()}
