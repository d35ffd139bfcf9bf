"""A figure as the text of an SVG that is the same on every write, small, and readable in the dark.

Without pyplot, whose figures live until somebody closes them. Imports matplotlib: import this only for a report.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lab.proof.report.palette import DARK, GRID, INK, QUIET

WIDTH = 520  # px: two beside each other on a desk's screen, and still legible on a phone
GAP = 5  # px above and below a panel
PX_PER_INCH = 72  # of an SVG by matplotlib
FONTS = "system-ui, 'DejaVu Sans', sans-serif"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11.5,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 11,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "figure.facecolor": "none",
    "lines.solid_capstyle": "butt",
    "path.simplify": True,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Figures made and filled inside have the report's style; nothing outside does."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # the reader's fonts draw the text, not matplotlib's
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def figure(height: float) -> Figure:
    """An empty figure of WIDTH and this height, in px."""
    return Figure(
        figsize=(WIDTH / PX_PER_INCH, height / PX_PER_INCH), layout=ConstrainedLayoutEngine(h_pad=GAP / PX_PER_INCH)
    )


def entitled(drawn: Figure, title: str) -> None:
    """Name the whole picture, which may be shown without its page."""
    drawn.suptitle(title, x=0.01, ha="left", color=INK, fontsize=13)


def as_svg(drawn: Figure, name: str, alt: str) -> str:
    """The figure as one <svg> element. `name` begins its ids: a page can hold several. `alt`: it in words."""
    buffer = StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        drawn.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    element = buffer.getvalue().partition("<svg")[2]
    element = element.replace("*{", f"{_dark_style()}\n.chart *{{", 1)
    element = f'<svg class="chart" role="img" aria-label="{escape(alt)}"{element}'
    return re.sub(r"<[^>]+>", lambda tag: _tidied(tag.group(), name), element)


def _tidied(tag: str, name: str) -> str:
    """A tag with ids of its own, in the reader's font, and to the hundredth of a pixel: a third of the size."""
    tag = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", tag)
    tag = re.sub(r"font-family: [^;\"]+", f"font-family: {FONTS}", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    return re.sub(r'(?<= d=")[^"]+', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()).replace("\n", ""), tag)


def _dark_style() -> str:
    """Daylight is what is drawn, so that a viewer without style sheets shows it; the dark repaints it on screens."""
    rules = (
        f'.chart [style*="{kind}: {light}"]{{{kind}:{dark}!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    )
    return f"@media screen and (prefers-color-scheme:dark){{{''.join(rules)}}}"
