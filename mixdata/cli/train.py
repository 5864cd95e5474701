"""`mixdata train`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import DatasetPath, Json
from mixdata.train import CROP_SECONDS


def train(
    dataset: DatasetPath,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 1000,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run [default: runs/DATASET].")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    crop: Annotated[float, typer.Option(min=0.1, help="Seconds per crop.")] = CROP_SECONDS,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option()] = 0,
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, help="Loader processes.")] = 0,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Train the reference model (stems in, mix out) on a dataset: the proof that the data can be learnt from.

    Examples: `mixdata train my-set --steps 2000`, `mixdata train my-set --steps 4000 --resume`
    """
    from mixdata.train.run import train as run

    out = out or Path("runs") / dataset.absolute().name
    result = run(
        dataset, steps, out, batch_size=batch_size, crop=crop, lr=lr, seed=seed, workers=workers, resume=resume, accelerator=accelerator
    )
    facts = {"checkpoint": str(result.checkpoint), "first_loss": result.first_loss, "last_loss": result.last_loss, "steps": steps}
    print(json.dumps(facts) if as_json else f"loss {result.first_loss:.4f} → {result.last_loss:.4f}; checkpoint {result.checkpoint}")
