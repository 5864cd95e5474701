"""Hugging Face datasets: parquet rows of FLAC bytes."""

from pathlib import Path

import numpy as np

from benchmarks.loading.contenders.base import Absent, PreCut, decoded


class Parquet(PreCut):
    name = "HF parquet FLAC"
    about = "datasets; one parquet row of FLAC bytes per stem and pre-cut crop, decoded by soundfile (its own Audio needs torchcodec)"
    form, flac = "flac", True
    mapped = True

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        try:
            import datasets
        except ImportError as error:
            raise Absent(f"datasets: {error}") from None
        datasets.disable_progress_bars()
        self.datasets = datasets

    def store(self, place: Path, payloads) -> None:
        rows = [dict(zip(self.corpus.stems, payload, strict=True)) for _, payload in payloads]
        self.datasets.Dataset.from_list(rows).to_parquet(str(place / "crops.parquet"))

    def stored_bytes(self) -> tuple[int, int]:
        return (self.place / "crops.parquet").stat().st_size, super().stored_bytes()[1]

    def item(self, number: int) -> np.ndarray:
        file, cache = str(self.place / "crops.parquet"), str(self.corpus.folder / "hf-cache")
        rows = self.mine("rows", lambda: self.datasets.Dataset.from_parquet(file, cache_dir=cache))
        row = rows[number]
        return decoded([row[stem] for stem in self.corpus.stems], "flac")


CONTENDERS = (Parquet,)
