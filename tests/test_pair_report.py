"""What the report says of pairs: the laws before and after redraws, and the parameters as applied."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import mixdata
from conftest import small_recipe
from mixdata.report.pairs import pair_lines, pair_statistics, share_rows
from mixdata.report.stats import dataset_statistics, render_text
from mixdata.shards.index import example_table, shard_rows
from mixdata.shards.labels import APPLIED, NAMES, StemFacts, column_type, label_columns
from pair_sets import EFFECTS, SONGS, pair_recipe

CHAIN = [
    {"effect": "delay", "time_s": 0.25, "feedback": 0, "damping_hz": "inf", "ping_pong": True, "label": "echo", "removed": True},
    {"effect": "eq", "bands": [{"kind": "peak", "gain_db": 3.0}, {"kind": "low_shelf", "gain_db": -2}], "label": "eq", "removed": False},
    {"effect": "send", "effects": [{"effect": "reverb", "mix": 1.0}], "send_db": "-inf", "label": "plate", "removed": True},
]


def facts(*chain: dict) -> StemFacts:
    return StemFacts.model_validate_json(json.dumps({"chain": chain, "gain_db": 1.0, "presence": []}))


def applied(label: str, removed: bool = True, numbers: dict | None = None, words: dict | None = None) -> dict:
    head = {"stem": "drums", "position": 0, "effect": label, "label": label, "removed": removed}
    return head | {"parameters": [*(numbers or {}).items()], "choices": [*(words or {}).items()]}


def statistics(counts: list[dict], links: list[list[dict]] | None = None) -> dict:
    found = pair_statistics(pd.DataFrame({"effects": [None] if links is None else links}), pd.DataFrame(counts))
    assert found is not None
    return found


def test_labels_are_columns_with_every_parameter_by_its_path():
    row = label_columns({"drums": facts(*CHAIN), "bass": facts(CHAIN[1])})
    assert [(entry["stem"], entry["position"], entry["effect"], entry["label"], entry["removed"]) for entry in row["effects"]] == [
        ("drums", 0, "delay", "echo", True),
        ("drums", 1, "eq", "eq", False),
        ("drums", 2, "send", "plate", True),
        ("bass", 0, "eq", "eq", False),
    ]
    delay, eq, send, _ = row["effects"]
    assert delay["parameters"] == [("time_s", 0.25), ("feedback", 0.0), ("damping_hz", np.inf)] and delay["choices"] == [
        ("ping_pong", "true")
    ]
    assert eq["parameters"] == [("bands.0.gain_db", 3.0), ("bands.1.gain_db", -2.0)]
    assert eq["choices"] == [("bands.0.kind", "peak"), ("bands.1.kind", "low_shelf")]
    assert send["parameters"] == [("effects.0.mix", 1.0), ("send_db", -np.inf)] and send["choices"] == [("effects.0.effect", "reverb")]
    assert row["removed_drums"] == ["echo", "plate"] and row["kept_drums"] == ["eq"]
    assert row["removed_bass"] == [] and row["kept_bass"] == ["eq"]


def test_columns_have_their_types_also_where_a_shard_has_no_value_for_them():
    assert (column_type("effects"), column_type("removed_drums"), column_type("kept_x")) == (APPLIED, NAMES, NAMES)
    assert column_type("activity_drums") == column_type("loudness_input_drums") == pa.float32()
    fixed = {"key": "a_00000", "song": "a", "corpus": "c", "split": "train", "shard": "train-000000", "licence": "x", "scale": 1.0}
    fixed |= dict.fromkeys(("block", "start", "byte_offset"), 0) | dict.fromkeys(("frames", "sample_rate", "byte_size"), 1)
    shards = [shard_rows([fixed | label_columns({stem: facts(*CHAIN)})]) for stem in ("drums", "bass")]
    table = example_table(iter(shards))
    assert table["removed_drums"].to_pylist() == [["echo", "plate"], None] and table["kept_bass"].to_pylist() == [None, ["eq"]]
    assert table.schema.field("effects").type == APPLIED


def test_a_set_without_pairs_has_no_statistics_of_them(built):
    dataset = mixdata.open_dataset(built)
    assert pair_statistics(dataset.examples, dataset.songs) is None and small_recipe().name == "separated_pseudo"
    assert dataset_statistics(dataset, 0)["pairs"] is None


def test_shares_are_of_the_pairs_that_were_drawn_and_of_those_accepted():
    counts = [
        {"pairs_drawn": 6.0, "pairs_accepted": 5.0, "pairs_rejected": 1.0, "redraws_absent": 9.0, "drawn_remove_gain": 5.0},
        {"pairs_drawn": 4.0, "pairs_accepted": 4.0, "redraws_rate": 2.0, "accepted_remove_gain": 3.0, "drawn_keep_eq": 10.0},
        {"pairs_drawn": np.nan, "accepted_keep_eq": 9.0, "drawn_removed_1": 7.0, "drawn_removed_10": 3.0, "accepted_removed_1": 9.0},
    ]
    found = statistics(counts)
    assert (found["drawn"], found["accepted"], found["rejected"]) == (10, 9, 1)
    assert found["redraws"] == {"absent": 9, "rate": 2}
    assert found["removed"] == [{"label": "gain", "drawn": 0.5, "accepted": pytest.approx(1 / 3)}]
    assert found["kept"] == [{"label": "eq", "drawn": 1.0, "accepted": 1.0}]
    assert [row["label"] for row in found["removed_count"]] == ["1", "10"] and found["removed_count"][1] == {
        "label": "10",
        "drawn": 0.3,
        "accepted": 0.0,
    }
    assert pair_lines(found)[0] == "pairs: 10 drawn, 9 accepted, 1 given up; redraws: absent 9, rate 2"
    assert share_rows(found) == [
        ["kept", "eq", "100.0%", "100.0%"],
        ["removed", "gain", "50.0%", "33.3%"],
        ["effects removed", "1", "70.0%", "100.0%"],
        ["", "10", "30.0%", "0.0%"],
    ]


def test_where_nothing_was_accepted_there_is_no_share():
    found = statistics(
        [{"pairs_drawn": 2.0, "pairs_rejected": 2.0, "drawn_remove_gain": 2.0, "drawn_removed_1": 2.0, "redraws_absent": 16.0}]
    )
    assert share_rows(found)[0][2] == "100.0%" and found["accepted"] == 0
    assert pair_lines(statistics([{"pairs_drawn": 1.0, "pairs_accepted": 1.0}]))[0].endswith("0 given up; redraws: none")


def test_aliases_with_names_like_the_counts_are_told_apart():
    found = statistics([{"pairs_drawn": 1.0, "pairs_accepted": 1.0, "drawn_remove_d_1": 1.0, "drawn_keep_removed_2": 1.0}])
    assert [row["label"] for row in found["removed"]] == ["d_1"] and [row["label"] for row in found["kept"]] == ["removed_2"]


def test_parameters_are_told_by_range_and_choices_by_number():
    links = [
        [applied("delay", numbers={"time_s": value, "mix": 0.5, "damping_hz": damping}, words={"ping_pong": word})]
        for value, damping, word in ((0.3, 2000.0, "true"), (0.1, np.inf, "false"), (0.2, 4000.0, "true"))
    ]
    rows = statistics([{"pairs_drawn": 3.0, "pairs_accepted": 3.0}], [*links, None])["parameters"]
    assert rows == [
        {"label": "delay", "parameter": "damping_hz", "min": 2000.0, "median": 2000.0, "max": 4000.0, "count": 2},
        {"label": "delay", "parameter": "time_s", "min": 0.1, "median": 0.2, "max": 0.3, "count": 3},
        {"label": "delay", "parameter": "ping_pong", "choices": {"true": 2, "false": 1}},
    ]


def test_the_report_of_a_set_counts_what_its_records_hold(tmp_path):
    dataset = mixdata.build(pair_recipe(EFFECTS), tmp_path / "set", [SONGS], workers=0, quiet=True)
    stats = dataset_statistics(dataset, 0)
    found = json.loads(json.dumps(stats["pairs"], allow_nan=False))
    records = [record for example in dataset for record in example.record["effects"].values()]
    assert found["accepted"] == len(records) == found["drawn"] - found["rejected"]
    for group, removed in (("kept", False), ("removed", True)):
        for row in found[group]:
            held = sum(any(link["label"] == row["label"] and link["removed"] is removed for link in record["chain"]) for record in records)
            assert row["accepted"] == pytest.approx(held / len(records))
    counts = [sum(link["removed"] for link in record["chain"]) for record in records]
    for row in found["removed_count"]:
        assert row["accepted"] == pytest.approx(counts.count(int(row["label"])) / len(records))
    drives = [link["drive_db"] for record in records for link in record["chain"] if link["effect"] == "distortion"]
    (row,) = [row for row in found["parameters"] if (row["label"], row["parameter"]) == ("distortion", "drive_db")]
    assert (row["min"], row["max"], row["count"]) == (min(drives), max(drives), len(drives))
    text = render_text(stats)
    assert f"pairs: {found['drawn']} drawn, {len(records)} accepted" in text and "drive_db" in text
