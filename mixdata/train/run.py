"""`train`: from a dataset to a checkpoint, exact after any interruption."""

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from mixdata.errors import MixdataError, UsageError
from mixdata.progress import Progress
from mixdata.shards.reader import open_dataset
from mixdata.torch import CropLoader, CropSampler, ShardDataset
from mixdata.train import CROP_SECONDS
from mixdata.train.callbacks import Journal, Row, read_metrics
from mixdata.train.checkpoint import load_checkpoint, save_checkpoint
from mixdata.train.losses import SIZES
from mixdata.train.module import MixModule

ROLES = ["input", "target"]
TARGET = {"target": ["mixture"]}
VALIDATION_ITEMS = 64


@dataclass(frozen=True)
class TrainResult:
    """What came out. The losses are means over the first and the last ten steps of the whole run, resumed parts included."""

    checkpoint: Path
    metrics: Path
    steps: int
    first_loss: float
    last_loss: float
    val_loss: float | None
    parameters: int


def train(
    dataset: str | Path,
    steps: int,
    out: str | Path,
    *,
    batch_size: int = 4,
    crop: float = CROP_SECONDS,
    lr: float = 1e-3,
    seed: int = 0,
    resume: bool | str | Path = False,
    accelerator: str = "auto",
    workers: int = 0,
    save_every: int = 100,
    quiet: bool = False,
) -> TrainResult:
    """Train the reference model until it has made `steps` steps in all; write `last.ckpt` and `metrics.csv` to `out`, nothing elsewhere.

    `resume` goes on from `out/last.ckpt`, or from the checkpoint given; on one machine's CPU the result is bit for bit that of a run
    without the interruption, for any number of `workers`. Raises `UsageError` for settings that cannot work.
    """
    for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 1), ("workers", workers, 0), ("save_every", save_every, 1)):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, got {value}")
    if not 0 < lr < float("inf"):
        raise UsageError(f"lr must be above 0, got {lr}")
    opened = open_dataset(dataset)
    stored = opened.roles
    if {"input", "target"} & set(opened.variable):
        raise UsageError(f"{dataset}: the reference model knows stems by their names; here every song has tracks of its own")
    if "input" not in stored or "mixture" not in stored.get("target", ()):
        hint = "build it with --set effects.mixture=true" if "target" in stored else "build it with a recipe that makes input and target"
        raise UsageError(f"{dataset}: the reference trainer learns input stems → target mixture, which is not in this dataset; {hint}")
    data = ShardDataset(dataset, "train", crop, ROLES, TARGET, seed, epoch_items=steps * batch_size)
    if data.crop_frames is None or data.crop_frames <= max(SIZES):
        raise UsageError(f"crop must be longer than {max(SIZES) / data.sample_rate:.3f} s at {data.sample_rate} Hz, got {crop}")
    checkpoint = Path(out) / "last.ckpt"
    metrics = Path(out) / "metrics.csv"
    begun = checkpoint if resume is True else Path(resume) if resume else None
    if checkpoint.exists() and (begun is None or begun.resolve() != checkpoint.resolve()):
        raise UsageError(f"{out}: holds a training run already; resume it (--resume) or give another --out")
    settings = {"dataset": data.dataset.meta.get("identity", ""), "batch_size": batch_size, "crop": crop, "lr": lr, "seed": seed}
    module = MixModule(data.roles["input"], data.dataset.channels, data.sample_rate, lr, seed)
    done, rows = (0, []) if begun is None else _restore(module, begun, settings)
    if done < steps:
        try:
            Path(out).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{out}: cannot be made ({error.strerror})") from error

        def save(step: int) -> None:
            state = {"state_dict": module.state_dict(), "optimizer": module.optimizer_state()}
            save_checkpoint(checkpoint, {"step": step, "settings": settings, "model": module.config, **state})

        # Training is one long epoch of steps x batch_size items; its item i does not depend on its length. So the step is the whole state.
        sampler = CropSampler(data, shuffle=False)
        sampler.advance(done * batch_size)
        with Progress("training", steps, unit="steps", quiet=quiet) as bar:
            journal = Journal(metrics, rows, done, steps, save_every, save, _validation(module, data, batch_size), bar)
            _fit(module, CropLoader(data, batch_size, num_workers=workers, sampler=sampler), journal, steps - done, accelerator, Path(out))
        rows = journal.rows
    losses = [row["loss"] for row in rows]
    val = [row["val_loss"] for row in rows if "val_loss" in row]
    return TrainResult(
        checkpoint=checkpoint if done < steps or begun is None else begun,
        metrics=metrics,
        steps=max(done, steps),
        first_loss=_mean(losses[:10]),
        last_loss=_mean(losses[-10:]),
        val_loss=val[-1] if val else None,
        parameters=sum(weight.numel() for weight in module.parameters()),
    )


def _restore(module: MixModule, checkpoint: Path, settings: dict[str, Any]) -> tuple[int, list[Row]]:
    """Put a run's state into the module; return its steps and the rows of its log."""
    saved = load_checkpoint(checkpoint)
    was = saved["settings"]
    changed = [f"{name} (was {was.get(name)!r}, now {value!r})" for name, value in settings.items() if was.get(name) != value]
    if changed:
        raise UsageError(f"{checkpoint}: a run goes on with its own settings; changed: {', '.join(changed)}")
    try:
        module.load_state_dict(saved["state_dict"])
    except RuntimeError as error:
        raise MixdataError(f"{checkpoint}: holds the weights of another model; begin a new run") from error
    module.saved_optimizer = saved["optimizer"]
    return saved["step"], [row for row in read_metrics(checkpoint.parent / "metrics.csv") if row["step"] <= saved["step"]]


def _fit(module: MixModule, loader: CropLoader, journal: Journal, steps: int, accelerator: str, out: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)
    with _quiet_lightning():
        try:
            trainer = Trainer(
                accelerator=accelerator,
                devices=1,
                max_steps=steps,
                max_epochs=-1,
                gradient_clip_val=1.0,
                callbacks=[journal],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=out,
            )
        except (MisconfigurationException, ValueError, RuntimeError) as error:
            raise UsageError(f"accelerator {accelerator!r}: {str(error).splitlines()[0]}") from error
        try:
            trainer.fit(module, loader)
        except SystemExit:  # Lightning turns an interruption into exit 1 and leaves the signal ignored
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
        except torch.OutOfMemoryError as error:
            raise MixdataError("out of memory on the device: use a smaller batch_size or a shorter crop") from error


def _validation(module: MixModule, data: ShardDataset, batch_size: int) -> Callable[[], float] | None:
    """Return what measures the loss on a fixed sample of the split `valid`, or None where there is none."""
    entry = data.dataset.splits.get("valid")
    if entry is None or not entry["examples"]:
        return None
    crop = data.crop_frames / data.sample_rate if data.crop_frames else None
    valid = ShardDataset(data.dataset.path, "valid", crop, ROLES, TARGET, data.seed, epoch_items=min(VALIDATION_ITEMS, entry["examples"]))
    loader = CropLoader(valid, batch_size, num_workers=0, sampler=CropSampler(valid, shuffle=False), drop_last=False)

    def validate() -> float:
        total = 0.0
        with torch.no_grad():
            for batch in loader:
                batch = module.transfer_batch_to_device(batch, module.device, 0)
                total += len(batch["key"]) * float(module.validation_step(batch, 0)["loss"])
        return total / len(valid)

    return validate


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning's hints off the terminal; its errors still come as exceptions."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
