"""musdb: its own package on a tree of WAV files."""

from pathlib import Path

import numpy as np
import soundfile

from benchmarks.loading.contenders.base import Absent, Contender


class Musdb(Contender):
    name = "musdb WAV"
    about = "musdb; `is_wav=True`, `chunk_start` and `chunk_duration`, four targets (it runs ffmpeg for each read)"
    ways = ("one",)

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        try:
            import musdb
        except (ImportError, RuntimeError) as error:
            raise Absent(f"musdb: {str(error).split('.')[0]}") from None
        if self.corpus.stems != ("vocals", "drums", "bass", "other"):
            raise Absent("musdb: knows four stems")
        self.musdb = musdb

    def write(self, place: Path) -> None:
        for song, stems in self.corpus.planar.items():
            (place / "train" / song).mkdir(parents=True)
            mixture = np.clip(stems[:4].astype(np.int32).sum(0), -32768, 32767).astype(np.int16)
            for stem, audio in zip(("mixture", *self.corpus.stems), (mixture, *stems), strict=False):
                soundfile.write(place / "train" / song / f"{stem}.wav", audio.T, self.corpus.size.rate, subtype="PCM_16")

    def item(self, number: int) -> np.ndarray:
        tracks = self.mine("db", lambda: {track.name: track for track in self.musdb.DB(root=str(self.place), is_wav=True, subsets="train")})
        crop, rate = self.crops.crops[number], self.corpus.size.rate
        track = tracks[crop.song]
        track.chunk_start, track.chunk_duration = crop.start / rate, crop.frames / rate
        return np.stack([np.asarray(track.targets[stem].audio.T, np.float32) for stem in self.corpus.stems])


CONTENDERS = (Musdb,)
