"""Benchmarks of loading: mixdata beside every container that runs here, on the same crops.

    python -m benchmarks.loading [--quick] [--folder DIR] [--json FILE] [--write docs/benchmarks.md]

Run it from the repository's folder with `pip install '.[bench,dev]'` and `pip install --no-deps -r benchmarks/peers.txt`, or `make bench`.
What is measured, and how, stands in docs/benchmarks.md. `--folder` keeps the songs and containers for the next run (about 12 GB; 2 GB with
`--quick`).
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

from benchmarks.loading import extras, tables
from benchmarks.loading.contenders import FAMILIES
from benchmarks.loading.contenders.ours import draw_crops
from benchmarks.loading.corpus import EIGHT_STEMS, FULL, QUICK, QUICK_EIGHT, make_corpus
from benchmarks.loading.runner import Plan, run, say
from benchmarks.loading.station import Station
from benchmarks.loading.writers import writers

PACKAGES = (
    "mixdata", "torch", "numpy", "numba", "soundfile", "webdataset", "mosaicml-streaming", "litdata", "lhotse", "datasets", "pyarrow",
    "h5py", "musdb",
)  # fmt: skip


def machine(rounds: int) -> dict[str, Any]:
    """Return what the numbers depend on."""
    versions = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    with open("/proc/cpuinfo") as file:
        cpu = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine())
    cores = len(os.sched_getaffinity(0))
    return {"date": datetime.date.today().isoformat(), "cpu": cpu, "cores": cores, "rounds": rounds, "versions": versions}


def measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    rounds = given.rounds or (2 if given.quick else 5)
    sizes = (QUICK, QUICK_EIGHT) if given.quick else (FULL, EIGHT_STEMS)
    main, wide = (make_corpus(folder, size) for size in sizes)
    plans = [
        (f"{seconds:g} s crops of 4 stems", main, draw_crops(main, seconds, main.size.crops), True) for seconds in given.crop or (6.0, 2.0)
    ]
    of_eight = (
        ()
        if given.crop
        else (f"6 s crops of 4 of 8 stems, one song of {wide.size.longest:g} s", wide, draw_crops(wide, 6.0, wide.size.crops), False)
    )
    only = tuple(given.only or ())
    families = tuple(given.family or FAMILIES)
    budget = (0.25, 0.7) if given.quick else (0.4, 1.0)
    plan = Plan(folder, (*plans, *([] if given.crop else [of_eight])), rounds, *budget, seed=given.seed, only=only, families=families)
    stations = {family: Station(folder, family) for family in families}
    try:
        results = run(plan, stations)
        by_name = {name.partition("/")[2]: facts["family"] for name, facts in results["facts"].items()}
        results["machine"] = machine(rounds)
        results["extras"] = {}
        if not given.no_extras:
            crops, few = plans[0][2], 1 if given.quick else 3
            for title, make in (
                ("A trainer that is fed, 2 workers", lambda: extras.trainer(
                    stations, by_name, (main.size.name, crops.seconds), (25, 50, 100, 200, 400, 800), 0.7 if given.quick else 1.5)),
                ("Writing", lambda: writers(main, crops, few)),
                ("Cold start", lambda: extras.cold_start(main, crops, by_name, few)),
                ("Opening a million examples", lambda: extras.million(main, few)),
            ):  # fmt: skip
                say(title)
                results["extras"][title] = make()
        return results
    finally:
        for station in stations.values():
            station.stop()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, help="where songs and containers are kept [default: a temporary folder]")
    arguments.add_argument("--quick", action="store_true", help="less music, two rounds: a look, not a result")
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--seed", type=int, default=0, help="of the order within the rounds")
    arguments.add_argument("--only", action="append", help="contenders with this in their name")
    arguments.add_argument("--family", action="append", choices=FAMILIES)
    arguments.add_argument("--crop", type=float, action="append", help="seconds [default: 6 and 2, and 4 of 8 stems]")
    arguments.add_argument("--no-extras", action="store_true", help="leave out writing, cold start, a million examples, the trainer")
    arguments.add_argument("--json", type=Path, help="write all numbers to this file")
    arguments.add_argument("--write", type=Path, help="put the tables into this page, between its markers")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixdata-bench-") as temporary:
        results = measured(given, given.folder or Path(temporary))
    text = tables.report(results)
    print(text)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    if given.write:
        tables.write_into(given.write, text)


if __name__ == "__main__":
    main()
