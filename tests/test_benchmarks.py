"""The loading benchmarks: every contender that needs no peer package gives the songs' samples, and the tables say what was measured."""

import sys
import wave
from dataclasses import replace

import numpy as np
import pytest

from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY))

from benchmarks.loading import extras, tables
from benchmarks.loading.contenders import FAMILIES, of_family
from benchmarks.loading.contenders.base import Absent, Contender
from benchmarks.loading.contenders.ours import draw_crops
from benchmarks.loading.corpus import TINY, Crop, Crops, make_corpus, once
from benchmarks.loading.station import check, measure, prepare
from mixdata.torch import ShardDataset

OWN = [kind for family in ("bounds", "ours", "files") for kind in of_family(family) if kind.name != "h5py int16"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("benchmarks"), TINY)


@pytest.fixture(scope="module")
def crops(corpus):
    return draw_crops(corpus, 1.5, TINY.crops)


def by_wave(corpus, crop: Crop) -> np.ndarray:
    """Return the crop through the standard library's reader of the corpus's WAV files."""
    stems = []
    for stem in corpus.stems:
        with wave.open(str(corpus.folder / "wav" / crop.song / f"{stem}.wav")) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, TINY.rate)
            file.setpos(crop.start)
            stems.append(np.frombuffer(file.readframes(crop.frames), "<i2").reshape(-1, 2).T / 2.0**15)
    return np.stack(stems)


def test_the_crops_are_those_that_shard_dataset_draws_and_lie_in_all_songs(corpus, crops):
    assert len(crops) == TINY.crops and {crop.frames for crop in crops.crops} == {12_000}
    assert {crop.song for crop in crops.crops} == set(corpus.songs) and len({crop.start for crop in crops.crops}) > TINY.crops / 2
    for crop in crops.crops:
        assert 0 <= crop.start <= corpus.planar[crop.song].shape[-1] - crop.frames
    moved = Crops(crops.seconds, (replace(crops.crops[0], start=crops.crops[0].start + 1), *crops.crops[1:]))
    assert moved.name != crops.name  # or pre-cut containers of other crops would be taken for these


def test_the_reference_is_what_the_files_hold_and_no_stem_is_silent(corpus, crops):
    for crop in crops.crops:
        assert np.array_equal(corpus.reference(crop), by_wave(corpus, crop).astype(np.float32))
    for rows in corpus.planar.values():
        windows = np.abs(rows[..., : rows.shape[-1] // 800 * 800].astype(np.int32)).reshape(-1, 800).mean(1)
        assert windows.min() > 120  # the noise floor: sqrt(2 / pi) of -45 dBFS is 147


@pytest.mark.parametrize("kind", OWN, ids=[kind.name for kind in OWN])
def test_every_contender_gives_the_reference_samples(kind, corpus, crops):
    try:
        contender = kind(corpus, crops)
        contender.build()
        facts = prepare(contender)
    except Absent as error:
        pytest.skip(str(error))
    assert facts["checked"] == TINY.crops and facts["stored"] > 0
    items = contender.items()
    for _ in range(TINY.crops + 1):  # past the end of the crops they begin anew
        number, audio = next(items)
        assert np.array_equal(np.asarray(audio), by_wave(corpus, crops.crops[number]).astype(np.float32))
    rate = measure(contender, "one", 0, 0.0)
    assert rate["crops"] == 1 and rate["wall"] > 0


def test_a_stock_loader_gives_whole_batches_of_reference_samples(corpus, crops):
    for name in ("mixdata npy16", "soundfile FLAC"):
        contender = next(kind for kind in OWN if kind.name == name)(corpus, crops)
        contender.build()
        batch = next(contender.batches("stock", 0))
        places = contender.places_of(batch)
        assert len(places) == len(contender.audio_of(batch)) == 8
        for (song, start), audio in zip(places, contender.audio_of(batch), strict=True):
            assert np.array_equal(audio.numpy(), by_wave(corpus, Crop(song, start, 12_000)).astype(np.float32))


def test_a_wrong_sample_shape_or_type_is_noticed(corpus, crops):
    contender = Contender(corpus, crops)
    right = corpus.reference(crops.crops[0])
    check(contender, right, crops.crops[0])
    wrong = right.copy()
    wrong[3, 1, -1] += np.float32(2.0**-15)
    for audio in (wrong, right[:3], right.astype(np.float64), right[:, ::-1]):
        with pytest.raises(AssertionError):
            check(contender, audio, crops.crops[0])


def test_free_threads_count_what_they_read(corpus, crops):
    bound = of_family("bounds")[0](corpus, crops)
    bound.build()
    found = measure(bound, "free threads", 2, 0.05)
    assert found["crops"] >= 2 and found["wall"] >= 0.05


def test_every_family_is_importable_without_its_package():
    names = [kind.name for family in FAMILIES for kind in of_family(family)]
    assert len(names) == len(set(names)) and {"MDS int16", "litdata FLAC", "lhotse Shar FLAC", "musdb WAV"} <= set(names)


def test_nothing_half_written_is_taken_for_a_container(tmp_path):
    def fails(place):
        (place / "part").write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        once(tmp_path / "set", fails)
    assert not (tmp_path / "set").exists()
    once(tmp_path / "set", lambda place: (place / "whole").write_text("all"))
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["set", "set/whole"]


def test_a_dataset_of_many_rows_opens_and_places_crops(corpus, crops, tmp_path):
    source = corpus.folder / "containers" / "whole" / "mixdata-npy16" / "set"
    extras.write_million(source, tmp_path / "set", 1000)
    dataset = ShardDataset(tmp_path / "set", crop=6.0)
    assert len(dataset) == 1000
    assert all(dataset.place(number).frames == round(6.0 * TINY.rate) for number in range(0, 1000, 99))


def row(name, wall, way="one", workers=0, kind="peer", flac=False):
    label = name if way == "one" else f"{name}, {way} {workers}"
    return {
        "table": "6 s", "name": name, "way": way, "workers": workers, "kind": kind, "access": "random", "flac": flac, "wall": wall,
        "cpu": wall, "first_batch": [] if way == "one" else [0.25], "label": label,
    }  # fmt: skip


RESULTS = {
    "machine": {"date": "2026-01-02", "cpu": "a CPU", "cores": 2, "rounds": 3, "versions": {"numpy": "2.0"}},
    "rows": [
        row(tables.BOUND, [1000.0, 2000.0, 4000.0], kind="bound"),
        row("mixdata npy16", [900.0, 1600.0, 4400.0], kind="mixdata"),
        row("soundfile WAV 16", [700.0, 700.0, 700.0]),
        row("MDS int16", [300.0, 400.0, 550.0]),
        row("MDS int16", [50.0, 100.0, 90.0], "stock", 1),
        row("mixdata npy16", [1000.0, 1100.0, 1200.0], "threads", 2, "mixdata"),
    ],
    "facts": {
        f"6 s/{name}": {"bytes_per_crop": read, "stored": 500, "pcm": 1000}
        for name, read in ((tables.BOUND, float("nan")), ("mixdata npy16", 4.2e6), ("soundfile WAV 16", 4.2e6), ("MDS int16", 1e6))
    },
    "absent": {"musdb WAV": "no ffmpeg"},
    "extras": {"Writing": "| a |"},
}


def test_ratios_are_taken_round_by_round():
    npy, bound = (tables.find(RESULTS, "6 s", name) for name in ("mixdata npy16", tables.BOUND))
    assert tables.ratio(npy, bound) == pytest.approx((0.9, 0.8, 1.1))  # the ratio of the medians would be 0.8
    assert tables.best(RESULTS, "6 s", "one")["name"] == "soundfile WAV 16"
    assert tables.best(RESULTS, "6 s", "one", containers=True)["name"] == "MDS int16"
    assert tables.best(RESULTS, "6 s", "one", flac=True) is None


def test_the_report_holds_every_row_with_its_ratios():
    text = tables.report(RESULTS)
    assert "| mixdata npy16 | 1,600 | 900 … 4,400 | 1,600 | 0.90 | 2.29 | 4.20 | 0.500 |" in text
    assert f"| {tables.BOUND} | 2,000 | 1,000 … 4,000 | 2,000 | 1.00 | 2.86 | mapped | 0.500 |" in text
    assert "| mixdata npy16, threads 2 | 1,100 | 1,000 … 1,200 | 1,100 | 13 | 0.25 |" in text
    assert "| npy16, one process ≥ 3 × the best peer container (MDS int16) | 6 s | 4.00 | 3.00 … 8.00 |" in text
    assert "- musdb WAV: no ffmpeg" in text and "2026-01-02; a CPU, 2 cores; 3 rounds" in text and "### Writing\n\n| a |" in text


def test_the_page_is_changed_between_its_markers_only(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write_into(page, "new\n")
    assert page.read_text() == f"before\n{tables.BEGIN}\nnew\n{tables.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="has no"):
        tables.write_into(page, "new")
    assert page.read_text() == "no markers"


def test_the_project_s_page_has_the_markers():
    text = (REPOSITORY / "docs" / "benchmarks.md").read_text("utf-8")
    assert text.count(tables.BEGIN) == text.count(tables.END) == 1 and text.index(tables.BEGIN) < text.index(tables.END)
