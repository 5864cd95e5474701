"""Results as Markdown, and into a page between two markers."""

import math
import statistics
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results -->", "<!-- end of results -->"
BOUND = "bound: mapped int16, kept buffer"
ROTATING = "bound: mapped int16, batch-sized buffers"
DECODE = "bound: libsndfile on the blocks"
Results = dict[str, Any]


def report(results: Results) -> str:
    """Return everything as Markdown."""
    parts = [heading(results["machine"])]
    for table in dict.fromkeys(row["table"] for row in results["rows"]):
        parts += [f"### {table}", one_process(results, table)]
        if workers := with_workers(results, table):
            parts += [f"#### {table}, with workers", workers]
    if rows := wanted(results):
        parts += ["### What was wanted", rows]
    parts += [f"### {title}\n\n{text}" for title, text in results.get("extras", {}).items()]
    if results["absent"]:
        parts += ["### Not run", "\n".join(f"- {name}: {why}" for name, why in results["absent"].items())]
    return "\n\n".join(parts) + "\n"


def heading(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return f"{machine['date']}; {machine['cpu']}, {machine['cores']} cores; {machine['rounds']} rounds, page cache warm. {versions}."


def find(results: Results, table: str, name: str, way: str = "one", workers: int = 0) -> dict[str, Any] | None:
    """Return the row of a contender."""
    same = (table, name, way, workers)
    return next((row for row in results["rows"] if (row["table"], row["name"], row["way"], row["workers"]) == same), None)


def ratio(above: dict[str, Any] | None, below: dict[str, Any] | None) -> tuple[float, float, float] | None:
    """Return median, least and most of the ratios of wall rates, round by round."""
    if above is None or below is None:
        return None
    ratios = [first / second for first, second in zip(above["wall"], below["wall"], strict=False)]
    return statistics.median(ratios), min(ratios), max(ratios)


def best(results: Results, table: str, way: str, flac: bool | None = None, containers: bool = False) -> dict[str, Any] | None:
    """Return the quickest peer's row (of those that read FLAC; of containers, not plain files), by the median."""
    rows = [
        row
        for row in results["rows"]
        if row["table"] == table
        and row["way"] == way
        and row["kind"] == "peer"
        and (flac is None or row["flac"] == flac)
        and not (containers and row["name"].startswith(("soundfile", "h5py")))
    ]
    return max(rows, key=lambda row: statistics.median(row["wall"]), default=None)


def one_process(results: Results, table: str) -> str:
    lines = [
        "| in one process | crops/s, wall | least … most | crops/s, CPU | × bound | × best peer | MB read per crop | bytes / PCM bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    bound, peer = find(results, table, BOUND), best(results, table, "one")
    for row in ordered(results, table, lambda row: row["way"] == "one"):
        facts = results["facts"][f"{table}/{row['name']}"]
        lines.append(
            f"| {row['name']} | {spread(row)} | {number(statistics.median(row['cpu']))} | {over(row, bound)} | {over(row, peer)} "
            f"| {read(facts)} | {facts['stored'] / facts['pcm']:.3f} |"
        )
    return "\n".join(lines)


def with_workers(results: Results, table: str) -> str:
    rows = ordered(results, table, lambda row: row["way"] != "one")
    if not rows:
        return ""
    lines = [
        "| way, workers | crops/s, wall | least … most | crops/s, CPU of all | × best peer's DataLoader | first batch after, s |",
        "|---|---|---|---|---|---|",
    ]
    peer = best(results, table, "stock")
    for row in rows:
        first = f"{statistics.median(row['first_batch']):.2f}" if row["first_batch"] else ""
        lines.append(f"| {row['label']} | {spread(row)} | {number(statistics.median(row['cpu']))} | {over(row, peer)} | {first} |")
    return "\n".join(lines)


def wanted(results: Results) -> str:
    """Return how each ratio that the project wants came out, for every table that has what it needs."""
    lines = ["| wanted | of | ratio | least … most |", "|---|---|---|---|"]
    for table in dict.fromkeys(row["table"] for row in results["rows"]):
        npy, flac = find(results, table, "mixdata npy16"), find(results, table, "mixdata flac16")
        threads = find(results, table, "mixdata npy16", "threads", 2)
        cached = find(results, table, "mixdata flac16, second epoch of cache_dir")
        flac_threads, flac_stock = (find(results, table, "mixdata flac16", way, 2) for way in ("threads", "stock"))
        for text, above, below in (
            ("npy16, one process ≥ 0.85 × the mapped bound", npy, find(results, table, BOUND)),
            ("npy16 beside the bound into buffers of a batch's size", npy, find(results, table, ROTATING)),
            ("npy16, one process ≥ 3 × the best peer container", npy, best(results, table, "one", containers=True)),
            ("CropLoader npy16 ≥ 10 × DataLoader of the best peer container", threads, best(results, table, "stock", containers=True)),
            ("CropLoader npy16 ≥ 0.8 × threads without batches, kept buffers", threads, find(results, table, BOUND, "free threads", 2)),
            ("… and into buffers of a batch's size", threads, find(results, table, ROTATING, "free threads", 2)),
            ("flac16 ≥ 1.0 × the quickest peer that reads FLAC", flac, best(results, table, "one", flac=True)),
            ("flac16 ≥ 0.9 × decoding its blocks", flac, find(results, table, DECODE)),
            ("CropLoader flac16 ≥ 1.5 × its DataLoader", flac_threads, flac_stock),
            ("the same beside the quickest peer's FLAC DataLoader", flac_threads, best(results, table, "stock", flac=True)),
            ("flac16 from its cache beside npy16", cached, npy),
        ):
            if (found := ratio(above, below)) is not None:
                lines.append(f"| {text} ({below['label']}) | {table} | {found[0]:.2f} | {found[1]:.2f} … {found[2]:.2f} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def ordered(results: Results, table: str, chosen: Any) -> list[dict[str, Any]]:
    rows = [row for row in results["rows"] if row["table"] == table and chosen(row)]
    return sorted(rows, key=lambda row: -statistics.median(row["wall"]))


def spread(row: dict[str, Any]) -> str:
    return f"{number(statistics.median(row['wall']))} | {number(min(row['wall']))} … {number(max(row['wall']))}"


def over(row: dict[str, Any], other: dict[str, Any] | None) -> str:
    found = ratio(row, other)
    return "" if found is None else f"{found[0]:.2f}" if found[0] < 10 else f"{found[0]:.0f}"


def read(facts: dict[str, Any]) -> str:
    return "mapped" if math.isnan(facts["bytes_per_crop"]) else f"{facts['bytes_per_crop'] / 1e6:.2f}"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page. Raises `ValueError` for a page without them."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page}: has no {BEGIN} … {END}")
    page.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", "utf-8")
