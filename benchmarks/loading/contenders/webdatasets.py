"""webdataset: whole songs as FLAC, and pre-cut crops as FLAC, WAV and npy members."""

from pathlib import Path

import numpy as np

from benchmarks.loading.contenders.base import Absent, Contender, PreCut, decoded, encoded

SHARDS = 4  # at least one per worker


def webdataset():
    try:
        import webdataset

        return webdataset
    except ImportError as error:
        raise Absent(f"webdataset: {error}") from None


class WdsFlac(PreCut):
    name = "webdataset FLAC"
    about = "webdataset; four FLAC members per pre-cut crop, read in stored order"
    form, flac = "flac", True

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        self.webdataset = webdataset()

    def store(self, place: Path, payloads) -> None:
        per_shard = -(-len(self.crops) // SHARDS)
        with self.webdataset.ShardWriter(str(place / "crops-%04d.tar"), maxcount=per_shard, verbose=0) as sink:
            for number, payload in payloads:
                members = {f"{stem}.{self.form}": data for stem, data in zip(self.corpus.stems, payload, strict=True)}
                sink.write({"__key__": f"{number:06d}", **members})

    def items(self):
        urls = [str(path) for path in sorted(self.place.glob("*.tar"))]
        for sample in self.webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).repeat():
            yield int(sample["__key__"]), decoded([sample[f"{stem}.{self.form}"] for stem in self.corpus.stems], self.form)


class WdsWav(WdsFlac):
    name = "webdataset WAV"
    about = "webdataset; four 16-bit WAV members per pre-cut crop"
    form, flac = "wav", False


class WdsNpy(WdsFlac):
    name = "webdataset npy"
    about = "webdataset; four int16 npy members per pre-cut crop"
    form, flac = "npy", False


class WdsSong(Contender):
    """The habit for whole songs in tars: decode all of a song, keep one crop of it."""

    name = "webdataset song FLAC, 1 crop"
    about = "webdataset; one sample per song, decoded whole, one crop kept"
    flac = True
    at_once = 1

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        self.webdataset = webdataset()

    @property
    def place(self) -> Path:
        return self.corpus.folder / "containers" / "whole" / "webdataset-songs"

    def write(self, place: Path) -> None:
        per_shard = -(-len(self.corpus.songs) // SHARDS)
        with self.webdataset.ShardWriter(str(place / "songs-%04d.tar"), maxcount=per_shard, verbose=0) as sink:
            for song, stems in self.corpus.planar.items():
                named = zip(self.corpus.size.stems, map(np.ascontiguousarray, stems), strict=True)
                members = {f"{stem}.flac": encoded(audio, self.corpus.size.rate, "flac") for stem, audio in named}
                sink.write({"__key__": song, **members})

    def items(self):
        of_song = {song: [n for n, crop in enumerate(self.crops.crops) if crop.song == song] for song in self.corpus.songs}
        urls = [str(path) for path in sorted(self.place.glob("*.tar"))]
        for sample in self.webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).repeat():
            numbers = of_song[sample["__key__"]]
            if not numbers:
                continue
            song = decoded([sample[f"{stem}.flac"] for stem in self.corpus.stems], "flac")
            for _ in range(min(self.at_once, len(numbers))):
                number = numbers.pop(0)
                numbers.append(number)
                start = self.crops.crops[number].start
                yield number, song[:, :, start : start + self.frames].copy()


class WdsSong8(WdsSong):
    name = "webdataset song FLAC, 8 crops"
    about = "the same, eight crops kept of each song that was decoded"
    at_once = 8


CONTENDERS = (WdsFlac, WdsWav, WdsNpy, WdsSong, WdsSong8)
