"""Remixes in the loader: what the records say, redone from the stored audio; the laws of the draws; pairs stay pairs, sums stay sums."""

import json
import math
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mixdata
from mixdata.errors import MixdataError, RecipeError, UsageError
from mixdata.torch import CropSampler, ShardDataset
from tiny_dataset import ROLES, STEMS, write_tiny

LENGTHS = {"train": [20100, 9000, 27000, 12000, 16000, 5000], "valid": [16000]}
GAINS = {"gain_db": {"uniform": [-6, 6]}}
DEMUCS = {"scale": {"uniform": [0.25, 1.25]}}
Stored = dict[str, dict[str, dict[str, np.ndarray]]]  # song -> role -> stem -> (channels, frames)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Six songs of 5000 to 27000 frames at 8 kHz in blocks of one second. Do not write into it."""
    return write_tiny(tmp_path_factory.mktemp("remix") / "set", LENGTHS, enters={"vocals": 9000}).path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twelve songs of two blocks each. Do not write into it."""
    return write_tiny(tmp_path_factory.mktemp("many") / "set", {"train": [16000] * 12}).path


@pytest.fixture(scope="module")
def songs(tiny):
    return whole_songs(tiny)


def song_of(key: str) -> str:
    return key[: -len("_00000")]


def whole_songs(path) -> Stored:
    """Every song as it is stored, its blocks laid end to end."""
    parts: dict = {}
    for example in mixdata.open_dataset(path):
        for role, stems in example.roles.items():
            for stem, audio in stems.items():
                parts.setdefault(example.song, {}).setdefault(role, {}).setdefault(stem, []).append(audio)
    return {
        song: {role: {stem: np.concatenate(audio, axis=1) for stem, audio in stems.items()} for role, stems in roles.items()}
        for song, roles in parts.items()
    }


def redone(songs: Stored, drawn: dict, role: str, stem: str, frames: int, gained: bool = True) -> np.ndarray:
    """What the record says of this stem, from the stored audio alone."""
    source = songs[song_of(drawn["key"])][role][stem][:, drawn["start"] : drawn["start"] + drawn["frames"]]
    out = np.zeros((len(source), frames), np.float32)
    out[:, : drawn["frames"]] = source[::-1] if drawn["swapped"] else source
    out *= np.float32(drawn["scale"] if gained else 1)
    return -out if drawn["flipped"] else out


def summed(stems: list[np.ndarray]) -> np.ndarray:
    total = np.zeros(stems[0].shape)
    for stem in stems:
        total += stem
    return total.astype(np.float32)


def drawn_in(data, count: int) -> list[dict]:
    return [json.loads(data[index]["remix"]) for index in range(count)]


def close(found: int, of: int, share: float) -> bool:
    """Whether so many of so many is what chance makes of this share, within four standard deviations."""
    return abs(found - of * share) <= 4 * math.sqrt(of * share * (1 - share))


@pytest.mark.parametrize("crop", [0.5, 2.0, None])
@pytest.mark.parametrize(
    "words",
    [
        GAINS,
        DEMUCS,
        {"same_song": 0.5, **GAINS},
        {"stems": ["drums", "other"], **GAINS},
        {"gain_roles": ["target"], **GAINS},
        {"swap_channels": 1, "flip_polarity": 1},
        {"swap_channels": 0, "flip_polarity": 0, "gain_db": {"choice": [0, -3]}},
    ],
    ids=lambda words: "-".join(words),
)
def test_items_are_what_their_records_say_of_the_stored_stems(tiny, songs, words, crop):
    data = ShardDataset(tiny, crop=crop, remix=words, records=True)
    plain = ShardDataset(tiny, crop=crop)
    for index in range(2 * len(data)):
        item, own = data[index], plain[index]
        drawn = json.loads(item["remix"])
        frames = own["input"].shape[-1]
        assert (item["key"], item["start"]) == (own["key"], own["start"]) and set(drawn) == set(STEMS)
        for place, stem in enumerate(STEMS):
            if stem not in words.get("stems", STEMS):
                assert drawn[stem] | {"key": item["key"], "start": item["start"]} == drawn[stem]
                assert (drawn[stem]["scale"], drawn[stem]["swapped"], drawn[stem]["flipped"]) == (1, False, False)
            gained = "input" in words.get("gain_roles", ["input"])
            assert np.array_equal(item["input"][place].numpy(), redone(songs, drawn[stem], "input", stem, frames, gained))
            assert np.array_equal(item["target"][1 + place].numpy(), redone(songs, drawn[stem], "target", stem, frames))
        stems = [redone(songs, drawn[stem], "target", stem, frames) for stem in STEMS]
        assert np.array_equal(item["target"][0].numpy(), summed(stems))
        assert item["valid_frames"] == max(each["frames"] for each in drawn.values()) <= frames


def test_gains_in_db_are_the_factors(many):
    for words, low, high in ((GAINS, -6, 6), (DEMUCS, 20 * math.log10(0.25), 20 * math.log10(1.25)), ({"gain_db": 3}, 3, 3), ({}, 0, 0)):
        for item in drawn_in(ShardDataset(many, crop=0.01, remix=words, records=True), 10):
            for each in item.values():
                assert each["scale"] == float(np.float32(each["scale"])) == pytest.approx(10 ** (each["gain_db"] / 20), rel=1e-6)
                assert low - 1e-5 <= each["gain_db"] <= high + 1e-5


def test_mask_and_activity_are_those_of_each_stem_s_own_crop(tiny, songs):
    """In `tiny`, block number n of any song sounds for (n + 1) / 10 of the time, and vocals enter at frame 9000, in block 1."""
    data = ShardDataset(tiny, crop=0.9, roles=["input"], remix={}, records=True)
    crossing = 0
    for index in range(3 * len(data)):
        item = data[index]
        for place, (stem, drawn) in enumerate(json.loads(item["remix"]).items()):
            assert stem == STEMS[place]
            first, inside = divmod(drawn["start"], 8000)
            here = min(8000 - inside, drawn["frames"])
            beyond = drawn["frames"] - here
            sings = stem != "vocals" or songs[song_of(drawn["key"])]["input"]["vocals"].any()
            assert item["mask"][place] == (sings and (stem != "vocals" or first + (beyond > 0) > 0))
            share = ((first + 1) * here + (first + 2) * beyond) / 10 / drawn["frames"]
            assert item["activity"][place].item() == pytest.approx(share if sings else 0, abs=1e-6)
            crossing += beyond > 0
    assert crossing > 10


def test_a_mixture_exists_where_any_of_its_stems_does(tmp_path):
    path = write_tiny(tmp_path / "set", {"train": [9000, 9000]}, gated=("drums", "vocals")).path
    item = ShardDataset(path, crop=0.5, roles=["target"], remix={})[0]
    assert item["mask"].tolist() == [True, False, False, True, True]
    assert item["activity"][0] == 1 and not item["activity"][1:3].any() and not item["target"][1:3].any()
    path = write_tiny(tmp_path / "silent", {"train": [9000, 9000]}, gated=STEMS).path
    item = ShardDataset(path, crop=0.5, roles=["target"], remix={})[0]
    assert not item["mask"].any() and not item["activity"].any() and not item["target"].any()


@pytest.mark.parametrize(
    "stems",
    [["mixture"], ["bass", "mixture"], ["other", "mixture", "vocals"], ["drums"], ["mixture", *STEMS]],
    ids=lambda stems: "+".join(stems),
)
def test_what_is_drawn_does_not_depend_on_what_is_read(tiny, stems):
    some = ShardDataset(tiny, crop=0.7, roles=["target"], stems=stems, remix=GAINS, records=True)
    everything = ShardDataset(tiny, crop=0.7, remix=GAINS, records=True)
    for index in range(len(some)):
        found, wanted = some[index], everything[index]
        for place, stem in enumerate(stems):
            whole = ROLES["target"].index(stem)
            assert torch.equal(found["target"][place], wanted["target"][whole])
        drawn = json.loads(wanted["remix"])
        read = STEMS if "mixture" in stems else stems
        assert json.loads(found["remix"]) == {stem: drawn[stem] for stem in STEMS if stem in read}


def test_stems_that_take_part_do_not_change_each_other_s_draws(many):
    data, few = (ShardDataset(many, crop=0.01, remix=words | GAINS, records=True) for words in ({}, {"stems": ["bass"]}))
    assert [drawn["bass"] for drawn in drawn_in(data, 10)] == [drawn["bass"] for drawn in drawn_in(few, 10)]


def test_without_probability_nothing_changes_bit_for_bit(tiny):
    data, plain = ShardDataset(tiny, crop=1.5, remix={"probability": 0, **GAINS}, records=True), ShardDataset(tiny, crop=1.5, records=True)
    for index in range(2 * len(data)):
        found, wanted = data[index], plain[index]
        assert found.pop("remix") == "{}" and set(found) == set(wanted)
        for name, value in wanted.items():
            assert found[name].numpy().tobytes() == value.numpy().tobytes() if torch.is_tensor(value) else found[name] == value


def test_a_share_of_items_is_remixed_the_others_are_as_stored(many):
    data, plain = ShardDataset(many, crop=0.02, remix={"probability": 0.3}, records=True), ShardDataset(many, crop=0.02)
    remixed = [bool(drawn) for drawn in drawn_in(data, 480)]
    assert close(sum(remixed), 480, 0.3) and len({sum(remixed[at : at + 24]) for at in range(0, 480, 24)}) > 3, "each epoch has its own"
    for index in range(48):
        assert remixed[index] or torch.equal(data[index]["target"], plain[index]["target"])


def test_stems_come_from_anywhere_as_often_as_chance_has_it(many):
    """24 blocks of 12 songs: every stem of every item is drawn from each block alike, and from its own song one time in twelve."""
    data = ShardDataset(many, crop=0.01, remix=GAINS, records=True)
    items = [(data[index]["key"], json.loads(data[index]["remix"])) for index in range(600)]
    parts = [(key, stem, each) for key, drawn in items for stem, each in drawn.items()]
    blocks = Counter(each["key"] for _, _, each in parts)
    assert len(blocks) == 24 and all(close(count, len(parts), 1 / 24) for count in blocks.values())
    assert close(sum(song_of(key) == song_of(each["key"]) for key, _, each in parts), len(parts), 1 / 12)
    pairs = [(drawn["drums"], drawn["bass"]) for _, drawn in items]
    assert close(sum(song_of(drums["key"]) == song_of(bass["key"]) for drums, bass in pairs), len(pairs), 1 / 12)
    assert close(sum(drums["swapped"] == bass["swapped"] for drums, bass in pairs), len(pairs), 1 / 2)
    for stem in STEMS:
        mine = [each for _, name, each in parts if name == stem]
        assert close(sum(each["swapped"] for each in mine), len(mine), 1 / 2)
        assert close(sum(each["flipped"] for each in mine), len(mine), 1 / 2)
        assert close(sum(each["swapped"] and each["flipped"] for each in mine), len(mine), 1 / 4)
        for quarter in range(4):
            assert close(sum(-6 + 3 * quarter <= each["gain_db"] < -3 + 3 * quarter for each in mine), len(mine), 1 / 4)
    starts = [each["start"] for _, _, each in parts]
    assert close(sum(start < 4000 for start in starts), len(starts), 1 / 4) and len(set(starts)) > len(starts) / 2


@pytest.mark.parametrize("word, key", [("swap_channels", "swapped"), ("flip_polarity", "flipped")])
def test_chances_are_as_said(many, word, key):
    for share in (0.0, 0.2, 1.0):
        parts = [
            each for drawn in drawn_in(ShardDataset(many, crop=0.01, remix={word: share}, records=True), 200) for each in drawn.values()
        ]
        assert close(sum(each[key] for each in parts), len(parts), share)


def test_a_share_of_stems_stays_where_the_item_is(many):
    for share in (0.25, 1.0):
        data = ShardDataset(many, crop=0.01, remix={"same_song": share}, records=True)
        items = [data[index] for index in range(200)]
        parts = [(item, each) for item in items for each in json.loads(item["remix"]).values()]
        stayed = sum((item["start"], item["key"]) == (each["start"], each["key"]) for item, each in parts)
        assert close(stayed, len(parts), share)


def test_blocks_are_those_that_were_asked_for(many):
    songs = sorted({song_of(key) for key in mixdata.open_dataset(many).examples["key"]})
    some = f"song IN ('{songs[0]}', '{songs[5]}') AND block = 1"
    parts = [each for drawn in drawn_in(ShardDataset(many, crop=0.01, where=some, remix={}, records=True), 100) for each in drawn.values()]
    for song in (songs[0], songs[5]):
        places = [each["start"] - 8000 for each in parts if each["key"] == f"{song}_00001"]
        assert close(len(places), len(parts), 1 / 2) and close(sum(place < 4000 for place in places), len(places), 1 / 2)
    assert {each["key"] for each in parts} == {f"{songs[0]}_00001", f"{songs[5]}_00001"}
    data = ShardDataset(many, crop=0.01, weights=f"CASE WHEN song = '{songs[3]}' THEN 11 ELSE 1 END", remix={}, records=True)
    parts = [each for drawn in drawn_in(data, 300) for each in drawn.values()]
    assert close(sum(song_of(each["key"]) == songs[3] for each in parts), len(parts), 0.5)
    assert len({each["key"] for each in parts}) == 24


def test_crops_lie_in_the_blocks_that_were_asked_for(tiny):
    """Second blocks of 8000, 8000, 4000, 8000 and 1000 frames, which are no even shares of their songs."""
    data = ShardDataset(tiny, crop=0.001, where="block = 1", remix={}, records=True)
    middles = [each["start"] + 4 for drawn in drawn_in(data, 100) for each in drawn.values()]
    assert min(middles) >= 8000 and max(middles) < 16000


def test_blocks_that_do_not_join_are_not_crossed(tmp_path):
    path = write_tiny(tmp_path / "set", {"train": [20100, 8000]}, continuous=False).path
    data = ShardDataset(path, crop=0.8, remix={}, records=True)
    for drawn in drawn_in(data, 30):
        for each in drawn.values():
            assert int(each["key"][-5:]) == each["start"] // 8000 and each["start"] % 8000 + each["frames"] <= 8000


def same(item, other) -> bool:
    return all(torch.equal(item[name], other[name]) for name in ("input", "target", "mask", "activity")) and item["remix"] == other["remix"]


def test_an_item_depends_on_seed_epoch_and_item_alone(tiny):
    data, other = (ShardDataset(tiny, crop=0.5, remix=GAINS, records=True) for _ in range(2))
    forth = [data[index] for index in range(2 * len(data))]
    back = {index: other[index] for index in reversed(range(2 * len(data)))}
    again = pickle.loads(pickle.dumps(data))
    assert all(same(item, back[index]) for index, item in enumerate(forth)) and same(again[3], forth[3])
    assert len({item["remix"] for item in forth}) == len(forth), "every item of every epoch is a remix of its own"
    seeded = ShardDataset(tiny, crop=0.5, remix=GAINS, records=True, seed=1)
    assert not {item["remix"] for item in forth} & {seeded[index]["remix"] for index in range(len(seeded))}


@pytest.mark.parametrize("context, workers", [("fork", 2), ("spawn", 1)])
def test_any_number_of_workers_gives_the_same_items(tiny, context, workers):
    data = ShardDataset(tiny, crop=0.5, remix={"probability": 0.7, **GAINS}, records=True, epoch_items=8)
    sampler = CropSampler(data)
    sampler.set_epoch(1)
    expected = list(DataLoader(data, batch_size=3, sampler=sampler))
    found = list(DataLoader(data, batch_size=3, sampler=sampler, num_workers=workers, multiprocessing_context=context))
    assert len(found) == len(expected) == 3 and all(same(*pair) for pair in zip(found, expected, strict=True))


def test_threads_fill_arrays_of_the_caller_without_disturbing_each_other(tiny):
    data = ShardDataset(tiny, crop=0.5, stems={"target": ["mixture", "bass"]}, remix=GAINS, records=True)
    assert not data.in_python
    kept = {role: np.full((40, *shape), np.nan, np.float32) for role, shape in data.shapes.items()}
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda index: data.fill(index, {role: array[index] for role, array in kept.items()}), range(40)))
    for index, about in enumerate(told):
        item = data[index]
        assert about["remix"] == item["remix"] and np.array_equal(about["mask"], item["mask"].numpy())
        assert all(np.array_equal(kept[role][index], item[role].numpy()) for role in kept)


def test_one_channel_has_no_sides_to_swap(tmp_path):
    path = write_tiny(tmp_path / "set", {"train": [9000, 12000]}, channels=1).path
    songs = whole_songs(path)
    data = ShardDataset(path, crop=0.5, remix={"swap_channels": 1}, records=True)
    for index in range(5):
        item = data[index]
        for place, (stem, drawn) in enumerate(json.loads(item["remix"]).items()):
            assert not drawn["swapped"]
            assert np.array_equal(item["input"][place].numpy(), redone(songs, drawn, "input", stem, 4000))


def test_a_damaged_part_is_an_error_or_the_whole_item_is_drawn_anew(tmp_path):
    tiny = write_tiny(tmp_path / "set", {"train": [8000] * 6}, songs_per_shard=1)
    songs = whole_songs(tiny.path)
    shard = mixdata.open_dataset(tiny.path).members("train-000002").to_pandas()
    row = shard[(shard["role"] == "input") & (shard["stem"] == "bass")].iloc[0]
    with open(tiny.path / "shards" / "train-000002.tar", "r+b") as file:
        file.seek(row["byte_offset"] + row["byte_size"] - 1000)
        file.write(b"\x7f" * 100)
    words = {"crop": 0.5, "remix": GAINS, "records": True, "verify": "crc"}
    strict, tolerant = ShardDataset(tiny.path, **words), ShardDataset(tiny.path, damaged="skip", **words)
    replaced = 0
    for index in range(60):
        item = tolerant[index]
        drawn = json.loads(item["remix"])
        assert song_of(row["key"]) != song_of(drawn["bass"]["key"])
        assert np.array_equal(item["input"][2].numpy(), redone(songs, drawn["bass"], "input", "bass", 4000))
        if item["skipped"]:
            replaced += 1
            with pytest.raises(MixdataError, match=r"train-000002.*input\.bass"):
                strict[index]
        else:
            assert same(strict[index], item)
    assert 2 < replaced < 40


@pytest.mark.parametrize(
    "words, message",
    [
        ({"swap_chanels": 0.5}, "remix: unknown word 'swap_chanels'; did you mean 'swap_channels'?"),
        ({"flip": 1, "probability": 2}, "probability: input should be less than or equal to 1\nremix: unknown word 'flip'"),
        ({"gain_db": 1, "scale": 1}, "two ways to say one thing"),
        ({"gain_db": {"unifrom": [0, 1]}}, "gain_db: not a distribution: use a number or one of uniform"),
        ({"gain_db": {"uniform": [0, 90]}}, "gain_db.*between -60 and 60"),
        ({"scale": 0}, "scale.*between 0.001 and 1000"),
        ({"swap_channels": True}, "swap_channels: input should be a valid number"),
    ],
)
def test_wrong_words_are_named(tiny, words, message):
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        ShardDataset(tiny, remix=words)


@pytest.mark.parametrize(
    "words, message",
    [
        ({"stems": ["drum"]}, "unknown stem 'drum'; did you mean 'drums'"),
        ({"stems": ["mixture"]}, "unknown stem 'mixture'"),
        ({"gain_roles": ["targets"]}, "unknown gain role 'targets'; did you mean 'target'"),
        ("no/such/file.yaml", "no/such/file.yaml: cannot be read"),
    ],
)
def test_unknown_names_are_refused(tiny, words, message):
    with pytest.raises(UsageError, match=message):
        ShardDataset(tiny, remix=words)


def test_words_may_lie_in_a_file(tiny, tmp_path):
    file = tmp_path / "remix.yaml"
    file.write_text("probability: 0.9\nscale: {uniform: [0.25, 1.25]}\n")
    said = ShardDataset(tiny, crop=0.5, remix={"probability": 0.9, **DEMUCS}, records=True)
    read = ShardDataset(tiny, crop=0.5, remix=file, records=True)
    assert all(same(said[index], read[index]) for index in range(5))
    file.write_text("probability: 0.9\nsame_sogn: 0.25\n")
    with pytest.raises(RecipeError, match=r"remix\.yaml:2: unknown word 'same_sogn'; did you mean 'same_song'"):
        ShardDataset(tiny, remix=file)
    file.write_text("- gain_db\n")
    with pytest.raises(RecipeError, match="are a mapping"):
        ShardDataset(tiny, remix=file)


def test_a_mixture_that_is_no_sum_is_refused_unless_it_is_left_out(tmp_path):
    path = write_tiny(tmp_path / "set", {"train": [9000, 9000]}).path
    meta = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps(meta | {"sums": []}))
    with pytest.raises(UsageError, match=r"role target holds a mixture .* cannot be made anew: leave it out"):
        ShardDataset(path, remix={})
    assert ShardDataset(path, stems=STEMS, remix={})[0]["target"].shape[0] == 4
    (path / "dataset.json").write_text(json.dumps(meta | {"roles": {**ROLES, "target": ["mixture"]}}))
    with pytest.raises(UsageError, match="role target holds no stems to make its mixture of"):
        ShardDataset(path, remix={})
    (path / "dataset.json").write_text(json.dumps(meta | {"sums": [7]}))
    with pytest.raises(MixdataError, match="damaged, see sums"):
        ShardDataset(path, remix={})


def test_one_song_is_none_to_mix_with(tmp_path, many):
    path = write_tiny(tmp_path / "set", {"train": [20100]}).path
    with pytest.raises(UsageError, match=r"takes stems of several songs.*offers blocks of song-1-.* only"):
        ShardDataset(path, remix={})
    song = song_of(mixdata.open_dataset(many).examples["key"][0])
    with pytest.raises(UsageError, match="several songs"):
        ShardDataset(many, where=f"song = '{song}'", remix={})
