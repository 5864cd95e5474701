"""An epoch is the same for any number of ranks and workers, and wherever it was interrupted, while the global batch stays the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed
import torch.multiprocessing
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mixdata.errors import UsageError
from mixdata.torch import CropLoader, CropSampler, ShardDataset
from tiny_dataset import Tiny, write_tiny

SETTINGS = settings(max_examples=60, deadline=None)


class Numbers:
    """A dataset whose audio is the item's number."""

    fingerprint = "numbers"
    shapes = {"input": (1, 1, 1)}  # noqa: RUF012
    in_python = False
    seed = 11

    def __init__(self, items: int):
        self.items = items

    def __len__(self) -> int:
        return self.items

    def fill(self, index: int, audio: dict[str, np.ndarray]) -> dict[str, Any]:
        audio["input"][:] = index
        return {"start": index}


def order(items: int, epoch: int) -> list[int]:
    """The order of one process without batches."""
    sampler = CropSampler(Numbers(items))
    sampler.set_epoch(epoch)
    return list(sampler)


def walk(items: int, ranks: int, batch_size: int, state: dict | None, batches: int | None, **options: Any) -> tuple[list[list[int]], dict]:
    """Return the global batches of all ranks, each in the order of one process, and the state after them."""
    of_ranks, states = [], []
    for rank in range(ranks):
        loader = CropLoader(Numbers(items), batch_size, num_workers=0, rank=rank, world_size=ranks, **options)
        if state is not None:
            loader.load_state_dict(state)
        mine = []
        if batches != 0:
            for batch in loader:
                assert batch["input"].flatten().tolist() == batch["start"].tolist()
                mine.append(batch["start"].tolist())
                if len(mine) == batches:
                    break
        of_ranks.append(mine)
        states.append(loader.state_dict())
    assert all(other == states[0] for other in states), "all ranks save the same state"
    assert len({tuple(map(len, mine)) for mine in of_ranks}) == 1, "all ranks have equally many batches of equal size"
    return [[item for row in zip(*parts, strict=True) for item in row] for parts in zip(*of_ranks, strict=True)], states[0]


@SETTINGS
@given(st.data(), st.sampled_from([1, 2, 3, 4, 6, 12]), st.integers(12, 150), st.integers(0, 3))
def test_the_order_of_global_batches_does_not_depend_on_ranks_nor_on_interruptions(data, size, items, epoch) -> None:
    whole = order(items, epoch)
    expected = [whole[first : first + size] for first in range(0, items - size + 1, size)]
    state = {"seed": 11, "epoch": epoch, "position": 0, "items": items}
    found: list[list[int]] = []
    while len(found) < len(expected):
        ranks = data.draw(st.sampled_from([ranks for ranks in (1, 2, 3, 4) if size % ranks == 0]))
        count = data.draw(st.one_of(st.none(), st.integers(0, 5)))
        part, state = walk(items, ranks, size // ranks, state, count)
        assert state["position"] == (len(found) + len(part)) * size
        found += part
        assert found == expected[: len(found)]
    assert walk(items, 1, size, state, None)[0] == [], "a state taken at the end of an epoch holds no more of it"


@SETTINGS
@given(st.integers(1, 5), st.integers(1, 7), st.integers(5, 80), st.integers(0, 80))
def test_without_drop_last_all_items_come_but_those_that_fill_no_round_of_ranks(ranks, batch_size, items, position) -> None:
    position = min(position, items)
    state = {"seed": 11, "epoch": 1, "position": position, "items": items}
    batches, after = walk(items, ranks, batch_size, state, None, drop_last=False)
    left = order(items, 1)[position:]
    found = [item for batch in batches for item in batch]
    assert found == left[: len(left) // ranks * ranks]
    assert after["position"] == position + len(found)
    assert all(len(batch) == ranks * batch_size for batch in batches[:-1])


@SETTINGS
@given(st.integers(1, 6), st.integers(6, 60), st.integers(0, 12), st.integers(1, 6))
def test_advance_counts_the_items_of_all_ranks(ranks, items, steps, later) -> None:
    sampler = CropSampler(Numbers(items), rank=ranks - 1, world_size=ranks)
    sampler.advance(steps)
    assert sampler.position == min(steps * ranks, items)
    found = []
    for rank in range(later):
        other = CropSampler(Numbers(items), rank=rank, world_size=later)
        other.load_state_dict(sampler.state_dict())
        found += list(other)
        assert len(other) == (items - sampler.position) // later == len(list(other))
    left = order(items, 0)[sampler.position :]
    assert sorted(found) == sorted(left[: len(left) // later * later])


def test_an_epoch_of_less_than_one_batch_is_refused() -> None:
    loader = CropLoader(Numbers(5), 3, num_workers=0, rank=0, world_size=2)
    assert len(loader) == 0
    with pytest.raises(UsageError, match="5 items are fewer than a batch of 3 on each of 2 ranks; set drop_last=False or epoch_items"):
        next(iter(loader))
    assert len(CropLoader(Numbers(5), 3, num_workers=0, rank=0, world_size=2, drop_last=False)) == 1


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("elastic") / "set", {"train": [20100, 8000, 27000, 3000]}, loud=20.0)


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_layouts_of_ranks_and_workers_give_the_same_global_batches(tiny: Tiny, ranks: int, workers: int, mode: str) -> None:
    data = ShardDataset(tiny.path, crop=0.5, epoch_items=26)
    reference = CropSampler(data)
    reference.set_epoch(3)
    items = [data[index] for index in reference]
    loaders = [
        CropLoader(data, 4 // ranks, num_workers=workers, mode=mode, rank=rank, world_size=ranks, prefetch=3) for rank in range(ranks)
    ]
    for loader in loaders:
        loader.set_epoch(3)
    first = [[batch for _, batch in zip(range(2), loader, strict=False)] for loader in loaders]
    assert all(loader.state_dict()["position"] == 8 for loader in loaders), "what was made ahead is not done"
    for loader in loaders:
        loader.load_state_dict(loaders[0].state_dict())
    rest = [list(loader) for loader in loaders]
    batches = [list(parts) for parts in zip(*first, strict=True)] + [list(parts) for parts in zip(*rest, strict=True)]
    assert len(batches) == 6 == len(loaders[0])
    for number, parts in enumerate(batches):
        for place in range(4):
            part, row = parts[place % ranks], place // ranks
            expected = items[4 * number + place]
            assert torch.equal(part["input"][row], expected["input"]) and torch.equal(part["target"][row], expected["target"])
            assert part["key"][row] == expected["key"] and part["start"][row] == expected["start"]


def _train(rank: int, path: Path, store: Path, out: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    data = ShardDataset(path, crop=0.5)
    loader = CropLoader(data, 2, drop_last=False)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
    keys = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        for batch in loader:
            model(batch["activity"]).mean().backward()  # waits for the other rank
            keys.append([epoch, batch["key"], batch["start"].tolist()])
    torch.save([len(loader), loader.state_dict(), keys], out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_share_an_epoch_of_uneven_length_without_hanging(tiny: Tiny, tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(_train, (tiny.path, tmp_path / "store", tmp_path), nprocs=2, start_method="spawn")
    (length, state, first), (_, other, second) = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    data = ShardDataset(tiny.path, crop=0.5)
    assert len(data) == 9 and length == 2, "each has batches of 2 and 2 of the 9 items"
    assert state == other and state.items() >= {"seed": 0, "epoch": 1, "position": 8, "items": 9}.items()
    for epoch in range(2):
        sampler = CropSampler(data)
        sampler.set_epoch(epoch)
        expected = [(data[index]["key"], data[index]["start"]) for index in list(sampler)[:8]]
        for rank, found in enumerate((first, second)):
            pairs = [pair for of, keys, starts in found if of == epoch for pair in zip(keys, starts, strict=True)]
            assert pairs == expected[rank::2]


def _fit(loader: Any, folder: Path, resume: Path | None = None) -> list[tuple[int, list[int]]]:
    """Train for three epochs in all; return the epoch and the starts of each batch."""
    import lightning.pytorch as pl  # here, for the processes above need it not

    seen: list[tuple[int, list[int]]] = []

    class Recorder(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch: dict, _: int) -> torch.Tensor:
            seen.append((self.current_epoch, batch["start"].tolist()))
            return self.layer(batch["activity"]).mean()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    save = pl.callbacks.ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=3, callbacks=[save], default_root_dir=folder, **quiet)
    trainer.fit(Recorder(), loader, ckpt_path=resume, weights_only=False)
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["threads", "stateful"])
def test_lightning_tells_the_epoch_and_resumes_in_its_middle(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    data = ShardDataset(tiny.path, crop=0.5)

    def loader() -> Any:
        if kind == "threads":
            return CropLoader(data, 2, num_workers=2)
        stateful = pytest.importorskip("torchdata.stateful_dataloader")
        return stateful.StatefulDataLoader(data, 2, sampler=CropSampler(data), drop_last=True)

    expected = []
    for epoch in range(3):
        sampler = CropSampler(data)
        sampler.set_epoch(epoch)
        starts = [data[index]["start"] for index in sampler]
        expected += [(epoch, starts[first : first + 2]) for first in range(0, 8, 2)]
    assert _fit(loader(), tmp_path / "whole") == expected
    for steps in (2, 4, 7):  # in the middle of epoch 0, at its end, in the middle of epoch 1
        resumed = _fit(loader(), tmp_path / f"resumed-{steps}", tmp_path / "whole" / f"step={steps}.ckpt")
        assert resumed == expected[steps:], steps


@pytest.mark.parametrize("workers", [0, 2])
def test_torchdata_resumes_in_the_middle_of_an_epoch(tiny: Tiny, workers: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader")
    data = ShardDataset(tiny.path, crop=0.5)

    def loader() -> Any:
        return stateful.StatefulDataLoader(data, 2, sampler=CropSampler(data, seed=5), num_workers=workers)

    def starts(batches: Any) -> list[list[int]]:
        return [batch["start"].tolist() for batch in batches]

    whole = loader()
    whole.sampler.set_epoch(2)
    expected = starts(whole)
    assert expected == starts(DataLoader(data, 2, sampler=whole.sampler)) and len(expected) == 5
    begun = loader()
    begun.sampler.set_epoch(2)
    walk = iter(begun)
    first = starts(next(walk) for _ in range(2))
    resumed = loader()
    resumed.load_state_dict(begun.state_dict())
    assert first + starts(resumed) == expected
    assert resumed.sampler.epoch == 2
    resumed.sampler.set_epoch(3)
    assert len(starts(resumed)) == 5


def test_lightning_validates_tests_and_predicts_with_a_crop_loader(tiny: Tiny, tmp_path: Path) -> None:
    import lightning.pytorch as pl

    seen: dict[str, list[int]] = {"validation": [], "test": [], "predict": []}

    class Recorder(pl.LightningModule):
        def validation_step(self, batch: dict, _: int) -> None:
            seen["validation"] += batch["start"].tolist()

        def test_step(self, batch: dict, _: int) -> None:
            seen["test"] += batch["start"].tolist()

        def predict_step(self, batch: dict, _: int) -> torch.Tensor:
            seen["predict"] += batch["start"].tolist()
            return batch["activity"]

    data = ShardDataset(tiny.path, crop=0.5)
    loader = CropLoader(data, 2, num_workers=1, shuffle=False, drop_last=False)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer, module = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, **quiet), Recorder()
    trainer.validate(module, loader, verbose=False)
    trainer.test(module, loader, verbose=False)
    trainer.predict(module, loader)
    assert all(starts == [data[index]["start"] for index in range(len(data))] for starts in seen.values())
