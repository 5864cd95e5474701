"""Statistics, probe and listen page, on datasets written through mixdata's own writer."""

import html.parser
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from conftest import small_recipe
from mixdata import build, measures
from mixdata.audio import write as write_audio
from mixdata.errors import MixdataError, UsageError
from mixdata.example import Example
from mixdata.report import listen, probe
from mixdata.report.html import bar, histogram, render_html, waveform
from mixdata.report.listen import listen_page
from mixdata.report.stats import dataset_statistics, render_text, summary
from mixdata.rng import stream
from mixdata.shards.format import headroom_scale
from mixdata.shards.index import example_rows, example_table
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.shards.writer import publish_table, write_shard

RATE = 16000
STEMS = ("vocals", "drums", "bass")
ROLES = {"input": list(STEMS), "target": ["mixture", *STEMS]}
HOSTILE = "<script>alert('x')</script> \"&\x1b[31m\n=1+1"
Roles = dict[str, dict[str, np.ndarray]]


def stems_of(seed: int, seconds: float = 4.0) -> dict[str, np.ndarray]:
    """Stems that come and go by themselves, each noise in a band of its own that overlaps its neighbours', all at -25 LUFS."""
    bands = {"vocals": (300, 4000), "drums": (60, 7000), "bass": (40, 800)}
    found = {}
    for stem, band in bands.items():
        rng = stream(seed, "stems", stem)
        noise = sosfilt(butter(2, band, "bandpass", fs=RATE, output="sos"), rng.standard_normal((2, round(seconds * RATE))))
        on = np.repeat(rng.random(round(seconds * 5)) < 0.6, RATE // 5)
        on[: RATE // 2] = True
        audio = noise * np.convolve(on, np.hanning(400) / np.hanning(400).sum(), mode="same")
        found[stem] = level_to(audio.astype(np.float32), -25)
    return found


def level_to(audio: np.ndarray, lufs: float) -> np.ndarray:
    return audio * np.float32(10 ** ((lufs - measures.integrated_loudness(audio, RATE)) / 20))


def mixed(seed: int, bleed_db: float | None, rest_only: bool = False) -> Roles:
    """Stems at levels of their own as targets; inputs with bleed, at one loudness. `rest_only`: bleed relative to the stem, at random."""
    levels = stream(seed, "levels").uniform(-9, 9, len(STEMS))
    target = {stem: audio * np.float32(10 ** (level / 20)) for (stem, audio), level in zip(stems_of(seed).items(), levels, strict=True)}
    mixture = sum(target.values())
    inputs = {}
    for stem, audio in target.items():
        gain = 0.0 if bleed_db is None else 10 ** (bleed_db / 20)
        rest = mixture - audio
        if rest_only:
            gap = measures.integrated_loudness(audio, RATE) - measures.integrated_loudness(rest, RATE)
            gain *= 10 ** ((gap + stream(seed, "jitter", stem).uniform(-5, 5)) / 20)
        inputs[stem] = level_to(audio + np.float32(gain) * rest, -25)
    return {"input": inputs, "target": {"mixture": np.asarray(mixture), **target}}


def write(
    path: Path, songs: list[Roles], rows: list[dict[str, Any]], block: int = 2 * RATE, roles: dict[str, list[str]] = ROLES
) -> Dataset:
    """Write songs (each cut into blocks) and the given rows of songs.parquet as a finished dataset."""
    examples = [example for place, song in enumerate(songs) for example in blocks_of(song, rows[place], block)]
    splits = {}
    for split in sorted({example.split for example in examples}):
        mine = [example for example in examples if example.split == split]
        write_shard(path, f"{split}-000000", "0" * 64, mine, "flac16")
        size = (path / "shards" / f"{split}-000000.tar").stat().st_size
        splits[split] = {"examples": len(mine), "shards": [{"name": f"{split}-000000", "bytes": size}]}
    publish_table(path / "examples.parquet", example_table(example_rows(path, [f"{split}-000000" for split in splits])))
    publish_table(path / "songs.parquet", pa.Table.from_pylist(rows))
    (path / "recipe.yaml").write_text("name: tiny\nsteps:\n  - gate: {relative_lu: 30, floor_lufs: -55}\n")
    meta = {
        "format": "mixdata",
        "format_version": 1,
        "name": "tiny",
        "title": HOSTILE,
        "recipe": "tiny",
        "identity": "abc",
        "codec": "flac16",
    }
    meta |= {"sample_rate": RATE, "channels": 2, "continuous": True, "roles": roles, "splits": splits}
    (path / "dataset.json").write_text(json.dumps(meta))
    return open_dataset(path)


def blocks_of(roles: Roles, row: dict[str, Any], block: int) -> list[Example]:
    peak = max(float(np.abs(audio).max()) for stems in roles.values() for audio in stems.values())
    frames = next(iter(roles["input"].values())).shape[1]
    examples = []
    for number, start in enumerate(range(0, frames, block)):
        part = {role: {stem: audio[:, start : start + block] for stem, audio in stems.items()} for role, stems in roles.items()}
        active = {role: {stem: bool(roles[role][stem].any()) for stem in stems} for role, stems in part.items()}
        activity = {stem: measures.activity(audio, RATE) for stem, audio in part["input"].items()}
        loud = {role: {stem: measures.integrated_loudness(audio, RATE) for stem, audio in stems.items()} for role, stems in part.items()}
        example = Example(f"{row['song']}_{number:05d}", row["song"], row["split"], number, start, RATE, part, active, activity)
        example.scale = headroom_scale(peak, "flac16")
        finite = {role: {stem: v if np.isfinite(v) else None for stem, v in stems.items()} for role, stems in loud.items()}
        example.record = {
            "key": example.key, "song": {"id": row["song"], "corpus": row["corpus"], "licence": row["licence"], "title": row["title"]},
            "split": row["split"], "block": number, "start": start, "frames": example.frames, "sample_rate": RATE,
            "channels": 2, "codec": "flac16", "scale": example.scale, "active": active, "activity": activity, "loudness": finite,
            "steps": [{"step": "separate", "separator": {"separator": "builtin", "note": HOSTILE}}],
        }  # fmt: skip
        examples.append(example)
    return examples


def song_row(number: int, **more: Any) -> dict[str, Any]:
    row = {"song": f"song-{number}-{number:08x}", "title": f"Song {number}", "corpus": "synth", "split": "train", "licence": "CC0-1.0"}
    row |= {"status": "used", "reason": None, "message": None, "warnings": [], "seconds": 4.0, "residual_db": -40.0 - number}
    row |= {"mix_loudness": -10.0 - number, "mix_plr": 12.0, "mix_true_peak": 0.5, "mix_clipped_samples": 0.0}
    row |= {f"loudness_balance_{stem}": -6.0 - number for stem in STEMS} | {f"gated_{stem}": False for stem in STEMS}
    return row | more


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Three songs (one of them loud beyond full scale, one without bass), two rejected ones, hostile names."""
    songs = [mixed(seed, -25) for seed in range(3)]
    songs[0] = {role: {stem: audio * np.float32(12) for stem, audio in stems.items()} for role, stems in songs[0].items()}
    for stems in songs[2].values():
        stems["bass"] = np.zeros_like(stems["bass"])
    rows = [
        song_row(0, title=HOSTILE, licence=HOSTILE, warnings=["mono", "clipped"], mix_clipped_samples=7.0),
        song_row(1, corpus="folder", split="valid", warnings=["mono"], loudness_balance_drums=-29.0, residual_db=-12.5),
        song_row(2, gated_bass=True, loudness_balance_bass=-45.0, mix_clipped_samples=3.0),
        song_row(3, status="rejected", reason="silent", message=HOSTILE, split=None, mix_loudness=None, residual_db=None),
        song_row(4, status="rejected", reason="unreadable", message="gone", song=None, split=None, mix_loudness=None, residual_db=None),
        song_row(5, status="rejected", reason="silent", message="quiet", song=None, split=None, mix_loudness=None, residual_db=None),
    ]
    return write(tmp_path_factory.mktemp("report") / "set", songs, rows)


@pytest.fixture(scope="module")
def stats(dataset: Dataset) -> dict[str, Any]:
    return dataset_statistics(dataset)


# Statistics


def test_counts_and_lengths_are_those_of_the_audio(dataset: Dataset, stats: dict[str, Any]) -> None:
    assert stats["total"]["seconds"] == pytest.approx(sum(example.frames for example in dataset) / RATE) == 12.0
    assert stats["hours"] == 12.0 / 3600
    assert {key: stats["total"][key] for key in ("examples", "songs", "songs_seen", "songs_rejected", "shards")} == {
        "examples": 6, "songs": 3, "songs_seen": 6, "songs_rejected": 3, "shards": 2,
    }  # fmt: skip
    assert stats["total"]["bytes"] == sum(tar.stat().st_size for tar in dataset.path.glob("shards/*.tar"))
    assert {row["name"]: (row["songs"], row["examples"], row["seconds"]) for row in stats["splits"]} == {
        "train": (2, 4, 8.0),
        "valid": (1, 2, 4.0),
    }
    assert {row["name"]: row["songs"] for row in stats["corpora"]} == {"synth": 2, "folder": 1}
    assert {row["name"]: row["seconds"] for row in stats["licences"]} == {"CC0-1.0": 8.0, HOSTILE: 4.0}


def test_activity_is_weighted_by_time(dataset: Dataset, stats: dict[str, Any]) -> None:
    for row in stats["stems"]:
        if row["stem"] != "mixture":
            seconds = sum(measures.activity(example.roles["input"][row["stem"]], RATE) * example.frames / RATE for example in dataset)
            assert row["active_seconds"] == pytest.approx(seconds, rel=1e-3)
            assert row["activity"] == pytest.approx(seconds / 12, rel=1e-3)


def test_loudness_of_stems_is_that_of_their_audio(dataset: Dataset, stats: dict[str, Any]) -> None:
    for row in stats["stems"]:
        for role, found in row["loudness"].items():
            values = [measures.integrated_loudness(example.roles[role][row["stem"]], RATE) for example in dataset]
            values = [value for value in values if np.isfinite(value)]
            assert found["count"] == len(values) == sum(found["counts"])
            assert found["median"] == pytest.approx(np.median(values), abs=0.01)
            assert found["q1"] == pytest.approx(np.quantile(values, 0.25), abs=0.01)
    assert {row["stem"]: sorted(row["loudness"]) for row in stats["stems"]} == {
        **{stem: ["input", "target"] for stem in STEMS},
        "mixture": ["target"],
    }


def test_rejections_warnings_and_gates_are_counted(stats: dict[str, Any]) -> None:
    assert stats["rejections"] == {"silent": 2, "unreadable": 1}
    assert stats["warnings"] == {"mono": 2, "clipped": 1}
    assert {row["stem"]: (row["gated"], row["songs"]) for row in stats["stems"] if row["stem"] != "mixture"} == {
        "vocals": (0, 3), "drums": (0, 3), "bass": (1, 2),
    }  # fmt: skip
    assert stats["clipped"] == {"songs": 2, "samples": 10}


def test_measures_of_mixes_are_those_of_used_songs(stats: dict[str, Any]) -> None:
    assert (stats["mix"]["mix_loudness"]["min"], stats["mix"]["mix_loudness"]["median"]) == (-12.0, -11.0)
    assert stats["mix"]["residual_db"]["max"] == -12.5
    assert stats["separator"]["separator"] == "builtin"


def test_statistics_are_json_without_nan(stats: dict[str, Any]) -> None:
    assert json.loads(json.dumps(stats, allow_nan=False)) == stats


def test_missing_columns_are_left_out(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = open_dataset(dataset.path)
    bare.__dict__["songs"] = dataset.songs[["song", "title"]]
    bare.__dict__["examples"] = dataset.examples[[c for c in dataset.examples if not c.startswith(("activity_", "loudness_"))]]
    stats = dataset_statistics(bare)
    assert stats["mix"] == {} and stats["rejections"] == {} and stats["clipped"] is None
    assert stats["probe"]["scores"] == {} and "loudness" in stats["probe"]["note"]
    assert "12.0 s" in render_text(stats) and "12.0 s" in render_html(stats)


def test_summary_of_known_values() -> None:
    values = summary([1, 2, 3, 4, 5, None, float("nan"), float("-inf")])
    assert values is not None
    assert [values[key] for key in ("count", "min", "q1", "median", "q3", "max", "mean")] == [5, 1, 2, 3, 4, 5, 3]
    assert sum(values["counts"]) == 5
    assert summary([None, float("nan")]) is None
    assert summary([7.0, 7.0])["counts"] == [2]  # type: ignore[index]


def test_text_is_narrow_and_obeys_no_escape_of_a_song(stats: dict[str, Any]) -> None:
    text = render_text(stats)
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    for expected in ("12.0 s", "2 silent", "1 unreadable", "2 mono", "vocals", "valid", "shortcut probe", "clipped: 2 song(s), 10 samples"):
        assert expected in text


@pytest.mark.parametrize("separator", ["oracle", "files"])
def test_sets_of_every_separator_can_be_looked_at(separator: str, tmp_path: Path) -> None:
    for number in range(2):
        stems = stems_of(number)
        write_audio(tmp_path / "mixes" / f"song{number}.wav", np.asarray(sum(stems.values())), RATE)
        write_audio(tmp_path / "stems" / f"song{number}" / "drums.wav", stems["drums"], RATE)
        write_audio(tmp_path / "stems" / f"song{number}" / "rest.wav", stems["vocals"] + stems["bass"], RATE)
    files = {"separator": "files", "pattern": f"{tmp_path}/stems/{{song}}/{{stem}}.wav", "stems": ["drums", "rest"]}
    settings = {"separate": files if separator == "files" else {"separator": separator}}
    corpus = f"synth:songs=2,seconds=4,sample_rate={RATE}" if separator == "oracle" else f"folder:{tmp_path / 'mixes'}"
    set_ = build(small_recipe(**settings), tmp_path / "set", [corpus], workers=0, quiet=True)
    found = dataset_statistics(set_)
    assert f"separator {separator}" in render_text(found) and separator in render_html(found)
    assert {row["stem"] for row in found["stems"]} >= ({"drums", "rest"} if separator == "files" else set(STEMS))
    assert players(listen_page(set_, tmp_path / "page", n=1))


# Pages


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and text; refuses tags that are closed in the wrong order."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_statistics_page_is_well_formed_and_escapes_names(stats: dict[str, Any]) -> None:
    source = render_html(stats)
    page = Page(source)
    assert "script" not in page.tags and "<script" not in source
    assert HOSTILE in page.text  # shown as it is
    assert not [value for name, value in page.attributes if name in ("src", "href")]  # nothing to load
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for expected in ("12.0 s", "unreadable", "clipped", "Shortcut probe"):
        assert expected in page.text


def test_drawings_stay_inside_their_box() -> None:
    assert 'width="60.0"' in bar(0.5) and 'width="120.0"' in bar(7) and 'width="0.0"' in bar(None)
    assert histogram(None) == ""
    drawn = histogram(summary([1, 1, 2, 3]))
    assert all(0 <= float(y) <= 40 for y in re.findall(r'<rect[^>]* y="([\d.]+)"', drawn)) and drawn.count("<rect") == 3
    drawn = waveform(np.array([[-9.0, 9.0, 0.0, 0.5]], np.float32))
    tops_and_ends = [(float(top), float(end)) for top, end in re.findall(r"M\d+ ([\d.]+)V([\d.]+)", drawn)]
    assert tops_and_ends == [(20.0, 40.5), (0.0, 20.5), (20.0, 20.5), (10.0, 20.5)]  # from the middle; cut at full scale
    assert waveform(np.zeros((2, 0), np.float32)).startswith("<svg")


@pytest.fixture(scope="module")
def listened(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return listen_page(dataset, tmp_path_factory.mktemp("listen") / "page", n=2, seed=1)


def test_listen_page_is_well_formed_and_escapes_names(listened: Path) -> None:
    source = listened.read_text("utf-8")
    page = Page(source)
    assert "script" not in page.tags
    assert HOSTILE in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.tags.count("audio") == [name for name, _ in page.attributes].count("preload")
    assert ("preload", "none") in page.attributes
    assert len(source) < 200_000


def test_listen_page_links_just_the_files_that_are_there(listened: Path) -> None:
    linked = {value for name, value in Page(listened.read_text("utf-8")).attributes if name == "src"}
    assert linked == {path.relative_to(listened.parent).as_posix() for path in listened.parent.glob("audio/*")}
    assert linked


def players(page: Path) -> dict[tuple[str, str, str], Path]:
    """Return the audio file of every (key, role, stem) that the page can play."""
    sections = re.findall(r'<section id="(.*?)">(.*?)</section>', page.read_text("utf-8"), re.DOTALL)
    row = re.compile(r'<tr><td class="k">(.*?)</td><td class="k">(.*?)</td>\s*<td><audio [^>]*src="(.*?)"')
    return {(key, role, stem): page.parent / file for key, section in sections for role, stem, file in row.findall(section)}


def test_listen_audio_is_the_datasets(dataset: Dataset, listened: Path) -> None:
    seen = 0
    for (key, role, stem), path in players(listened).items():
        example = dataset.load(key)
        audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
        assert rate == RATE and soundfile.info(path).subtype == "PCM_16"
        np.testing.assert_allclose(audio.T, example.roles[role][stem] * example.scale, atol=0.51 / 32768)
        seen += 1
    assert seen >= 7
    assert min(example.scale for example in dataset) < 1  # so that levels beyond full scale were tried


def test_names_from_a_dataset_make_no_path(dataset: Dataset, tmp_path: Path) -> None:
    example = dataset[0]
    example.key = "../../../escaped"
    example.roles = {"../up": {"/tmp/root": example.roles["input"]["vocals"]}}
    example.active = {}
    folder = tmp_path / "a" / "b" / "page"
    (folder / "audio").mkdir(parents=True)
    section = listen._section(example, [], dataset.songs, folder, itertools.count(7))
    assert section["members"][0]["file"] == "audio/0007.flac"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "audio" / "0007.flac"]


def test_pages_of_any_size_have_a_file_for_every_player(dataset: Dataset, tmp_path: Path) -> None:
    page = listen_page(dataset, tmp_path / "page", n=6)
    files = sorted(path.name for path in page.parent.glob("audio/*"))
    assert files == [f"{number:04d}.flac" for number in range(len(players(page)))]


def test_where_no_page_can_be_written_the_error_says_where(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "page", Path("/proc/nope/page")):
        with pytest.raises(MixdataError, match=f"{out}: cannot write"):
            listen_page(dataset, out, n=1)
    with pytest.raises(UsageError, match="exists"):
        listen_page(dataset, "/")


def test_a_page_may_be_written_into_the_folder_where_one_stands(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert listen_page(dataset, ".", n=1) == Path("index.html")
    assert (tmp_path / "here" / "index.html").is_file() and [path.name for path in tmp_path.iterdir()] == ["here"]


def test_listen_page_shows_the_worst_and_those_at_the_gate(dataset: Dataset, listened: Path) -> None:
    text = Page(listened.read_text("utf-8")).text
    assert "residual -12.5 dB" in text
    assert "drums -29.0 LU beside the mix: passed (gate -30)" in text
    chosen = json.loads((listened.parent / "mixdata-listen.json").read_text())["examples"]
    assert any(key.startswith("song-1-") for key in chosen)
    assert chosen == [key for key in dataset.examples["key"] if key in chosen]


def test_gated_stems_have_no_player(dataset: Dataset, tmp_path: Path) -> None:
    page = listen_page(dataset, tmp_path / "page", n=6)
    assert {stem for key, _, stem in players(page) if key.startswith("song-2-")} == {"mixture", "vocals", "drums"}
    assert "not in this song" in page.read_text("utf-8")


def test_the_sample_is_decided_by_the_seed(dataset: Dataset, tmp_path: Path) -> None:
    def drawn(seed: int) -> list[str]:
        page = listen_page(dataset, tmp_path / "page", n=1, seed=seed)
        return json.loads((page.parent / "mixdata-listen.json").read_text())["examples"]

    assert drawn(3) == drawn(3)
    assert len({tuple(drawn(seed)) for seed in range(6)}) > 1


def test_a_page_replaces_an_earlier_page_and_nothing_else(dataset: Dataset, tmp_path: Path) -> None:
    page = listen_page(dataset, tmp_path / "page", n=1)
    (page.parent / "old").touch()
    listen_page(dataset, tmp_path / "page", n=1)
    assert not (page.parent / "old").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="exists"):
        listen_page(dataset, tmp_path / "mine")
    with pytest.raises(UsageError, match="exists"):
        listen_page(dataset, tmp_path / "mine" / "thesis.tex")
    with pytest.raises(UsageError, match="at least one"):
        listen_page(dataset, tmp_path / "none", n=0)
    assert {path.name for path in tmp_path.iterdir()} == {"page", "mine"} and (tmp_path / "mine" / "thesis.tex").exists()


def test_a_failed_page_leaves_nothing(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = listen_page(dataset, tmp_path / "page", n=1)
    before = page.read_bytes()
    monkeypatch.setattr(Dataset, "load", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        listen_page(dataset, tmp_path / "page", n=3)
    assert page.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["page"]


# Shortcut probe


def test_planted_leaks_give_back_the_balance() -> None:
    stems = stems_of(5)
    levels = {"vocals": 4.0, "drums": -5.0, "bass": 0.0}
    mixture = sum(audio * 10 ** (levels[stem] / 20) for stem, audio in stems.items())
    leaky = {stem: audio * 10 ** (levels[stem] / 20) for stem, audio in stems.items()}
    leaky = {stem: audio + 10 ** (-25 / 20) * (mixture - audio) for stem, audio in leaky.items()}
    powers = {stem: probe.band_powers(level_to(audio, -25), RATE) for stem, audio in leaky.items()}
    for (one, other), guess in probe.balance_guesses(powers).items():
        assert guess["mutual"] == pytest.approx(levels[one] - levels[other], abs=1.5)
        assert guess["third"] == pytest.approx(levels[one] - levels[other], abs=3)


def scores(tmp_path: Path, **how: Any) -> dict[str, Any]:
    songs = [mixed(seed, **how) for seed in range(12)]
    return probe.shortcut_probe(write(tmp_path / "set", songs, [song_row(number) for number in range(12)]))


def test_bleed_is_found_and_clean_stems_pass(tmp_path: Path) -> None:
    bled = scores(tmp_path / "bled", bleed_db=-25)
    clean = scores(tmp_path / "clean", bleed_db=None)
    assert (bled["songs"], bled["pairs"], bled["examples"], bled["note"]) == (12, 36, 24, None)
    assert bled["scores"]["input"]["mutual"] > 0.85 and bled["scores"]["input"]["third"] > 0.7
    assert abs(bled["scores"]["target"]["strongest"]) < 0.5  # the targets are true stems
    assert abs(clean["scores"]["input"]["mutual"]) < 0.5 and abs(clean["scores"]["input"]["third"]) < 0.5


def test_random_bleed_of_the_whole_rest_still_betrays(tmp_path: Path) -> None:
    found = scores(tmp_path, bleed_db=-27, rest_only=True)["scores"]["input"]
    assert found["third"] > 0.7 and found["strongest"] == max(found["third"], found["mutual"])


def test_knowing_the_usual_balance_earns_nothing() -> None:
    pair = ("vocals", "bass")
    found = [(pair, 5.0 + noise, 5.0 + truth) for noise, truth in stream(0, "score").standard_normal((400, 2))]
    other = [(("drums", "bass"), -5.0 + noise, -5.0 + truth) for noise, truth in stream(1, "score").standard_normal((400, 2))]
    assert abs(probe.score(found + other) or 0) < 0.1
    assert probe.score([(pair, x, x**3) for x in range(5)]) == 1.0
    assert probe.score([(pair, x, -x) for x in range(5)]) == -1.0
    assert probe.score([(pair, 1.0, 2.0)] * 2) is None and probe.score([]) is None
    assert probe.score([(pair, 1.0, float(x)) for x in range(5)]) is None


def test_few_songs_are_said_to_be_few(stats: dict[str, Any]) -> None:
    assert "too few songs" in stats["probe"]["note"] and stats["probe"]["scores"]["input"]["mutual"] is not None


def test_a_sample_takes_every_song_before_any_twice() -> None:
    rows = [
        {"key": f"{song}{block}", "song": song, "activity_a": 1.0, "activity_b": float(block != 1)} for song in "abcd" for block in range(5)
    ]
    chosen = probe.sample(pd.DataFrame(rows), 6, seed=0)
    assert sorted(map(len, chosen.values())) == [1, 1, 2, 2]
    assert not [key for keys in chosen.values() for key in keys if key.endswith("1")]  # one stem alone tells nothing
    assert chosen == probe.sample(pd.DataFrame(rows), 6, seed=0)
    assert sum(map(len, probe.sample(pd.DataFrame(rows), 100, seed=0).values())) == 16


def test_level_of_a_song_is_the_mean_power_of_its_blocks() -> None:
    table = pd.DataFrame({"song": ["a", "a", "b"], "frames": [100, 300, 100], "loudness_input_x": [-20.0, -30.0, None]})
    levels = probe.song_levels(table, "input", ["x"])["x"]
    assert levels["a"] == pytest.approx(10 * np.log10(0.25 * 0.01 + 0.75 * 0.001)) and np.isnan(levels["b"])


def test_a_tone_stays_in_its_band_and_power_adds_up() -> None:
    noise = stream(0, "noise").standard_normal((2, RATE)).astype(np.float32)
    loud = probe.band_powers(noise * 2, RATE).sum()
    assert loud == pytest.approx(4 * probe.band_powers(noise, RATE).sum(), rel=1e-5)
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)[None]
    bands = probe.band_powers(tone, RATE).reshape(probe.BANDS, -1).T[:-1]  # the last frame is padded
    assert (bands.argmax(axis=1) == bands[0].argmax()).all() and (bands.max(axis=1) > 0.7 * bands.sum(axis=1)).all()
    assert probe.band_powers(np.zeros((2, 10), np.float32), RATE).sum() == 0
