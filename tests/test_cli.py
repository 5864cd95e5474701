"""What a person types: help with examples, clear errors and exit codes, JSON for scripts; never a traceback."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import soundfile

from conftest import SMALL, SONGS
from mixdata.rng import stream

SETS = [word for setting in SMALL for word in ("--set", setting)]


def run(*words, cwd=None, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "mixdata.cli", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    "command", ["build", "stats", "verify", "info", "listen", "train", "corpora show", "recipes show", "recipes validate"]
)
def test_every_command_has_help_with_an_example(command):
    done = run(*command.split(), "--help")
    assert done.returncode == 0 and "xample" in done.stdout and f"mixdata {command}" in done.stdout


def test_build_then_look_at_it_every_way(tmp_path):
    done = run("build", "-c", SONGS, *SETS, "-o", "set", "-j", 1, "--limit", 4, "--json", cwd=tmp_path)
    outcome = json.loads(done.stdout)
    assert done.returncode == 0 and outcome["used"] == 4 and outcome["skipped"] == 0
    info = json.loads(run("info", "set", "--json", cwd=tmp_path).stdout)
    assert info["identity"] == outcome["identity"] and info["sample_rate"] == 16000
    assert "input" in run("info", "set", cwd=tmp_path).stdout
    assert json.loads(run("verify", "set", "--json", cwd=tmp_path).stdout) == {"ok": True, "problems": []}
    stats = run("stats", "set", "--json", "--html", "report.html", cwd=tmp_path)
    json.loads(stats.stdout)
    HTMLParser().feed((tmp_path / "report.html").read_text())
    assert "vocals" in run("stats", "set", cwd=tmp_path).stdout
    assert run("listen", "set", "--static", "page", "-n", 2, cwd=tmp_path).returncode == 0 and (tmp_path / "page" / "index.html").is_file()
    trained = run("train", "set", "--steps", 2, "--batch-size", 2, "--crop", 1, "--json", cwd=tmp_path)
    assert json.loads(trained.stdout)["steps"] == 2 and (tmp_path / "runs" / "set").is_dir()


def test_a_dry_run_tells_what_it_would_take_and_writes_nothing(tmp_path):
    done = run("build", "-c", SONGS, *SETS, "-o", "set", "--dry-run", cwd=tmp_path, MIXDATA_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0
    for words in ("songs     5", "dataset   about", "cache     up to", "time      about", "free"):
        assert words in done.stdout, done.stdout
    facts = json.loads(run("build", "-c", SONGS, *SETS, "--dry-run", "--json", cwd=tmp_path, MIXDATA_CACHE=str(tmp_path / "cache")).stdout)
    assert facts["songs"] == 5 and facts["dataset_bytes"] > 0 and facts["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


def test_skips_are_told_and_strict_makes_them_exit_code_3(tmp_path):
    (tmp_path / "music").mkdir()
    noise = stream(0, "cli").standard_normal((64000, 2)) * 0.1
    soundfile.write(tmp_path / "music" / "good.wav", noise, 16000)
    (tmp_path / "music" / "bad.wav").write_text("no audio")
    done = run("build", "-c", "folder:music", *SETS, "-o", "set", "-j", 0, cwd=tmp_path)
    assert done.returncode == 0 and "left out: 1 songs" in done.stdout and "bad" in done.stdout
    done = run("build", "-c", "folder:music", *SETS, "-o", "set", "-j", 0, "--strict", cwd=tmp_path)
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["build", "--recipe", "seperated_pseudo"], 2, "did you mean 'separated_pseudo'"),
        (["build", "--recipe", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["build", "--corpus", "fodler:x"], 2, "folder"),
        (["build", "--corpus", "folder:/nowhere/at/all"], 2, "/nowhere/at/all"),
        (["build", "--corpus", "folder"], 2, "folder"),
        (["build", "--separator", "magic"], 2, "builtin"),
        (["build", "--set", "seed"], 2, "path=value"),
        (["build", "--set", "gate.relativ_lu=3"], 2, "did you mean 'relative_lu'"),
        (["build", "--workers", "-3"], 2, "workers"),
        (["build", "--cache", "mp3"], 2, "flac24"),
        (["build", "--nonsense"], 2, "nonsense"),
        (["stats", "nowhere"], 2, "nowhere"),
        (["info", "."], 2, "dataset.json"),
        (["verify", "nowhere"], 2, "nowhere"),
        (["listen", "nowhere"], 2, "nowhere"),
        (["train", "nowhere"], 2, "nowhere"),
        (["corpora", "show", "musdc18"], 2, "musdb18"),
        (["recipes", "validate", "bad.yaml"], 2, "bad.yaml:1"),
    ],
)
def test_mistakes_get_one_clear_message(tmp_path, words, code, message):
    (tmp_path / "bad.yaml").write_text("nmae: x\nsteps: [segment]\n")
    done = run(*words, cwd=tmp_path)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert message in done.stderr.replace("\n", " "), done.stderr


def test_a_full_disk_is_told_and_leaves_nothing_under_a_final_name(tmp_path):
    """The largest file size allowed stands in for a full disk: the same failing write."""
    import resource

    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-m", "mixdata.cli", "build", "-c", SONGS, *SETS, "-o", "set", "-j", "0", "--cache", "off"],
        capture_output=True, text=True, cwd=tmp_path, preexec_fn=limit, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1 and "largest size allowed" in done.stderr and "Traceback" not in done.stderr
    assert not list((tmp_path / "set" / "shards").glob("*")) and not (tmp_path / "set" / "dataset.json").exists()


def test_recipes_and_corpora_are_listed(tmp_path):
    assert "separated_pseudo" in run("recipes", "list").stdout
    assert {"folder", "musdb18", "musdb18hq", "synth", "demo"} <= {
        entry["name"] for entry in json.loads(run("corpora", "list", "--json").stdout)
    }
    shown = run("recipes", "show", "separated_pseudo").stdout
    (tmp_path / "mine.yaml").write_text(shown)
    assert run("recipes", "validate", "mine.yaml", cwd=tmp_path).returncode == 0
    assert len(json.loads(run("corpora", "show", "demo", "--json").stdout)["songs"]) == 7
