"""Four corpora in one build: what they share is refused, what is allowed is built, and everything is known of every song."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mixdata
from mixdata.cli import app
from mixdata.errors import UsageError
from mixdata.index import index_corpus, load_manifest
from mixdata.shards.verify import verify
from tests.corpora_trees import dsd100, moisesdb
from tests.corpora_trees_more import slakh2100
from tests.trees import musdb_hq

TEST_SONG = "AM Contra - Heart Peripheral"  # of MUSDB18's test split, and of DSD100's Dev, which is for training


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> list[str]:
    """Trees of four corpora in their true layouts, two of which share a song."""
    root = tmp_path_factory.mktemp("four")
    musdb = {"train": ["Actions - One Minute Smile", "ANiMAL - Rockshow"], "test": [TEST_SONG]}
    return [
        f"musdb18hq:{musdb_hq(root / 'musdb18hq', musdb, seconds=2)}",
        f"dsd100:{dsd100(root / 'dsd', 2)}",
        f"moisesdb:{moisesdb(root / 'moises', 2)}",
        f"slakh2100:{slakh2100(root / 'slakh', 2)}",
    ]


def recipe(*settings: str) -> mixdata.Recipe:
    """Dry stems in short blocks."""
    return mixdata.load_recipe("dry_stems", ["sample_rate=16000", "segment.seconds=1", *settings])


def test_a_song_in_two_splits_of_four_corpora_is_refused_by_name(four, tmp_path):
    with pytest.raises(UsageError) as refused:
        mixdata.build(recipe(), tmp_path / "set", four, workers=0, quiet=True)
    said = str(refused.value)
    assert TEST_SONG in said and "--allow-leak" in said and "dsd100" in said and "musdb18hq" in said
    assert not (tmp_path / "set").exists()


def test_without_the_corpus_that_leaks_the_others_are_built(four, tmp_path):
    made = mixdata.build(recipe(), tmp_path / "set", [spec for spec in four if not spec.startswith("dsd100")], workers=0, quiet=True)
    assert set(made.songs[made.songs.status == "used"].corpus) == {"musdb18hq", "moisesdb", "slakh2100"}
    assert made.meta["allowed_leaks"] == []


def test_four_corpora_with_the_leak_allowed_are_built_from_roots_as_from_manifests(four, tmp_path):
    allowed = recipe('allow_leaks=["all"]')
    made = mixdata.build(allowed, tmp_path / "one", four, workers=0, quiet=True)
    used = made.songs[made.songs.status == "used"]
    assert set(used.corpus) == {"musdb18hq", "dsd100", "moisesdb", "slakh2100"} and made.meta["allowed_leaks"]
    assert not verify(made.path)
    assert set(used.licence) >= {"CC-BY-4.0", "CC-BY-NC-SA-4.0", "restricted"}  # each song's own
    assert "share songs, artists or recordings" in (made.path / "README.md").read_text()
    manifests = []
    for number, spec in enumerate(four):
        index_corpus(mixdata.load_corpus(spec), tmp_path / f"{number}.parquet", workers=0, quiet=True)
        manifests.append(load_manifest(tmp_path / f"{number}.parquet"))
    again = mixdata.build(allowed, tmp_path / "two", manifests, workers=0, quiet=True)
    assert again.meta["identity"] == made.meta["identity"]
    for path in sorted(Path(made.path, "shards").iterdir()):
        assert path.read_bytes() == (Path(again.path) / "shards" / path.name).read_bytes()


def test_the_commands_say_what_is_shared_and_what_may_be_done(four, tmp_path):
    runner = CliRunner()
    said = runner.invoke(app, ["leaks", *four[:2], "--no-audio", "--json"])
    assert said.exit_code == 1 and TEST_SONG in said.stdout
    mixdata.build(recipe('allow_leaks=["all"]', 'leak_check="names"'), tmp_path / "set", four, workers=0, quiet=True)
    said = runner.invoke(app, ["licence", str(tmp_path / "set"), "--use", "commercial", "--json"])
    assert said.exit_code == 1 and json.loads(said.stdout)
