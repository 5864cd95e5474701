"""The steps by themselves: gates merge and never subtract, bleed has the level that was drawn."""

import numpy as np
import pytest

from mixdata import measures
from mixdata.corpora import load_corpus
from mixdata.errors import SongError
from mixdata.recipes.steps.bleed_jitter import BleedJitter, bleed_jitter
from mixdata.recipes.steps.gate import Gate, gate
from mixdata.recipes.work import Work
from mixdata.rng import stream

RATE = 16000
SONG = next(iter(load_corpus(f"synth:songs=1,seconds=1,sample_rate={RATE}")))


def work(levels, seconds=4.0):
    """A song of noise stems at these levels (dB), whose estimates and targets are the stems."""
    frames = round(seconds * RATE)
    stems = {name: (10 ** (db / 20) * stream(0, name).standard_normal((2, frames))).astype(np.float32) for name, db in levels.items()}
    mixture = sum(stem.astype(np.float64) for stem in stems.values()).astype(np.float32)
    made = Work(SONG, "train", RATE, 0, mixture)
    made.roles = {"input": dict(stems), "target": {"mixture": mixture, **stems}}
    return made, stems


@pytest.mark.parametrize(
    ("levels", "home"), [({"vocals": -20, "bass": -80, "other": -30}, "other"), ({"vocals": -20, "bass": -26, "other": -80}, "vocals")]
)
def test_a_stem_that_is_not_there_is_silent_and_its_audio_joins_the_rest(levels, home):
    made, stems = work(levels)
    gate(made, Gate(), "gate")
    (gone,) = (name for name, db in levels.items() if db == -80)
    for role in ("input", "target"):
        assert not made.roles[role][gone].any() and made.active[role][gone] is False
        assert np.allclose(made.roles[role][home], stems[home] + stems[gone], atol=1e-6)
    kept = [audio for name, audio in made.roles["target"].items() if name != "mixture"]
    assert np.abs(sum(audio.astype(np.float64) for audio in kept) - made.mixture).max() < 1e-6
    assert not made.activity[gone].any() and made.activity[home].all() and made.measures[f"gated_{gone}"]
    assert made.history[-1]["gated"] == [gone] and made.history[-1]["merged_into"] == home


def test_a_song_of_one_second_can_pass_and_silence_cannot():
    made, _ = work({"vocals": -20, "other": -25}, seconds=1.0)
    gate(made, Gate(), "gate")
    assert all(made.active["input"].values())
    quiet, _ = work({"vocals": -75, "other": -75})
    with pytest.raises(SongError) as caught:
        gate(quiet, Gate(), "gate")
    assert caught.value.reason in ("silent", "no_active_stem")


def test_masters_can_be_left_out_by_clipping_and_by_peak_to_loudness():
    made, _ = work({"vocals": -20, "other": -25})
    with pytest.raises(SongError, match="peak-to-loudness"):
        gate(made, Gate(min_mix_plr=60.0), "gate")
    made, _ = work({"vocals": 0, "other": 0})
    with pytest.raises(SongError, match="full scale"):
        gate(made, Gate(max_clipped=0), "gate")


def test_every_pair_of_stems_bleeds_at_its_own_drawn_level_whatever_the_balance():
    for balance in (-20, -45):
        made, stems = work({"vocals": -20, "bass": balance, "other": -25})
        gate(made, Gate(), "gate")
        bleed_jitter(made, BleedJitter(), "bleed_jitter")
        drawn = made.history[-1]["level_db"]
        assert len({level for others in drawn.values() for level in others.values()}) == 6
        added = made.roles["input"]["vocals"] - stems["vocals"]
        own = measures.integrated_loudness(stems["vocals"], RATE)
        for other in ("bass", "other"):  # the stems are independent noise, so a projection finds how much of each was added
            gain = float(np.vdot(added, stems[other]) / np.vdot(stems[other], stems[other]))
            level = measures.integrated_loudness(stems[other], RATE) + 20 * np.log10(gain) - own
            assert level == pytest.approx(drawn["vocals"][other], abs=0.5)
        assert min(drawn["vocals"].values()) >= -30 and max(drawn["vocals"].values()) < -10
