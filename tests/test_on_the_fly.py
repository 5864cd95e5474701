"""Pairs made in the loader: a pure function of seed, epoch and item, and the same pairs as a record describes."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mixdata
from mixdata.effects import HighPass
from mixdata.effects.base import from_record
from mixdata.errors import RecipeError, UsageError
from mixdata.loading.crops import Blocks, place_crop, pre_rolled
from mixdata.loading.on_the_fly import Dry, OnTheFly
from mixdata.recipes import load_recipe
from mixdata.torch import CropSampler, ShardDataset
from pair_sets import EFFECTS, RATE, SMALL
from tiny_dataset import write_tiny

STEMS = ("vocals", "drums", "bass", "other")
PAIRED = ("input", "target", "mask", "activity")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Dry stems of a few songs. Do not write into it."""
    out = tmp_path_factory.mktemp("dry") / "set"
    return mixdata.build(load_recipe("dry_stems", SMALL), out, ["synth:songs=4,seconds=7,sample_rate=16000"], workers=0, quiet=True).path


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Dry stems of songs of two lengths. Do not write into it."""
    out = tmp_path_factory.mktemp("ragged") / "set"
    corpora = [f"synth:songs=2,seconds={seconds},sample_rate=16000" for seconds in (7, 3)]
    return mixdata.build(load_recipe("dry_stems", [*SMALL, "splits={train: 1}"]), out, corpora, workers=0, quiet=True).path


@pytest.fixture(scope="module")
def songs(stored) -> dict[str, dict[str, np.ndarray]]:
    return laid_end_to_end(stored)


def laid_end_to_end(stored) -> dict[str, dict[str, np.ndarray]]:
    """Every song's dry stems, its blocks laid end to end."""
    whole: dict[str, dict[str, list[np.ndarray]]] = {}
    for example in mixdata.open_dataset(stored):
        for stem, audio in example.roles["dry"].items():
            whole.setdefault(example.song, {}).setdefault(stem, []).append(audio)
    return {name: {stem: np.concatenate(parts, axis=1) for stem, parts in stems.items()} for name, stems in whole.items()}


def by_the_record(record: dict, dry: np.ndarray) -> dict[str, np.ndarray]:
    """What the record says of this dry audio, pre-roll first. No code of `pairs` in it."""
    out = {}
    for role in ("input", "target"):
        audio = dry * np.float32(10 ** (record["gain_db"] / 20))
        for link in record["chain"]:
            if role == "input" or not link["removed"]:
                effect = from_record({name: value for name, value in link.items() if name not in ("label", "removed")})
                audio = effect(np.ascontiguousarray(audio), RATE)
        out[role] = (audio * np.float32(10 ** (record["gains"]["match"][role] / 20)))[:, record["pre_roll"] :]
    return out


def test_items_are_what_their_records_say_of_the_stored_stems(stored, songs):
    data = ShardDataset(stored, crop=1.5, effects=EFFECTS, records=True)
    paired = 0
    for index in range(2 * len(data)):
        item = data[index]
        song, start = item["key"][:-6], item["start"]
        records = json.loads(item["effects"])
        assert item["input"].shape == item["target"].shape == (4, 2, 24_000) and item["input"].dtype == torch.float32 and "dry" not in item
        for place, stem in enumerate(STEMS):
            if stem not in records:
                assert not item["input"][place].any() and not item["target"][place].any()
                assert not item["mask"][place] and item["activity"][place] == 0
                continue
            pre_roll = records[stem]["pre_roll"]
            assert pre_roll == min(RATE, start)
            expected = by_the_record(records[stem], songs[song][stem][:, start - pre_roll : start + 24_000])
            for role in ("input", "target"):
                assert np.array_equal(item[role][place].numpy(), expected[role]), (index, stem, role)
            assert item["mask"][place]
            paired += 1
    assert paired > 20


def test_an_item_depends_on_seed_epoch_and_item_alone(stored):
    data = ShardDataset(stored, crop=1.0, effects=EFFECTS, records=True)
    other = ShardDataset(stored, crop=1.0, effects=EFFECTS, records=True)
    forth = [data[index] for index in range(2 * len(data))]
    back = {index: other[index] for index in reversed(range(2 * len(data)))}
    again = pickle.loads(pickle.dumps(data))
    for index, item in enumerate(forth):
        assert all(torch.equal(item[name], back[index][name]) for name in PAIRED) and item["effects"] == back[index]["effects"]
    assert torch.equal(again[3]["input"], forth[3]["input"])
    chains = [chain for item in forth for chain in chains_of(item)]
    assert len(set(chains)) == len(chains), "every item of every epoch has chains of its own"
    seeded = ShardDataset(stored, crop=1.0, effects=EFFECTS, records=True, seed=1)
    assert not set(chains) & {chain for index in range(len(seeded)) for chain in chains_of(seeded[index])}


def chains_of(item) -> list[str]:
    return [str(record["chain"]) for record in json.loads(item["effects"]).values()]


@pytest.mark.parametrize("context, workers", [("fork", 2), ("spawn", 1)])
def test_any_number_of_workers_gives_the_same_items(stored, context, workers):
    data = ShardDataset(stored, crop=1.0, effects=EFFECTS, records=True, epoch_items=8)
    sampler = CropSampler(data)
    sampler.set_epoch(1)
    expected = list(DataLoader(data, batch_size=3, sampler=sampler))
    found = list(DataLoader(data, batch_size=3, sampler=sampler, num_workers=workers, multiprocessing_context=context))
    assert len(found) == len(expected) > 2
    for batch, wanted in zip(found, expected, strict=True):
        assert all(torch.equal(batch[name], wanted[name]) for name in (*PAIRED, "valid_frames", "start"))
        assert batch["effects"] == wanted["effects"] and batch["key"] == wanted["key"]


def test_the_pre_roll_is_heard_as_in_the_whole_song(stored, songs):
    """Echoes 0.3 s late: a crop begins with those of what was before it, as when the whole song is processed."""
    words = {"remove": {"from": ["delay"], "count": 1}, "delay": {"time_s": 0.3, "feedback": 0.0, "mix": 0.4}, "pre_roll": 0.3}
    data = ShardDataset(stored, crop=0.5, effects=words, records=True)
    inside = 0
    for index in range(len(data)):
        item = data[index]
        records = json.loads(item["effects"])
        for place, stem in enumerate(STEMS):
            if stem in records:
                (link,) = records[stem]["chain"]
                delay = from_record({name: value for name, value in link.items() if name not in ("label", "removed")})
                whole = delay(songs[item["key"][:-6]][stem], RATE)
                assert np.array_equal(item["input"][place].numpy(), whole[:, item["start"] : item["start"] + 8000])
                inside += item["start"] > 0
    assert inside > 5


def test_the_pre_roll_goes_no_further_back_than_what_joins():
    """A song's blocks from frame 100 on: what was before them lies in another shard."""
    blocks = Blocks(["a", "b"], ["s", "s"], np.array([100, 150]), np.array([50, 50]), np.array([0, 0]), np.array([2, 2]))
    crop = place_crop(blocks, 1, 20, 0.5)
    assert crop.start > 130
    extended, before = pre_rolled(blocks, crop, 30)
    assert (before, extended.start, extended.frames) == (30, crop.start - 30, 50)
    extended, before = pre_rolled(blocks, crop, 1000)
    assert (before, extended.start, extended.frames) == (crop.start - 100, 100, crop.start - 100 + 20)
    assert sum(part[2] for part in extended.parts) == extended.frames


def test_without_kept_effects_the_target_is_the_dry_crop(stored):
    words = {"remove": {"from": ["distortion"], "count": 1}}
    data, plain = ShardDataset(stored, crop=1.0, effects=words), ShardDataset(stored, crop=1.0)
    for index in range(len(data)):
        item, dry = data[index], plain[index]["dry"]
        assert (item["start"], item["key"]) == (plain[index]["start"], plain[index]["key"])
        for place in range(4):
            assert torch.equal(item["target"][place], dry[place] * item["mask"][place])
        assert (item["activity"] <= plain[index]["activity"] + 1e-6).all() or item["start"] > 0


def test_short_material_is_followed_by_zeros_also_behind_a_tail(stored):
    words = {"remove": {"from": ["delay"], "count": 1}, "delay": {"time_s": 0.2, "mix": 0.5}}
    item = ShardDataset(stored, crop=10.0, effects=words)[0]
    assert item["valid_frames"] == 7 * RATE and item["input"].shape[-1] == 10 * RATE
    assert item["input"][..., : 7 * RATE].any() and not item["input"][..., 7 * RATE :].any()


def test_whole_examples_get_chains_too(stored):
    data = ShardDataset(stored, crop=None, effects=EFFECTS, records=True)
    item = data[1]
    assert item["valid_frames"] == item["input"].shape[-1] == 2 * RATE and item["start"] == 2 * RATE
    assert all(record["pre_roll"] == RATE for record in json.loads(item["effects"]).values())


def test_stems_are_chosen_and_keep_their_chains(stored):
    some = ShardDataset(stored, crop=1.0, stems=["other", "drums"], effects=EFFECTS)
    everything = ShardDataset(stored, crop=1.0, effects=EFFECTS)
    for index in range(4):
        assert torch.equal(some[index]["input"], everything[index]["input"][[3, 1]])


def test_a_recipe_gives_its_words_by_name_and_by_file(stored, tmp_path):
    recipe = load_recipe("effect_removal", ["effects.remove={from: [distortion], count: 1}", "effects.keep={}"])
    (tmp_path / "words.yaml").write_text(recipe.to_yaml())
    by_file = ShardDataset(stored, crop=1.0, effects=tmp_path / "words.yaml")
    words = {"remove": {"from": ["distortion"], "count": 1}, "level": {"lufs": -20}, "match": "input_to_target"}
    by_words = ShardDataset(stored, crop=1.0, effects=words)
    assert all(torch.equal(by_file[index]["input"], by_words[index]["input"]) for index in range(3))
    by_name = ShardDataset(stored, crop=1.0, effects="effect_removal", records=True)[0]
    assert json.loads(by_name["effects"]) and by_name["input"].any()


def test_levels_are_those_of_the_crop(stored, songs):
    words = {"keep": {"from": ["high_pass"], "count": 1}, "level": {"lufs": -23}, "match": "both_to_lufs", "match_lufs": -25.0}
    data = ShardDataset(stored, crop=2.0, effects=words, records=True)
    for index in range(4):
        item = data[index]
        for place, stem in enumerate(STEMS):
            if stem in (records := json.loads(item["effects"])):
                dry = songs[item["key"][:-6]][stem][:, item["start"] : item["start"] + 2 * RATE]
                assert records[stem]["gain_db"] == pytest.approx(-23 - mixdata.measures.integrated_loudness(dry, RATE), abs=1e-6)
                for role in ("input", "target"):
                    assert mixdata.measures.integrated_loudness(item[role][place].numpy(), RATE) == pytest.approx(-25, abs=0.1)


def test_a_chain_may_be_shared_and_a_mixture_added(stored):
    data = ShardDataset(stored, crop=1.0, effects=EFFECTS | {"linked": True, "mixture": True}, records=True)
    for index in range(4):
        item = data[index]
        records = list(json.loads(item["effects"]).values())
        assert all(record["chain"] == records[0]["chain"] for record in records)
        assert item["input"].shape[0] == 5 == len(item["mask"]) == len(item["activity"]) and item["mask"][0] and item["activity"][0] == 1
        assert [bool(there) for there in item["mask"][1:]] == [stem in json.loads(item["effects"]) for stem in STEMS]
        for role in ("input", "target"):
            assert torch.allclose(item[role][0], item[role][1:].sum(0), atol=1e-5)


def test_a_pair_that_cannot_be_is_silent_and_masked(stored):
    words = {"remove": {"from": ["gain"], "count": 1}, "gain": {"gain_db": 0.01}}
    item = ShardDataset(stored, crop=1.0, effects=words, records=True)[0]
    assert json.loads(item["effects"]) == {} and not item["mask"].any() and not item["activity"].any() and not item["input"].any()


def test_what_the_loaders_rate_cannot_hold_is_drawn_anew(stored):
    words = {"remove": {"from": ["low_pass"], "count": 1}, "low_pass": {"frequency_hz": {"uniform": [2000, 12_000]}}}
    data = ShardDataset(stored, crop=1.0, effects=words, records=True)
    records = [record for index in range(len(data)) for record in json.loads(data[index]["effects"]).values()]
    assert any(redraw["reason"] == "rate" for record in records for redraw in record["redrawn"])
    assert max(record["chain"][0]["frequency_hz"] for record in records) < 8000


def test_pieces_before_the_pre_roll_do_not_matter():
    """What is drawn and made is of the audio that is given, and of nothing else."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    maker = OnTheFly({"keep": {"from": ["high_pass"], "count": 1}, "high_pass": {"frequency_hz": 500}, "pre_roll": 0.25}, RATE, seed=0)
    assert maker.pre_roll == 4000
    roles, records = maker({"drums": Dry(noise, 4000)}, 0, 0)
    expected = HighPass(frequency_hz=500)(noise, RATE)[:, 4000:]
    assert np.array_equal(roles["input"]["drums"], expected) and records["drums"]["pre_roll"] == 4000


@pytest.mark.parametrize(
    "effects, error, message",
    [
        (
            {"remove": {"from": ["convolution"], "count": 1}, "impulse_responses": "rooms"},
            UsageError,
            "convolution is not offered in the loader",
        ),
        ({"remove": {"from": ["convolution"], "count": 1}}, RecipeError, "set impulse_responses"),
        ({"remove": {"from": ["distortoin"], "count": 1}}, RecipeError, "did you mean 'distortion'"),
        ({"remove": {"from": ["distortion"], "count": 9}}, RecipeError, "at most 1 can be drawn"),
        ({"removed": {"from": ["distortion"], "count": 1}}, RecipeError, "removed"),
        ({}, RecipeError, "no effects to draw from"),
        ("dry_stems", UsageError, "has 0 `effects` steps"),
        ("no_such_recipe", UsageError, "unknown recipe"),
    ],
)
def test_wrong_words_are_refused_before_training(stored, effects, error, message):
    with pytest.raises(error, match=message):
        ShardDataset(stored, effects=effects)


def test_a_set_without_dry_stems_is_refused_with_a_hint(tmp_path):
    with pytest.raises(UsageError, match="has no role 'dry' to make pairs of; build it with the recipe dry_stems"):
        ShardDataset(write_tiny(tmp_path / "set").path, effects=EFFECTS)


def test_the_source_is_what_the_corpus_declared_unless_the_words_say_so(stored):
    for words, expected in ((EFFECTS, "dry"), (EFFECTS | {"source": "wet"}, "wet")):
        records = json.loads(ShardDataset(stored, crop=1.5, effects=words, records=True)[0]["effects"])
        assert {record["source"] for record in records.values()} == {expected}


@pytest.mark.parametrize("words", [{"per": "song"}, {"variants": 3}])
def test_what_only_a_build_can_do_is_refused(stored, words):
    with pytest.raises(UsageError, match="leave out `per: song` and `variants`"):
        ShardDataset(stored, crop=1.5, effects=EFFECTS | words)


def remixed(songs, drawn: dict, stem: str, pre_roll: int, frames: int) -> np.ndarray:
    """The stored stem as the remix's record says, from the pre-roll on, with silence behind its end."""
    song, start = songs[drawn["key"][:-6]][stem], drawn["start"]
    dry = np.zeros((2, pre_roll + frames), np.float32)
    dry[:, : pre_roll + drawn["frames"]] = song[:, start - pre_roll : start + drawn["frames"]]
    dry = (dry[::-1] if drawn["swapped"] else dry) * np.float32(drawn["scale"])
    return -dry if drawn["flipped"] else dry


@pytest.mark.parametrize("crop", [1.5, 10.0, None])
def test_remixed_stems_go_through_the_chains_of_their_records(ragged, crop):
    """Songs of 3 and 7 seconds: a crop of 10 is as long as the longest of its stems."""
    songs = laid_end_to_end(ragged)
    data = ShardDataset(ragged, crop=crop, effects=EFFECTS, remix={"gain_db": {"uniform": [-6, 6]}, "same_song": 0.2}, records=True)
    shorter = 0  # stems with silence behind their end
    for index in range(len(data)):
        item = data[index]
        records, drawn = json.loads(item["effects"]), json.loads(item["remix"])
        frames = item["valid_frames"]
        arrays = {role: np.full(item[role].shape, np.nan, np.float32) for role in ("input", "target")}
        data.fill(index, arrays)
        assert all(np.array_equal(arrays[role], item[role].numpy()) for role in arrays), "nothing of what was there is left"
        assert set(drawn) == set(STEMS) and frames == max(each["frames"] for each in drawn.values())
        shorter += sum(drawn[stem]["frames"] < frames for stem in records)
        for place, stem in enumerate(STEMS):
            assert item["mask"][place] == (stem in records) and bool(item["activity"][place] > 0) <= (stem in records)
            if stem in records:
                pre_roll = records[stem]["pre_roll"]
                assert pre_roll == min(RATE, drawn[stem]["start"])
                expected = by_the_record(records[stem], remixed(songs, drawn[stem], stem, pre_roll, frames))
                for role in ("input", "target"):
                    assert np.array_equal(item[role][place, :, :frames].numpy(), expected[role]), (index, stem, role)
                    assert not item[role][place, :, frames:].any()
    assert crop != 10 or shorter > 0


def test_remixes_that_do_not_happen_leave_pairs_as_they_are(ragged):
    plain, never = (ShardDataset(ragged, crop=1.0, effects=EFFECTS, remix=remix) for remix in (None, {"probability": 0}))
    assert all(torch.equal(plain[index][name], never[index][name]) for index in range(6) for name in PAIRED)


def test_a_pair_s_source_is_that_of_its_own_stem():
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 20_000)).astype(np.float32)
    dry = {"drums": Dry(noise, 4000, "dry"), "bass": Dry(noise[:, 4000:], 0, "wet")}
    for words, expected in ((EFFECTS, {"drums": "dry", "bass": "wet"}), (EFFECTS | {"source": "rendered"}, dict.fromkeys(dry, "rendered"))):
        _, records = OnTheFly(words, RATE, seed=0)(dry, 0, 0)
        assert {stem: record["source"] for stem, record in records.items()} == expected


def test_dry_stems_that_sum_to_a_mixture_are_remixed_without_it(ragged, tmp_path):
    shutil.copytree(ragged, tmp_path / "set")
    meta = json.loads((tmp_path / "set" / "dataset.json").read_text())
    meta["sums"] = [{"role": "dry", "total": "other"}]
    (tmp_path / "set" / "dataset.json").write_text(json.dumps(meta))
    with pytest.raises(UsageError, match="only stems are remixed: leave the mixture out"):
        ShardDataset(tmp_path / "set", crop=1.0, effects=EFFECTS, remix={})
    assert ShardDataset(tmp_path / "set", crop=1.0, stems=["drums", "bass"], effects=EFFECTS, remix={})[0]["input"].shape[0] == 2
