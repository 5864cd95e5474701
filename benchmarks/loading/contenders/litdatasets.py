"""litdata: optimized chunks of pre-cut crops."""

from pathlib import Path

import numpy as np

from benchmarks.loading.contenders.base import Absent, PreCut, decoded, to_float
from benchmarks.loading.contenders.stubs import stub


def litdata():
    """Import the package, as for mosaicml-streaming."""
    try:
        stub("torchvision", "boto3", "botocore")
        import litdata

        return litdata
    except Exception as error:
        raise Absent(f"litdata: {type(error).__name__}: {error}") from None


class LitInt16(PreCut):
    name = "litdata int16"
    about = "litdata; one int16 array (4, 2, frames) per pre-cut crop; `StreamingDataset[i]`"
    mapped = True

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        self.litdata = litdata()

    def store(self, place: Path, payloads) -> None:
        from litdata.streaming.cache import Cache  # what `optimize` writes with, without its processes

        cache = Cache(str(place / "chunks"), chunk_bytes=1 << 26)
        for number, payload in payloads:
            cache._add_item(number, self.sample(payload))
        cache.done()
        cache.merge()

    def sample(self, payload) -> dict:
        return {"audio": payload}

    def item(self, number: int) -> np.ndarray:
        make = self.litdata.StreamingDataset
        return self.decode(self.mine("set", lambda: make(str(self.place / "chunks"), shuffle=False))[number])

    def decode(self, sample: dict) -> np.ndarray:
        return to_float(np.asarray(sample["audio"]))


class LitFlac(LitInt16):
    name = "litdata FLAC"
    about = "litdata; four leaves of FLAC bytes per pre-cut crop, decoded by soundfile"
    form, flac = "flac", True

    def sample(self, payload) -> dict:
        return dict(zip(self.corpus.stems, payload, strict=True))

    def decode(self, sample: dict) -> np.ndarray:
        return decoded([sample[stem] for stem in self.corpus.stems], "flac")


CONTENDERS = (LitInt16, LitFlac)
