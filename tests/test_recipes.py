"""A recipe means what it looks like, and every mistake in it is named at once."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixdata import rng
from mixdata.cli import recipes_validate
from mixdata.corpora import load_corpus
from mixdata.errors import RecipeError, UsageError
from mixdata.recipes import load_recipe, recipe_names, strict_yaml
from mixdata.recipes.distributions import KINDS, Choice, Integers, LogUniform, Normal, Uniform
from mixdata.recipes.model import parse_size, recipe_from_data
from mixdata.recipes.steps.segment import boundaries
from mixdata.recipes.work import load_work


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("1e3", 1000.0), ("12:30", "12:30"), ("1.10", 1.1), ("0x10", 16), ("0o17", 15),
        ("0x", "0x"), ("-0x1", "-0x1"), ("010", 10), ("1_000", "1_000"),
        ("~", None), ("", None), ("true", True), ("'true'", "true"), ("-.5", -0.5), ("2026-11-20", "2026-11-20"), ("[1, [2]]", [1, [2]]),
    ],
)  # fmt: skip
def test_values_are_yaml_1_2_core(text, value):
    found = strict_yaml.load_value(text, "test")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2", "a: &x [1]\nb: *x", "a: .inf", "a: .nan", "a: 1e999", "a: !!python/object/apply:os.system [ls]", "[" * 60 + "]" * 60,
        "a: [1", "a: 1\n---\nb: 2", "a: " + "1" * 5000,
        "a: 0x" + "f" * 5000, r'a: "\ud800"', r'"\udfff": 1', r'a: "\U00110000"', r'a: "\UFFFFFFFF"',
        "? [1]\n: 2", "<<: {a: 1}\n<<: {b: 1}",
    ],
)  # fmt: skip
def test_what_is_not_plain_data_is_refused(text):
    with pytest.raises(RecipeError, match="test"):
        strict_yaml.load(text, "test")


def test_the_scan_stops_where_the_text_is_too_deep():
    with pytest.raises(RecipeError, match="nested deeper"):  # and not at the end, which has no closing brackets
        strict_yaml.load("[" * 8000, "test")


words = st.sampled_from(["no", "1e3", "12:30", "null", "0o17", "0x1F", "-0x1", ".5", "1.", "~"]) | st.text(
    st.characters(exclude_categories=["C"])
)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(categories=["L"]), min_size=1), inner, max_size=4),
    max_leaves=15,
)


@given(plain)
def test_what_is_dumped_loads_the_same(value):
    again = strict_yaml.load(strict_yaml.dump(value), "test").value
    assert again == value


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_survives_being_written_out(name):
    recipe = load_recipe(name)
    again = recipe_from_data(strict_yaml.load(recipe.to_yaml(), "resolved").value)
    assert again.resolved() == recipe.resolved() and again.identity() == recipe.identity()


def test_all_mistakes_are_named_at_once_with_file_line_and_nearest_word(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: Bad Name\n"
        "sampel_rate: 48000\n"
        "steps:\n"
        "  - separate: {separator: builtin, modle: x}\n"
        "  - bleed_jitter: {level_db: {unifrom: [-30, -20]}}\n"
        "  - segmnet: {seconds: 5}\n"
        "  - stem_loudness: {loudness: loud}\n"
        "output: {codec: mp3}\n"
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    text = str(caught.value)
    for line, words in [
        (1, "name"), (2, "did you mean 'sample_rate'"), (4, "separate.modle"), (5, "not a distribution"), (6, "did you mean 'segment'"),
        (7, "stem_loudness.loudness"), (8, "unknown codec 'mp3'"),
    ]:  # fmt: skip
        assert any(f":{line}:" in row and words in row for row in text.splitlines()), (line, words, text)
    assert "7 mistakes" in text


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ("[]", "needs a list of steps"),
        ("[{separate: {}}]", "exactly once"),
        ("[{segment: {}}, {separate: {}}]", "before segment"),
        ("[{separate: {}}, {separate: {}}, {segment: {}}]", "go by the name"),
        ("[{separate: {}, gate: {}}, {segment: {}}]", "is written"),
        ("[{segment: {seconds: 1, min_seconds: 2}}]", "longer than a block"),
        ("[{segment: {}}]", r":2: steps.0: segment needs 'input' or 'dry': put pair or separate or stems or tracks or wet_stems before it"),
        ("[{gate: {}}, {separate: {}}, {segment: {}}]", "gate needs 'input': put pair or separate or tracks or wet_stems before it"),
        (
            "[{separate: {}}, {stem_loudness: {}}, {segment: {}}]",
            "stem_loudness needs 'input.active': put gate or pair or tracks or wet_stems before it",
        ),
        (
            "[{separate: {}}, {bleed_jitter: {}}, {gate: {}}, {segment: {}}]",
            "bleed_jitter needs 'input.active': put gate or pair or tracks or wet_stems before it",
        ),
        ("[{separate: {}}, {gate: {}}, {bleed_jitter: {role: inptu}}, {segment: {}}]", "no step makes: 'inptu'; did you mean 'input'"),
        ("[{separate: {}}, {gate: {}}, {stem_loudness: {role: input.active}}, {segment: {}}]", "no step makes: 'input.active.active'"),
        (
            "[{stems: {}}, {segment: {}}, {effects: {remove: {from: [eq], count: 1}, per_stem: {drms: {eq: {}}}}}]",
            "'drms', which is not among",
        ),
        ("[{stems: {take: [mixture]}}, {segment: {}}, {effects: {remove: {from: [eq], count: 1}, mixture: true}}]", "leave out `mixture"),
        (
            "[{stems: {}}, {segment: {}}, {effects: {remove: {from: [low_pass], count: 1}, low_pass: {frequency_hz: 30000}}}]",
            "steps.2.effects: low_pass: .*22050",
        ),
        ("[{separate: {}}, {mix_loudness: {role: input}}, {segment: {}}]", "no step makes: 'input.mixture'"),
        ("[{separate: {}}, {gate: {}}, {gate: {}, as: again}, {segment: {}}]", "again makes 'input.active', which gate made already"),
        ("[{separate: {}}, {gate: false}, {segment: {}}]", "dictionary.*got False"),
        ("[{separate: 5}, {segment: {}}]", "unknown separator.*got 5"),
        ("[{separate: {separator: [1]}}, {segment: {}}]", "unknown separator"),
    ],
)
def test_impossible_orders_of_steps_are_refused(tmp_path, steps, complaint):
    (tmp_path / "r.yaml").write_text(f"name: r\nsteps: {steps}\n")
    with pytest.raises(RecipeError, match=complaint):
        load_recipe(tmp_path / "r.yaml")


@pytest.fixture(scope="module")
def song():
    return next(iter(load_corpus("synth:songs=1,seconds=2,sample_rate=8000")))


def test_every_order_of_steps_that_is_valid_runs(song):
    valid = 0
    for count in range(6):
        for names in permutations(["separate", "gate", "bleed_jitter", "stem_loudness", "mix_loudness"], count):
            data = {"name": "r", "sample_rate": 8000, "steps": [*names, "segment"]}
            try:
                recipe = recipe_from_data(data)
            except RecipeError:
                continue
            valid += 1
            work = load_work(song, "train", 8000, 0)
            for call in recipe.steps:
                call.step.run(work, call.params, call.label)
            assert {role: list(stems) for role, stems in work.examples[0].roles.items()} == recipe.roles(), names
    assert valid == 23


places = st.sampled_from(
    ["steps", "steps.0.as", "separate", "gate", "gate.relative_lu", "output.shard", "seed", "corpora.0", "splits.train"]
)


@given(steps=st.lists(st.sampled_from(["separate", "gate", "segment"]) | plain, max_size=4) | plain, setting=plain, place=places)
def test_whatever_is_written_is_a_recipe_or_a_clear_error(steps, setting, place):
    try:
        load_recipe("separated_pseudo", [f"{place}={strict_yaml.dump(setting)}"], {"steps": steps})
    except UsageError as error:
        assert str(error)


@pytest.mark.parametrize("steps", ["5", "abc", "{a: 1}", "[5]", "[[separate]]", "[{as: 3}]", "[{gate: {}, as: 3}]"])
def test_set_on_steps_that_are_none_is_refused(steps):
    with pytest.raises(UsageError, match="gaet"):
        load_recipe("separated_pseudo", [f"steps={steps}", "gaet.relative_lu=3"])


def test_set_never_replaces_a_list_by_one_of_its_parts():
    with pytest.raises(UsageError, match="steps is a list; name a step"):
        load_recipe("separated_pseudo", ["steps.0.separate.cache=off"])
    with pytest.raises(UsageError, match="corpora is a list; set it as a whole"):
        load_recipe("separated_pseudo", ["corpora.0=demo"])


@pytest.mark.parametrize(
    "setting",
    [
        "bleed_jitter.level_db=1e5", "bleed_jitter.level_db={choice: [a]}", "bleed_jitter.level_db={choice: [0, 121]}",
        "bleed_jitter.level_db={uniform: [-1e308, 1e308]}", "bleed_jitter.level_db={normal: [0, 31]}",
        "bleed_jitter.level_db={normal: [1e308, 1e308]}", "bleed_jitter.level_db={integers: [0, 99999999999999999999]}",
        "bleed_jitter.level_db={loguniform: [1, 121]}", "normalize.quiet_dbfs=900", "normalize.eq.most_db=-71",
        "normalize.eq.guard_db=1e6", "mix_loudness.loudness=1e6", "gate.relative_lu=121", "gate.floor_lufs=-1e5",
        "gate.min_seconds=1e9", "gate.min_mix_plr=1e5", "gate.max_clipped=-1", "max_song_seconds=1e9",
        f"output.shard={'9' * 400}GB", "output.shard=2000GB",
    ],
)  # fmt: skip
def test_numbers_that_make_no_audio_are_refused(setting):
    with pytest.raises(RecipeError, match=f"one mistake.*\n.*{setting.partition('=')[0]}"):
        load_recipe("separated_pseudo", [setting])


@pytest.mark.parametrize("level", ["-120", "120", "{choice: [-120, 0, 120]}", "{normal: [0, 30]}", "{uniform: [-120, 120]}"])
def test_numbers_up_to_their_limits_are_taken(level):
    load_recipe("separated_pseudo", [f"bleed_jitter.level_db={level}"])


def test_a_recipe_is_validated_without_loading_weights(tmp_path, capsys):
    (tmp_path / "r.yaml").write_text(f"name: r\nsteps:\n  - separate: {{separator: demucs, model: away, repo: {tmp_path}}}\n  - segment\n")
    recipes_validate(str(tmp_path / "r.yaml"))
    assert "valid" in capsys.readouterr().out


def test_set_reaches_top_level_steps_and_repeated_steps_by_their_names(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "name: r\nsteps:\n  - separate\n  - gate\n  - stem_loudness: {}\n  - stem_loudness: {loudness: -30}\n    as: again\n  - segment\n"
    )
    recipe = load_recipe(
        tmp_path / "r.yaml", ["seed=7", "again.loudness=-12.5", "output.codec=npy16", "splits={train: 1}", "segment.seconds=3"]
    )
    labels = {call.label: call.params for call in recipe.steps}
    assert recipe.header.seed == 7 and recipe.header.output.codec == "npy16" and recipe.header.splits == {"train": 1.0}
    assert labels["again"].loudness == -12.5 and labels["stem_loudness"].loudness == -25 and labels["segment"].seconds == 3


def test_a_separator_is_chosen_before_its_fields_are_set():
    recipe = load_recipe("separated_pseudo", ["separate.bleed_db=-12", "separate.cache=off"], {"separate": {"separator": "oracle"}})
    assert recipe.steps[0].params.bleed_db == -12 and recipe.steps[0].params.cache == "off"


@pytest.mark.parametrize("setting", ["seed", "=1", "sepparate.model=x", "separate.cache=maybe", "seed=1.5", "seed=no"])
def test_wrong_settings_are_refused(setting):
    with pytest.raises(UsageError):
        load_recipe("separated_pseudo", [setting])


def test_identity_follows_what_decides_the_bytes_and_nothing_else():
    base = load_recipe("separated_pseudo").identity()
    assert load_recipe("separated_pseudo", ["title=other", "corpora=['folder:/somewhere']"]).identity() == base
    for setting in (
        "seed=1",
        "sample_rate=48000",
        "output.codec=flac24",
        "gate.relative_lu=30",
        "bleed_jitter.level_db={uniform: [-30, -20]}",
    ):
        assert load_recipe("separated_pseudo", [setting]).identity() != base, setting


def test_paths_of_this_machine_are_not_written_into_the_dataset():
    recipe = load_recipe("separated_pseudo", [], {"separate": {"separator": "files", "pattern": "/secret/{song}/{stem}.wav"}})
    assert "/secret" not in recipe.to_yaml() and "/secret" in str(recipe.resolved(local=True))


def test_unknown_recipe_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'separated_pseudo'"):
        load_recipe("separated_pseud")


@pytest.mark.parametrize(("text", "count"), [("256MB", 256_000_000), ("1 GiB", 2**30), ("1.5kB", 1500), ("77", 77), (5, 5)])
def test_sizes(text, count):
    assert parse_size(text) == count


def test_distributions_draw_what_they_say():
    generator = rng.stream(0, "law")
    many = 20_000
    uniform = np.array([Uniform(uniform=[-40, -10]).draw(generator) for _ in range(many)])
    assert uniform.min() >= -40 and uniform.max() < -10 and abs(uniform.mean() + 25) < 0.3
    log = np.log([LogUniform(loguniform=[0.1, 1]).draw(generator) for _ in range(many)])
    assert abs(log.mean() - math.log(0.1) / 2) < 0.03
    normal = np.array([Normal(normal=[3, 2]).draw(generator) for _ in range(many)])
    assert abs(normal.mean() - 3) < 0.06 and abs(normal.std() - 2) < 0.05
    tails = np.array([Normal(normal=[0, 1]).draw(generator) for _ in range(100_000)])
    assert np.abs(tails).max() == 4  # six of 100,000 would be beyond
    counts = np.bincount([Integers(integers=[0, 4]).draw(generator) for _ in range(many)])
    assert len(counts) == 5 and np.all(np.abs(counts / many - 0.2) < 0.015)  # ends as likely as the rest
    assert {Choice(choice=[1.5, 2]).draw(generator) for _ in range(100)} == {1.5, 2}
    assert set(KINDS) == {"uniform", "loguniform", "normal", "integers", "choice", "weighted"}


@pytest.mark.parametrize(
    "text",
    [
        "{uniform: [1, 0]}",
        "{uniform: [1]}",
        "{normal: [0, -1]}",
        "{loguniform: [0, 1]}",
        "{choice: []}",
        "{uniform: [0, 1], normal: [0, 1]}",
    ],
)
def test_impossible_distributions_are_refused(text):
    with pytest.raises(RecipeError, match="one mistake"):
        load_recipe("separated_pseudo", [f"bleed_jitter.level_db={text}"])


@given(st.integers(1, 10_000), st.integers(1, 500), st.integers(0, 500))
def test_blocks_tile_the_song_and_none_is_too_short(frames, block, shortest):
    shortest = min(shortest, block)
    edges = boundaries(frames, block, shortest)
    lengths = np.diff(edges)
    assert edges[0] == 0 and edges[-1] == frames
    assert all(length == block for length in lengths[:-1])
    assert lengths[-1] >= min(shortest, frames) and lengths[-1] < block + max(shortest, 1)


def test_streams_are_addressed_not_consumed():
    first = rng.stream(3, "song", "step", 1).random(4)
    rng.stream(3, "song", "step", 2).random(100)
    assert np.array_equal(first, rng.stream(3, "song", "step", 1).random(4))
    assert not np.array_equal(first, rng.stream(4, "song", "step", 1).random(4))
    assert not np.array_equal(rng.stream(0, "a", "b").random(4), rng.stream(0, "ab").random(4))
