"""Replay: a finished dataset is what its records make of the songs, byte for byte; whatever is not so is told."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

import mixdata
from conftest import SONGS as SEPARATED
from conftest import small_recipe
from mixdata.builder import shard
from mixdata.builder.replay import replay_examples
from mixdata.cli import app
from mixdata.effects import EFFECTS as ALL_EFFECTS
from mixdata.effects import convolution, impulse_responses
from mixdata.effects.impulse_responses import ImpulseResponses
from mixdata.errors import MixdataError, UsageError
from mixdata.recipes import load_recipe
from mixdata.recipes.steps.effects import opened_responses
from mixdata.rng import stream
from mixdata.shards.reader import Dataset
from pair_sets import EFFECTS, LEVEL, RATE, SMALL, SONGS, pair_recipe


@pytest.fixture(scope="module")
def pair_set(tmp_path_factory):
    """A finished set with a mixture. Do not write into it."""
    return mixdata.build(
        pair_recipe(EFFECTS | {"mixture": True}), tmp_path_factory.mktemp("replay") / "set", [SONGS], workers=0, quiet=True
    )


def run(*words: object) -> tuple[int, str]:
    """Run `mixdata verify`. Returns its exit code and what it says."""
    done = CliRunner().invoke(app, ["verify", *map(str, words), "--quiet"])
    if isinstance(done.exception, MixdataError):  # what `main` makes of it, see test_cli.py
        return done.exception.exit_code, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_good_set_comes_out_the_same_byte_for_byte(pair_set):
    assert replay_examples(pair_set.path, 100, [SONGS]) == []


@pytest.mark.parametrize(
    "words", [{"per": "song"}, {"linked": True, "variants": 2}, {"level": {"lufs": -20, "over": "block", "before": "each"}}]
)
def test_every_way_of_making_pairs_can_be_replayed(tmp_path, words):
    recipe = pair_recipe(EFFECTS | words, "output.codec=npy16")
    dataset = mixdata.build(recipe, tmp_path / "set", ["synth:songs=2,seconds=5,sample_rate=16000"], workers=0, quiet=True)
    assert replay_examples(dataset.path, 100, ["synth:songs=2,seconds=5,sample_rate=16000"]) == []


def test_the_mixture_alone_can_be_replayed(tmp_path):
    spec = "synth:songs=1,seconds=3,sample_rate=16000"
    dataset = mixdata.build(pair_recipe(LEVEL, 'stems.take=["mixture"]'), tmp_path / "set", [spec], workers=0, quiet=True)
    assert replay_examples(dataset.path, 100, [spec]) == []


FAULTS = {
    "one_db": lambda out: out * np.float32(10 ** (1 / 20)),
    "last_bit_of_24": lambda out: out + np.float32(2**-23),
    "sign": lambda out: -out,
    "channels_swapped": lambda out: np.ascontiguousarray(out[..., ::-1, :]),
    "one_sample_late": lambda out: np.concatenate([np.zeros_like(out[..., :1]), out[..., :-1]], axis=-1),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ["high_pass", "distortion"])
def test_an_effect_that_changed_since_is_found(pair_set, monkeypatch, fault, name):
    """Where it is kept both roles come out otherwise, where it is removed the input alone, and no other stem but the mixture."""
    cls, plain = ALL_EFFECTS[name], ALL_EFFECTS[name].process
    monkeypatch.setattr(cls, "process", lambda self, audio, rate: FAULTS[fault](plain(self, audio, rate)))
    told = {str(problem) for problem in replay_examples(pair_set.path, 100, [SONGS])}
    expected = set()
    for example in pair_set:
        for stem, record in example.record["effects"].items():
            links = [link for link in record["chain"] if link["effect"] == name]
            for role in ("input", "target"):
                if any(role == "input" or not link["removed"] for link in links):
                    places = [f"replay of {example.key}: {role}.{each}" for each in (stem, "mixture")]
                    expected |= {f"{place} comes out with other bytes than are stored" for place in places}
    assert told and told <= expected
    assert told == expected or fault in ("last_bit_of_24", "channels_swapped")  # lost in a later gain; a stem may be mono


def change(monkeypatch, edit) -> None:
    """Let every record be read with this change in each pair."""
    plain = Dataset.load

    def load(self, key, verify=True):
        example = plain(self, key, verify)
        record = json.loads(json.dumps(example.record))
        for pair in record["effects"].values():
            edit(pair)
        return dataclasses.replace(example, record=record)

    monkeypatch.setattr(Dataset, "load", load)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda pair: pair.update(gain_db=pair["gain_db"] + 1e-3), id="gain"),
        pytest.param(lambda pair: pair["gains"]["match"].update(input=pair["gains"]["match"]["input"] + 1e-3), id="match"),
        pytest.param(
            lambda pair: pair["chain"].pop(next(n for n, link in enumerate(pair["chain"]) if link["removed"])), id="one_effect_less"
        ),
        pytest.param(lambda pair: [link.update(removed=not link["removed"]) for link in pair["chain"]], id="labels_turned"),
    ],
)
def test_a_record_that_is_not_that_of_its_audio_is_found(pair_set, monkeypatch, edit):
    change(monkeypatch, edit)
    problems = replay_examples(pair_set.path, 100, [SONGS])
    assert {problem.where for problem in problems} == {f"replay of {key}" for key in pair_set.examples["key"]}


def test_a_record_that_is_none_is_a_problem_and_no_traceback(pair_set, monkeypatch):
    change(monkeypatch, lambda pair: pair.pop("gains"))
    (problem, *_) = replay_examples(pair_set.path, 1, [SONGS])
    assert "its records cannot be replayed: KeyError: 'gains'" in str(problem)

    def shorten(pair) -> None:
        pair |= {"each_lufs": -20.0, "chain": pair["chain"] * 3}
        pair["gains"]["input"] = [0.0]

    monkeypatch.undo()
    change(monkeypatch, shorten)
    assert any("cannot be replayed" in problem.what for problem in replay_examples(pair_set.path, 1, [SONGS]))
    monkeypatch.undo()
    change(monkeypatch, lambda pair: pair["chain"][0].update(effect="gian"))
    assert any("did you mean 'gain'" in str(problem) for problem in replay_examples(pair_set.path, 1, [SONGS]))


def test_the_sample_is_seeded_and_as_large_as_asked(pair_set, monkeypatch):
    seen: list[str] = []
    plain = Dataset.load
    monkeypatch.setattr(Dataset, "load", lambda self, key, verify=True: seen.append(key) or plain(self, key, verify))
    samples = []
    for seed in (0, 0, 1):
        seen.clear()
        assert replay_examples(pair_set.path, 3, [SONGS], seed=seed) == []
        samples.append(sorted(seen))
    assert len(samples[0]) == 3 and samples[0] == samples[1] != samples[2]


def test_songs_that_are_not_there_are_an_error_that_says_corpus(pair_set):
    for corpora in (["synth:songs=1,seconds=5,sample_rate=16000"], ["synth:songs=4,seconds=6,sample_rate=16000"]):
        with pytest.raises(UsageError, match=r"songs to replay are not in the corpora.*--corpus NAME:ROOT"):
            replay_examples(pair_set.path, 100, corpora)
    with pytest.raises(UsageError, match="at least 1"):
        replay_examples(pair_set.path, 0, [SONGS])


def test_songs_are_found_wherever_they_lie_now(tmp_path):
    for name in ("here", "there"):
        for stem in ("drums", "bass"):
            path = tmp_path / name / "song" / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, stream(0, stem).standard_normal((3 * RATE, 2)) * 0.1, RATE)
    dataset = mixdata.build(pair_recipe(EFFECTS), tmp_path / "set", [f"folder:{tmp_path / 'here'}"], workers=0, quiet=True)
    shutil.rmtree(tmp_path / "here")
    assert replay_examples(dataset.path, 100, [f"folder:{tmp_path / 'there'}"]) == []
    code, said = run(dataset.path, "--replay", 5)
    assert code == 2 and "folder:PATH" in said
    assert run(dataset.path, "--replay", 5, "--corpus", f"folder:{tmp_path / 'there'}")[0] == 0
    soundfile.write(tmp_path / "there" / "song" / "bass.wav", stream(1, "bass").standard_normal((3 * RATE, 2)) * 0.1, RATE)
    assert run(dataset.path, "--replay", 5, "--corpus", f"folder:{tmp_path / 'there'}")[0] == 2, "its content is another"


def test_sets_with_impulse_responses_are_replayed_from_a_folder_that_is_given(tmp_path):
    folder = tmp_path / "rooms"
    for place, name in enumerate(("hall", "plate", "cave")):
        (folder / name).mkdir(parents=True)
        noise = stream(place, name).standard_normal((RATE // 4, 2)) * np.exp(-np.arange(RATE // 4) / 1500)[:, None]
        soundfile.write(folder / name / "a.wav", 0.3 * noise, RATE)
    recipe = pair_recipe({"remove": {"from": ["convolution"], "count": 1}, "impulse_responses": str(folder)})
    dataset = mixdata.build(recipe, tmp_path / "set", ["synth:songs=2,seconds=3,sample_rate=16000"], workers=0, quiet=True)
    moved = folder.rename(tmp_path / "moved")
    words = (dataset.path, "--replay", 3, "--corpus", "synth:songs=2,seconds=3,sample_rate=16000")
    _forget_responses()
    assert run(*words, "--set", f"effects.impulse_responses={moved}")[0] == 0
    code, said = run(*words)
    assert code == 2 and "--set effects.impulse_responses=FOLDER" in said
    for response in ImpulseResponses.open(moved).responses:
        if response.sha256 == _heard(dataset):
            (moved / response.path).unlink()
    _forget_responses()
    code, said = run(*words, "--set", f"effects.impulse_responses={moved}")
    assert code == 2 and "lacks 1 of its" in said


def _heard(dataset) -> str:
    return next(iter(dataset[0].record["effects"].values()))["chain"][0]["impulse_response"]


def _forget_responses() -> None:
    """As a new process would."""
    impulse_responses._paths.clear()
    opened_responses.cache_clear()
    impulse_responses.load.cache_clear()
    convolution._spectra.cache_clear()


def test_a_separated_set_is_replayed_by_its_recipe(built, monkeypatch):
    assert replay_examples(built, 4, [SEPARATED]) == []
    real = shard.load_work

    def louder(*rest):
        work = real(*rest)
        work.mixture = work.mixture * np.float32(0.5)
        return work

    monkeypatch.setattr(shard, "load_work", louder)
    problems = replay_examples(built, 2, [SEPARATED])
    assert problems and all("comes out with other bytes" in str(problem) or "cannot be replayed" in str(problem) for problem in problems)


def test_a_set_of_an_oracle_separator_is_replayed(tmp_path):
    spec = "synth:songs=2,seconds=4,sample_rate=16000"
    recipe = small_recipe("separate.separator=oracle")
    dataset = mixdata.build(recipe, tmp_path / "set", [spec], workers=0, quiet=True)
    assert replay_examples(dataset.path, 10, [spec]) == []


def test_dry_stems_are_replayed(tmp_path):
    dataset = mixdata.build(load_recipe("dry_stems", SMALL), tmp_path / "set", [SONGS], workers=0, quiet=True)
    assert replay_examples(dataset.path, 5, [SONGS]) == []


def test_exit_codes_and_json(pair_set, monkeypatch):
    code, said = run(pair_set.path, "--replay", 2, "--corpus", SONGS)
    assert code == 0 and "everything is as it should be" in said
    assert run(pair_set.path, "--replay", 2, "--corpus", "synth:songs=1,seconds=9")[0] == 2
    assert run(pair_set.path, "--replay", -1)[0] == 2
    cls, plain = ALL_EFFECTS["distortion"], ALL_EFFECTS["distortion"].process
    monkeypatch.setattr(cls, "process", lambda self, audio, rate: -plain(self, audio, rate))
    code, said = run(pair_set.path, "--replay", 100, "--corpus", SONGS, "--json")
    found = json.loads(said)
    assert code == 1 and not found["ok"] and "comes out with other bytes" in found["problems"][0]["what"]
    assert run(pair_set.path)[0] == 0, "without --replay nothing is made again"
