"""Same recipe and same songs give the same bytes: whatever the workers, the order, the cache, and however often it was killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

import mixdata
from conftest import REPOSITORY, SMALL, SONGS, files_of, hear_ctrl_c, small_recipe
from mixdata.builder.plan import make_plan
from mixdata.builder.run import summary
from mixdata.builder.survey import split_of
from mixdata.corpora import Corpus, corpus_facts, load_corpus
from mixdata.errors import MixdataError, UsageError
from mixdata.rng import stream
from mixdata.shards.verify import verify

COMMAND = [sys.executable, "-m", "mixdata.cli", "build", "-c", SONGS, *[word for setting in SMALL for word in ("--set", setting)]]


def song(path, seconds=4.0, rate=16000, seed=0, level=0.2, channels=2):
    """Write a noisy tone as a song."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time_axis = np.arange(round(seconds * rate)) / rate
    noise = stream(seed, "song").standard_normal((len(time_axis), channels))
    soundfile.write(path, level * (0.5 * np.sin(2 * np.pi * 220 * time_axis)[:, None] + 0.3 * noise), rate)


def test_workers_and_cache_do_not_change_a_byte(built, tmp_path):
    reference = files_of(built)
    for name, workers, cache in (("one", 1, "fresh"), ("two", 2, "fresh2"), ("cached", 2, "fresh")):
        out = tmp_path / name
        mixdata.build(small_recipe(), out, [SONGS], workers=workers, cache_dir=tmp_path / cache, quiet=True)
        assert files_of(out) == reference, name


def test_a_finished_set_is_returned_as_it_is_and_nothing_is_left_over(built):
    before = {name: os.stat(built / name).st_mtime_ns for name in files_of(built)}
    mixdata.build(small_recipe(), built, [SONGS], workers=0, quiet=True)
    assert {name: os.stat(built / name).st_mtime_ns for name in files_of(built)} == before
    assert not (built / ".build").exists() and not list(built.rglob("*.tmp"))


def test_killed_at_any_instant_it_resumes_to_the_same_bytes(built, tmp_path):
    reference = files_of(built)
    out = tmp_path / "set"
    generator = stream(0, "kill")
    shards = [name for name in reference if name.endswith(".tar")]
    assert len(shards) > 2
    for attempt in range(4):
        process = subprocess.Popen(
            [*COMMAND, "-o", str(out), "-j", "1", "--cache-dir", str(tmp_path / "cache")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=tmp_path,
        )  # fmt: skip
        published = len(list(out.glob("shards/*.parquet"))) if out.exists() else 0
        deadline = time.monotonic() + 60
        # let it get at least as far as a new shard, then strike at a random moment
        while process.poll() is None and time.monotonic() < deadline and len(list(out.glob("shards/*.parquet"))) <= published:
            time.sleep(0.02)
        time.sleep(float(generator.uniform(0, 0.4)))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in out.glob("shards/*.tar"):  # whatever bears a final name is whole
            assert path.read_bytes() == reference[f"shards/{path.name}"], attempt
        if not (out / "dataset.json").exists():
            with pytest.raises(UsageError, match="not finished"):
                mixdata.open_dataset(out)
    mixdata.build(small_recipe(), out, [SONGS], workers=0, cache_dir=tmp_path / "cache", quiet=True)
    assert files_of(out) == reference


def test_ctrl_c_ends_with_130_and_a_word_and_keeps_what_is_done(tmp_path):
    out = tmp_path / "set"
    process = subprocess.Popen(
        [*COMMAND, "-o", str(out), "-j", "1", "--cache-dir", str(tmp_path / "cache")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hear_ctrl_c, cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(out.glob("shards/*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on from there" in errors and "Traceback" not in errors
    assert list(out.glob("shards/*.parquet"))


def test_a_torn_shard_is_built_again(built, tmp_path):
    reference = files_of(built)
    out = tmp_path / "set"
    with pytest.raises(RuntimeError, match="stop here"):
        _build_until_finish(out, tmp_path)
    tars = sorted((out / "shards").glob("*.tar"))
    tars[0].write_bytes(tars[0].read_bytes()[:-600])
    tars[1].with_suffix(".parquet").write_bytes(b"PAR1 torn")
    (out / "shards" / ".train-000000.tar.dead.tmp").write_bytes(b"left by a killed builder")
    mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
    assert files_of(out) == reference


def _build_until_finish(out, tmp_path):
    """Build all shards and die before the tables are put together."""
    from mixdata.builder import run as module

    original = module.finish

    def stop(*_):
        raise RuntimeError("stop here")

    module.finish = stop
    try:
        mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
    finally:
        module.finish = original


def test_a_folder_with_anything_else_in_it_is_refused(built, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        mixdata.build(small_recipe(), tmp_path / "full", [SONGS], workers=0, quiet=True)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        mixdata.build(small_recipe(), tmp_path / "file", [SONGS], workers=0, quiet=True)
    before = files_of(built)
    with pytest.raises(UsageError, match="another recipe or other songs"):
        mixdata.build(small_recipe("seed=5"), built, [SONGS], workers=0, quiet=True)
    assert {name: data for name, data in files_of(built).items() if not name.startswith(".build")} == before


def test_an_unfinished_build_of_another_recipe_is_refused(tmp_path):
    out = tmp_path / "set"
    with pytest.raises(RuntimeError, match="stop here"):
        _build_until_finish(out, tmp_path)
    with pytest.raises(UsageError, match="unfinished build of another"):
        mixdata.build(small_recipe("gate.relative_lu=20"), out, [SONGS], workers=0, quiet=True)


def test_a_second_builder_is_refused_with_the_name_of_the_first(tmp_path):
    from mixdata.builder.lock import exclusive

    with exclusive(tmp_path / "set"), pytest.raises(MixdataError, match=f"process {os.getpid()} on .* is building here"):
        mixdata.build(small_recipe(), tmp_path / "set", [SONGS], workers=0, quiet=True)


def test_every_bad_song_is_left_out_and_counted_by_its_reason(tmp_path):
    root = tmp_path / "music"
    song(root / "good.wav")
    song(root / "mono.wav", channels=1, seed=1)
    song(root / "high.wav", rate=48000, seed=2)
    song(root / "short.wav", seconds=0.5)
    song(root / "silent.wav", level=0.0)
    song(root / "long.wav", seconds=20, seed=5)
    song(root / "surround.wav", channels=6)
    song(root / "same again.flac", seed=3)
    (root / "copy").mkdir()
    (root / "copy" / "same.flac").write_bytes((root / "same again.flac").read_bytes())
    (root / "text.wav").write_text("this is no audio")
    (root / "empty.mp3").write_bytes(b"")
    soundfile.write(root / "nan.wav", np.full((32000, 2), np.nan), 16000, subtype="FLOAT")
    data = (root / "good.wav").read_bytes()
    (root / "torn.wav").write_bytes(data[: len(data) // 2])
    os.mkfifo(root / "pipe.wav")
    dataset = mixdata.build(small_recipe("max_song_seconds=15"), tmp_path / "set", [f"folder:{root}"], workers=0, quiet=True)
    outcome = summary(dataset.songs.to_dict("records"))
    assert outcome["songs"] == 14 and outcome["used"] == 4
    assert outcome["warnings"] == {"mono": 1, "resampled": 1}
    reasons = outcome["reasons"]
    assert reasons["too_short"] == 1 and reasons["silent"] == 1 and reasons["channels"] == 1 and reasons["duplicate"] == 1
    assert reasons["too_long"] == 1 and reasons["nonfinite"] == 1 and reasons["truncated"] == 1 and sum(reasons.values()) == 10
    messages = dataset.songs[dataset.songs["status"] == "rejected"]["message"]
    assert messages.notna().all() and any("surround" in message for message in messages)
    assert verify(tmp_path / "set") == []


def test_where_nothing_can_be_used_the_reasons_are_told_and_no_dataset_appears(tmp_path):
    root = tmp_path / "music"
    song(root / "silent.wav", level=0.0)
    with pytest.raises(MixdataError, match="digital silence"):
        mixdata.build(small_recipe(), tmp_path / "set", [f"folder:{root}"], workers=0, quiet=True)
    assert not (tmp_path / "set" / "dataset.json").exists()
    with pytest.raises(UsageError):
        mixdata.build(small_recipe(), tmp_path / "set2", [f"folder:{tmp_path / 'nowhere'}"], workers=0, quiet=True)


def test_renaming_folders_and_adding_songs_moves_neither_split_nor_draws(tmp_path):
    for name in ("a", "b", "c"):
        song(tmp_path / "one" / f"{name}.wav", seed=ord(name))
        song(tmp_path / "two elsewhere" / f"{name}.wav", seed=ord(name))
    song(tmp_path / "two elsewhere" / "d.wav", seed=1234)
    sets = [
        mixdata.build(small_recipe(), tmp_path / out, [f"folder:{tmp_path / root}"], workers=0, quiet=True)
        for out, root in (("s1", "one"), ("s2", "two elsewhere"))
    ]
    first, second = ({row["sha256"]: row for row in found.songs.to_dict("records")} for found in sets)
    assert len(second) == 4 and set(first) < set(second)
    for sha256, row in first.items():
        for column in ("song", "split", "normalize_eq_db_vocals_after", "residual_db"):
            assert row[column] == second[sha256][column], column
    examples = {example.key: example for example in sets[1]}
    for example in sets[0]:
        assert np.array_equal(example.roles["input"]["drums"], examples[example.key].roles["input"]["drums"])


def test_splits_have_their_shares_and_groups_stay_together():
    shares = {"train": 0.8, "valid": 0.1, "test": 0.1}
    names = [split_of(f"artist:{number}", shares) for number in range(4000)]
    for split, share in shares.items():
        assert abs(names.count(split) / 4000 - share) < 0.02
    assert {split_of("artist:7", shares) for _ in range(3)} == {split_of("artist:7", shares)}
    assert split_of("x", {"train": 1.0}) == "train" and split_of("x", {"test": 1.0}) == "test"


def test_limit_is_a_seeded_sample_that_grows(tmp_path):
    corpus = [load_corpus("synth:songs=9,seconds=3,sample_rate=16000")]
    chosen = [{planned.song.id for planned in make_plan(small_recipe(), corpus, limit, quiet=True).songs} for limit in (2, 5, 9)]
    assert [len(ids) for ids in chosen] == [2, 5, 9] and chosen[0] < chosen[1] < chosen[2]
    other = {planned.song.id for planned in make_plan(small_recipe("seed=1"), corpus, 5, quiet=True).songs}
    assert other != chosen[1]


def test_a_song_that_kills_its_worker_is_left_out_and_the_rest_is_built(tmp_path):
    """The worker of one song dies of SIGKILL, as by the kernel when memory runs out; the pool then stops the others in mid-write."""
    script = tmp_path / "run.py"
    script.write_text(
        "import os, signal, sys, mixdata, mixdata.builder.shard as shard\n"
        "real = shard.load_work\n"
        "def deadly(song, *rest):\n"
        "    if song.title == 'synth-0002':\n"
        "        open(os.path.join(sys.argv[1], 'shards', '.cut-off.tar.12345678.tmp'), 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(song, *rest)\n"
        "shard.load_work = deadly\n"
        "from conftest import small_recipe, SONGS\n"
        "if __name__ == '__main__':\n"
        "    mixdata.build(small_recipe(), sys.argv[1], [SONGS], workers=2, quiet=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "set")], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    songs = mixdata.open_dataset(tmp_path / "set").songs
    rejected = songs[songs["status"] == "rejected"]
    assert rejected["title"].tolist() == ["synth-0002"] and rejected["reason"].tolist() == ["failed"] and len(songs) == 5
    assert verify(tmp_path / "set") == []


def test_loud_masters_are_scaled_and_never_clipped(tmp_path):
    song(tmp_path / "music" / "loud.wav", level=0.9)
    recipe = small_recipe("mix_loudness.loudness=0", "normalize.loudness=null")
    dataset = mixdata.build(recipe, tmp_path / "set", [f"folder:{tmp_path / 'music'}"], workers=0, quiet=True)
    scales = dataset.examples["scale"]
    assert scales.nunique() == 1 and scales.iloc[0] < 1
    example = dataset[0]
    assert max(float(np.abs(audio).max()) for _, _, audio in example.members()) > 1
    assert verify(tmp_path / "set") == []


@pytest.mark.parametrize("codec", ["flac24", "npy16"])
def test_other_codecs_hold_the_same_audio_within_their_steps(built, tmp_path, codec):
    other = mixdata.build(small_recipe(f"output.codec={codec}"), tmp_path / "set", [SONGS], workers=0, quiet=True)
    first = {example.key: example for example in mixdata.open_dataset(built)}
    assert verify(tmp_path / "set") == []
    for example in other:
        twin = first[example.key]
        for (role, stem, audio), (_, _, again) in zip(example.members(), twin.members(), strict=True):
            assert np.abs(audio - again).max() <= 2.0**-15 / twin.scale, (role, stem)


def test_the_record_tells_what_was_done(built):
    dataset = mixdata.open_dataset(built)
    example = dataset[0]
    record = example.record
    assert [done["step"] for done in record["steps"]] == ["separate", "gate", "bleed_jitter", "normalize", "mix_loudness"]
    assert record["song"]["sha256"] and record["song"]["licence"] and record["steps"][0]["separator"]
    json.dumps(record, allow_nan=False)
    gain = record["steps"][4]["gain_db"]
    assert abs(record["song"]["measures"]["mix_loudness"] + gain - -18) < 1e-9
    levels = [level for others in record["steps"][2]["level_db"].values() for level in others.values()]
    assert levels and all(-30 <= level < -10 for level in levels)


def test_inputs_have_their_targets_loudness_and_targets_the_mix_s(built):
    from mixdata import measures
    from mixdata.normalization.targets import load_targets

    dataset = mixdata.open_dataset(built)
    for song_id, rows in dataset.examples.groupby("song", sort=False):
        whole = [dataset.load(key) for key in rows.sort_values("block")["key"]]
        join = lambda role, stem: np.concatenate([example.roles[role][stem] for example in whole], axis=1)  # noqa: E731, B023
        assert measures.integrated_loudness(join("target", "mixture"), 16000) == pytest.approx(-18, abs=0.02), song_id
        for stem, active in whole[0].active["input"].items():
            audio = join("input", stem)
            if active:
                wanted = load_targets("musdb18").stems[stem].loudness_lufs
                assert measures.integrated_loudness(audio, 16000) == pytest.approx(wanted, abs=0.05), (song_id, stem)
            else:
                assert not audio.any()


def test_a_folder_that_only_looks_like_a_build_is_not_touched(tmp_path):
    out = tmp_path / "swift"
    (out / ".build").mkdir(parents=True)
    (out / "shards").mkdir()
    (out / "shards" / "mine.wav").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset.json").write_text('{"format": "else"}')
    with pytest.raises(UsageError, match="not of mixdata"):
        mixdata.build(small_recipe(), tmp_path / "other", [SONGS], workers=0, quiet=True)
    assert (out / "shards" / "mine.wav").read_text() == "mine" and [path.name for path in (tmp_path / "other").iterdir()] == [
        "dataset.json"
    ]


def test_workers_end_with_their_builder_and_ctrl_c_does_not_wait_for_them(tmp_path):
    import psutil

    for number in range(2):
        song(tmp_path / "music" / f"{number}.wav", seconds=25, rate=44100, seed=number)
    command = [sys.executable, "-m", "mixdata.cli", "build", "-c", f"folder:{tmp_path / 'music'}", "--cache", "off", "-j", "1"]
    for how, wanted in ((signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)):
        process = subprocess.Popen([*command, "-o", str(tmp_path / how.name)], stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c)
        deadline = time.monotonic() + 60
        while not list((tmp_path / how.name).glob("shards/.*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)  # in the midst of the first song
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        began = time.monotonic()
        process.send_signal(how)  # to the builder alone, not to its workers
        _, errors = process.communicate(timeout=30)
        assert process.returncode == wanted and "Traceback" not in errors, errors
        assert time.monotonic() - began < 5
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive, how


def test_a_build_that_failed_whole_does_not_block_its_folder(tmp_path):
    song(tmp_path / "music" / "a.wav")
    recipe = small_recipe(separate={"separator": "oracle"})
    with pytest.raises(MixdataError, match="every song was left out"):
        mixdata.build(recipe, tmp_path / "set", [f"folder:{tmp_path / 'music'}"], workers=0, quiet=True)
    assert len(mixdata.build(small_recipe(), tmp_path / "set", [f"folder:{tmp_path / 'music'}"], workers=0, quiet=True)) > 0


@pytest.mark.parametrize("lost", ["shards/train-000000.tar", "examples.parquet", "songs.parquet", "README.md"])
def test_what_a_finished_set_has_lost_is_made_again(built, tmp_path, lost):
    shutil.copytree(built, tmp_path / "set")
    (tmp_path / "set" / lost).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set" / "shards").glob("*.tar")}
    mixdata.build(small_recipe(), tmp_path / "set", [SONGS], workers=0, quiet=True)
    assert files_of(tmp_path / "set") == files_of(built)
    if lost != "songs.parquet":  # its outcomes are known, so whole shards stay as they are
        kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set" / "shards").glob("*.tar") if f"shards/{path.name}" != lost}
        assert kept and all(times[name] == kept[name] for name in kept)


def test_committed_shards_are_not_built_again_and_more_songs_can_be_added(built, tmp_path):
    out = tmp_path / "set"
    with pytest.raises(RuntimeError, match="stop here"):
        _build_until_finish(out, tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.tar")}
    mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
    assert {path.name: path.stat().st_mtime_ns for path in (out / "shards").glob("*.tar")} == times
    assert files_of(out) == files_of(built)
    grown = tmp_path / "grown"
    with pytest.raises(RuntimeError, match="stop here"):
        _build_until_finish(grown, tmp_path)
    more = SONGS.replace("songs=5", "songs=6")
    assert mixdata.build(small_recipe(), grown, [more], workers=0, quiet=True).songs["song"].nunique() == 6
    mixdata.build(small_recipe(), tmp_path / "afresh", [more], workers=0, quiet=True)
    assert files_of(grown) == files_of(tmp_path / "afresh")


def test_a_crash_at_any_rename_resumes_to_the_same_bytes(built, tmp_path, monkeypatch):
    """The build ends at its first rename, then at its second, its third, …: what follows must always be the same set."""
    out, real = tmp_path / "set", os.replace

    class Crash(BaseException):
        pass

    for allowed in range(40):
        left = [allowed]

        def dying(*names, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Crash
            real(*names)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", dying)
            try:
                mixdata.build(small_recipe(), out, [SONGS], workers=0, quiet=True)
                break
            except Crash:
                assert not (out / "dataset.json").exists()
    assert 5 < allowed < 39
    assert files_of(out) == files_of(built)


def test_titles_and_licences_are_part_of_what_is_built(tmp_path):
    song(tmp_path / "one" / "The Song.wav")
    song(tmp_path / "two" / "The-Song.wav")
    plans = [make_plan(small_recipe(), [load_corpus(f"folder:{tmp_path / name}")], quiet=True) for name in ("one", "two")]
    assert plans[0].songs[0].song.id == plans[1].songs[0].song.id and plans[0].identity != plans[1].identity


def test_step_versions_weights_and_songs_are_part_of_the_identity(monkeypatch, tmp_path):
    from dataclasses import replace

    from mixdata.recipes.registry import STEPS

    corpus = [load_corpus(SONGS)]
    base = make_plan(small_recipe(), corpus, quiet=True)
    fewer = make_plan(small_recipe(), [load_corpus(SONGS.replace("songs=5", "songs=4"))], quiet=True)
    assert {shard.id for shard in base.shards} != {shard.id for shard in fewer.shards}
    for change in ({"version": 99}, {"fingerprint": lambda params: "other weights"}):
        monkeypatch.setitem(STEPS, "separate", replace(STEPS["separate"], **change))
        other = make_plan(small_recipe(), corpus, quiet=True)
        assert other.identity != base.identity and not {s.id for s in other.shards} & {s.id for s in base.shards}
        monkeypatch.undo()


def test_no_path_of_this_machine_is_in_a_dataset_and_moving_the_music_changes_no_byte(tmp_path):
    for name in ("here", "somewhere else"):
        song(tmp_path / name / "deep" / "good.wav")
        song(tmp_path / name / "deep" / "wide.wav", channels=6)
        (tmp_path / name / "torn.wav").write_bytes(b"RIFF\x00")
    sets = []
    for name in ("here", "somewhere else"):
        out = tmp_path / "sets" / name.split()[0]
        mixdata.build(small_recipe(), out, [f"folder:{tmp_path / name}"], workers=0, quiet=True)
        sets.append(files_of(out))
    assert sets[0] == sets[1]
    songs = mixdata.open_dataset(tmp_path / "sets" / "here").songs
    assert set(songs["file"]) == {"deep/good.wav", "deep/wide.wav", "torn.wav"}
    assert not any(str(tmp_path) in message for message in songs["message"].dropna())
    assert b"corpora:\n- folder\n" in sets[0]["recipe.yaml"]


def test_a_file_that_changes_after_the_plan_is_left_out(tmp_path):
    from mixdata.builder.shard import Job, build_shard, outcome_path

    song(tmp_path / "music" / "a.wav")
    recipe = small_recipe()
    plan = make_plan(recipe, [load_corpus(f"folder:{tmp_path / 'music'}")], quiet=True)
    song(tmp_path / "music" / "a.wav", seed=9, seconds=5)
    build_shard(Job(tmp_path / "set", json.dumps(plan.recipe.resolved(local=True)), plan.shards[0], None))
    rows = json.loads(outcome_path(tmp_path / "set", plan.shards[0].name).read_text())["songs"]
    assert [row["reason"] for row in rows] == ["changed"]


def test_songs_without_a_split_follow_their_artist(tmp_path):
    from dataclasses import replace

    songs = list(load_corpus(SONGS))
    groups = {"artist": "The Same"}
    given = [replace(songs[0], split="test", groups=groups), *(replace(found, groups=groups) for found in songs[1:])]

    corpus = Corpus(corpus_facts("synth"), SONGS, None, {}, given)
    assert {planned.split for planned in make_plan(small_recipe(), [corpus], quiet=True).songs} == {"test"}


def test_memory_bounds_the_number_of_workers(monkeypatch):
    from mixdata.builder import run

    plan = make_plan(small_recipe(), [load_corpus(SONGS)], quiet=True)
    monkeypatch.setattr(run.os, "cpu_count", lambda: 64)
    longest = max(planned.frames for planned in plan.songs) * 8
    monkeypatch.setattr(run.files, "free_memory", lambda: 3 * run.COPIES * longest)
    assert run.default_workers(plan) == 3
    monkeypatch.setattr(run.files, "free_memory", lambda: 1)
    assert run.default_workers(plan) == 1
