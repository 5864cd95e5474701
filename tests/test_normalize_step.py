"""Normalization in recipes: what a dataset carries of it, fitting of targets, and the same done to a user's own stems."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

import mixdata
from conftest import SONGS, files_of, small_recipe
from mixdata.builder.fit import fit_recipe_targets
from mixdata.builder.replay import replay_examples
from mixdata.corpora import load_corpus
from mixdata.errors import RecipeError, UsageError
from mixdata.normalization.features import measure
from mixdata.normalization.files import normalize_files, parse_stem, way_of
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.targets import load_targets
from mixdata.recipes import load_recipe

SMALL = ["sample_rate=16000", "segment.seconds=2", "output.shard=300kB"]
STEMS = ("vocals", "drums", "bass", "other")


def wet_recipe(*settings: str):
    """Return effect_normalization, small enough for tests."""
    return load_recipe("effect_normalization", [*SMALL, *settings])


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    """Targets fitted on the test songs' train split, as a file."""
    path = tmp_path_factory.mktemp("targets") / "own.npz"
    fit_recipe_targets(wet_recipe(), [SONGS], workers=0, quiet=True).targets.save(path)
    return path


@pytest.fixture(scope="module")
def wet(tmp_path_factory, targets):
    """A small set of effect_normalization with targets of its own. Do not write into it."""
    out = tmp_path_factory.mktemp("wet") / "set"
    mixdata.build(wet_recipe(f"normalize.targets={targets}"), out, [SONGS], workers=0, quiet=True)
    return out


def test_the_target_is_the_wet_stems_and_their_sum_and_the_input_the_normalized_stems(wet, targets):
    dataset = mixdata.open_dataset(wet)
    example = dataset[0]
    assert list(example.roles) == ["input", "target"] and list(example.roles["target"]) == ["mixture", *STEMS]
    song = next(song for song in load_corpus(SONGS) if song.id == example.song)
    gain = 10 ** (dataset.songs.set_index("song").loc[example.song, "gain_mixture_db"] / 20)
    total = np.zeros_like(example.roles["target"]["mixture"])
    for stem in STEMS:
        true = song.stems[stem].read()[0][:, example.start : example.start + example.frames]
        true = np.repeat(true, 2, axis=0) if true.shape[0] == 1 else true
        assert np.abs(example.roles["target"][stem] - gain * true).max() < 1e-4
        total += example.roles["target"][stem]
        if np.abs(true).max() > 0.05:
            assert not np.allclose(example.roles["input"][stem], example.roles["target"][stem], atol=1e-3)
    assert np.abs(total - example.roles["target"]["mixture"]).max() < 1e-4


def test_the_targets_travel_with_the_dataset_and_are_hashed(wet, targets, tmp_path):
    assert load_targets(wet).sha256 == load_targets(targets).sha256
    meta = json.loads((wet / "dataset.json").read_text())
    assert set(meta["files"]) >= {"targets.npz", "recipe.yaml"}
    recipe = (wet / "recipe.yaml").read_text()
    assert "targets: targets.npz" in recipe and load_targets(targets).sha256 in recipe and str(targets.parent) not in recipe
    assert mixdata.verify(wet) == []
    import shutil

    copy = shutil.copytree(wet, tmp_path / "copy")
    load_targets("musdb18").save(copy / "targets.npz")
    assert any("targets.npz" in problem.where for problem in mixdata.verify(copy))
    (copy / "targets.npz").unlink()
    assert any("targets.npz" in problem.where for problem in mixdata.verify(copy))


def test_records_and_tables_say_what_was_done(wet):
    dataset = mixdata.open_dataset(wet)
    done = next(step for step in dataset[0].record["steps"] if step["step"] == "normalize")
    assert done["targets"]["sha256"] == load_targets(wet).sha256
    for stem, record in done["stems"].items():
        assert record["status"] == "normalized" and stem in STEMS
        assert set(record["distance"]) == {"eq_db", "dynamics_lu", "panning", "loudness_lu"}
        row = dataset.songs.set_index("song").loc[dataset[0].song]
        assert row[f"normalize_loudness_lu_{stem}_after"] == record["distance"]["loudness_lu"][1]
        assert row[f"normalize_eq_db_{stem}_before"] == record["distance"]["eq_db"][0]
    for stem in STEMS:  # relative to the mix, so never far above it
        assert dataset.songs[f"loudness_balance_{stem}"].dropna().between(-60, 3).all()


def test_the_same_bytes_for_any_number_of_workers(wet, targets, tmp_path):
    mixdata.build(wet_recipe(f"normalize.targets={targets}"), tmp_path / "set", [SONGS], workers=2, quiet=True)
    assert files_of(tmp_path / "set") == files_of(wet)


def test_examples_come_out_of_the_recipe_again(wet):
    assert replay_examples(wet, 3, [SONGS]) == []


def test_a_dataset_s_own_recipe_builds_the_same_set_again(wet, tmp_path):
    again = mixdata.build(load_recipe(wet / "recipe.yaml"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    assert again.meta["identity"] == mixdata.open_dataset(wet).meta["identity"]


def test_other_targets_are_another_dataset_and_wrong_ones_are_refused(targets, wet):
    own, published = wet_recipe(f"normalize.targets={targets}"), wet_recipe()
    assert own.pinned().identity() != published.pinned().identity()
    sha256 = load_targets(targets).sha256
    with pytest.raises(UsageError, match="not those of this recipe"):
        wet_recipe(f"normalize.targets_sha256={sha256}").pinned()
    with pytest.raises(UsageError, match="there are no targets"):
        wet_recipe("normalize.targets=missing.npz").pinned()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["normalize.role=target"], "must go on summing"),
        (["normalize.eq.most=3"], "did you mean 'most_db'"),
        (["normalize.panning.mode=wide"], "panning.mode"),
        (["normalize.eq.least_db=5"], "less than or equal to 0"),
        (["normalize.reverb=null", "normalize.impulse_responses=rooms"], "reverb, which is off"),
        (["wet_stems.take=[mixture]"], "cannot be a stem's name"),
    ],
)
def test_mistakes_in_the_recipe_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        wet_recipe(*settings)


def test_two_steps_with_different_targets_are_refused(tmp_path, targets):
    (tmp_path / "r.yaml").write_text(
        "name: r\nsteps: [{wet_stems: {}}, {normalize: {eq: null}}, "
        f"{{normalize: {{targets: {targets}}}, as: again}}, {{segment: {{}}}}]\n"
    )
    with pytest.raises(RecipeError, match="all must use the same targets"):
        load_recipe(tmp_path / "r.yaml")


def test_a_published_mix_is_kept_as_it_is(tmp_path):
    """A mix that is not the sum of its stems: mastered, say. The set then promises no sum."""
    song = next(iter(load_corpus(SONGS)))
    folder = tmp_path / "songs" / "Some Song"
    folder.mkdir(parents=True)
    mixture = 0.5 * np.tanh(3 * song.mixture.read()[0])
    soundfile.write(folder / "mixture.wav", mixture.T, 16_000, subtype="FLOAT")
    for name, track in song.stems.items():
        soundfile.write(folder / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    settings = ["wet_stems.mixture=published", "mix_loudness.loudness=null", "output.codec=flac24"]
    dataset = mixdata.build(wet_recipe(*settings), tmp_path / "set", [f"folder:{folder.parent}"], workers=0, quiet=True)
    assert dataset.meta["sums"] == []
    example = dataset[0]
    assert np.abs(example.roles["target"]["mixture"] - mixture[:, : example.frames]).max() < 1e-5
    assert dataset.songs["sum_difference_db"].iloc[0] > -30
    assert mixdata.verify(dataset.path) == []


def test_fitting_uses_the_train_split_alone(targets):
    plan_songs = {song.id: song for song in load_corpus(SONGS)}
    train = [song for song in plan_songs.values() if song.split == "train"]
    if not train:  # the split is the planner's: those it put into train
        from mixdata.builder.run import plan_build

        train = [planned.song for planned in plan_build(wet_recipe(), [SONGS], quiet=True).songs if planned.split == "train"]
    assert 0 < len(train) < len(plan_songs)
    stems = [{name: track.read()[0] for name, track in song.stems.items()} for song in train]
    wanted = fit_targets([{k: np.repeat(a, 2, 0) if len(a) == 1 else a for k, a in each.items()} for each in stems], 16_000)
    found = load_targets(targets)
    for stem in STEMS:
        assert found.stems[stem].songs == wanted.stems[stem].songs
        assert np.allclose(found.stems[stem].spectrum_db, wanted.stems[stem].spectrum_db, atol=1e-6, equal_nan=True)
        assert found.stems[stem].onset_peak_lu == pytest.approx(wanted.stems[stem].onset_peak_lu, abs=1e-6)
    assert "train split" in found.about["source"] and found.about["licence"]


def test_fitting_takes_what_the_recipe_makes_and_any_number_of_workers():
    recipe = small_recipe("separate.cache=off")
    alone = fit_recipe_targets(recipe, [SONGS], workers=0, quiet=True)
    many = fit_recipe_targets(recipe, [SONGS], workers=2, quiet=True)
    assert alone.targets.to_bytes() == many.targets.to_bytes() and alone.songs == many.songs > 0
    true = fit_recipe_targets(wet_recipe(), [SONGS], workers=0, quiet=True)
    assert true.targets.stems["bass"].loudness_lufs != alone.targets.stems["bass"].loudness_lufs
    with pytest.raises(UsageError, match="no normalize step"):
        fit_recipe_targets(load_recipe("dry_stems"), [SONGS], quiet=True)


def test_songs_that_cannot_be_fitted_to_are_named(tmp_path):
    folder = tmp_path / "songs"
    for number, song in enumerate(load_corpus(SONGS)):
        (folder / f"Song {number}").mkdir(parents=True)
        for name, track in song.stems.items():
            soundfile.write(folder / f"Song {number}" / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    soundfile.write(folder / "mix only.wav", 0.1 * np.ones((40_000, 2)), 16_000)
    fitted = fit_recipe_targets(wet_recipe("splits={train: 1.0}"), [f"folder:{folder}"], workers=0, quiet=True)
    assert fitted.songs == 5 and [reason for _, reason, _ in fitted.skipped] == ["no_stems"]


# A user's own stems


@pytest.fixture(scope="module")
def own_stems(tmp_path_factory):
    """The first song's stems as files."""
    folder = tmp_path_factory.mktemp("own")
    song = next(iter(load_corpus(SONGS)))
    for name, track in song.stems.items():
        soundfile.write(folder / f"{name}.wav", track.read()[0].T, 16_000, subtype="FLOAT")
    return song, folder


def test_a_user_s_stems_come_out_as_the_dataset_s_inputs_are(own_stems, tmp_path, targets):
    song, folder = own_stems
    settings = [f"normalize.targets={targets}", "normalize.reverb=null", "normalize.eq.most_db=9", "output.codec=flac24"]
    dataset = mixdata.build(wet_recipe(*settings), tmp_path / "set", [SONGS], workers=0, quiet=True)
    records = normalize_files([(name, folder / f"{name}.wav") for name in STEMS], tmp_path / "out", dataset.path)
    rows = dataset.examples[dataset.examples["song"] == song.id]
    for stem in STEMS:
        written, rate = soundfile.read(tmp_path / "out" / f"{stem}.wav", dtype="float32", always_2d=True)
        assert rate == 16_000 and records[f"{stem}.wav"]["status"] == "normalized"
        for key in rows["key"]:
            example = dataset.load(key)
            expected = example.roles["input"][stem]
            assert np.abs(written.T[:, example.start : example.start + example.frames] - expected).max() < 2e-6, stem
    saved = json.loads((tmp_path / "out" / "normalization.json").read_text())
    assert saved["stems"] == json.loads(json.dumps(records)) and saved["settings"]["eq"]["most_db"] == 9


def test_files_are_resampled_to_the_dataset_and_else_keep_their_rate(own_stems, wet, tmp_path):
    audio, _ = soundfile.read(own_stems[1] / "drums.wav", always_2d=True)
    soundfile.write(tmp_path / "drums.wav", audio[:32_000], 32_000, subtype="FLOAT")
    normalize_files([("drums", tmp_path / "drums.wav")], tmp_path / "a", wet)
    normalize_files([("drums", tmp_path / "drums.wav")], tmp_path / "b", "musdb18")
    assert soundfile.info(tmp_path / "a" / "drums.wav").samplerate == 16_000
    assert soundfile.info(tmp_path / "b" / "drums.wav").samplerate == 32_000
    assert soundfile.info(tmp_path / "b" / "drums.wav").channels == 2


def test_settings_can_be_changed_and_reverb_is_drawn_the_same_each_time(own_stems, wet, tmp_path):
    vocals = [("vocals", own_stems[1] / "vocals.wav")]
    assert way_of(wet).settings.reverb is not None  # as the recipe has it
    one = normalize_files(vocals, tmp_path / "a", wet)
    two = normalize_files(vocals, tmp_path / "b", wet)
    assert one == two and "reverb" in one["vocals.wav"]["steps"]
    assert (tmp_path / "a" / "vocals.wav").read_bytes() == (tmp_path / "b" / "vocals.wav").read_bytes()
    mono = normalize_files(vocals, tmp_path / "c", wet, {"panning.mode": "mono", "reverb": None})
    assert "reverb" not in mono["vocals.wav"]["steps"]
    audio, _ = soundfile.read(tmp_path / "c" / "vocals.wav", always_2d=True)
    assert np.array_equal(audio[:, 0], audio[:, 1])
    for changes in ({"panning.mde": "mono"}, {"eq.most_db": "loud"}, {"nothing": 1}, {"quiet_dbfs.x": 1}):
        with pytest.raises(UsageError):
            normalize_files(vocals, tmp_path / "d", wet, changes)


def test_what_cannot_be_normalized_is_said_before_anything_is_written(own_stems, tmp_path):
    _, folder = own_stems
    with pytest.raises(UsageError, match="different names"):
        normalize_files([("vocals", folder / "vocals.wav"), ("other", tmp_path / "vocals.flac")], tmp_path / "out")
    with pytest.raises(UsageError, match="its own place"):
        normalize_files([("vocals", folder / "vocals.wav")], folder)
    with pytest.raises(UsageError, match="no files"):
        normalize_files([], tmp_path / "out")
    with pytest.raises(mixdata.errors.MixdataError, match=r"nowhere\.wav"):
        normalize_files([("vocals", tmp_path / "nowhere.wav")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_s_name_says_its_stem_or_the_user_does():
    assert parse_stem("a/Vox.wav")[0] == "vocals" and parse_stem("drums=b/c.flac")[0] == "drums"
    with pytest.raises(UsageError, match="which stem is it"):
        parse_stem("take 7.wav")


# The command line


def run(*arguments: str, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "mixdata.cli", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300)


def test_the_command_line_fits_shows_and_normalizes(own_stems, tmp_path):
    made = run("targets", "fit", "-c", SONGS, "-o", "t.npz", "--set", "sample_rate=16000", "-j", "0", cwd=tmp_path)
    assert made.returncode == 0 and "wrote t.npz" in made.stdout, made.stderr
    shown = run("targets", "show", "t.npz", "--json", cwd=tmp_path)
    assert set(json.loads(shown.stdout)["stems"]) == set(STEMS), shown.stderr
    done = run("normalize", str(own_stems[1] / "drums.wav"), f"other={own_stems[1] / 'bass.wav'}", "-t", "t.npz", cwd=tmp_path)
    assert done.returncode == 0 and "drums.wav (drums)" in done.stdout and "from the target" in done.stdout, done.stderr
    assert (tmp_path / "normalized" / "bass.wav").exists()
    wrong = run("normalize", "guitar solo.wav", cwd=tmp_path)
    assert wrong.returncode == 2 and "which stem" in wrong.stderr and "Traceback" not in wrong.stderr
    missing = run("normalize", "vocals=nothing.wav", cwd=tmp_path)
    assert missing.returncode in (1, 2) and "nothing.wav" in missing.stderr and "Traceback" not in missing.stderr
    unknown = run("targets", "show", "musdb81")
    assert unknown.returncode == 2 and "did you mean" in unknown.stderr


def test_stems_left_on_their_targets_are_measured_so(wet):
    """The inputs of the set, read back, have the features that their records say."""
    dataset = mixdata.open_dataset(wet)
    song = dataset.examples["song"].iloc[0]
    rows = dataset.examples[dataset.examples["song"] == song].sort_values("block")
    whole = np.concatenate([dataset.load(key).roles["input"]["other"] for key in rows["key"]], axis=1)
    record = next(step for step in dataset.load(rows["key"].iloc[0]).record["steps"] if step["step"] == "normalize")["stems"]["other"]
    found = measure(whole, 16_000)
    assert found.loudness_lufs == pytest.approx(record["after"]["loudness_lufs"], abs=0.1)
    assert found.onset_peak_lu == pytest.approx(record["after"]["onset_peak_lu"], abs=0.3)
