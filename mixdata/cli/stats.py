"""`mixdata stats`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import DatasetPath, Json


def stats(
    dataset: DatasetPath,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the figures.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """Print what is in a dataset: hours, stems, levels, activity, rejections, and how much balance bleed betrays.

    Examples: `mixdata stats my-set`, `mixdata stats my-set --html report.html`, `mixdata stats my-set --json | jq .hours`
    """
    from mixdata.files import publish_bytes
    from mixdata.report.html import render_html
    from mixdata.report.normalization import normalization_page
    from mixdata.report.stats import dataset_statistics, render_text
    from mixdata.shards.reader import open_dataset

    opened = open_dataset(dataset)
    found = dataset_statistics(opened)
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else render_text(found))
    if html is not None:
        publish_bytes(html, render_html(found, normalization_page(opened)).encode())
        print(f"wrote {html}", file=sys.stderr)
