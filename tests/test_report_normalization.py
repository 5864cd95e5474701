"""What normalization did, in statistics, text and figures; targets told and drawn; and records that no builder wrote."""

import json
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from mixdata.cli import app
from mixdata.errors import UsageError
from mixdata.example import Example
from mixdata.measures.bands import CENTRES_HZ
from mixdata.normalization.targets import StemTarget, Targets, load_targets
from mixdata.report import normalization
from mixdata.report.figures import draw_stem, draw_targets, inline
from mixdata.report.html import render_html
from mixdata.report.normalization import (
    normalization_page,
    normalization_statistics,
    plot_targets,
    read_curves,
    render_targets,
    sample_records,
    targets_facts,
)
from mixdata.report.stats import dataset_statistics, render_text
from mixdata.shards.index import example_rows, example_table
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.shards.storage import Folder
from mixdata.shards.writer import publish_table, write_shard

BANDS = len(CENTRES_HZ)
STEMS = ("vocals", "bass")
HOSTILE = "</title><script>$\\frac&\x1b[31m"


def done(offset: float = 0.0, missing: int = 0, **more: Any) -> dict[str, Any]:
    """What `normalize_stem` notes, as far as the report reads it; the last `missing` bands are above the song's rate."""

    def curve(value: float) -> list[float | None]:
        return [round(value + place / 100, 3) for place in range(BANDS - missing)] + [None] * missing

    def features(level: float, alike: float) -> dict[str, Any]:
        return {"loudness_lufs": -20.0, "spectrum_db": curve(level), "similarity": curve(alike), "onset_peak_lu": None}

    record = {"status": "normalized", "target": "vocals", "steps": {"eq": {"correction_db": curve(2 + offset)}}}
    return record | {"before": features(offset, 0.1), "after": features(5 + offset, 0.3)} | more


def record_of(stems: Any) -> dict[str, Any]:
    step = {"step": "normalize", "targets": {"name": "musdb18", "sha256": "0" * 64}, "stems": stems}
    return {"steps": [{"step": "separate", "separator": {"separator": "builtin"}}, step]}


def with_spread(seed: int, songs: int = 3) -> StemTarget:
    rng = np.random.default_rng(seed)
    curves = rng.normal(size=BANDS), np.full(BANDS, 2.0), np.full(BANDS, 0.75), np.full(BANDS, 0.05)
    return StemTarget(*curves, -20.25, 1.5, 12.25, math.nan, songs=songs)


def songs_table(columns: dict[str, list[Any]], **more: list[Any]) -> Any:
    return SimpleNamespace(songs=pd.DataFrame({"status": ["used"] * len(next(iter(columns.values()))), **columns, **more}))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four songs of two examples; the second's bass was too quiet, the third has a low rate, the fourth's record is none."""
    path = tmp_path_factory.mktemp("normalized") / "set"
    silence = {"input": {stem: np.zeros((2, 400), np.float32) for stem in STEMS}}
    noted: list[Any] = [
        {stem: done(0) for stem in STEMS},
        {"vocals": done(1), "bass": {"status": "quiet"}},
        {stem: done(2, missing=20) for stem in STEMS},
        dict.fromkeys(STEMS, "normalized"),
    ]
    examples = []
    for number, stems in enumerate(noted):
        song = f"song-{number:08x}"
        for block in range(2):
            activity = dict.fromkeys(STEMS, 1.0)
            example = Example(
                f"{song}_{block:05d}", song, "train", block, 400 * block, 8000, silence, {"input": dict.fromkeys(STEMS, True)}
            )
            example.record = {
                "key": example.key, "song": {"id": song, "corpus": "synth", "licence": "CC0-1.0"}, "split": "train", "block": block,
                "start": 400 * block, "frames": 400, "sample_rate": 8000, "channels": 2, "codec": "flac16", "scale": 1.0,
                "active": example.active, "activity": activity, "loudness": {"input": dict.fromkeys(STEMS)}, **record_of(stems),
            }  # fmt: skip
            examples.append(example)
    write_shard(path, "train-000000", "0" * 64, examples, "flac16")
    publish_table(path / "examples.parquet", example_table(example_rows(path, ["train-000000"])))
    rows = [
        {"song": f"song-{number:08x}", "title": HOSTILE if number == 0 else "Same", "status": "used", "warnings": []}
        | {"loudness_balance_vocals": -6.0 - number, "loudness_balance_bass": -9.0, "licence": "CC0-1.0", "corpus": "synth"}
        | {"normalize_eq_db_vocals_before": 4.0 + number, "normalize_eq_db_vocals_after": 1.0}
        | {"normalize_panning_bass_before": None if number == 1 else 0.2, "normalize_panning_bass_after": None if number == 1 else 0.05}
        for number in range(4)
    ]
    publish_table(path / "songs.parquet", pa.Table.from_pylist(rows))
    (path / "recipe.yaml").write_text("name: tiny\n")
    Targets({"vocals": with_spread(0), "other": with_spread(1)}, {"name": HOSTILE}).save(path / "targets.npz")
    shards = [{"name": "train-000000", "bytes": (path / "shards" / "train-000000.tar").stat().st_size}]
    meta = {"format": "mixdata", "format_version": 1, "name": "tiny", "title": "tiny", "recipe": "tiny", "identity": "abc"}
    meta |= {"codec": "flac16", "sample_rate": 8000, "channels": 2, "continuous": True, "roles": {"input": list(STEMS)}}
    (path / "dataset.json").write_text(json.dumps(meta | {"splits": {"train": {"examples": len(examples), "shards": shards}}}))
    return open_dataset(path)


# Distances


def test_quartiles_and_the_fall_of_the_median_are_those_worked_out_by_hand() -> None:
    columns = {"normalize_eq_db_vocals_before": [4.0, 8.0, 6.0, 2.0, 10.0], "normalize_eq_db_vocals_after": [0.5, 1.5, 3.0, 1.0, 2.0]}
    found = normalization_statistics(songs_table(columns))
    assert found is not None and found["songs"] == 5
    (row,) = found["distances"]
    assert (row["stem"], row["feature"], row["unit"], row["songs"]) == ("vocals", "eq_db", "dB RMS", 5)
    assert row["before"] == {"q1": 4.0, "median": 6.0, "q3": 8.0} and row["after"] == {"q1": 1.0, "median": 1.5, "q3": 2.0}
    assert row["fall_percent"] == pytest.approx(75.0)  # from 6 to 1.5


def test_only_used_songs_with_both_distances_count() -> None:
    before = [1.0, 2.0, None, 4.0, 100.0]
    after = [2.0, None, 3.0, 4.0, 100.0]
    table = songs_table({"normalize_loudness_lu_bass_before": before, "normalize_loudness_lu_bass_after": after})
    table.songs.loc[4, "status"] = "rejected"
    found = normalization_statistics(table)
    assert found is not None and found["songs"] == found["distances"][0]["songs"] == 2
    assert found["distances"][0]["before"]["median"] == 2.5 and found["distances"][0]["after"]["median"] == 3.0
    assert found["distances"][0]["fall_percent"] == pytest.approx(-20.0)  # it rose


def test_a_median_of_zero_cannot_fall() -> None:
    found = normalization_statistics(songs_table({"normalize_panning_x_before": [0.0], "normalize_panning_x_after": [0.1]}))
    assert found is not None and found["distances"][0]["fall_percent"] is None
    assert normalization.distance_rows(found["distances"])[0][-1] == "-"


def test_rows_stand_by_stem_in_one_order_of_features() -> None:
    names = [f"{feature}_{stem}" for stem in ("b", "a_before") for feature in ("loudness_lu", "panning", "dynamics_lu", "eq_db")]
    columns = {f"normalize_{name}_{when}": [1.0] for name in names for when in ("before", "after")}
    found = normalization_statistics(songs_table(columns))
    assert found is not None
    features = ["eq_db", "dynamics_lu", "panning", "loudness_lu"]
    assert [(row["stem"], row["feature"]) for row in found["distances"]] == [(s, f) for s in ("b", "a_before") for f in features]


@pytest.mark.parametrize("values", [["x", "y"], [[1.0], {}], [True, False], [-1.0, math.inf], [None, None], [10**400, -1.0]])
def test_columns_that_hold_no_distances_are_no_normalization(values: list[Any]) -> None:
    columns = {f"normalize_eq_db_vocals_{when}": pd.Series(values, dtype=object) for when in ("before", "after")}
    assert normalization_statistics(SimpleNamespace(songs=pd.DataFrame(columns))) is None  # type: ignore[arg-type]


def test_a_dataset_that_was_not_normalized_has_no_such_statistics(dataset: Dataset) -> None:
    plain = open_dataset(dataset.path)
    plain.__dict__["songs"] = plain.songs[[name for name in plain.songs if not name.startswith("normalize_")]]
    stats = dataset_statistics(plain, probe_examples=0)
    assert stats["normalization"] is None and normalization_page(plain) is None
    assert "distance to target" not in render_text(stats) and "<h2>Normalization" not in render_html(stats)


def test_text_and_page_tell_the_distances_and_the_balance(dataset: Dataset) -> None:
    stats = dataset_statistics(dataset, probe_examples=0)
    assert json.loads(json.dumps(stats, allow_nan=False)) == stats
    text = render_text(stats)
    assert "5.50 [4.75 6.25]" in text and "82 %" in text  # medians of 4, 5, 6, 7 and of 1: down by 4.5 of 5.5
    assert "0.200 [0.200 0.200]" in text and "75 %" in text
    assert "-7.5 [-8.2 -6.8]" in text and "LU to mix" in text  # -6, -7, -8, -9
    assert {row["stem"]: row["loudness_balance"]["median"] for row in stats["stems"]} == {"vocals": -7.5, "bass": -9.0}
    assert max(map(len, text.splitlines())) <= 100
    page = render_html(stats)
    assert "5.50 [4.75 6.25]" in page and "Stems beside their mix" in page and "<figure" not in page


# Records


def test_curves_are_those_of_the_records() -> None:
    curves = read_curves({"one": record_of({"vocals": done(1)}), "two": record_of({"vocals": done(3, missing=5)})})
    first, second = curves.stems["vocals"]
    expected = np.arange(BANDS) / 100
    np.testing.assert_allclose(first.spectrum_before, 1 + expected)
    np.testing.assert_allclose(first.spectrum_after, 6 + expected)
    np.testing.assert_allclose(first.similarity_before, 0.1 + expected)
    np.testing.assert_allclose(first.similarity_after, 0.3 + expected)
    np.testing.assert_allclose(first.correction, 3 + expected)
    assert np.isnan(second.correction[-5:]).all() and np.isfinite(second.correction[:-5]).all()
    assert (first.number, second.number, curves.unreadable, curves.left_alone) == (1, 2, 0, {})


def test_a_stem_without_eq_has_no_corrections() -> None:
    (curves,) = read_curves({"one": record_of({"vocals": done(steps={})})}).stems["vocals"]
    assert np.isnan(curves.correction).all() and np.isfinite(curves.spectrum_after).all()


HOSTILE_RECORDS: dict[str, Any] = {
    "none": None,
    "text": "normalize",
    "list": [],
    "no steps": {},
    "steps of another type": {"steps": "normalize"},
    "steps of numbers": {"steps": [1, None, "x"]},
    "stems of another type": record_of([1]),
    "no targets": {"steps": [{"step": "normalize", "stems": {"vocals": done()}}]},
}
HOSTILE_STEMS: dict[str, Any] = {
    "null": None,
    "text": "normalized",
    "empty": {},
    "no after": {key: value for key, value in done().items() if key != "after"},
    "short curve": done(before={"spectrum_db": [0.0], "similarity": [0.0] * BANDS}),
    "long curve": done(before={"spectrum_db": [0.0] * BANDS, "similarity": [0.0] * (BANDS + 1)}),
    "text in a curve": done(steps={"eq": {"correction_db": ["0"] * BANDS}}),
    "lists in a curve": done(steps={"eq": {"correction_db": [[]] * BANDS}}),
    "too large": done(steps={"eq": {"correction_db": [1e300] * BANDS}}),
    "far too large": done(steps={"eq": {"correction_db": [10**400] * BANDS}}),
    "not a number": done(steps={"eq": {"correction_db": [math.nan] * BANDS}}),
    "infinite": done(steps={"eq": {"correction_db": [math.inf] * BANDS}}),
    "truth": done(steps={"eq": {"correction_db": [True] * BANDS}}),
    "eq of another type": done(steps={"eq": 3}),
    "steps of another type": done(steps=[]),
    "odd status": {"status": ["quiet"]},
}


@pytest.mark.parametrize("name", HOSTILE_RECORDS)
def test_a_record_without_normalization_is_counted_and_left_out(name: str) -> None:
    curves = read_curves({"bad": HOSTILE_RECORDS[name], "good": record_of({"vocals": done()})})
    assert curves.unreadable == 1 and [each.number for each in curves.stems["vocals"]] == [2]


@pytest.mark.parametrize("name", HOSTILE_STEMS)
def test_a_stem_with_damaged_curves_is_counted_and_left_out(name: str) -> None:
    curves = read_curves({"one": record_of({"vocals": HOSTILE_STEMS[name], "bass": done()})})
    assert curves.unreadable == 1 and list(curves.stems) == ["bass"]


def test_names_that_no_stem_has_are_left_out_and_stems_are_bounded() -> None:
    assert read_curves({"one": record_of({HOSTILE: done(), "../up": done(), "": done()})}).unreadable == 3
    assert len(read_curves({"one": record_of({f"stem{number}": done() for number in range(100)})}).stems) == normalization.MOST_STEMS


def test_stems_that_were_left_alone_are_told() -> None:
    curves = read_curves({str(n): record_of({"vocals": {"status": "quiet"}, "bass": {"status": "no_target"}}) for n in range(2)})
    assert curves.left_alone == {"vocals: too quiet": 2, "bass: no target": 2} and curves.stems == {} and curves.unreadable == 0


def test_the_sample_takes_one_example_of_each_song_and_is_decided_by_the_seed(dataset: Dataset) -> None:
    everything = sample_records(dataset, 12)
    assert [record["song"]["id"] for record in everything.values()] == [f"song-{n:08x}" for n in range(4)]
    assert list(everything) == [HOSTILE, "Same", "Same (3)", "Same (4)"]

    def drawn(seed: int) -> tuple[str, ...]:
        return tuple(record["song"]["id"] for record in sample_records(dataset, 2, seed).values())

    assert len(drawn(0)) == 2 and drawn(0) == drawn(0) and len({drawn(seed) for seed in range(8)}) > 1


def test_a_record_that_is_no_json_is_none(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("{", "[" * 100_000):
        monkeypatch.setattr("mixdata.shards.shard.Shard.record", lambda *_, text=text: text)
        assert list(sample_records(dataset).values()) == [None] * 4


# Figures


def parsed(svg: str) -> list[str]:
    """Return the words of a well-formed SVG."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return [" ".join("".join(each.itertext()).split()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def curves_of(count: int = 3) -> list[Any]:
    return read_curves({str(n): record_of({"vocals": done(n, missing=4 * n)}) for n in range(count)}).stems["vocals"]


def test_a_stems_drawing_names_what_it_shows_with_units() -> None:
    words = parsed(draw_stem("vocals", curves_of(), with_spread(0)))
    for expected in ("vocals: spectrum", "vocals: panning", "before", "after", "target", "panning before", "panning after", "median"):
        assert expected in words
    for unit in ("frequency, Hz", "level at equal loudness, dB", "correction, dB", "similarity", "1k", "16k", "song"):
        assert unit in words
    assert "target" not in parsed(draw_stem("vocals", curves_of(), None))


def test_a_line_lies_where_its_curve_does() -> None:
    """The matplotlib lines of the first panel, against the records: before, after and target over the bands."""
    from mixdata.report import figures

    axes = matplotlib.figure.Figure().add_subplot()
    songs, target = curves_of(2), with_spread(0)
    figures._before_after(axes, [s.spectrum_before for s in songs], [s.spectrum_after for s in songs], target.spectrum_db)
    lines = [(line.get_color(), np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in axes.get_lines()]
    expected = [(figures.BEFORE, s.spectrum_before) for s in songs] + [(figures.AFTER, s.spectrum_after) for s in songs]
    for (colour, hz, drawn), (wanted, curve) in zip(lines, [*expected, (figures.INK, target.spectrum_db)], strict=True):
        assert colour == wanted
        np.testing.assert_array_equal(hz, CENTRES_HZ)
        np.testing.assert_array_equal(drawn, curve)


def test_a_targets_spread_is_drawn_as_far_as_it_is_known() -> None:
    from mixdata.report import figures

    axes = list(matplotlib.figure.Figure().subplots(3))
    unknown, half = np.full(BANDS, np.nan), np.where(np.arange(BANDS) < 30, 2.0, np.nan)
    for each, spread in zip(axes, (np.full(BANDS, 2.0), half, unknown), strict=True):
        figures._with_spread(each, np.full(BANDS, 5.0), spread)
    assert [len(each.collections) for each in axes] == [1, 1, 0]
    for each, last in zip(axes, (57, 29), strict=False):
        area = each.collections[0].get_paths()[0].vertices
        assert (area[:, 1].min(), area[:, 1].max()) == (3.0, 7.0) and area[:, 0].max() == CENTRES_HZ[last]


def test_maps_show_the_similarities_of_songs_in_one_scale_of_colours() -> None:
    from mixdata.report import figures

    figure, songs = matplotlib.figure.Figure(), curves_of(3)
    both = list(figure.subplots(1, 2))
    figures._maps(figure, both, songs)
    before, after = (axes.collections[0] for axes in both)
    for mesh, curves in ((before, [s.similarity_before for s in songs]), (after, [s.similarity_after for s in songs])):
        np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan).reshape(3, BANDS), np.array(curves))
        assert mesh.get_clim() == (0.1, 1.0)  # the least of them, on a grid of 0.1
    assert [label.get_text() for label in both[0].get_yticklabels()] == ["1", "2", "3"] and both[0].yaxis_inverted()
    edges_hz = before.get_coordinates()[0, :, 0]
    np.testing.assert_allclose(np.sqrt(edges_hz[1:] * edges_hz[:-1]), CENTRES_HZ)


def test_the_corrections_shown_are_median_middle_half_and_range() -> None:
    from mixdata.report import figures

    axes = matplotlib.figure.Figure().add_subplot()
    corrections = np.array([0.0, 1.0, 2.0, 4.0, 8.0])[:, None] + np.arange(BANDS) / 100
    corrections[:, -3:] = np.nan
    figures._corrections(axes, corrections)
    median = axes.get_lines()[0]
    np.testing.assert_allclose(median.get_xdata(), CENTRES_HZ[:-3])
    np.testing.assert_allclose(median.get_ydata(), 2 + np.arange(BANDS - 3) / 100)
    spans = [area.get_paths()[0].vertices[:, 1] for area in axes.collections]
    assert [(span.min(), round(span.max(), 9)) for span in spans] == [(0.0, 8.54), (1.0, 4.54)]
    assert axes.get_ylim() == (-6.0, 9.54)


def test_drawings_have_the_same_bytes_twice_and_touch_no_setting_of_matplotlib() -> None:
    before = dict(matplotlib.rcParams)
    targets = Targets({"vocals": with_spread(0)}, {"name": "mine"})
    assert draw_stem("vocals", curves_of(), with_spread(0)) == draw_stem("vocals", curves_of(), with_spread(0))
    matplotlib.rcParams["axes.labelpad"] = 40.0  # somebody's own settings do not show
    try:
        changed = [draw_targets(targets, ending) for ending in ("svg", "png", "pdf")]
    finally:
        matplotlib.rcParams["axes.labelpad"] = before["axes.labelpad"]
    assert changed == [draw_targets(targets, ending) for ending in ("svg", "png", "pdf")]
    assert dict(matplotlib.rcParams) == before
    assert b"<dc:date>" not in changed[0] and b"CreationDate" not in changed[2]


def test_nothing_known_is_drawn_all_the_same() -> None:
    empty = [normalization.SongCurves(1, *(np.full(BANDS, np.nan) for _ in range(5)))]
    assert "no EQ" in parsed(draw_stem("x", empty, None))
    huge = done(before={"spectrum_db": [-400.0] * BANDS, "similarity": [400] * BANDS})
    assert parsed(draw_stem("x", read_curves({"one": record_of({"x": huge})}).stems["x"], with_spread(0)))


def test_a_drawing_in_a_page_takes_the_pages_colours_and_leaves_no_ids_of_its_own() -> None:
    svg = inline(draw_stem("vocals", curves_of(), with_spread(0)))
    assert svg.startswith("<svg") and "<metadata" not in svg and 'width="100%"' in svg and "var(--ink)" in svg and "#2b2b2c" not in svg
    parsed(svg)
    ids, other = (set(re.findall(r'\bid="([^"]*)"', each)) for each in (svg, inline(draw_stem("bass", curves_of(), None))))
    assert not ids & other  # two drawings stand in one page


def test_the_page_shows_every_stem_and_tells_what_is_missing(dataset: Dataset) -> None:
    page = normalization_page(dataset)
    assert page is not None and list(page.drawings) == list(STEMS)
    assert page.remarks[0] == "left as they were: bass: too quiet (1)"
    assert page.remarks[1].startswith("records that hold no normalization that can be read: 2")
    assert "target" in parsed(page.drawings["bass"])  # bass takes that of `other`
    source = render_html(dataset_statistics(dataset, probe_examples=0), page)
    assert source.count("<svg") >= 2 and "<script" not in source and len(source) < 1_500_000
    assert "&lt;script&gt;" in source and "too quiet (1)" in source


def test_without_targets_the_page_says_so(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "storage", Folder(dataset.path / "shards"))
    monkeypatch.setattr(normalization, "sample_records", lambda *_: {"one": record_of({"vocals": done()})})
    page = normalization_page(dataset)
    assert page is not None and "no target" in page.remarks[0] and "target" not in parsed(page.drawings["vocals"])


def test_twelve_songs_of_four_stems_make_a_page_under_one_and_a_half_megabytes() -> None:
    rng = np.random.default_rng(0)
    total = 0
    for stem in ("vocals", "drums", "bass", "other"):
        songs = [normalization.SongCurves(n, *(rng.uniform(0, 1, BANDS) for _ in range(5))) for n in range(1, 13)]
        total += len(inline(draw_stem(stem, songs, with_spread(1))))
    assert total < 1_300_000


def test_the_command_writes_the_page_with_its_figures(dataset: Dataset, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["stats", str(dataset.path), "--html", str(tmp_path / "page.html")])
    assert ended.exit_code == 0 and "distance to target" in ended.stdout
    assert (tmp_path / "page.html").read_text("utf-8").count("panning before") == 2


def test_matplotlib_waits_until_something_is_drawn() -> None:
    code = "import sys, mixdata, mixdata.report.stats, mixdata.report.html, mixdata.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Targets


def test_facts_of_targets_are_json_and_round_the_targets() -> None:
    targets = Targets({"vocals": with_spread(0)}, {"name": "mine", "source": "a dataset", "licence": "MIT", "note": ""})
    facts = targets_facts(targets)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["name"], facts["licence"], facts["sha256"]) == ("mine", "MIT", targets.sha256)
    stem = facts["stems"]["vocals"]
    assert (stem["songs"], stem["loudness_lufs"], stem["loudness_spread_lu"]) == (3, -20.25, 1.5)
    assert (stem["onset_peak_lu"], stem["onset_peak_spread_lu"]) == (12.25, None)
    np.testing.assert_allclose(stem["spectrum_db"], targets.stems["vocals"].spectrum_db, atol=0.0051)
    assert stem["similarity"] == [0.75] * BANDS and stem["similarity_spread"] == [0.05] * BANDS and facts["hz"][32] == 1000.0


def test_text_of_targets_shows_the_bands_at_octaves() -> None:
    octaves = {31.5: 31.25, 63: 62.5, 125: 125, 250: 250, 500: 500, 1000: 1000, 2000: 2000, 4000: 4000, 8000: 8000, 16000: 16000}
    spectrum = np.log2(CENTRES_HZ / 1000)  # octaves over 1 kHz
    target = StemTarget(spectrum, spectrum, np.full(BANDS, 0.5), np.full(BANDS, np.nan), -20.04, math.nan, math.nan, math.nan, songs=0)
    text = render_targets(Targets({"vocals": target}, {"name": HOSTILE, "note": "word " * 60}))
    row = [line.split() for line in text.splitlines() if line.startswith("vocals")]
    assert row[0] == ["vocals", "unknown", "-20.0", "-"]
    assert [float(value) for value in row[1][1:]] == pytest.approx([math.log2(hz / 1000) for hz in octaves.values()], abs=0.05)
    assert row[2][1:] == ["0.50"] * 10
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 100
    assert "16.6 ± 0.9" in render_targets(load_targets("musdb18"))  # FxNorm's bass: -13.13 dB of peak over -29.73 LUFS


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89PNG")])
def test_targets_are_drawn_by_the_paths_ending(tmp_path: Path, ending: str, start: bytes) -> None:
    targets = Targets({"vocals": with_spread(0), "a$b_{$": with_spread(1)}, {"name": HOSTILE})
    plot_targets(targets, tmp_path / f"targets.{ending}")
    data = (tmp_path / f"targets.{ending}").read_bytes()
    assert data.startswith(start) and [path.name for path in tmp_path.iterdir()] == [f"targets.{ending}"]
    if ending == "svg":
        words = parsed(data.decode())
        assert {"vocals", "a$b_{$", "frequency, Hz", "similarity of the channels"} <= set(words)
        assert "songs: 3, loudness: -20.2 ± 1.5 LUFS, onset peak: 12.2 LU" in words
        assert any("standard deviation" in word for word in words)


@pytest.mark.parametrize("name", ["targets", "targets.gif", "targets.html", ".png", ""])
def test_other_endings_are_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png, \.svg or \.pdf"):
        plot_targets(load_targets("musdb18"), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_drawing_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plot_targets(load_targets("musdb18"), tmp_path / "targets.png")
    before = (tmp_path / "targets.png").read_bytes()
    monkeypatch.setattr("mixdata.report.figures.draw_targets", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plot_targets(load_targets("musdb18"), tmp_path / "targets.png")
    assert (tmp_path / "targets.png").read_bytes() == before
