"""The reference task for Lightning: input stems in, the mixture out."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from mixdata.train.losses import MixLoss
from mixdata.train.models import MixNet

Batch = dict[str, Any]


class MixModule(LightningModule):
    """Trains `MixNet` on batches of `mixdata.torch.ShardDataset`: `input` stems against the first stem of `target`, the mixture.

    Weights come from `seed` alone; no global random state is used.
    """

    def __init__(self, stems: Sequence[str], channels: int, sample_rate: int, lr: float = 1e-3, seed: int = 0, width: int = 64):
        super().__init__()
        self.config = {"stems": list(stems), "channels": channels, "sample_rate": sample_rate, "lr": lr, "seed": seed, "width": width}
        self.lr = lr
        self.saved_optimizer: dict[str, Any] | None = None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = MixNet(stems, channels, sample_rate, width)
        self.loss = MixLoss(channels)

    def forward(self, batch: Batch) -> Tensor:
        """Return the mix `(batch, channels, frames)`, silent behind each item's `valid_frames`."""
        mix = self.model(batch["input"], batch["mask"])
        frames = torch.arange(mix.shape[-1], device=mix.device)
        return mix * (frames < batch["valid_frames"][:, None])[:, None]

    def training_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        """Return the loss and its parts."""
        return self.loss(self(batch), batch["target"][:, 0])

    def validation_step(self, batch: Batch, _: int) -> dict[str, Tensor]:
        """Return the loss and its parts."""
        return self.loss(self(batch), batch["target"][:, 0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, in the state of the run that is resumed."""
        self.adam = torch.optim.Adam(self.parameters(), lr=self.lr)
        if self.saved_optimizer is not None:
            self.adam.load_state_dict(self.saved_optimizer)
        return self.adam

    def optimizer_state(self) -> dict[str, Any]:
        """Return the optimizer's state for a checkpoint."""
        return self.adam.state_dict()
