"""HTML pages: self-contained, everything escaped, opened without a network. Drawings are small inline SVGs."""

from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from mixdata.example import Audio
from mixdata.report.normalization import DISTANCE_HEAD, NormalizationPage, distance_rows
from mixdata.report.pairs import pair_lines, share_rows
from mixdata.report.stats import MIX_MEASURES, probe_lines
from mixdata.report.tracks import kinds_line, track_rows
from mixdata.text import duration, size

WIDTH, HEIGHT = 240, 40
TABLES = {"pair_lines": pair_lines, "share_rows": share_rows, "distance_rows": distance_rows, "distance_head": DISTANCE_HEAD}
TABLES |= {"track_rows": track_rows, "kinds_line": kinds_line}


def render_html(stats: dict[str, Any], page: NormalizationPage | None = None) -> str:
    """Return the statistics (of `dataset_statistics`) as one HTML page, with the figures of `normalization_page` where given."""
    return render("stats.html.j2", stats=stats, page=page, mix_measures=MIX_MEASURES, probe_lines=probe_lines, **TABLES)


def render(template: str, **values: Any) -> str:
    """Fill a template of `report/templates`. Every value is escaped unless it is `Markup`; a missing one is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mixdata.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(bar=bar, histogram=histogram, duration=duration, size=size)
    return environment.get_template(template).render(**values)


def bar(share: float | None) -> Markup:
    """Draw a horizontal bar, `share` (0 to 1) of it filled."""
    filled = WIDTH / 2 * min(max(share or 0.0, 0.0), 1.0)
    return _svg(
        WIDTH // 2, 10, f'<rect class="rail" width="{WIDTH // 2}" height="10"/><rect class="ink" width="{filled:.1f}" height="10"/>'
    )


def histogram(values: dict[str, Any] | None) -> Markup:
    """Draw the histogram of a `summary`; the outer edges stand below it. Nothing for None."""
    if values is None:
        return Markup("")
    counts, edges = values["counts"], values["edges"]
    step, tallest = WIDTH / len(counts), max(counts)
    bars = "".join(
        f'<rect class="ink" x="{place * step:.1f}" y="{HEIGHT * (1 - count / tallest):.1f}" width="{max(step - 1, 1):.1f}" '
        f'height="{HEIGHT * count / tallest:.1f}"><title>{edges[place]:.1f} to {edges[place + 1]:.1f}: {count}</title></rect>'
        for place, count in enumerate(counts)
        if count
    )
    ends = (
        f'<text x="0" y="{HEIGHT + 12}">{edges[0]:.1f}</text><text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{edges[-1]:.1f}</text>'
    )
    return _svg(WIDTH, HEIGHT + 14, bars + ends)


def waveform(audio: Audio, columns: int = 120) -> Markup:
    """Draw the envelope of `(channels, frames)` audio, full scale from edge to edge; what lies beyond is cut."""
    parts = np.array_split(np.clip(audio, -1, 1), min(columns, max(audio.shape[1], 1)), axis=1)
    peaks = [(float(part.max(initial=0)), float(part.min(initial=0))) for part in parts]
    middle, step = HEIGHT / 2, WIDTH / columns
    path = "".join(
        f"M{place * step:.0f} {middle * (1 - high):.1f}V{middle * (1 - low) + 0.5:.1f}" for place, (high, low) in enumerate(peaks)
    )
    return _svg(WIDTH, HEIGHT, f'<path class="wave" d="{path}"/>')


def _svg(width: int, height: int, body: str) -> Markup:
    return Markup(f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">{body}</svg>')  # numbers only
