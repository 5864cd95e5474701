"""Priors draw what their means and covariance say, and a wrong one is one clear mistake."""

import json

import numpy as np
import pytest
from scipy import stats

from mixdata.errors import RecipeError
from mixdata.recipes import load_recipe, strict_yaml
from mixdata.recipes.effect_words import WORDS, Setting
from mixdata.recipes.model import recipe_from_data
from mixdata.recipes.priors import Prior
from mixdata.rng import stream

MANY = 10_000
ALPHA = 1e-4  # a law that is true would fail for one seed in 10,000; seeds are fixed
SETTING = Setting(-20.0)
MEAN, COVARIANCE = [-24.0, 1.2, 30.0], [[36.0, -1.5, 12.0], [-1.5, 0.16, -0.4], [12.0, -0.4, 25.0]]
PRIOR = {
    "effect": "compressor", "parameters": ["threshold_db", "ratio", "attack_ms"], "log": ["ratio"], "mean": MEAN, "covariance": COVARIANCE,
    "source": "a test", "licence": "CC0-1.0",
}  # fmt: skip


def saved(tmp_path, prior) -> str:
    path = tmp_path / "prior.json"
    path.write_text(prior if isinstance(prior, str) else json.dumps(prior))
    return str(path)


def recipe_with(tmp_path, words: str):
    path = tmp_path / "r.yaml"
    path.write_text(
        f"name: r\nsteps:\n  - stems\n  - segment\n  - effects:\n      remove: {{from: [compressor], count: 1}}\n      {words}\n"
    )
    return load_recipe(path)


def drawn(prior: dict) -> np.ndarray:
    """Draw compressors by a prior. Returns the parameters, logarithms where they are normal: `(MANY, parameters)`."""
    words = WORDS[prior["effect"]].model_validate({"prior": prior})
    effects = [words.draw(stream(0, number), SETTING) for number in range(MANY)]
    values = np.array([[getattr(effect, name) for name in prior["parameters"]] for effect in effects])
    for place in [prior["parameters"].index(name) for name in prior["log"]]:
        values[:, place] = np.log(values[:, place])
    return values


def test_parameters_have_the_prior_s_means_deviations_and_correlations():
    found = drawn(PRIOR)
    for place in range(3):
        law = stats.norm(MEAN[place], np.sqrt(COVARIANCE[place][place]))
        assert stats.kstest(found[:, place], law.cdf).pvalue > ALPHA, PRIOR["parameters"][place]
    # with the inverse root of the covariance the parameters are independent and of one variance (4.5 standard errors each)
    white = np.linalg.solve(np.linalg.cholesky(COVARIANCE), (found - MEAN).T)
    assert np.abs(np.cov(white) - np.eye(3)).max() < 4.5 * np.sqrt(2 / MANY)
    for place in range(3):
        assert stats.kstest(white[place], "norm").pvalue > ALPHA


def test_a_covariance_without_full_rank_is_drawn_too():
    prior = PRIOR | {"parameters": ["threshold_db", "attack_ms"], "log": [], "mean": [-24, 30], "covariance": [[4.0, 6.0], [6.0, 9.0]]}
    found = drawn(prior)
    assert np.allclose(found[:, 1] - 30, 1.5 * (found[:, 0] + 24), atol=1e-6) and abs(found[:, 0].std() - 2) < 0.07


def test_a_draw_does_not_hang_on_the_signs_that_a_library_gives_to_eigenvectors(monkeypatch):
    prior, real = Prior.model_validate(PRIOR), np.linalg.eigh
    one = prior.draw(stream(0, "a"))

    def turned(matrix):
        values, vectors = real(matrix)
        return values, -vectors

    monkeypatch.setattr(np.linalg, "eigh", turned)
    assert prior.draw(stream(0, "a")) == pytest.approx(one, rel=1e-12)


def test_what_falls_out_of_a_parameter_s_range_is_pulled_in_to_its_end():
    prior = PRIOR | {"parameters": ["attack_ms", "ratio"], "mean": [0.0, 0.0], "covariance": [[100.0, 0.0], [0.0, 1.0]]}
    found = drawn(prior)
    assert abs(np.mean(found[:, 0] == 0) - 0.5) < 0.02 and abs(np.mean(found[:, 1] == 0) - 0.5) < 0.02  # 0 ms, and log of a ratio of 1
    assert np.isfinite(drawn(prior | {"mean": [0.0, 5000.0]})[:, 1]).all()  # e to the power of 5000 is no number
    assert (drawn(prior | {"mean": [5000.0, 0.0]})[:, 0] == 1000).all()


def test_parameters_that_the_prior_does_not_name_keep_their_laws():
    words = WORDS["compressor"].model_validate({"prior": PRIOR, "release_ms": {"uniform": [40, 60]}})
    found = [words.draw(stream(0, number), SETTING).release_ms for number in range(MANY)]
    assert stats.kstest(found, stats.uniform(40, 20).cdf).pvalue > ALPHA


def test_the_content_of_the_file_goes_into_the_resolved_recipe(tmp_path):
    recipe = recipe_with(tmp_path, f"compressor: {{prior: {saved(tmp_path, PRIOR)}}}")
    text = recipe.to_yaml()
    assert str(tmp_path) not in text and "a test" in text and "threshold_db" in text
    again = recipe_from_data(strict_yaml.load(text, "resolved").value)
    assert again.identity() == recipe.identity() and again.to_yaml() == text
    changed = recipe_with(tmp_path, f"compressor: {{prior: {saved(tmp_path, PRIOR | {'source': 'another'})}}}")
    assert changed.identity() != recipe.identity()


def test_a_stem_can_have_a_prior_of_its_own_or_none(tmp_path):
    path = saved(tmp_path, PRIOR)
    own = recipe_with(tmp_path, f"compressor: {{ratio: 3, release_ms: 50}}\n      per_stem: {{drums: {{compressor: {{prior: {path}}}}}}}")
    without = recipe_with(tmp_path, f"compressor: {{prior: {path}}}\n      per_stem: {{drums: {{compressor: {{prior: null, ratio: 3}}}}}}")
    for recipe, stem, other in ((own, "drums", "bass"), (without, "bass", "drums")):
        params = recipe.steps[-1].params
        ratios = {params.laws_of(stem).draw(stream(0, number), SETTING)[0].effect.ratio for number in range(20)}
        assert len(ratios) > 15 and params.laws_of(other).draw(stream(0, "x"), SETTING)[0].effect.ratio == 3
        again = recipe_from_data(strict_yaml.load(recipe.to_yaml(), "resolved").value)
        assert again.to_yaml() == recipe.to_yaml()


WITHOUT_SOURCE = {key: value for key, value in PRIOR.items() if key != "source"}


@pytest.mark.parametrize(
    ("prior", "said"),
    [
        (PRIOR | {"mean": [1.0]}, "3 parameters need 3 means"),
        (PRIOR | {"covariance": [[1.0, 0.0, 0.0], [0.0, 1.0], [0.0, 0.0, 1.0]]}, "covariance of 3 × 3"),
        (PRIOR | {"covariance": [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "positive semidefinite"),
        (PRIOR | {"covariance": [[1e-10, 2e-10, 0.0], [2e-10, 1e-10, 0.0], [0.0, 0.0, 1e-10]]}, "positive semidefinite"),
        (PRIOR | {"covariance": [[1.0, 0.5, 0.0], [0.4, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "symmetric"),
        (PRIOR | {"covariance": [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]}, "positive semidefinite"),
        (PRIOR | {"parameters": ["ratio", "ratio", "attack_ms"]}, "named once each"),
        (PRIOR | {"log": ["release_ms"]}, "`log` names some of them"),
        (PRIOR | {"parameters": ["threshold_db", "ratio", "atack_ms"]}, "names 'atack_ms'"),
        (PRIOR | {"parameters": ["threshold_db", "ratio", "link"]}, "names 'link'"),
        (PRIOR | {"effect": "expander"}, "one of expander, not of compressor"),
        (WITHOUT_SOURCE, "source: Field required"),
        (PRIOR | {"licence": ""}, "licence: String should have at least 1 character"),
        (PRIOR | {"licnce": "x"}, "licnce: Extra inputs"),
        (PRIOR | {"mean": ["a", 1.0, 2.0]}, "mean.0: "),
        (json.dumps(PRIOR).replace("36.0", "NaN"), "finite number"),
        ([], "valid dictionary"),
        ("{", "cannot be read"),
        ("[" * 200_000, "cannot be read"),
        ("\udcff".encode("utf-8", "surrogateescape").decode("latin-1") * 600_000, "no file of reasonable size"),
    ],
)
def test_a_wrong_prior_is_one_mistake_with_its_place(tmp_path, prior, said):
    path = saved(tmp_path, prior)
    with pytest.raises(RecipeError, match=rf"one mistake:\n  .*r\.yaml:7: steps\.2\.effects\.compressor\.prior: .*{said}"):
        recipe_with(tmp_path, f"compressor: {{prior: {path}}}")


@pytest.mark.parametrize(
    ("words", "place", "said"),
    [
        ("compressor: {prior: nowhere.json}", "prior", "there is no such file"),
        ("compressor: {prior: ~nobody-of-this-name/x.json}", "prior", "cannot be read"),
        ("compressor: {prior: /}", "prior", "no file of reasonable size"),
        ("compressor: {prior: 5}", "prior", "valid dictionary"),
        (f"compressor: {{ratio: 3, prior: {json.dumps(PRIOR)}}}", "ratio", "is drawn from the prior: leave it out"),
    ],
)
def test_what_is_no_prior_is_one_mistake_with_its_place(tmp_path, words, place, said):
    with pytest.raises(RecipeError, match=rf"one mistake:\n  .*r\.yaml:7: steps\.2\.effects\.compressor\.{place}: .*{said}"):
        recipe_with(tmp_path, words)
