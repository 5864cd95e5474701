"""Drawings with matplotlib. It is imported here and nowhere else; whoever imports this module waits for it.

The same data give the same bytes (of one version of matplotlib): no date, no random ids, nobody's own settings.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from mixdata.measures.bands import CENTRES_HZ
from mixdata.report.normalization import SongCurves, target_numbers
from mixdata.report.tables import cut
from mixdata.text import shown

if TYPE_CHECKING:
    from mixdata.normalization.targets import StemTarget, Targets

BEFORE, AFTER = "#d97706", "#2f7fc1"  # told apart by the colour-blind, readable on white and on black
INK, FAINT = "#2b2b2c", "#c9cacd"  # become the page's own colours where a drawing stands in one
PAGE_COLOURS = {INK: "var(--ink)", FAINT: "var(--line)"}
TICKS = {31.25: "31", 62.5: "63", 125: "125", 250: "250", 500: "500", 1000: "1k", 2000: "2k", 4000: "4k", 8000: "8k", 16000: "16k"}
BESIDE_TITLE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.99), "ncols": 3, "borderaxespad": 0.1}  # of a legend
RANGE_DB = 80.0  # of a spectrum, shown under its highest point
LOOK: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # names from anywhere: a dollar is a dollar
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.image_inline": True,
}


def draw_stem(stem: str, songs: Sequence[SongCurves], target: "StemTarget | None") -> str:
    """Return an SVG of one stem of several songs: spectra, similarity, corrections of the EQ, and maps of the similarity."""
    with _look(salt=stem):
        figure = Figure(figsize=(11.2, 6.4), layout="constrained", facecolor="none")
        grid = figure.add_gridspec(2, 4, width_ratios=[3, 3, 3, 3])
        spectra = figure.add_subplot(grid[0, :2])
        _before_after(
            spectra, [s.spectrum_before for s in songs], [s.spectrum_after for s in songs], target.spectrum_db if target else None
        )
        _spectrum_axes(spectra, [*(s.spectrum_before for s in songs), *(s.spectrum_after for s in songs)])
        spectra.set_title(f"{_words(stem)}: spectrum")
        spectra.legend(**BESIDE_TITLE)
        similarity = figure.add_subplot(grid[0, 2:])
        _before_after(
            similarity, [s.similarity_before for s in songs], [s.similarity_after for s in songs], target.similarity if target else None
        )
        _similarity_axes(similarity, [*(s.similarity_before for s in songs), *(s.similarity_after for s in songs)])
        similarity.set_title(f"{_words(stem)}: panning")
        _corrections(figure.add_subplot(grid[1, :2]), np.array([s.correction for s in songs]))
        _maps(figure, [figure.add_subplot(grid[1, 2]), figure.add_subplot(grid[1, 3])], songs)
        return _saved(figure, "svg").decode()


def draw_targets(targets: "Targets", ending: str) -> bytes:
    """Return a drawing of targets as `png`, `svg` or `pdf`: a row per stem, its curves with their spread, and its numbers."""
    with _look(salt="targets"):
        figure = Figure(figsize=(11.0, 0.6 + 2.3 * len(targets.stems)), layout="constrained", facecolor="white", dpi=130)
        rows = figure.subplots(len(targets.stems), 2, squeeze=False, sharex=True, width_ratios=[3, 2])
        lowest, highest = _limits([target.spectrum_db for target in targets.stems.values()])
        for (spectrum, similarity), (name, target) in zip(rows, targets.stems.items(), strict=True):
            songs, loudness, onset_peak = target_numbers(target)
            _with_spread(spectrum, target.spectrum_db, target.spectrum_spread_db)
            spectrum.set(ylim=(lowest, highest), ylabel="level at equal loudness, dB")
            spectrum.set_title(f"{_words(name)}   ", fontweight="bold")
            spectrum.set_title(f"songs: {songs},  loudness: {loudness} LUFS,  onset peak: {onset_peak} LU", loc="right", fontsize=9)
            _with_spread(similarity, target.similarity, target.similarity_spread)
            _similarity_axes(similarity, [each.similarity - np.nan_to_num(each.similarity_spread) for each in targets.stems.values()])
            for axes in (spectrum, similarity):
                _frequency_axis(axes, label=name == list(targets.stems)[-1])
        spread = any(np.isfinite(target.spectrum_spread_db).any() for target in targets.stems.values())
        title = f"Targets {_words(targets.about.get('name', ''))}" + (": mean, and one standard deviation over songs" if spread else "")
        figure.suptitle(title, fontsize=11)
        return _saved(figure, ending)


def inline(svg: str) -> str:
    """Return an SVG as an element of a page: without prolog and unused ids, in the page's own colours, as wide as there is room."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'(<svg [^>]*?)width="[^"]*"', r'\1width="100%"', svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)height="[^"]*"', r"\1", svg, count=1)
    for colour, variable in PAGE_COLOURS.items():
        svg = svg.replace(colour, variable)
    return svg


@contextmanager
def _look(salt: str) -> Iterator[None]:
    """Draw in our own look; matplotlib's settings are as before afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # names in scripts that the font has not
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**LOOK, "svg.hashsalt": f"mixdata {salt}"})
        yield


def _saved(figure: Figure, ending: str) -> bytes:
    undated: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}, "png": {}}
    out = io.BytesIO()
    figure.savefig(out, format=ending, metadata=undated[ending])
    return out.getvalue()


def _words(text: str) -> str:
    return cut(shown(text), 48)


def _before_after(axes: Axes, before: list[np.ndarray], after: list[np.ndarray], target: np.ndarray | None) -> None:
    for curves, colour, label in ((before, BEFORE, "before"), (after, AFTER, "after")):
        for place, curve in enumerate(curves):
            axes.plot(CENTRES_HZ, curve, color=colour, linewidth=0.9, alpha=0.7, label=None if place else label)
    if target is not None:
        axes.plot(CENTRES_HZ, target, color=INK, linewidth=2.2, dashes=(3, 1.2), label="target")
    _frequency_axis(axes)


def _with_spread(axes: Axes, curve: np.ndarray, spread: np.ndarray) -> None:
    if np.isfinite(spread).any():
        axes.fill_between(CENTRES_HZ, curve - spread, curve + spread, color=AFTER, alpha=0.25, linewidth=0)
    axes.plot(CENTRES_HZ, curve, color=AFTER, linewidth=1.8)


def _corrections(axes: Axes, corrections: np.ndarray) -> None:
    """Draw the middle and the range of what the EQ did: all songs, and the middle half of them."""
    axes.set_title("what the EQ did")
    _frequency_axis(axes)
    axes.set_ylabel("correction, dB")
    known = np.isfinite(corrections).any(axis=0)
    if not known.any():
        axes.text(0.5, 0.5, "no EQ", transform=axes.transAxes, ha="center")
        axes.set_yticks([])
        return
    low, q1, median, q3, high = np.nanquantile(corrections[:, known], [0, 0.25, 0.5, 0.75, 1], axis=0)
    axes.fill_between(CENTRES_HZ[known], low, high, color=AFTER, alpha=0.18, linewidth=0, label="all songs")
    axes.fill_between(CENTRES_HZ[known], q1, q3, color=AFTER, alpha=0.35, linewidth=0, label="middle half")
    axes.plot(CENTRES_HZ[known], median, color=AFTER, linewidth=1.8, label="median")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylim(min(-6.0, float(low.min()) - 1), max(6.0, float(high.max()) + 1))
    axes.legend(**BESIDE_TITLE)


def _maps(figure: Figure, both: list[Axes], songs: Sequence[SongCurves]) -> None:
    """Draw the similarity of songs by bands, before and after, in the same colours."""
    edges_hz = CENTRES_HZ[0] * 2 ** ((np.arange(len(CENTRES_HZ) + 1) - 0.5) / 6)
    lowest = _least([*(s.similarity_before for s in songs), *(s.similarity_after for s in songs)])
    image = None
    for axes, title, curves in (
        (both[0], "panning before", [s.similarity_before for s in songs]),
        (both[1], "panning after", [s.similarity_after for s in songs]),
    ):
        rows = np.arange(len(songs) + 1.0)
        image = axes.pcolormesh(edges_hz, rows, np.ma.masked_invalid(curves), vmin=lowest, vmax=1, cmap="viridis", rasterized=True)
        axes.set_title(title)
        _frequency_axis(axes, every=2)
        axes.grid(visible=False)
        axes.invert_yaxis()
        axes.set_yticks(*((rows[:-1] + 0.5, [str(s.number) for s in songs]) if axes is both[0] else ([],)))
    both[0].set_ylabel("song")
    bar = figure.colorbar(image, ax=both, pad=0.02, aspect=30)  # type: ignore[arg-type]
    bar.set_label("similarity")
    bar.outline.set_visible(False)


def _frequency_axis(axes: Axes, label: bool = True, every: int = 1) -> None:
    axes.set_xscale("log")
    axes.set_xlim(CENTRES_HZ[0], CENTRES_HZ[-1])
    axes.xaxis.set_major_locator(FixedLocator(list(TICKS)[::every]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda hz, _: TICKS.get(hz, ""))
    if label:
        axes.set_xlabel("frequency, Hz")


def _spectrum_axes(axes: Axes, curves: list[np.ndarray]) -> None:
    axes.set_ylim(*_limits(curves))
    axes.set_ylabel("level at equal loudness, dB")


def _limits(curves: Sequence[np.ndarray]) -> tuple[float, float]:
    """Return lowest and highest level shown."""
    finite = [curve[np.isfinite(curve)] for curve in curves]
    values = np.concatenate([each for each in finite if each.size] or [np.zeros(1)])
    highest = 10 * np.ceil((values.max() + 3) / 10)
    return float(max(10 * np.floor(values.min() / 10), highest - RANGE_DB)), float(highest)


def _similarity_axes(axes: Axes, curves: Sequence[np.ndarray]) -> None:
    axes.set_ylim(_least(curves), 1.02)
    axes.set_ylabel("similarity of the channels")


def _least(similarities: Sequence[np.ndarray]) -> float:
    """Return where the scale of a similarity begins."""
    known = [float(each[np.isfinite(each)].min()) for each in similarities if np.isfinite(each).any()]
    return max(0.0, min(0.8, float(np.floor(10 * min(known, default=0.0)) / 10)))
