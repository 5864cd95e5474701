"""Interleaved rounds: in each, every contender is measured once in every way, in an order shuffled from the seed."""

import random
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.loading.contenders import FAMILIES, of_family
from benchmarks.loading.corpus import Corpus, Crops
from benchmarks.loading.station import Station


@dataclass
class Row:
    """A contender read in one way; the lists have one number per round, crops per second."""

    table: str
    name: str
    way: str
    workers: int
    kind: str
    access: str
    flac: bool
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    first_batch: list[float] = field(default_factory=list)

    @property
    def label(self) -> str:
        return self.name if self.way == "one" else f"{self.name}, {self.way} {self.workers}"


@dataclass(frozen=True)
class Plan:
    """What is run: tables are (name, corpus, crops, whether with workers)."""

    folder: Path
    tables: tuple[tuple[str, Corpus, Crops, bool], ...]
    rounds: int
    seconds_one: float
    seconds_workers: float
    workers: tuple[int, ...] = (1, 2)
    seed: int = 0
    only: tuple[str, ...] = ()
    families: tuple[str, ...] = FAMILIES


def run(plan: Plan, stations: dict[str, Station]) -> dict[str, Any]:
    """Return `rows` and, per table and contender, what was found when it was made ready (`facts`), or why it is `absent`."""
    rows: list[Row] = []
    facts: dict[str, dict[str, Any]] = {}
    absent: dict[str, str] = {}
    for table, corpus, crops, with_workers in plan.tables:
        for family in plan.families:
            for kind in of_family(family):
                if plan.only and not any(word in kind.name for word in plan.only):
                    continue
                say(f"{table}: {kind.name}")
                answer = stations[family].ask("prepare", kind.name, corpus.size, crops)
                if "absent" in answer:
                    absent[kind.name] = answer["absent"]
                    continue
                facts[f"{table}/{kind.name}"] = answer | {"about": kind.about, "access": kind.access, "family": family}
                rows += _ways(table, kind, with_workers, plan.workers)
    places = {table: (corpus.size.name, crops.seconds) for table, corpus, crops, _ in plan.tables}
    gone: set[int] = set()
    for number in range(plan.rounds):
        order = list(range(len(rows)))
        random.Random(f"{plan.seed} {number}").shuffle(order)
        began = time.perf_counter()
        for place in order:
            if place in gone:
                continue
            row = rows[place]
            family = facts[f"{row.table}/{row.name}"]["family"]
            budget = plan.seconds_one if row.way == "one" else plan.seconds_workers
            answer = stations[family].ask("measure", row.name, places[row.table], row.way, row.workers, budget)
            if "absent" in answer:
                absent[row.label] = answer["absent"]
                gone.add(place)
                continue
            row.wall.append(answer["crops"] / answer["wall"])
            row.cpu.append(answer["crops"] / max(answer["cpu"], 1e-9))
            if "first_batch" in answer:
                row.first_batch.append(answer["first_batch"])
        say(f"round {number + 1} of {plan.rounds}: {time.perf_counter() - began:.0f} s")
    kept = [row for row in rows if row.wall]
    return {"rows": [asdict(row) | {"label": row.label} for row in kept], "facts": facts, "absent": absent}


def _ways(table: str, kind: Any, with_workers: bool, workers: Iterable[int]) -> list[Row]:
    common = (kind.kind, kind.access, kind.flac)
    rows = [Row(table, kind.name, "one", 0, *common)]
    if with_workers:
        rows += [Row(table, kind.name, way, count, *common) for way in kind.ways if way != "one" for count in workers]
    return rows


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
