"""The wheel holds all it needs: it is built, installed elsewhere, and works from another folder."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from conftest import REPOSITORY, SMALL, SONGS


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    done = subprocess.run(install, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_carries_recipes_manifests_templates_and_type_marker(installed):
    (wheel,) = installed.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for part in (
        "mixdata/_data/recipes/separated_pseudo.yaml",
        "mixdata/_data/manifests/",
        "mixdata/report/templates/card.md.j2",
        "mixdata/py.typed",
        "LICENSE",
    ):
        assert any(part in name for name in names), part
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)


def test_it_builds_from_another_folder_with_an_empty_home(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed / "site"), "HOME": str(tmp_path / "home")}
    environment.pop("MIXDATA_CACHE", None)
    (tmp_path / "home").mkdir()
    where = "import mixdata, mixdata.resources as r; print(mixdata.__file__, r.resource('recipes', 'separated_pseudo.yaml'))"
    done = subprocess.run([sys.executable, "-c", where], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.stdout.count(str(installed / "site")) == 2, done.stdout + done.stderr
    sets = [word for setting in SMALL for word in ("--set", setting)]
    command = [sys.executable, "-m", "mixdata.cli", "build", "-c", SONGS, *sets, "--limit", "2", "-j", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["used"] == 2 and (tmp_path / "separated_pseudo" / "dataset.json").is_file()
