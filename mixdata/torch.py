"""A dataset in a PyTorch training loop.

    dataset = ShardDataset("runs/set", crop=6.0)
    loader = CropLoader(dataset, batch_size=8, num_workers=2)
    for epoch in range(epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            batch["input"]      # (batch, stems, channels, frames)

`ShardDataset` reads crops, `CropSampler` says in which order, `CropLoader` makes batches of them many times as fast as a `DataLoader`,
whose queue is slower than the disk. With a `DataLoader` it is the same items:

    sampler = CropSampler(dataset)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=2, persistent_workers=True)

Item i of epoch e is a pure function of (seed, e, i): the same for any number of workers and ranks, and after any restart. The epoch
travels in the index (epoch × length + i), because a worker that persists is never told of a new one. So a loader without a
`CropSampler`, such as `DataLoader(dataset, shuffle=True)`, sees the crops of epoch 0 again and again.

`CropLoader` asks `torch.distributed` for its rank; Lightning calls its `set_epoch` and puts its state into checkpoints. With a
`DataLoader` under Lightning, leave `rank` and `world_size` alone: on several devices it shares the sampler's items out itself. Who sets
them gives its `Trainer` `use_distributed_sampler=False`; otherwise the items are shared out twice.
"""

from mixdata.loading.dataset import ShardDataset
from mixdata.loading.loader import CropLoader
from mixdata.loading.sampler import CropSampler

__all__ = ["CropLoader", "CropSampler", "ShardDataset"]
