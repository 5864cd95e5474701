"""The `stems` step: a song's own stems as role `dry`, named, summed and padded, and when they sound."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from mixdata.corpora import load_corpus
from mixdata.errors import RecipeError, SongError
from mixdata.measures import activity_mask, integrated_loudness
from mixdata.recipes import load_recipe
from mixdata.recipes.registry import STEPS
from mixdata.recipes.steps.stems import Stems, stems
from mixdata.recipes.steps.wet_stems import WetStems, wet_stems
from mixdata.recipes.work import Work, load_work
from mixdata.rng import stream
from mixdata.separation.base import FOUR_STEMS
from mixdata.song import Track, summed

RATE = 16_000


def noise(seed: int, seconds: float = 2.0, level: float = 0.1, channels: int = 2) -> np.ndarray:
    return (level * stream(seed, "stems").standard_normal((channels, round(seconds * RATE)))).astype(np.float32)


def song(tmp_path, mixture: np.ndarray | None = None, rate: int = RATE, **parts: np.ndarray):
    """A song in a folder, its files as float WAV."""
    root = tmp_path / "corpus" / "song"
    root.mkdir(parents=True, exist_ok=True)
    for name, audio in (({} if mixture is None else {"mixture": mixture}) | parts).items():
        soundfile.write(root / f"{name}.wav", audio.T, rate, subtype="FLOAT")
    (found,) = load_corpus(f"folder:{tmp_path / 'corpus'}")
    return found


def run(found, *take: str, **params: object) -> Work:
    work = load_work(found, "train", RATE, 0)
    stems(work, Stems(**({"take": [*take]} if take else {}), **params), "stems")
    return work


def test_stems_are_taken_as_they_are_in_the_order_asked(tmp_path):
    parts = {name: noise(seed) for seed, name in enumerate(FOUR_STEMS)}
    work = run(song(tmp_path, **parts), "drums", "vocals")
    assert list(work.roles["dry"]) == ["drums", "vocals"] and list(work.roles) == ["dry"]
    for name in ("drums", "vocals"):
        assert np.array_equal(work.roles["dry"][name], parts[name])
    assert list(run(song(tmp_path, **parts)).roles["dry"]) == [*FOUR_STEMS]


def test_what_is_not_listed_is_added_to_other_where_other_is(tmp_path):
    parts = {name: noise(seed) for seed, name in enumerate(("drums", "other", "guitar", "piano"))}
    found = song(tmp_path, **parts)
    work = run(found, "drums", "other")
    total = parts["other"] + parts["guitar"] + parts["piano"]
    assert np.allclose(work.roles["dry"]["other"], total, atol=1e-7) and np.array_equal(work.roles["dry"]["drums"], parts["drums"])
    assert sorted(work.history[0]["made_of"]["other"]) == ["guitar", "other", "piano"] and work.history[0]["made_of"]["drums"] == ["drums"]
    assert run(found, "drums", "guitar").history[0]["made_of"] == {"drums": ["drums"], "guitar": ["guitar"]}
    assert np.array_equal(parts["guitar"], run(found, "guitar").roles["dry"]["guitar"])


def test_stems_that_are_not_listed_go_where_the_taxonomy_puts_them(tmp_path):
    names = ("vocals", "drums", "percussion", "vibraphone", "keys", "strings", "synth_bass")
    parts = {name: noise(seed) for seed, name in enumerate(names)}
    work = run(song(tmp_path, **parts))
    made_of = {"vocals": ["vocals"], "drums": ["drums", "percussion"], "bass": ["synth_bass"], "other": ["keys", "strings", "vibraphone"]}
    assert {name: sorted(found) for name, found in work.history[0]["made_of"].items()} == made_of
    for name, audio in work.roles["dry"].items():
        assert np.allclose(audio, sum(parts[part].astype(np.float64) for part in made_of[name]), atol=1e-6)
    assert np.allclose(sum(work.roles["dry"].values()), work.mixture, atol=1e-6) and work.warnings == []


def test_percussion_stays_where_it_is_listed_and_counts_as_other_without_drums(tmp_path):
    found = song(tmp_path, drums=noise(0), percussion=noise(1))
    assert run(found, "drums", "percussion").history[0]["made_of"] == {"drums": ["drums"], "percussion": ["percussion"]}
    assert sorted(run(found, "bass", "other").history[0]["made_of"]["other"]) == ["drums", "percussion"]


def test_a_stem_that_the_taxonomy_does_not_know_is_counted_as_other_with_a_warning(tmp_path):
    parts = {name: noise(seed) for seed, name in enumerate(("drums", "zorbophone", "ocean"))}
    found = song(tmp_path, **(parts | {"mixture": sum(parts.values())}))
    work = run(found, "drums", "other")
    assert sorted(work.history[0]["made_of"]["other"]) == ["ocean", "zorbophone"] and work.warnings == ["unknown_stem"]
    assert np.allclose(sum(work.roles["dry"].values()), work.mixture, atol=1e-6)


def test_without_other_what_has_no_home_is_left_out(tmp_path):
    found = song(tmp_path, drums=noise(0), guitar=noise(1), zorbophone=noise(2), percussion=noise(3))
    work = run(found, "drums", "piano")
    assert {name: sorted(parts) for name, parts in work.history[0]["made_of"].items()} == {"drums": ["drums", "percussion"], "piano": []}
    assert work.warnings == []
    assert run(found, "zorbophone").history[0]["made_of"] == {"zorbophone": ["zorbophone"]}


def test_wet_stems_are_taken_by_the_same_rule(tmp_path):
    parts = {name: noise(seed) for seed, name in enumerate(("drums", "percussion", "guitar", "zorbophone"))}
    work = load_work(song(tmp_path, **parts), "train", RATE, 0)
    wet_stems(work, WetStems(), "wet_stems")
    made_of = {name: sorted(parts) for name, parts in work.history[0]["made_of"].items()}
    assert made_of == {"vocals": [], "drums": ["drums", "percussion"], "bass": [], "other": ["guitar", "zorbophone"]}
    assert np.allclose(work.roles["input"]["drums"], parts["drums"] + parts["percussion"], atol=1e-6) and work.warnings == ["unknown_stem"]


def test_what_the_steps_make_has_changed_and_so_have_their_versions():
    assert STEPS["stems"].version >= 2 and STEPS["wet_stems"].version >= 2


def test_a_listed_stem_that_the_song_has_not_is_silent(tmp_path):
    work = run(song(tmp_path, drums=noise(0), bass=noise(1)), "vocals", "drums")
    assert not work.roles["dry"]["vocals"].any() and work.active["dry"] == {"vocals": False, "drums": True}
    assert not work.activity["vocals"].any() and work.activity["drums"].all()


def test_a_stem_sounds_where_it_is_heard_in_the_mix(tmp_path):
    bass = noise(1)
    bass[:, RATE:] *= 0.0145  # 37 LU under the mix, yet above the floor
    work = run(song(tmp_path, drums=noise(0), bass=bass), "drums", "bass")
    expected = activity_mask(bass, RATE, integrated_loudness(work.mixture, RATE), 35.0, -55.0)
    assert np.array_equal(work.activity["bass"], expected) and 0 < expected.mean() < 1
    assert activity_mask(bass, RATE).all(), "the floor alone would not tell"
    assert run(song(tmp_path, drums=noise(0), bass=bass), "drums", "bass", relative_lu=80.0, floor_lufs=-90.0).activity["bass"].all()


def test_the_mixture_alone_is_taken_as_a_stem(tmp_path):
    mixture = noise(0)
    work = run(song(tmp_path, mixture), "mixture")
    assert list(work.roles["dry"]) == ["mixture"] and np.array_equal(work.roles["dry"]["mixture"], mixture)
    assert work.active["dry"] == {"mixture": True}
    summed = run(song(tmp_path / "b", drums=noise(1), bass=noise(2)), "mixture")
    assert np.allclose(summed.roles["dry"]["mixture"], noise(1) + noise(2), atol=1e-6)


def test_the_record_says_what_stems_are_made_of_and_whether_they_are_dry(tmp_path):
    assert run(song(tmp_path, drums=noise(0), bass=noise(1)), "drums").history == [
        {"step": "stems", "made_of": {"drums": ["drums"]}, "source": "unknown"}
    ]


def test_without_a_mixture_shorter_stems_are_padded_as_in_their_sum(tmp_path):
    drums, bass = noise(0, 2.0), noise(1, 1.5)
    work = run(song(tmp_path, drums=drums, bass=bass), "drums", "bass")
    assert work.warnings == ["unequal_lengths"]
    padded = np.pad(bass, ((0, 0), (0, RATE // 2)))
    assert np.array_equal(work.roles["dry"]["bass"], padded) and np.array_equal(work.roles["dry"]["drums"], drums)
    assert np.allclose(sum(work.roles["dry"].values()), work.mixture, atol=1e-7)


def test_with_a_mixture_a_stem_of_another_length_is_another_take(tmp_path):
    mixture = noise(0) + noise(1)
    close = run(song(tmp_path, mixture, drums=noise(0)[:, :-100], bass=noise(1)), "drums")
    assert np.array_equal(close.roles["dry"]["drums"][:, :-100], noise(0)[:, :-100]) and not close.roles["dry"]["drums"][:, -100:].any()
    with pytest.raises(SongError, match=r"stem 'drums' is 1\.00 s shorter than the mixture") as error:
        run(song(tmp_path, mixture, drums=noise(0)[:, :RATE], bass=noise(1)), "drums")
    assert error.value.reason == "length"


def test_mono_and_other_rates_become_stereo_at_the_recipes_rate(tmp_path):
    work = run(song(tmp_path, rate=2 * RATE, drums=noise(0, channels=1), bass=noise(1)), "drums", "bass")
    drums = work.roles["dry"]["drums"]
    assert drums.shape == (2, RATE) == work.mixture.shape and np.array_equal(drums[0], drums[1])
    assert np.allclose(sum(work.roles["dry"].values()), work.mixture, atol=1e-6)


def test_songs_without_stems_or_without_any_that_sounds_are_left_out(tmp_path):
    with pytest.raises(SongError, match="mixture only; use a corpus with stems") as error:
        run(song(tmp_path / "a", noise(0)), "drums")
    assert error.value.reason == "no_stems"
    with pytest.raises(SongError, match="none of vocals, piano sounds anywhere") as error:
        run(song(tmp_path / "b", drums=noise(0), bass=noise(1)), "vocals", "piano")
    assert error.value.reason == "no_active_stem"


@pytest.mark.parametrize(
    "take, message",
    [
        ('["drums", "drums"]', "same name"),
        ('["mixture", "drums"]', "cannot be a stem's name"),
        ("[]", "at least 1"),
        ('["Drums!"]', "name"),
    ],
)
def test_wrong_names_are_refused(take, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("dry_stems", [f"stems.take={take}"])


def test_a_stem_made_of_instruments_that_fall_differently_is_parted(tmp_path):
    parts = {name: noise(seed) for seed, name in enumerate(("vocals", "tambourine", "vibraphone"))}
    found = song(tmp_path, mixture=sum(parts.values()), **parts)
    percussion = summed(replace(found.stems[name], instrument=name) for name in ("tambourine", "vibraphone"))
    whole = replace(found, stems={"vocals": found.stems["vocals"], "percussion": percussion})
    four = run(whole)
    np.testing.assert_allclose(four.roles["dry"]["drums"], parts["tambourine"], atol=1e-7)
    np.testing.assert_allclose(four.roles["dry"]["other"], parts["vibraphone"], atol=1e-7)
    kept = run(whole, "percussion").roles["dry"]["percussion"]
    np.testing.assert_allclose(kept, parts["tambourine"] + parts["vibraphone"], atol=1e-7)
    alone = replace(found, stems={"percussion": Track(found.stems["vibraphone"].path, instrument="vibraphone")})
    assert run(alone).history[0]["made_of"]["other"] == ["percussion"]
