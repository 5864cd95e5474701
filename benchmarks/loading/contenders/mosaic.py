"""mosaicml-streaming: MDS shards of pre-cut crops."""

from pathlib import Path

import numpy as np

from benchmarks.loading.contenders.base import BATCH, Absent, PreCut, decoded, to_float
from benchmarks.loading.contenders.stubs import stub


def streaming():
    """Import the package; its imports for images, texts and object stores are stood in for where they are missing."""
    try:
        stub("torchvision", "transformers", "boto3", "botocore")
        import streaming

        return streaming
    except Exception as error:
        raise Absent(f"mosaicml-streaming: {type(error).__name__}: {error}") from None


class MdsInt16(PreCut):
    name = "MDS int16"
    about = "mosaicml-streaming; one int16 ndarray (4, 2, frames) per pre-cut crop; `StreamingDataset[i]`"

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        self.streaming = streaming()

    def columns(self) -> dict[str, str]:
        return {"audio": f"ndarray:int16:4,2,{self.frames}"}

    def sample(self, payload) -> dict:
        return {"audio": payload}

    def store(self, place: Path, payloads) -> None:
        with self.streaming.MDSWriter(out=str(place / "mds"), columns=self.columns(), size_limit=1 << 26) as writer:
            for _, payload in payloads:
                writer.write(self.sample(payload))

    def item(self, number: int) -> np.ndarray:
        return self.decode(self.opened()[number])

    def opened(self):
        make = self.streaming.StreamingDataset
        return self.mine("set", lambda: make(local=str(self.place / "mds"), shuffle=False, batch_size=BATCH))

    def batches(self, way: str, workers: int):
        self.opened()  # before the fork: its locks are shared by all workers
        self._of_process = _Any(self.opened())
        return super().batches(way, workers)

    def decode(self, sample: dict) -> np.ndarray:
        return to_float(sample["audio"])


class _Any(dict):
    """One set for this process and its forks."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def __contains__(self, key) -> bool:
        return True

    def __getitem__(self, key):
        return self.kept


class MdsFlac(MdsInt16):
    name = "MDS FLAC"
    about = "mosaicml-streaming; four columns of FLAC bytes per pre-cut crop, decoded by soundfile"
    form, flac = "flac", True

    def columns(self) -> dict[str, str]:
        return dict.fromkeys(self.corpus.stems, "bytes")

    def sample(self, payload) -> dict:
        return dict(zip(self.corpus.stems, payload, strict=True))

    def decode(self, sample: dict) -> np.ndarray:
        return decoded([sample[stem] for stem in self.corpus.stems], "flac")


CONTENDERS = (MdsInt16, MdsFlac)
