"""Datasets of wet/dry pairs: labels, levels, redraws and identity, from build to table."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import soundfile

import mixdata
from conftest import files_of
from mixdata.builder.plan import make_plan
from mixdata.builder.run import estimate
from mixdata.corpora import load_corpus
from mixdata.effects import EFFECTS as ALL_EFFECTS
from mixdata.effects import invert_compressor
from mixdata.effects.base import from_record
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.errors import MixdataError, UsageError
from mixdata.measures import integrated_loudness, rms_db
from mixdata.recipes import load_recipe
from mixdata.report.stats import dataset_statistics
from mixdata.rng import stream
from mixdata.shards.verify import verify
from mixdata.train.run import train
from pair_sets import EFFECTS, LEVEL, RATE, SMALL, SONGS, dry_stems, pair_recipe, rendered

STEP = 2.0**-23  # of 24 bits
STEMS = ("vocals", "drums", "bass", "other")


def build(tmp_path, recipe, songs=SONGS, name="set", workers=0):
    return mixdata.build(recipe, tmp_path / name, [songs], workers=workers, quiet=True)


@pytest.fixture(scope="module")
def dry() -> dict[str, dict[str, np.ndarray]]:
    return dry_stems()


@pytest.fixture(scope="module")
def removal(tmp_path_factory):
    """A finished set. Do not write into it."""
    return build(tmp_path_factory.mktemp("removal"), pair_recipe(EFFECTS))


def stored_error(example, stem, expected) -> float:
    """By how many quantization steps the stored audio misses what it should be."""
    found = [np.abs(example.roles[role][stem] - expected[role]).max() * example.scale for role in ("input", "target")]
    return float(max(found)) / STEP


def test_what_is_stored_is_what_the_labels_say(removal, dry):
    """Every pair, rendered anew by a plain loop over its record: within the rounding of 24 bits."""
    pairs = 0
    for example in removal:
        for stem in STEMS:
            if stem in example.record["effects"]:
                assert stored_error(example, stem, rendered(example, stem, dry[example.song][stem])) <= 1.5
                assert example.active["input"][stem] and example.active["target"][stem] and example.activity[stem] >= 0.25
                pairs += 1
            else:
                assert not example.roles["input"][stem].any() and not example.roles["target"][stem].any()
                assert not example.active["input"][stem] and example.activity[stem] == 0
    assert pairs > 20


def test_the_columns_of_the_index_are_the_labels_of_the_records(removal):
    kinds = Counter()
    for row, example in zip(removal.examples.to_dict("records"), removal, strict=True):
        assert row["key"] == example.key
        effects = example.record["effects"]
        expected = [(stem, place, link) for stem, record in effects.items() for place, link in enumerate(record["chain"])]
        assert len(row["effects"]) == len(expected)
        for found, (stem, place, link) in zip(row["effects"], expected, strict=True):
            assert (found["stem"], found["position"]) == (stem, place)
            assert [found[name] for name in ("effect", "label", "removed")] == [link[name] for name in ("effect", "label", "removed")]
            numbers, words = dict(found["parameters"]), dict(found["choices"])
            for name, value in link.items():
                if name in ("effect", "label", "removed"):
                    continue
                if isinstance(value, bool):
                    assert words[name] == str(value).lower()
                elif isinstance(value, str) and value != "inf":
                    assert words[name] == value
                else:
                    assert numbers[name] == float(value)
            assert len(numbers) + len(words) == len(link) - 3
            kinds[link["effect"], link["removed"]] += 1
        for stem in STEMS:
            for name, removed in ((f"removed_{stem}", True), (f"kept_{stem}", False)):
                labels = [link["label"] for link in effects[stem]["chain"] if link["removed"] is removed] if stem in effects else None
                assert labels == (None if row[name] is None else list(row[name]))
    assert len(kinds) == 6, "each effect of the recipe was drawn, and the compressor both ways"


def test_positions_are_any_and_every_kept_effect_stands_before_and_behind_removed_ones(removal):
    flags = Counter(
        "".join("r" if link["removed"] else "k" for link in record["chain"])
        for example in removal
        for record in example.record["effects"].values()
    )
    assert any("kr" in each for each in flags) and any("rk" in each for each in flags) and max(each.count("r") for each in flags) == 3


def test_the_level_is_that_of_the_whole_stem_and_both_are_as_loud(removal, dry):
    for example in removal:
        for stem, record in example.record["effects"].items():
            loudness = integrated_loudness(dry[example.song][stem], RATE)
            assert record["level_lufs"] == -20 and record["gain_db"] == pytest.approx(-20 - loudness, abs=1e-6)
            levels = [integrated_loudness(example.roles[role][stem], RATE) for role in ("input", "target")]
            assert levels[0] == pytest.approx(levels[1], abs=0.1)
            assert example.record["loudness"]["input"][stem] == pytest.approx(levels[0], abs=0.01)


@pytest.mark.parametrize("before", ["chain", "each"])
def test_a_level_over_the_block_is_measured_in_the_block(tmp_path, dry, before):
    dataset = build(tmp_path, pair_recipe(EFFECTS | {"level": {"lufs": -23, "over": "block", "before": before}, "match": "none"}))
    for example in dataset:
        for stem, record in example.record["effects"].items():
            block = dry[example.song][stem][:, example.start : example.start + example.frames]
            assert record["gain_db"] == pytest.approx(-23 - integrated_loudness(block, RATE), abs=1e-6)
            assert record["each_lufs"] == (-23 if before == "each" else None)
            assert len(record["gains"]["input"]) == (len(record["chain"]) if before == "each" else 0)
            assert stored_error(example, stem, rendered(example, stem, dry[example.song][stem])) <= 1.5


def test_the_pre_roll_is_a_second_and_what_there_is_of_it_at_the_beginning(removal):
    found = {(example.block, record["pre_roll"]) for example in removal for record in example.record["effects"].values()}
    assert found == {(0, 0), (1, RATE), (2, RATE)}


def test_every_pair_says_where_it_comes_from_and_how_clearly_it_is_there(removal):
    for example in removal:
        for record in example.record["effects"].values():
            assert record["source"] == "dry" and record["per"] == "block" and len(record["presence"]) == len(record["chain"])
            assert all(found["difference_db"] >= -40 and found["stft"] >= 1e-3 for found in record["presence"])


def test_pairs_of_a_stem_are_drawn_anew_for_every_block_song_and_stem(removal):
    chains = [str(record["chain"]) for example in removal for record in example.record["effects"].values()]
    assert len(set(chains)) == len(chains)


def test_the_finished_set_is_clean(removal):
    assert verify(removal.path) == []


def test_workers_kills_and_resumes_do_not_change_a_byte(removal, tmp_path):
    reference = files_of(removal.path)
    assert len([name for name in reference if name.endswith(".tar")]) > 2
    words = tmp_path / "recipe.yaml"
    words.write_text(pair_recipe(EFFECTS).to_yaml())
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "mixdata.cli", "build", "--recipe", str(words), "-c", SONGS, "-o", str(out), "-j", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline and not list(out.glob("shards/*.parquet")):
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert list(out.glob("shards/*.parquet"))
    mixdata.build(load_recipe(words), out, [SONGS], workers=2, quiet=True)  # the first shards were made by one, the set by none
    assert files_of(out) == reference


@pytest.fixture(scope="module")
def continuous(tmp_path_factory):
    words = EFFECTS | {"per": "song", "remove": {"from": ["delay", "compressor"], "count": 2}, "delay": {"time_s": 0.5, "mix": 0.4}}
    return build(tmp_path_factory.mktemp("continuous"), pair_recipe(words))


def test_with_a_chain_per_song_blocks_join_bit_for_bit_and_tails_run_on(continuous, dry):
    assert continuous.continuous and verify(continuous.path) == []
    songs: dict[str, list] = {}
    for example in continuous:
        songs.setdefault(example.song, []).append(example)
    tails = 0
    for name, blocks in songs.items():
        assert [block.start for block in blocks] == [0, 2 * RATE, 4 * RATE] and len({block.scale for block in blocks}) == 1
        for stem in blocks[0].record["effects"]:
            assert all(block.record["effects"][stem] == blocks[0].record["effects"][stem] for block in blocks)
            whole = replace_whole(blocks, stem, dry[name][stem])
            for role in ("input", "target"):
                joined = np.concatenate([block.roles[role][stem] for block in blocks], axis=1)
                assert np.abs(joined - whole[role]).max() * blocks[0].scale <= 1.5 * STEP
            own = rendered_alone(blocks[1], stem, dry[name][stem])
            tails += np.abs(own["input"] - blocks[1].roles["input"][stem]).max() > 1e-3
    assert tails > 2, "a second block by itself would lack the first one's echoes"


def replace_whole(blocks, stem, dry):
    """The whole song's rendering by the record of its first block."""
    parts = [rendered(block, stem, dry) for block in blocks]
    return {role: np.concatenate([part[role] for part in parts], axis=1) for role in ("input", "target")}


def rendered_alone(block, stem, dry):
    """The block as it would be if nothing had been before it."""
    silent = dry.copy()
    silent[:, : block.start] = 0
    return rendered(block, stem, silent)


def test_variants_of_a_block_have_keys_and_chains_of_their_own(tmp_path):
    dataset = build(tmp_path, pair_recipe(EFFECTS | {"variants": 3}), "synth:songs=1,seconds=4,sample_rate=16000")
    assert verify(dataset.path) == []
    keys = list(dataset.examples["key"])
    assert len(keys) == 6 and [key[-2:] for key in keys] == ["_0", "_1", "_2"] * 2 and len(set(keys)) == 6
    chains = [str(record["chain"]) for example in dataset for record in example.record["effects"].values()]
    assert len(set(chains)) == len(chains) and [example.record["variant"] for example in dataset] == [0, 1, 2] * 2
    first = build(tmp_path, pair_recipe(EFFECTS | {"variants": 1}), "synth:songs=1,seconds=4,sample_rate=16000", "one")
    assert first[0].record["effects"] == dataset[0].record["effects"], "one more variant changes none of those before it"


def test_linked_stems_share_a_chain_and_a_bad_one_is_drawn_anew_for_all(tmp_path):
    words = EFFECTS | {"linked": True, "check": {"difference_db": -15}}
    dataset = build(tmp_path, pair_recipe(words))
    redrawn = 0
    for example in dataset:
        records = list(example.record["effects"].values())
        assert all(record["chain"] == records[0]["chain"] and record["redrawn"] == records[0]["redrawn"] for record in records)
        redrawn += len(records) > 1 and len(records[0]["redrawn"]) > 0
        for record in records:
            assert all(found["difference_db"] >= -15 for found in record["presence"])
    assert redrawn > 0
    assert len({str(next(iter(example.record["effects"].values()))["chain"]) for example in dataset}) == len(dataset)


def test_with_a_mixture_each_role_has_the_sum_of_its_stems(tmp_path, dry):
    dataset = build(tmp_path, pair_recipe(EFFECTS | {"mixture": True}, "segment.seconds=5"))
    assert dataset.roles == {"input": ("mixture", *STEMS), "target": ("mixture", *STEMS)}
    assert dataset.meta["sums"] == [{"role": "input", "total": "mixture"}, {"role": "target", "total": "mixture"}]
    assert verify(dataset.path) == []
    for example in dataset:
        for role in ("input", "target"):
            total = sum(example.roles[role][stem].astype(np.float64) for stem in STEMS)
            assert np.abs(total - example.roles[role]["mixture"]).max() <= 5 * STEP / example.scale and total.any()
            assert example.active[role]["mixture"]


def test_the_mixture_alone_can_be_processed(tmp_path):
    dataset = build(tmp_path, pair_recipe(LEVEL, 'stems.take=["mixture"]'), "synth:songs=1,seconds=2,sample_rate=16000")
    assert dataset.roles == {"input": ("mixture",), "target": ("mixture",)}
    ratio = np.linalg.norm(dataset[0].roles["input"]["mixture"]) / np.linalg.norm(dataset[0].roles["target"]["mixture"])
    assert 20 * np.log10(ratio) == pytest.approx(-6, abs=1e-3)
    with pytest.raises(MixdataError, match="leave out `mixture: true`"):
        build(tmp_path, pair_recipe(LEVEL | {"mixture": True}, 'stems.take=["mixture"]'), name="other")


def test_a_stem_that_hardly_sounds_takes_no_part(tmp_path, dry):
    shares = {}
    for least in (0.0, 0.9):
        dataset = build(tmp_path, pair_recipe(LEVEL | {"min_activity": least}), name=str(least))
        shares[least] = {(example.key, stem) for example in dataset for stem in example.record["effects"]}
    plain = build(tmp_path, load_recipe("dry_stems", SMALL), name="dry")
    activity = {(example.key, stem): example.activity[stem] for example in plain for stem in STEMS if example.active["dry"][stem]}
    assert shares[0.9] == {place for place, share in activity.items() if share >= 0.9} < shares[0.0]


def test_effects_already_on_the_source_are_declared_and_never_labelled(tmp_path):
    corpora = {"dry": "synth:songs=1,seconds=2,sample_rate=16000", "wet": "synth:songs=1,seconds=2,sample_rate=16000,effects=true"}
    for wet, spec in corpora.items():
        record = next(iter(build(tmp_path, pair_recipe(LEVEL), spec, wet)[0].record["effects"].values()))
        assert record["source"] == wet and [link["effect"] for link in record["chain"]] == ["gain"]
    told = build(tmp_path, pair_recipe(LEVEL | {"source": "unknown"}), corpora["dry"], "told")
    assert next(iter(told[0].record["effects"].values()))["source"] == "unknown"


SLIGHT = {  # a gain that is often too slight to be there
    "remove": {"from": ["gain", "distortion"], "probability": {"gain": 0.7, "distortion": 0.5}},
    "gain": {"gain_db": {"uniform": [-0.2, 0.2]}},
}


def test_redraws_are_counted_and_the_law_is_told_before_and_after_them(tmp_path):
    dataset = build(tmp_path, pair_recipe(SLIGHT), "synth:songs=6,seconds=6,sample_rate=16000")
    records = [record for example in dataset for record in example.record["effects"].values()]
    songs = dataset.songs
    redraws = [redraw for record in records for redraw in record["redrawn"]]
    assert len(redraws) > 10 and {redraw["reason"] for redraw in redraws} == {"absent"}
    assert all("gain" in redraw["chain"] for redraw in redraws), "a distortion is never too slight"
    given_up = songs["pairs_rejected"].sum() if "pairs_rejected" in songs else 0
    assert songs["pairs_accepted"].sum() == len(records) and songs["pairs_drawn"].sum() == len(records) + given_up
    assert songs["redraws_absent"].sum() == len(redraws) + 8 * given_up
    accepted = Counter(link["label"] for record in records for link in record["chain"])
    assert {name: songs[f"accepted_remove_{name}"].sum() for name in accepted} == accepted
    firsts = [record["redrawn"][0]["chain"] if record["redrawn"] else [link["label"] for link in record["chain"]] for record in records]
    drawn = sum("gain" in first for first in firsts)
    assert given_up or songs["drawn_remove_gain"].sum() == drawn
    found = dataset_statistics(dataset, 0)["pairs"]
    gain = next(row for row in found["removed"] if row["label"] == "gain")
    assert gain["drawn"] == songs["drawn_remove_gain"].sum() / songs["pairs_drawn"].sum() > gain["accepted"] + 0.1
    assert gain["accepted"] == accepted["gain"] / len(records)


def test_a_redraw_uses_nothing_of_the_draw_before(tmp_path):
    """With one attempt fewer, every other pair is the same: attempts are addressed, not counted off."""
    found = []
    for attempts in (8, 2):
        words = SLIGHT | {"check": {"attempts": attempts}}
        dataset = build(tmp_path, pair_recipe(words), "synth:songs=2,seconds=4,sample_rate=16000", str(attempts))
        found.append({(e.key, stem): record for e in dataset for stem, record in e.record["effects"].items()})
    assert found[1].keys() < found[0].keys()
    for place, record in found[0].items():
        assert (place in found[1]) == (len(record["redrawn"]) < 2)
        if place in found[1]:
            assert record == found[1][place]


def test_a_stem_of_which_no_pair_is_good_is_silent_and_counted(tmp_path):
    words = EFFECTS | {"per_stem": {"drums": {"remove": {"from": ["gain"], "count": 1}, "keep": {}, "gain": {"gain_db": 0.01}}}}
    dataset = build(tmp_path, pair_recipe(words))
    assert verify(dataset.path) == []
    for example in dataset:
        assert "drums" not in example.record["effects"] and example.activity["drums"] == 0
        assert not example.active["input"]["drums"] and not example.active["target"]["drums"]
        assert not example.roles["input"]["drums"].any() and not example.roles["target"]["drums"].any()
        assert example.record["effects"]
    rejected = int(dataset.songs["pairs_rejected"].sum())
    assert rejected > 3 and dataset.songs["redraws_absent"].sum() >= 8 * rejected
    assert dataset.songs["pairs_drawn"].sum() == dataset.songs["pairs_accepted"].sum() + rejected


def test_a_song_without_any_pair_is_left_out_by_its_reason(tmp_path):
    dead = LEVEL | {"gain": {"gain_db": 0.01}}
    with pytest.raises(MixdataError, match="no block of it gives an example"):
        build(tmp_path, pair_recipe(dead))
    silent = tmp_path / "songs"
    for name, stems in {"good": STEMS, "bad": ("drums", "mixture")}.items():
        (silent / name).mkdir(parents=True)
        for place, stem in enumerate(stems):
            noise = stream(place, name).standard_normal((3 * RATE, 2)) * 0.1
            soundfile.write(silent / name / f"{stem}.wav", noise, RATE)
    words = LEVEL | {"per_stem": {"drums": {"gain": {"gain_db": 0.01}}}}
    dataset = build(tmp_path, pair_recipe(words), f"folder:{silent}", "some")
    rows = dataset.songs.set_index("title")
    assert rows.loc["bad", "reason"] == "no_examples" and rows.loc["good", "status"] == "used"
    assert "no block of it gives an example" in rows.loc["bad", "message"]


def test_a_song_without_stems_is_left_out_with_a_hint(tmp_path):
    (tmp_path / "mixes").mkdir()
    soundfile.write(tmp_path / "mixes" / "mix.wav", stream(0, "mix").standard_normal((2 * RATE, 2)) * 0.1, RATE)
    with pytest.raises(MixdataError, match=r"has a mixture only; use a corpus with stems, or `stems: {take: .mixture.}`"):
        build(tmp_path, pair_recipe(LEVEL), f"folder:{tmp_path / 'mixes'}")


def test_what_the_sample_rate_cannot_hold_is_drawn_anew_and_counted(tmp_path):
    """The low-pass's own law goes to 12 kHz; at 16 kHz only what is under 8 kHz can be."""
    words = {"remove": {"from": ["low_pass"], "count": 1}, "low_pass": {"frequency_hz": {"uniform": [2000, 12_000]}}}
    dataset = build(tmp_path, pair_recipe(words))
    assert dataset.songs["redraws_rate"].sum() > 3
    drawn = [link["frequency_hz"] for example in dataset for record in example.record["effects"].values() for link in record["chain"]]
    assert drawn and max(drawn) < 8000
    assert verify(dataset.path) == []


def rooms(folder, names, seed=0):
    """Write a folder of impulse responses: two for each room."""
    for name in names:
        for place in range(2):
            (folder / name).mkdir(parents=True, exist_ok=True)
            noise = stream(seed, name, place).standard_normal((RATE // 4, 2))
            soundfile.write(folder / name / f"{place}.wav", 0.3 * noise * np.exp(-np.arange(RATE // 4) / 1500)[:, None], RATE)
    return folder


CONVOLUTION = {"remove": {"from": ["convolution"], "count": 1}}


def test_impulse_responses_are_split_by_room_and_no_room_is_heard_in_two_splits(tmp_path):
    folder = rooms(tmp_path / "rooms", ["hall", "plate", "cave", "stairs", "church"])
    recipe = pair_recipe(CONVOLUTION | {"impulse_responses": str(folder)}, "splits={train: 0.5, valid: 0.25, test: 0.25}")
    dataset = build(tmp_path, recipe, "synth:songs=9,seconds=3,sample_rate=16000")
    room_of = {response.sha256: response.room for response in ImpulseResponses.open(folder).responses}
    heard: dict[str, set[str]] = {}
    for example in dataset:
        for record in example.record["effects"].values():
            heard.setdefault(example.split, set()).add(room_of[record["chain"][0]["impulse_response"]])
    assert len(heard) == 3 and all(heard.values()) and sum(len(each) for each in heard.values()) == len(set.union(*heard.values()))
    assert verify(dataset.path) == []
    assert str(folder).encode() not in b"".join(files_of(dataset.path).values()), "a path of this machine is no part of a dataset"


def test_identity_follows_the_content_of_the_folder_of_responses_and_not_its_path(tmp_path):
    def identity(folder):
        return pair_recipe(CONVOLUTION | {"impulse_responses": str(folder)}).identity()

    names = ["hall", "plate", "cave"]
    first, second = rooms(tmp_path / "one", names), rooms(tmp_path / "elsewhere", names)
    before = identity(first)
    assert identity(second) == before
    rooms(first, ["new"])
    assert identity(first) != before, "the folder was changed in the same process"
    assert identity(rooms(tmp_path / "other", names, seed=1)) != before


def test_identity_follows_the_versions_of_the_effects_that_can_be_drawn(monkeypatch):
    before = pair_recipe(EFFECTS).identity()
    monkeypatch.setattr(ALL_EFFECTS["reverb"], "version", 99)
    assert pair_recipe(EFFECTS).identity() == before
    nested = EFFECTS | {"aliases": {"plate": {"send": {"effects": ["reverb"]}}}, "keep": {"from": ["plate"], "count": 1}}
    inside = pair_recipe(nested).identity()
    monkeypatch.setattr(ALL_EFFECTS["reverb"], "version", 100)
    assert pair_recipe(nested).identity() != inside
    monkeypatch.setattr(ALL_EFFECTS["distortion"], "version", 99)
    assert pair_recipe(EFFECTS).identity() != before
    shards = [make_plan(pair_recipe(EFFECTS), [load_corpus(SONGS)], quiet=True).shards[0].id]
    monkeypatch.setattr(ALL_EFFECTS["distortion"], "version", 100)
    shards.append(make_plan(pair_recipe(EFFECTS), [load_corpus(SONGS)], quiet=True).shards[0].id)
    assert shards[0] != shards[1], "a build that was begun with the other version is not resumed"


def test_drc_inversion_gives_pairs_that_can_be_inverted(tmp_path):
    """What is stored at 24 bits, undone by the parameters in the record, is the stored target: better than -120 dBFS RMS."""
    dataset = build(tmp_path, load_recipe("drc_inversion", SMALL))
    errors = []
    for example in dataset:
        for stem, record in example.record["effects"].items():
            (link,) = record["chain"]
            assert link["removed"] and record["pre_roll"] == 0 and record["match"] == "none"
            compressor = from_record({name: value for name, value in link.items() if name not in ("label", "removed")})
            assert record["level_lufs"] - 15 <= compressor.threshold_db <= record["level_lufs"] and 1.5 <= compressor.ratio <= 12
            dry = invert_compressor(example.roles["input"][stem].astype(np.float64), RATE, compressor)
            errors.append(rms_db(dry - example.roles["target"][stem]))
            assert rms_db(example.roles["input"][stem] - example.roles["target"][stem]) > -60
    assert len(errors) > 15 and max(errors) < -120, max(errors)


def test_the_level_of_a_chain_is_a_column_and_in_the_statistics(tmp_path):
    words = {"remove": {"from": ["distortion"], "count": 1}, "level": {"lufs": {"uniform": [-30, -15]}}}
    dataset = build(tmp_path, pair_recipe(words), "synth:songs=2,seconds=4,sample_rate=16000")
    for _, row in dataset.examples.iterrows():
        for stem, record in dataset.load(row["key"]).record["effects"].items():
            assert row[f"level_lufs_{stem}"] == np.float32(record["level_lufs"]) and -30 <= record["level_lufs"] < -15
            assert row[f"level_gain_db_{stem}"] == np.float32(record["gain_db"])
    rows = dataset_statistics(dataset)["pairs"]["parameters"]
    level = next(row for row in rows if (row["label"], row["parameter"]) == ("level", "lufs"))
    assert -30 <= level["min"] < level["max"] < -15


def test_a_plan_counts_variants_and_tries_only_one(tmp_path):
    """A dry run must not make a thousand of each block to tell how long that would take."""
    corpus = [load_corpus("synth:songs=2,seconds=4,sample_rate=16000")]
    words = {"remove": {"from": ["distortion"], "count": 1}}
    one, many = (make_plan(pair_recipe(words | {"variants": n}), corpus, quiet=True) for n in (1, 50))
    assert many.dataset_bytes() == pytest.approx(50 * one.dataset_bytes(), rel=1e-6)
    assert many.recipe.single().variants == 1 and many.recipe.variants == 50
    assert estimate(many, 1).seconds > 5 * estimate(one, 1).seconds > 0


def test_the_trainer_says_how_to_build_a_set_that_it_can_learn_from(tmp_path):
    dataset = build(tmp_path, pair_recipe({"remove": {"from": ["distortion"], "count": 1}}), "synth:songs=1,seconds=2,sample_rate=16000")
    with pytest.raises(UsageError, match=r"effects\.mixture=true"):
        train(dataset.path, 1, tmp_path / "run")
