"""What happens beside the steps: the log, the bar, the checkpoint."""

import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from mixdata.errors import MixdataError
from mixdata.files import disk_errors, publish_bytes
from mixdata.progress import Progress

Row = dict[str, Any]
COLUMNS = ["step", "loss", "stft", "l1", "val_loss"]


class Journal(Callback):
    """Writes `metrics.csv` (a row per step), moves the bar; every `save_every` steps and at the end it validates and saves.

    `done` steps and their `rows` lie behind.
    """

    def __init__(
        self,
        file: Path,
        rows: list[Row],
        done: int,
        steps: int,
        save_every: int,
        save: Callable[[int], None],
        validate: Callable[[], float] | None,
        bar: Progress,
    ):
        self.file = file
        self.step = done
        self.steps = steps
        self.rows = rows
        self.written = 0  # rows, of this process
        self.save_every = save_every
        self.save = save
        self.validate = validate
        self.bar = bar
        bar.update(done)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Note the step's losses, and save where it is time."""
        self.step += 1
        row: Row = {"step": self.step, **{name: float(value) for name, value in outputs.items()}}
        if not math.isfinite(row["loss"]):
            raise MixdataError(f"the loss is {row['loss']} at step {self.step}: train again with a lower learning rate")
        self.rows.append(row)
        self.bar.update(1, f"loss {row['loss']:.3f}")
        if self.step % self.save_every == 0 or self.step == self.steps:
            if self.validate is not None:
                row["val_loss"] = self.validate()
            self.write()
            self.save(self.step)

    def write(self) -> None:
        """Write the new rows, with numbers that read back the same. They come before the checkpoint: resume drops those behind it.

        The first time the whole file is written anew, without what an interrupted run left there.
        """
        lines = [[repr(row[name]) if name in row else "" for name in COLUMNS] for row in self.rows[self.written :]]
        data = "".join(",".join(line) + "\n" for line in ([] if self.written else [COLUMNS]) + lines).encode()
        if not self.written:
            publish_bytes(self.file, data)
        else:
            with disk_errors(self.file), open(self.file, "ab") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        self.written = len(self.rows)


def read_metrics(file: Path) -> list[Row]:
    """Return the rows of a `metrics.csv`; a last line without an end was cut off and does not count."""
    if not file.exists():
        return []
    with open(file, newline="") as lines:
        whole = (line for line in lines if line.endswith("\n"))
        return [
            {name: int(value) if name == "step" else float(value) for name, value in row.items() if value} for row in csv.DictReader(whole)
        ]
