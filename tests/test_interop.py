"""The sets open in the tools that people have: WebDataset, Hugging Face datasets, pandas."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import webdataset

import mixdata
from conftest import SONGS, small_recipe
from mixdata.report.card import card


@pytest.fixture(scope="module")
def built_npy(tmp_path_factory):
    out = tmp_path_factory.mktemp("npy") / "set"
    mixdata.build(small_recipe("output.codec=npy16"), out, [SONGS], workers=0, quiet=True)
    return out


def shards(folder, split="train"):
    return [str(path) for path in sorted((folder / "shards").glob(f"{split}-*.tar"))]


def test_webdataset_reads_flac_by_our_handler(built):
    dataset = mixdata.open_dataset(built)
    samples = list(webdataset.WebDataset(shards(built), shardshuffle=False).decode(mixdata.decode_flac))
    assert [sample["__key__"] for sample in samples] == dataset.examples.query("split == 'train'")["key"].tolist()
    for sample in samples:
        example = dataset.load(sample["__key__"])
        assert sample["json"] == example.record
        for role, stem, audio in example.members():
            assert np.allclose(sample[f"{role}.{stem}.flac"], audio * np.float32(example.scale), atol=1e-7)


def test_webdataset_reads_npy_by_itself(built_npy):
    dataset = mixdata.open_dataset(built_npy)
    samples = list(webdataset.WebDataset(shards(built_npy), shardshuffle=False).decode())
    assert len(samples) == len(dataset.examples.query("split == 'train'"))
    for sample in samples:
        example = dataset.load(sample["__key__"])
        stems = [sample[f"target.{stem}.npy"].astype(int) for stem in ("vocals", "drums", "bass", "other")]
        assert np.abs(sample["target.mixture.npy"] - sum(stems)).max() <= 2
        assert sample["input.bass.npy"].dtype == np.int16 and sample["input.bass.npy"].shape == (2, example.frames)


@pytest.mark.parametrize("codec", ["flac", "npy"])
def test_hugging_face_opens_the_folder_by_its_card(built, built_npy, tmp_path, codec):
    """In a process of its own: its libraries read the environment when imported."""
    folder = built if codec == "flac" else built_npy
    script = (
        "import io, json, sys\n"
        "import numpy as np, soundfile\n"
        "from datasets import load_dataset\n"
        "sets = load_dataset(sys.argv[1], cache_dir=sys.argv[2])\n"
        "out = {}\n"
        "for split, rows in sets.items():\n"
        "    row = rows[0]\n"
        "    audio = row['target.mixture.' + sys.argv[3]]\n"
        "    data = soundfile.read(io.BytesIO(audio))[0].T if sys.argv[3] == 'flac' else np.array(audio)\n"
        "    out[split] = [len(rows), row['__key__'], row['json']['song']['title'], list(data.shape)]\n"
        "print(json.dumps(out))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(tmp_path / "cache"), codec],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    dataset = mixdata.open_dataset(folder)
    assert set(found) == set(dataset.meta["splits"])
    for split, (count, key, title, shape) in found.items():
        rows = dataset.examples[dataset.examples["split"] == split]
        example = dataset.load(key)
        assert count == len(rows) and key == rows["key"].iloc[0] and title == example.record["song"]["title"]
        assert shape == [2, example.frames]


def test_tables_open_in_pandas_without_help(built):
    examples, songs = pd.read_parquet(built / "examples.parquet"), pd.read_parquet(built / "songs.parquet")
    assert examples["key"].is_unique and {"activity_vocals", "loudness_target_mixture"} <= set(examples.columns)
    assert set(examples["song"]) == set(songs.query("status == 'used'")["song"])
    plan = pd.read_parquet(built / "plan.parquet")
    assert set(plan["song"]) == set(songs["song"]) and plan.groupby("song")["shard"].nunique().max() == 1


def test_croissant_names_every_shard_with_its_hash(built):
    described = json.loads((built / "croissant.json").read_text())
    files = {item["contentUrl"]: item["sha256"] for item in described["distribution"] if item["@type"] == "cr:FileObject"}
    meta = json.loads((built / "dataset.json").read_text())
    assert files == {f"shards/{s['name']}.tar": s["sha256"] for split in meta["splits"].values() for s in split["shards"]}


def test_the_card_tells_of_the_steps_whatever_the_recipe_is_called(built):
    meta, songs = json.loads((built / "dataset.json").read_text()), pd.read_parquet(built / "songs.parquet").to_dict("records")
    assert meta["steps"] == [call.step.name for call in small_recipe().steps]
    separated, bleed = "The stems are **separated**, not recorded", "Inputs hold a random amount of bleed"

    def text(*left_out):
        return card(meta | {"recipe": "mine", "steps": [step for step in meta["steps"] if step not in left_out]}, songs)

    assert separated in text() and bleed in text() and "the separator's weights" in text()
    assert separated in text("bleed_jitter") and bleed not in text("bleed_jitter")
    assert separated not in text("separate") and "the separator's weights" not in text("separate")


def test_examples_are_taken_by_number_or_by_key(built):
    from mixdata.errors import UsageError

    dataset = mixdata.open_dataset(built)
    assert dataset[-1].key == dataset.load(dataset.examples["key"].iloc[-1]).key
    with pytest.raises(IndexError, match="there is no example"):
        dataset[len(dataset)]
    with pytest.raises(UsageError, match="load"):
        dataset["key"]
