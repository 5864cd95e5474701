"""`mixdata listen`."""

from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import DatasetPath


def listen(
    dataset: DatasetPath,
    static: Annotated[Path, typer.Option(help="Folder for the page and its audio.", metavar="OUT")] = Path("listen"),
    number: Annotated[int, typer.Option("-n", min=1, help="How many examples, besides the worst and those at the gate.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
) -> None:
    """Write one HTML page with players for all roles and stems of a sample of the dataset.

    Example: `mixdata listen my-set --static listen -n 20`, then open listen/index.html in a browser.
    """
    from mixdata.report.listen import listen_page
    from mixdata.shards.reader import open_dataset

    print(f"wrote {listen_page(open_dataset(dataset), static, n=number, seed=seed)}")
