"""Whole songs as plain files: soundfile by seek and read, and HDF5."""

from pathlib import Path

import numpy as np
import soundfile

from benchmarks.loading.contenders.base import Absent, Contender, to_float, write_flac


class Files(Contender):
    """One file per song and stem; each crop opens four of them, seeks and reads."""

    extension, dtype = "wav", "int16"

    def write(self, place: Path) -> None:
        for song, stems in self.corpus.planar.items():
            for stem, audio in zip(self.corpus.size.stems, stems, strict=True):
                self.store(place / f"{song}.{stem}.{self.extension}", np.ascontiguousarray(audio))

    def store(self, path: Path, audio: np.ndarray) -> None:
        soundfile.write(path, audio.T, self.corpus.size.rate, subtype="PCM_16")

    def item(self, number: int) -> np.ndarray:
        crop = self.crops.crops[number]
        out = np.empty((4, 2, crop.frames), np.float32)
        for place, stem in enumerate(self.corpus.stems):
            with soundfile.SoundFile(str(self.place / f"{crop.song}.{stem}.{self.extension}")) as file:
                file.seek(crop.start)
                audio = file.read(crop.frames, dtype=self.dtype, always_2d=True)
            if self.dtype == "int16":
                np.multiply(audio.T, np.float32(2**-15), out=out[place])
            else:
                out[place] = audio.T
        return out


class Wav16(Files):
    name = "soundfile WAV 16"
    about = "whole-song 16-bit WAV per stem; open, seek, read as int16, one multiply"


class Wav16Float(Files):
    name = "soundfile WAV 16 as float32"
    about = 'the same files read with dtype="float32", as most code does'
    dtype = "float32"


class Wav32(Files):
    name = "soundfile WAV float32"
    about = "whole-song float32 WAV per stem"
    dtype = "float32"

    def store(self, path: Path, audio: np.ndarray) -> None:
        soundfile.write(path, to_float(audio).T, self.corpus.size.rate, subtype="FLOAT")


class Flac(Files):
    name = "soundfile FLAC"
    about = "whole-song FLAC per stem; open, seek, read as int16"
    extension, flac = "flac", True

    def store(self, path: Path, audio: np.ndarray) -> None:
        write_flac(str(path), audio, self.corpus.size.rate)


class Hdf5(Contender):
    name = "h5py int16"
    about = "one HDF5 dataset per song, int16 (stems, channels, frames), contiguous"

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        try:
            import h5py
        except ImportError as error:
            raise Absent(f"h5py: {error}") from None
        self.h5py = h5py

    def write(self, place: Path) -> None:
        with self.h5py.File(place / "songs.h5", "w") as file:
            for song, stems in self.corpus.planar.items():
                file[song] = stems

    def item(self, number: int) -> np.ndarray:
        crop = self.crops.crops[number]
        file = self.mine("file", lambda: self.h5py.File(self.place / "songs.h5", "r"))
        return to_float(file[crop.song][:4, :, crop.start : crop.start + crop.frames])


CONTENDERS = (Wav16, Wav16Float, Wav32, Flac, Hdf5)
