"""lhotse Shar: pre-cut crops, one FLAC field per stem."""

from pathlib import Path

import numpy as np

from benchmarks.loading.contenders.base import Absent, PreCut, to_float


class Shar(PreCut):
    name = "lhotse Shar FLAC"
    about = "lhotse; one cut per pre-cut crop, four FLAC recordings as Shar fields (lhotse encodes and decodes itself), in stored order"
    flac = True
    form = "int16"
    encodes = True

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        try:
            import lhotse
            import lhotse.shar
        except ImportError as error:
            raise Absent(f"lhotse: {error}") from None
        self.lhotse = lhotse
        self.fields = ("recording", *self.corpus.stems[1:])

    def store(self, place: Path, payloads) -> None:
        per_shard = max(1, len(self.crops) // 4)
        with self.lhotse.shar.SharWriter(str(place), fields=dict.fromkeys(self.fields, "flac"), shard_size=per_shard) as writer:
            for number, payload in payloads:
                writer.write(self.cut(number, to_float(payload)))

    def cut(self, number: int, audio: np.ndarray):
        """Return a cut with its audio in memory."""
        from lhotse.cut import MultiCut

        rate = self.corpus.size.rate
        recordings = {
            field: _in_memory(self.lhotse, f"{number:06d}-{field}", stem, rate) for field, stem in zip(self.fields, audio, strict=True)
        }
        first = recordings.pop("recording")
        return MultiCut(
            id=f"{number:06d}", start=0, duration=first.duration, channel=[0, 1], recording=first, supervisions=[], custom=recordings
        )

    def items(self):
        cuts = self.lhotse.CutSet.from_shar(in_dir=str(self.place), split_for_dataloading=True, shuffle_shards=False).repeat(
            preserve_id=True
        )
        for cut in cuts:
            out = np.empty((4, 2, self.frames), np.float32)
            out[0] = cut.load_audio()
            for place, field in enumerate(self.fields[1:], 1):
                out[place] = cut.load_custom(field)
            yield int(cut.id.partition("-")[0].partition("_")[0]), out


def _in_memory(lhotse, name: str, audio: np.ndarray, rate: int):
    import io

    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, audio.T, rate, format="WAV", subtype="FLOAT")
    return lhotse.Recording.from_bytes(buffer.getvalue(), name)


CONTENDERS = (Shar,)
