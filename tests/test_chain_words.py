"""The words of effect chains mean what they say: realized statistics, errors, resolved recipes, and presets of published systems.

Statistics are taken over 10,000 draws before any rejection. Seeds are fixed, so a test that passes always passes; its significance is
`ALPHA`: a law that is true would fail for one seed in 10,000.
"""

import json
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixdata.effects import EFFECTS, describe, from_record, pairs
from mixdata.effects.base import parameters
from mixdata.effects.pairs import Rendered
from mixdata.errors import RecipeError, UsageError
from mixdata.recipes import load_recipe, strict_yaml
from mixdata.recipes.distributions import Choice, Integers, LogUniform, Uniform
from mixdata.recipes.effect_words import WORDS, Setting
from mixdata.recipes.model import recipe_from_data
from mixdata.recipes.pair_maker import Maker, Source
from mixdata.rng import stream

MANY = 10_000
ALPHA = 1e-4
SETTING = Setting(-20.0, ("a" * 64, "b" * 64))
HEAD = "name: r\nsteps:\n  - stems\n  - segment\n  - effects:\n"


def written(tmp_path, words: str) -> str:
    """Write a recipe with these words for the effects, which begin in line 6. Returns its path."""
    path = tmp_path / "r.yaml"
    path.write_text(HEAD + "".join(f"      {line}\n" for line in words.splitlines()))
    return str(path)


def laws(words: str):
    """Return the checked parameters of an `effects` step."""
    stems = {"stems": {"take": ["vocals", "drums", "bass", "other", "piano"]}}
    effects = {"effects": strict_yaml.load_value(words, "test")}
    return recipe_from_data({"name": "r", "steps": [stems, "segment", effects]}).steps[-1].params


def chains(words: str, count: int = MANY, stem: str = "any", setting: Setting = SETTING):
    """Draw chains, each from a stream of its own as in a build."""
    drawn_from = laws(words).laws_of(stem)
    return [drawn_from.draw(stream(1, "song", number), setting) for number in range(count)]


def likely(counts: dict, shares: dict) -> bool:
    """Whether counts fit the shares by a chi-square test; what has no share must not come at all."""
    total = sum(counts.values())
    assert set(counts) <= {key for key, share in shares.items() if share > 0}, (counts, shares)
    possible = [key for key, share in shares.items() if share > 0]
    expected = np.array([shares[key] for key in possible])
    assert abs(expected.sum() - 1) < 1e-9
    return stats.chisquare([counts.get(key, 0) for key in possible], expected * total).pvalue > ALPHA


def labels(chain) -> tuple[str, ...]:
    return tuple(link.label for link in chain)


# How many, and which


def test_whole_numbers_come_equally_often_both_ends_included():
    counts = Counter(len(chain) for chain in chains("remove: {from: [gain, eq, pan, reverb], count: {integers: [1, 4]}}"))
    assert likely(counts, dict.fromkeys([1, 2, 3, 4], 1 / 4))


def test_weighted_counts_come_as_they_are_weighted():
    words = "remove: {from: [gain, eq, pan, reverb, delay], count: {weighted: [[0, 10], [1, 20], [2, 20], [3, 20], [4, 20], [5, 10]]}}"
    counts = Counter(len(chain) for chain in chains(words))
    assert likely(counts, {0: 0.1, 1: 0.2, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.1})
    assert not likely(counts, dict.fromkeys(range(6), 1 / 6))  # the test would notice


def test_without_weights_each_effect_is_as_likely():
    chosen = Counter(frozenset(labels(chain)) for chain in chains("remove: {from: [gain, eq, pan, reverb], count: 2}"))
    assert likely(chosen, {frozenset(pair): 1 / 6 for pair in combinations(["gain", "eq", "pan", "reverb"], 2)})


def successive(weights: dict[str, float], count: int, families: list[set[str]] = ()) -> dict:
    """The law of drawing one after the other by weight, without replacement: every sequence enumerated."""
    shares: Counter = Counter()
    for sequence in permutations(weights, count):
        if any(len(family & set(sequence)) > 1 for family in families):
            continue
        share, left = 1.0, dict(weights)
        for name in sequence:
            share *= left[name] / sum(left.values())
            family = next((family for family in families if name in family), {name})
            left = {other: weight for other, weight in left.items() if other not in family}
        shares[frozenset(sequence)] += share
    return shares


@pytest.mark.parametrize("count", [1, 2, 3])
def test_weights_are_those_of_one_draw_after_the_other(count):
    weights = {"gain": 0.5, "eq": 2, "pan": 1, "reverb": 4}
    words = f"remove: {{from: [gain, eq, pan, reverb, delay], count: {count}, weights: {json.dumps(weights)}}}"
    chosen = Counter(frozenset(labels(chain)) for chain in chains(words))
    assert likely(chosen, successive(weights, count))  # and never a delay, which has no weight


@pytest.mark.parametrize("count", [1, 2])
def test_of_a_family_one_is_drawn_at_most(count):
    weights = {"gain": 1, "eq": 2, "pan": 3, "reverb": 1}
    words = f"remove: {{from: [[gain, eq], pan, reverb], count: {count}, weights: {json.dumps(weights)}}}"
    chosen = Counter(frozenset(labels(chain)) for chain in chains(words))
    assert likely(chosen, successive(weights, count, [{"gain", "eq"}]))


def test_each_probability_holds_and_effects_are_drawn_independently():
    shares = {"gain": 0.9, "eq": 0.3, "pan": 0.05}
    drawn = [set(labels(chain)) for chain in chains(f"remove: {{from: [gain, eq, pan, delay], probability: {json.dumps(shares)}}}")]
    for name, share in shares.items():
        assert stats.binomtest(sum(name in chain for chain in drawn), MANY, share).pvalue > ALPHA, name
    assert not any("delay" in chain for chain in drawn)
    for one, other in combinations(shares, 2):
        table = Counter((one in chain, other in chain) for chain in drawn)
        joint = {(a, b): (shares[one] if a else 1 - shares[one]) * (shares[other] if b else 1 - shares[other])
                 for a in (True, False) for b in (True, False)}  # fmt: skip
        assert likely(table, joint), (one, other)


def test_probability_0_and_1_are_never_and_always():
    assert {labels(chain) for chain in chains("remove: {from: [gain, eq], probability: {gain: 1, eq: 0}}", 2000)} == {("gain",)}


# In which order


def test_a_drawn_order_is_every_order_equally_often():
    orders = Counter(labels(chain) for chain in chains("remove: {from: [gain, eq, pan], count: 3}"))
    assert likely(orders, dict.fromkeys(permutations(["gain", "eq", "pan"]), 1 / 6))


def test_a_fixed_order_is_the_listed_one():
    found = {labels(chain) for chain in chains("remove: {from: [pan, gain, eq], count: {integers: [1, 3]}, order: fixed}", 2000)}
    assert found == {chosen for count in (1, 2, 3) for chosen in combinations(["pan", "gain", "eq"], count)}


def test_of_a_listed_order_only_the_inner_lists_are_drawn():
    words = "remove: {from: [eq, compressor, pan, stereo_width, gain], count: 5, order: [[eq, compressor], [pan, stereo_width], gain]}"
    orders = Counter(labels(chain) for chain in chains(words))
    expected = {(*one, *two, "gain"): 1 / 4 for one in permutations(["eq", "compressor"]) for two in permutations(["pan", "stereo_width"])}
    assert likely(orders, expected)


def flags(position: str, count: int):
    names, kept, removed = ["gain", "pan", "polarity", "stereo_width", "haas"], 2, 3
    words = (
        f"keep: {{from: [{', '.join(names[:kept])}], count: {kept}, order: fixed}}\n"
        f"remove: {{from: [{', '.join(names[kept:])}], count: {removed}, order: fixed}}\nposition: {position}"
    )
    found = chains(words, count)
    for chain in found[:200]:  # whatever the position, the order inside a group stays
        assert [link.label for link in chain if not link.removed] == names[:kept]
        assert [link.label for link in chain if link.removed] == names[kept:]
    return Counter("".join("R" if link.removed else "k" for link in chain) for chain in found)


def test_any_position_is_every_way_of_merging_equally_often():
    assert likely(flags("any", MANY), dict.fromkeys({"".join(order) for order in permutations("kkRRR")}, 1 / 10))


def test_last_and_first_are_just_there():
    assert set(flags("last", 500)) == {"kkRRR"} and set(flags("first", 500)) == {"RRRkk"}


# With which parameters

LAWS = [
    ("threshold_db: {uniform: [-42, -20]}", "compressor", stats.uniform(-42, 22)),
    ("ratio: {loguniform: [1.5, 20]}", "compressor", stats.loguniform(1.5, 20)),
    ("attack_ms: {normal: [20, 4]}", "compressor", stats.norm(20, 4)),
    ("threshold_db: {relative: {uniform: [-10, 5]}}", "compressor", stats.uniform(-30, 15)),  # at -20 LUFS
    ("ceiling_db: {relative: {normal: [6, 1]}}", "limiter", stats.norm(-14, 1)),
    ("release_ms: {uniform: [30, 200]}", "limiter", stats.uniform(30, 170)),
]


@pytest.mark.parametrize(("law", "effect", "expected"), LAWS)
def test_numbers_follow_their_law(law, effect, expected):
    field = law.partition(":")[0]
    found = [getattr(chain[0].effect, field) for chain in chains(f"remove: {{from: [{effect}], count: 1}}\n{effect}: {{{law}}}")]
    assert stats.kstest(found, expected.cdf).pvalue > ALPHA
    assert stats.kstest(found, lambda x: expected.cdf(x + 0.02 * expected.std() * 5)).pvalue < ALPHA  # the test would notice


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("{integers: [3, 7]}", dict.fromkeys([3, 4, 5, 6, 7], 0.2)),
        ("{choice: [4, 8, 16]}", dict.fromkeys([4, 8, 16], 1 / 3)),
        ("{weighted: [[4, 1], [8, 3], [16, 0]]}", {4: 0.25, 8: 0.75}),
        ("6", {6: 1.0}),
    ],
)
def test_whole_numbers_follow_their_law(law, expected):
    found = Counter(chain[0].effect.bits for chain in chains(f"remove: {{from: [bit_crush], count: 1}}\nbit_crush: {{bits: {law}}}"))
    assert likely(found, expected) if len(expected) > 1 else set(found) == set(expected)


def test_words_and_switches_are_chosen_equally_often():
    words = "remove: {from: [delay, tremolo], count: 2, order: fixed}\ndelay: {ping_pong: {choice: [true, false]}}"
    words += "\ntremolo: {shape: {choice: [sine, square]}}"
    found = Counter((chain[0].effect.ping_pong, chain[1].effect.shape) for chain in chains(words))
    assert likely(found, {(switch, shape): 0.25 for switch in (True, False) for shape in ("sine", "square")})


def test_what_is_relative_follows_the_level_and_stays_in_range():
    words = "remove: {from: [compressor], count: 1}\ncompressor: {threshold_db: {relative: -10}}"
    for level, threshold in ((-20.0, -30.0), (-35.5, -45.5), (-200.0, -120.0)):
        assert chains(words, 1, setting=Setting(level))[0][0].effect.threshold_db == threshold


def test_a_loguniform_law_never_leaves_its_ends():
    assert all(LogUniform(loguniform=[end, end]).draw(stream(0, "x")) == end for end in (0.1, 20_000.0, 3e-7, 12345.678))


def test_infinity_and_null_are_written_in_words():
    words = "remove: {from: [compressor, bit_crush, send], count: 3, order: fixed}\ncompressor: {ratio: inf, threshold_db: null}"
    words += "\nbit_crush: {hold_hz: null}\nsend: {dry_db: -inf, effects: [reverb]}"
    compressor, crush, send = (link.effect for link in chains(words, 1)[0])
    assert compressor.ratio == np.inf and compressor.threshold_db == EFFECTS["compressor"]().threshold_db  # null: the effect's own default
    assert crush.hold_hz == np.inf and send.dry_db == -np.inf


def test_impulse_responses_are_drawn_equally_often(tmp_path):
    found = chains(f"remove: {{from: [convolution], count: 1}}\nimpulse_responses: {tmp_path}")
    assert likely(Counter(chain[0].effect.impulse_response for chain in found), {"a" * 64: 0.5, "b" * 64: 0.5})
    with pytest.raises(RecipeError, match="impulse_responses"):
        chains(f"remove: {{from: [convolution], count: 1}}\nimpulse_responses: {tmp_path}", 1, setting=Setting(-20.0))


# Aliases, sends, bands, stems

ALIASED = """
remove: {from: [plate, reverb], count: 2, order: fixed}
reverb: {mix: 0.25}
aliases:
  plate:
    send:
      effects: [{high_pass: {frequency_hz: {uniform: [200, 300]}, order: 2}}, {chain: {effects: [{reverb: {mix: 1}}, eq]}}]
      send_db: -9
"""


def test_an_alias_is_a_second_name_with_laws_of_its_own_and_sends_nest():
    for chain in chains(ALIASED, 300):
        plate, reverb = chain
        assert labels(chain) == ("plate", "reverb") and plate.effect.name == "send" and plate.effect.send_db == -9
        high_pass, inner = plate.effect.effects
        assert 200 <= high_pass.frequency_hz < 300 and high_pass.order == 2
        assert [each.name for each in inner.effects] == ["reverb", "eq"] and inner.effects[0].mix == 1 and reverb.effect.mix == 0.25
    assert set(laws(ALIASED).used_anywhere()) == {"send", "high_pass", "chain", "reverb", "eq"}


def test_bands_are_drawn_one_by_one_and_counted():
    second = "{count: {integers: [0, 3]}, gain_db: {uniform: [-6, 6]}, q: 1}"
    words = f"remove: {{from: [eq], count: 1}}\neq: {{bands: [{{kind: low_shelf, frequency_hz: 90}}, {second}]}}"
    found = [chain[0].effect.bands for chain in chains(words)]
    assert likely(Counter(len(bands) - 1 for bands in found), dict.fromkeys(range(4), 1 / 4))
    assert all(bands[0].kind == "low_shelf" and bands[0].frequency_hz == 90 for bands in found)
    several = [bands[1:] for bands in found if len(bands) == 4]
    assert all(len({band.gain_db for band in bands}) == 3 and {band.q for band in bands} == {1.0} for bands in several)
    gains = [band.gain_db for bands in found for band in bands[1:]]
    assert stats.kstest(gains, stats.uniform(-6, 12).cdf).pvalue > ALPHA


PER_STEM = """
keep: {from: [gain], count: 1}
remove: {from: [eq, reverb], probability: {eq: 0.9, reverb: 0.7}, order: fixed}
reverb: {mix: {uniform: [0.2, 0.3]}, room: 0.4}
aliases: {hall: {reverb: {room: 1}}}
per_stem:
  drums: {remove: {probability: {reverb: 0.5}}, reverb: {room: 0.9}}
  bass: {remove: {from: [distortion], count: 1}, position: last}
  other: {keep: {count: 0}, remove: {count: 2}}
  piano: {remove: {from: [hall, verb], count: 2, order: fixed}, aliases: {verb: reverb}}
"""


def test_a_stem_s_own_words_stand_over_those_for_all_and_the_rest_is_inherited():
    params = laws(PER_STEM)
    drums, bass, other, vocals = (params.laws_of(stem) for stem in ("drums", "bass", "other", "vocals"))
    assert vocals.remove.probability == {"eq": 0.9, "reverb": 0.7} and drums.remove.probability == {"eq": 0.9, "reverb": 0.5}
    assert (
        drums.words("reverb").room == 0.9 and drums.words("reverb").mix == vocals.words("reverb").mix and vocals.words("reverb").room == 0.4
    )
    assert bass.remove.names() == ["distortion"] and bass.keep.names() == ["gain"] and (bass.position, vocals.position) == ("last", "any")
    assert other.keep.count == 0 and other.remove.count == 2 and other.remove.probability is None and other.remove.order == "fixed"
    assert [link.label for link in params.laws_of("piano").draw(stream(0, "x"), SETTING) if link.removed] == ["hall", "verb"]


def test_probabilities_of_one_stem_do_not_change_those_of_the_next():
    """Koo's released code changed its dictionary from stem to stem: bass, other and vocals got 5 % reverb instead of 1, 70 and 90."""
    params = load_recipe("koo_manipulator").steps[-1].params
    before = params.model_dump_json()
    wanted = {"drums": 0.5, "bass": 0.01, "vocals": 0.9, "other": 0.7}
    found: Counter = Counter()
    for number in range(MANY):
        for stem in wanted:
            found[stem] += "reverb" in params.laws_of(stem).remove.draw(stream(0, number, stem))
            if number < 100:
                params.laws_of(stem).draw(stream(0, number, stem), SETTING)
    for stem, share in wanted.items():
        assert stats.binomtest(found[stem], MANY, share).pvalue > ALPHA, stem
    assert params.model_dump_json() == before


# Every effect there is


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_default_laws_draw_effects_that_are_valid_and_exact_in_records(name):
    words = WORDS[name]()
    for number in range(200):
        effect = words.draw(stream(3, name, number), SETTING)
        assert from_record(json.loads(json.dumps(describe(effect)))) == effect
        if name != "convolution":  # there is no such response
            effect.check_rate(44_100)


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_default_laws_written_out_read_back_to_the_same(name):
    written_out = WORDS[name]().model_dump(mode="json")
    again = WORDS[name].model_validate(strict_yaml.load(strict_yaml.dump(written_out), "resolved").value)
    assert again.model_dump(mode="json") == written_out
    assert again.draw(stream(5, name), SETTING) == WORDS[name]().draw(stream(5, name), SETTING)
    said = set(written_out) | {"impulse_response"}
    assert {each.name for each in parameters(EFFECTS[name])} <= said, "every default is written out"


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_default_laws_are_realized_in_every_parameter(name):
    """Fx-Encoder++'s delay was 300 ms in 99.9 % of draws, and RemFX's phaser stood at its lowest frequency: nobody looked."""
    words = WORDS[name]()
    found = [words.draw(stream(4, name, number), SETTING) for number in range(1000)]
    for each in parameters(EFFECTS[name]):
        law, values = getattr(words, each.name), [getattr(effect, each.name) for effect in found]
        if isinstance(law, Uniform | LogUniform):
            low, high = law.ends()
            expected = stats.uniform(low, high - low) if isinstance(law, Uniform) else stats.loguniform(low, high)
            assert stats.kstest(values, expected.cdf).pvalue > ALPHA / 10, each.name  # ten times as many tests
        elif isinstance(law, Choice):
            assert likely(Counter(values), dict.fromkeys(law.choice, 1 / len(law.choice))), each.name
        elif isinstance(law, Integers):
            low, high = law.ends()
            assert low <= min(values) and max(values) <= high
            assert (
                likely(Counter(values), dict.fromkeys(range(low, high + 1), 1 / (high - low + 1)))
                if high - low < 20
                else len(set(values)) > 900
            )
        elif each.metadata["draw"] is None and each.name != "impulse_response":
            assert set(values) == {EFFECTS[name].__dataclass_fields__[each.name].default}, each.name


# Pure functions


def test_a_chain_is_a_function_of_its_generator_alone():
    params = laws(ALIASED)
    first = params.draw(stream(9, "a"), SETTING)
    for number in range(50):
        params.draw(stream(9, "b", number), SETTING)
    assert params.draw(stream(9, "a"), SETTING) == first == laws(ALIASED).draw(stream(9, "a"), SETTING)
    assert params.draw(stream(9, "c"), SETTING) != first


def test_a_redraw_uses_nothing_of_the_attempt_before(monkeypatch):
    """RemFX went on from the half-made dry signal, so that its kept effects came twice in a redrawn pair."""
    heard = []

    def render_checked(pair, source, *rest):
        heard.append((pair, source.copy()))
        return Rendered(source, source), "absent" if len(heard) < 3 else None, []

    monkeypatch.setattr(pairs, "render_checked", render_checked)
    params = laws("keep: {from: [gain], count: 1}\nremove: {from: [eq, delay, reverb], count: {integers: [1, 3]}}")
    audio = np.full((2, 8000), 0.1, np.float32)
    audio.flags.writeable = False
    made = Maker(params, 8000).make({"drums": Source(audio, 0, -20.0)}, lambda attempt, stem: stream(7, attempt, stem))
    assert len(heard) == 3 and len({pair.links for pair, _ in heard}) == 3
    for attempt, (pair, source) in enumerate(heard):
        assert pair.links == params.draw(stream(7, attempt, "drums"), Setting(-20.0))
        assert np.array_equal(source, audio) and pair.gain_db == 0
    assert [each["reason"] for each in made["drums"].record["redrawn"]] == ["absent", "absent"]


# Resolved recipes

FULL = """
keep: {from: [bit_crush], count: 1}
remove:
  from: [[plate, reverb], compressor]
  count: {weighted: [[1, 3], [2, 1]]}
  weights: {plate: 1, reverb: 2, compressor: 0.5}
  order: [compressor, [plate, reverb]]
position: first
bit_crush: {hold_hz: null, bits: {choice: [4, 8]}}
compressor:
  ratio: inf
  makeup_db: 3
  prior: {effect: compressor, parameters: [threshold_db], mean: [-20], covariance: [[9]], source: here, licence: CC0-1.0}
aliases: {plate: {send: {effects: [high_pass, {reverb: {mix: 1}}], dry_db: -inf}}}
per_stem:
  drums: {compressor: {prior: null, makeup_db: null}, remove: {count: 1}}
  bass:
    compressor: {threshold_db: {relative: -3}, prior: null, detector: {choice: [peak, rms]}}
    aliases: {spring: reverb}
    remove: {from: [spring, compressor], count: 1}
  vocals: {remove: {from: [compressor], probability: {compressor: 0.5}}}
level: {lufs: {uniform: [-30, -20]}, before: each}
match: both_to_lufs
"""


def test_a_resolved_recipe_is_the_same_recipe(tmp_path):
    recipe = load_recipe(written(tmp_path, FULL.strip()))
    again = recipe_from_data(strict_yaml.load(recipe.to_yaml(), "resolved").value)
    assert again.to_yaml() == recipe.to_yaml() and again.identity() == recipe.identity()
    for stem in ("drums", "bass", "vocals", "other"):
        one, other = (each.steps[-1].params.laws_of(stem) for each in (recipe, again))
        for number in range(100):
            assert one.draw(stream(0, number), SETTING) == other.draw(stream(0, number), SETTING), stem
    crush = next(link for link in again.steps[-1].params.draw(stream(0, 0), SETTING) if link.label == "bit_crush").effect
    assert crush.hold_hz == np.inf  # and not the default law


def test_what_nothing_is_drawn_from_is_no_part_of_the_identity(tmp_path):
    plain = load_recipe(written(tmp_path, "remove: {from: [reverb], count: 1}"))
    more = load_recipe(written(tmp_path, "remove: {from: [reverb], count: 1}\ncompressor: {ratio: 7}"))
    other = load_recipe(written(tmp_path, "remove: {from: [reverb], count: 1}\nreverb: {room: 0.7}"))
    assert plain.identity() == more.identity() != other.identity()


def test_words_can_be_set_one_by_one():
    recipe = load_recipe(
        "effect_removal", ["effects.remove.count=2", "effects.compressor.ratio=9", "effects.level.lufs={uniform: [-30, -10]}"]
    )
    params = recipe.steps[-1].params
    assert params.remove.count == 2 and params.words("compressor").ratio == 9 and params.level.lufs.uniform == [-30, -10]
    assert params.remove.names() == ["distortion", "compressor", "reverb", "chorus", "delay"]
    with pytest.raises(UsageError, match=r"effects\.remove\.count.*at most 5"):
        load_recipe("effect_removal", ["effects.remove.count=6"])


def test_a_level_before_each_effect_is_that_of_the_block():
    assert laws("remove: {from: [gain], count: 1}\nlevel: {before: each}").level.over == "block"


# Mistakes: each is one, with file, line and path

ONE = "remove: {from: [reverb, delay], count: 1}\n"
MISTAKES = [
    ("remove: {from: [revreb], count: 1}", 6, "remove.from.0", "did you mean 'reverb'"),
    ("keep: {from: [zzzz], count: 1}", 6, "keep.from.0", "there are .*reverb"),
    (ONE + "reverb: {mixx: 1}", 7, "reverb.mixx", "did you mean 'mix'"),
    (ONE + "reverb: {mix: {uniform: [0, 2]}}", 7, "reverb.mix", "between 0 and 1"),
    (ONE + "reverb: {mix: 1.5}", 7, "reverb.mix", "between 0 and 1"),
    (ONE + "compressor: {ratio: 0.3}", 7, "compressor.ratio", "between 1 and inf"),
    (ONE + "reverb: {mix: {unifrom: [0, 1]}}", 7, "reverb.mix", "not a distribution"),
    (ONE + "reverb: {mix: {relative: 1}}", 7, "reverb.mix", "not a distribution"),
    (ONE + "reverb: {mix: inf}", 7, "reverb.mix", "valid number"),
    (ONE + "compressor: {threshold_db: {relative: {unifrom: [0, 1]}}}", 7, "compressor.threshold_db.relative", "not a distribution"),
    ("remove: {from: [reverb], count: 1, probability: {reverb: 1}}", 6, "remove", "either `count` or `probability`"),
    ("remove: {from: [reverb]}", 6, "remove", "say how many"),
    ("remove: {from: [reverb, delay], count: 3}", 6, "remove.count", "at most 2"),
    ("remove: {from: [reverb, delay], count: {integers: [1, 3]}}", 6, "remove.count", "at most 2"),
    ("remove: {from: [[reverb, delay], eq], count: 3}", 6, "remove.count", "at most 2"),
    ("remove: {from: [reverb, delay], count: 2, weights: {reverb: 1}}", 6, "remove.count", "at most 1"),
    ("remove: {from: [reverb, delay], count: 2, weights: {reverb: 1, delay: -1}}", 6, "remove.weights.delay", "greater than or equal to 0"),
    ("remove: {from: [reverb, delay], count: 2, weights: {reverb: 1, delay: 1e-300}}", 6, "remove.weights", "weights are 0, or"),
    ("remove: {from: [reverb], count: 1, weights: {reverb: 1e308}}", 6, "remove.weights.reverb", "less than or equal"),
    ("remove: {from: [reverb], probability: {reverb: 1}, weights: {reverb: 1}}", 6, "remove.weights", "go with a `count`"),
    ("remove: {from: [reverb], probability: {reverb: 1.5}}", 6, "remove.probability.reverb", "less than or equal to 1"),
    ("remove: {from: [reverb], probability: {delay: 0.5}}", 6, "remove.probability", "'delay' is not in `from`"),
    ("remove: {from: [[reverb, delay]], probability: {reverb: 0.5}}", 6, "remove.from", "families"),
    ("remove: {from: [reverb, reverb], count: 1}", 6, "remove.from", "named twice"),
    ("remove: {from: reverb, count: 1}", 6, "remove.from", "a list of names"),
    ("remove: {from: [[[reverb]]], count: 1}", 6, "remove.from", "a list of names"),
    ("remove: {from: [reverb, delay], count: 1, order: [reverb]}", 6, "remove.order", "names every effect"),
    ("remove: {from: [reverb, delay], count: 1, order: [reverb, [delay, reverb]]}", 6, "remove.order", "names every effect"),
    ("remove: {from: [reverb, delay], count: 1, order: [reverb, dely]}", 6, "remove.order", "'dely' is not in `from`"),
    ("remove: {from: [reverb, delay], count: 1, order: random}", 6, "remove.order", "`drawn`, `fixed` or a list"),
    ("remove: {from: [reverb, delay], count: 1.5}", 6, "remove.count", "only whole numbers"),
    ("remove: {from: [reverb, delay], count: {uniform: [0, 2]}}", 6, "remove.count", "only whole numbers"),
    ("remove: {from: [reverb, delay], count: {choice: [1, 1.5]}}", 6, "remove.count", "only whole numbers"),
    ("remove: {from: [reverb, delay], count: {weighted: [[1, 1e308], [2, 1e308]]}}", 6, "remove.count.weighted", "weights are 0, or"),
    ("remove: {from: [reverb, delay], count: -1}", 6, "remove.count", "between 0 and 100"),
    ("remove: {from: [reverb, delay], count: true}", 6, "remove.count", "valid number"),
    (ONE + "position: lst", 7, "position", "'any', 'last' or 'first'"),
    (ONE + "aliases: {delay: reverb}", 7, "aliases.delay", "choose another"),
    (ONE + "aliases: {'a b': reverb}", 7, "aliases.a b", "a-z"),
    (ONE + "aliases: {plate: {reverb: {}, delay: {}}}", 7, "aliases.plate", "write one effect"),
    (ONE + "aliases: {plate: null}", 7, "aliases.plate", "write one effect"),
    (ONE + "aliases: {plate: {revreb: {}}}", 7, "aliases.plate", "did you mean 'reverb'"),
    (ONE + "aliases: {plate: {send: {effects: [{reverb: {mix: 3}}]}}}", 7, "aliases.plate.send.effects.0.reverb.mix", "between 0 and 1"),
    (ONE + "aliases: {plate: {send: {effects: [{reverb: {mixx: 3}}]}}}", 7, "aliases.plate.send.effects.0.reverb.mixx", "unknown key"),
    (ONE + "tremolo: {shape: sin}", 7, "tremolo.shape", "'sine', 'triangle' or 'square'"),
    (ONE + "tremolo: {shape: {choice: [sine, sin]}}", 7, "tremolo.shape.choice.1", "'sine', 'triangle' or 'square'"),
    (ONE + "tremolo: {shape: {uniform: [1, 2]}}", 7, "tremolo.shape", "use one of sine, triangle, square"),
    (ONE + "delay: {ping_pong: yes}", 7, "delay.ping_pong", "valid boolean"),
    (ONE + "bit_crush: {bits: {uniform: [1, 4]}}", 7, "bit_crush.bits", "only whole numbers"),
    (ONE + "eq: {bands: [{kind: peek}]}", 7, "eq.bands.0.kind", "'peak'"),
    (ONE + "eq: {bands: [{count: 1.5}]}", 7, "eq.bands.0.count", "only whole numbers"),
    (ONE + "eq: {bands: 5}", 7, "eq.bands", "valid list"),
    (ONE + "plugin: {parameters: [{value: 3}]}", 7, "plugin.parameters.0.name", "is missing"),
    ("remove: {from: [eq], count: 1}\neq: {bands: []}", 6, "remove.from.0", "never does anything"),
    ("remove: {from: [gain], count: 1}\ngain: {gain_db: 0}", 6, "remove.from.0", "never does anything"),
    ("remove: {from: [chain], count: 1}", 6, "remove.from.0", "never does anything"),
    ("remove: {from: [distortion], count: 1}\ndistortion: {oversampling: 3}", 6, "remove.from.0", "refuses.*oversampling"),
    ("remove: {from: [convolution], count: 1}", 5, "", "set impulse_responses"),
    (ONE + "linked: true\nper_stem: {drums: {reverb: {mix: 1}}}", 8, "per_stem", "leave out per_stem"),
    (ONE + "per: song\nvariants: 2", 8, "variants", "per: block"),
    (ONE + "per: song\nlevel: {over: block}", 8, "level", "over: song"),
    (ONE + "level: {over: song, before: each}", 7, "level.over", "over: block"),
    (ONE + "per_stem: {drums: {reverb: {mix: 3}}}", 7, "per_stem.drums.reverb.mix", "between 0 and 1"),
    (ONE + "per_stem: {drums: {level: null}}", 7, "per_stem.drums.level", "for all stems alike"),
    (ONE + "per_stem: {drums: {remove: {probability: {eq: 1}}}}", 7, "per_stem.drums.remove.probability", "'eq' is not in"),
    ("remove: {from: [revreb], count: 1}\nper_stem: {drums: {position: last}, bass: {}}", 6, "remove.from.0", "did you mean 'reverb'"),
    ("{}", 5, "", "no effects to draw from"),
    ("remove: {from: [], count: 0}", 5, "", "no effects to draw from"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line", "place", "said"), MISTAKES)
def test_a_mistake_is_named_once_with_file_line_and_path(tmp_path, words, line, place, said):
    path = written(tmp_path, words)
    where = r"steps\.2\.effects" + (rf"\.({place})" if place else "")
    with pytest.raises(RecipeError, match=rf"r\.yaml has one mistake:\n  {path}:{line}: {where}: .*{said}"):
        load_recipe(path)


def test_several_mistakes_are_all_named(tmp_path):
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, "remove: {from: [revreb, dely, eq], count: 1}\neq: {bands: [{q: 0}]}\nposition: lst"))
    assert all(words in str(caught.value) for words in ("eq.bands.0.q", "position"))
    with pytest.raises(RecipeError, match=r"3 mistakes"):
        load_recipe(written(tmp_path, "keep: {from: [revreb], count: 1}\nremove: {from: [dely, eqq], count: 1}"))


anything = st.sampled_from([
    None, True, 0, 1, -1, 0.5, 1e308, "inf", "reverb", "eq", "drawn", "peak", [], {}, ["reverb"], [["reverb", "eq"]], {"reverb": {}},
    {"reverb": 1}, {"uniform": [0, 1]}, {"integers": [0, 2]}, {"choice": ["peak"]}, {"relative": 0}, {"relative": {}},
    {"weighted": [[1, 1]]}, {"bands": [{}]}, {"effects": [{"send": {}}]}, {"from": ["eq", "hall"], "count": 1},
    {"drums": {"remove": {"count": 1}}}, {"hall": {"reverb": {"mix": 1}}},
])  # fmt: skip
PLACES = """
    keep remove remove.from remove.count remove.weights remove.probability remove.order position aliases aliases.plate aliases.plate.reverb
    per_stem per_stem.drums per_stem.drums.remove per_stem.drums.compressor per_stem.bass.aliases compressor compressor.prior
    compressor.ratio compressor.detector eq eq.bands chain send send.effects plugin.parameters delay.ping_pong bit_crush.hold_hz
    level level.lufs match linked variants impulse_responses check
"""


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(PLACES.split()), anything), min_size=1, max_size=3))
def test_whatever_is_written_draws_valid_effects_or_is_a_clear_error(written_words):
    try:
        recipe = load_recipe("effect_removal", [f"effects.{place}={strict_yaml.dump(value)}" for place, value in written_words])
    except UsageError as error:
        assert "mistake" in str(error) or "is a list" in str(error)
        return
    again = recipe_from_data(strict_yaml.load(recipe.to_yaml(), "resolved").value) if "convolution" not in recipe.to_yaml() else recipe
    for stem in ("drums", "bass", "vocals"):
        one, other = (each.steps[-1].params.laws_of(stem).draw(stream(0, stem), SETTING) for each in (recipe, again))
        assert one == other


# Presets of published systems (research: the systems' papers and code, named in the recipes)


def preset(name: str):
    return load_recipe(name).steps[-1].params


@pytest.mark.parametrize("name", ["remfx", "koo_manipulator", "sonicmaster", "limitaug"])
def test_presets_work_out_of_the_box(name):
    recipe = load_recipe(name)
    assert recipe.header.corpora == ["demo"] and not recipe.continuous
    again = recipe_from_data(strict_yaml.load(recipe.to_yaml(), "resolved").value)
    assert again.identity() == recipe.identity()
    assert {role: len(stems) for role, stems in recipe.roles().items()} in ({"input": 4, "target": 4}, {"input": 1, "target": 1})


def test_remfx_draws_its_law_of_counts_ranges_and_position():
    recipe, params = load_recipe("remfx"), preset("remfx")
    assert recipe.header.sample_rate == 48_000
    assert round(next(call.params.seconds for call in recipe.steps if call.label == "segment") * 48_000) == 262_144
    found = [params.draw(stream(0, number), SETTING) for number in range(MANY)]
    assert likely(Counter(map(len, found)), {0: 0.1, 1: 0.2, 2: 0.2, 3: 0.2, 4: 0.2, 5: 0.1})
    assert all(link.removed for chain in found for link in chain)
    assert (params.position, params.level.lufs, params.level.before, params.level.over) == ("last", -20, "each", "block")
    assert (params.match, params.match_lufs) == ("both_to_lufs", -20)
    drawn = {name: [link.effect for chain in found for link in chain if link.label == name] for name in params.used_anywhere()}
    for name, field, law in [
        ("distortion", "drive_db", stats.uniform(8, 17)), ("compressor", "threshold_db", stats.uniform(-42, 22)),
        ("compressor", "ratio", stats.uniform(1.5, 4.5)), ("compressor", "release_ms", stats.uniform(10, 240)),
        ("reverb", "room", stats.uniform(0.3, 0.7)), ("reverb", "mix", stats.uniform(0.2, 0.4)),
        ("chorus", "rate_hz", stats.uniform(0.25, 1.25)), ("delay", "time_s", stats.loguniform(0.1, 1)),
        ("delay", "feedback", stats.uniform(0.05, 0.25)),
    ]:  # fmt: skip
        assert stats.kstest([getattr(effect, field) for effect in drawn[name]], law.cdf).pvalue > ALPHA, (name, field)
    kept = load_recipe(
        "remfx", ["effects.remove.from=[chorus]", "effects.remove.count=1", "effects.keep.from=[compressor, delay]", "effects.keep.count=2"]
    )
    assert {link.label for link in kept.steps[-1].params.draw(stream(0, "x"), SETTING)[:2]} == {"compressor", "delay"}


def test_koo_s_manipulator_draws_its_probabilities_order_and_ranges():
    params = preset("koo_manipulator")
    found = [params.laws_of("vocals").draw(stream(0, number), SETTING) for number in range(MANY)]
    for name, share in {"eq": 0.9, "compressor": 0.9, "pan": 0.3, "stereo_width": 0.8, "reverb": 0.9, "gain": 0.5}.items():
        assert stats.binomtest(sum(name in labels(chain) for chain in found), MANY, share).pvalue > ALPHA, name
    place = {"eq": 0, "compressor": 0, "pan": 1, "stereo_width": 1, "reverb": 2, "gain": 3}
    assert all([place[name] for name in labels(chain)] == sorted(place[name] for name in labels(chain)) for chain in found)
    both = Counter(labels(chain)[:2] for chain in found if {"eq", "compressor"} <= set(labels(chain)))
    assert likely(both, dict.fromkeys(permutations(["eq", "compressor"]), 0.5))
    bands = [band for chain in found for link in chain if link.label == "eq" for band in link.effect.bands]
    assert min(band.gain_db for band in bands) > -15.01 and max(band.gain_db for band in bands) > 14.9
    gains = [link.effect.gain_db for chain in found for link in chain if link.label == "gain"]
    assert stats.kstest(gains, stats.uniform(-6, 15).cdf).pvalue > ALPHA


def test_sonicmaster_draws_its_families_counts_and_order():
    params = preset("sonicmaster")
    family = {"reverb": "reverb", "narrow": "stereo", "squashed": "dynamics", "no_punch": "dynamics"}
    family |= {"clipped": "amplitude", "quiet": "amplitude"}
    order = ["dynamics", "eq", "reverb", "stereo", "amplitude"]
    found = [[family.get(name, "eq") for name in labels(params.draw(stream(0, number), SETTING))] for number in range(MANY)]
    assert likely(Counter(map(len, found)), {1: 4 / 7, 2: 2 / 7, 3: 1 / 7})
    assert all(
        len(set(chain)) == len(chain) and [order.index(each) for each in chain] == sorted(map(order.index, chain)) for chain in found
    )
    weights = {"eq": 0.4, "reverb": 0.225, "dynamics": 0.125, "stereo": 0.125, "amplitude": 0.125}
    assert likely(Counter(chain[0] for chain in found if len(chain) == 1), weights)
    assert likely(Counter(frozenset(chain) for chain in found if len(chain) == 2), successive(weights, 2))
    peaks = [link.effect for number in range(MANY) for link in params.draw(stream(0, number), SETTING) if link.label == "peaks"]
    assert likely(Counter(len(eq.bands) for eq in peaks), dict.fromkeys(range(8, 13), 1 / 5))
    assert {band.gain_db for eq in peaks for band in eq.bands} == {float(gain) for gain in range(-6, 7)}


def test_limitaug_draws_its_loudness_and_release():
    params = preset("limitaug")
    assert params.level.lufs.normal == [-10.887, 1.191] and params.level.before == "chain"
    assert (params.match, params.match_lufs) == ("both_to_lufs", -14)
    found = [chain[0].effect for chain in (params.draw(stream(0, number), SETTING) for number in range(MANY))]
    assert stats.kstest([limiter.release_ms for limiter in found], stats.uniform(30, 170).cdf).pvalue > ALPHA
    assert {(limiter.name, limiter.gain_db, limiter.ceiling_db) for limiter in found} == {("limiter", 0.0, 0.0)}


def test_a_misspelled_effect_is_named_even_where_the_count_does_not_fit():
    with pytest.raises(RecipeError, match="did you mean 'reverb'") as raised:
        load_recipe("effect_removal", ["effects.remove.from=[reverbb]"])
    assert "one mistake" in str(raised.value)
    with pytest.raises(RecipeError, match="it can be 4, but at most 1"):
        load_recipe("effect_removal", ["effects.remove.from=[reverb]"])
