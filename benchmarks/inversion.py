"""How much of the original does `invert_compressor` bring back, what do bits and wrong parameters cost, and how fast is it?

python benchmarks/inversion.py [--audio FILE] [--seconds 10]
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Iterator

import numpy as np

from mixdata import audio as files
from mixdata.effects.inversion import inversion_error_db, invert_compressor
from mixdata.effects.model_compressor import ModelCompressor

RATE = 44100
BASE = ModelCompressor(-30, 4, "peak", detector_attack_ms=5, detector_release_ms=50, attack_ms=2, release_ms=100)
SETTINGS = {
    "−30 dB, 4:1": BASE,
    "−15 dB, 1.5:1": dataclasses.replace(BASE, threshold_db=-15, ratio=1.5),
    "−40 dB, 12:1": dataclasses.replace(BASE, threshold_db=-40, ratio=12),
    "−35 dB, 20:1": dataclasses.replace(BASE, threshold_db=-35, ratio=20),
    "−30 dB, 4:1, one detector time": dataclasses.replace(BASE, detector_release_ms=5),
    "−30 dB, 4:1, unlinked": dataclasses.replace(BASE, link=False),
    "−30 dB, 20:1, all times 0": ModelCompressor(-30, 20, "peak", 0, 0, 0, 0),
}
WRONG = {
    "threshold_db": -29,
    "ratio": 4.4,
    "makeup_db": 1,
    "detector_attack_ms": 6,
    "detector_release_ms": 60,
    "attack_ms": 2.4,
    "release_ms": 120,
}


def tone_and_noise(seconds: float) -> np.ndarray:
    at = np.arange(round(seconds * RATE)) / RATE
    tones = [0.25 * np.sin(2 * np.pi * 220 * at), 0.15 * np.sin(2 * np.pi * 331 * at)]
    return np.stack(tones) + 0.1 * np.random.default_rng(0).normal(size=(2, len(at)))


def stored(sound: np.ndarray, bits: int | None) -> np.ndarray:
    return sound if bits is None else np.round(sound * 2 ** (bits - 1)) / 2 ** (bits - 1)


def errors(dry: np.ndarray, rate: int, compressor: ModelCompressor) -> Iterator[float]:
    for detector in ("peak", "rms"):
        using = dataclasses.replace(compressor, detector=detector)
        wet = using(dry, rate)
        yield inversion_error_db(dry, wet)
        for bits in (None, 24, 16):
            yield inversion_error_db(dry, invert_compressor(stored(wet, bits), rate, using))


def times_real_time(run, seconds: float) -> float:
    def once() -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    once()
    return seconds / statistics.median(once() for _ in range(7))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--audio", help="a file of music instead of tones and noise")
    arguments.add_argument("--seconds", type=float, default=10.0)
    given = arguments.parse_args()
    dry, rate = files.read(given.audio) if given.audio else (tone_and_noise(given.seconds), RATE)
    dry = dry[:, : round(given.seconds * rate)].astype(np.float64)

    print("RMS error, dBFS\n\n| | peak: not undone | float64 | 24 bit | 16 bit | rms: not undone | float64 | 24 bit | 16 bit |")
    print("|---" * 9 + "|")
    for name, compressor in SETTINGS.items():
        print(f"| {name} | " + " | ".join(f"{error:.0f}" for error in errors(dry, rate, compressor)) + " |")

    print("\n| wrong (true: −30 dB, 4:1, 5/50, 2/100 ms) | peak | rms |\n|---|---|---|")
    for name, value in WRONG.items():
        row = []
        for detector in ("peak", "rms"):
            true = dataclasses.replace(BASE, detector=detector)
            wrong = dataclasses.replace(true, **{name: value})
            row.append(inversion_error_db(dry, invert_compressor(true(dry, rate), rate, wrong)))
        print(f"| {name} {value:g} | {row[0]:.0f} | {row[1]:.0f} |")

    print("\n| times real time (CPU) | forward | inverse |\n|---|---|---|")
    seconds = dry.shape[1] / rate
    for name, using in (("stereo, linked", BASE), ("stereo, unlinked", dataclasses.replace(BASE, link=False))):
        single = dry.astype(np.float32)
        wet = using(single, rate)
        forward = times_real_time(lambda using=using, single=single: using(single, rate), seconds)
        inverse = times_real_time(lambda using=using, wet=wet: invert_compressor(wet, rate, using), seconds)
        print(f"| {name} | {forward:.0f} | {inverse:.0f} |")


if __name__ == "__main__":
    main()
