"""The charts of a reconciliation's report: SVG without a script, in the colours of the page that they stand on."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from lxml import etree
from pygal.style import Style

# For its maps, which nobody draws here, pygal hooks a finder of an old kind into every later import of the process.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != "pygal"]

__all__ = ["across", "over_time"]

FONT = "system-ui, sans-serif"
# The page says what these are, by day and by night.
STYLE = Style(
    background="transparent", plot_background="transparent", foreground="var(--ink)", foreground_strong="var(--ink)",
    foreground_subtle="var(--line)", colors=("var(--drift)", "var(--wait)"), font_family=FONT, label_font_size=13,
    major_label_font_size=13, value_font_size=13, legend_font_size=13, opacity="1", opacity_hover="1", transition="none",
)  # fmt: skip
WIDTH, ROW, AXIS, TALL = 860, 34, 64, 260
Series = Mapping[str, Sequence[int]]


def across(labels: Sequence[str], series: Series) -> str:
    """A bar for each label from left to right, the longest on top; each series is a part of the bars."""
    chart = pygal.HorizontalStackedBar(
        **_usual(series),
        height=AXIS + ROW * len(labels),
        show_x_guides=False,
        show_y_guides=True,
        truncate_label=-1,
    )
    # It draws from the bottom up.
    chart.x_labels = list(reversed(labels))
    for name, values in series.items():
        chart.add(name, list(reversed(values)))
    return _drawn(chart)


def over_time(labels: Sequence[str], series: Series) -> str:
    """A bar for each moment, oldest first."""
    chart = pygal.StackedBar(
        **_usual(series), height=TALL, x_label_rotation=0 if len(labels) <= 8 else 40, truncate_label=-1
    )
    chart.x_labels = list(labels)
    for name, values in series.items():
        chart.add(name, list(values))
    return _drawn(chart)


def _drawn(chart: Any) -> str:
    """Without the script for tooltips that pygal always adds: the values stand beside the charts."""
    root = chart.render_tree()
    for name in ("script", "desc"):
        for node in root.xpath(f"//*[local-name() = '{name}']"):
            node.getparent().remove(node)
    return str(etree.tostring(root, encoding="unicode"))


def _usual(series: Series) -> dict[str, Any]:
    most = max((sum(parts) for parts in zip(*series.values(), strict=True)), default=0)
    return {
        "style": STYLE, "js": (), "width": WIDTH, "disable_xml_declaration": True, "legend_at_bottom": True, "margin": 8,
        "show_legend": len(series) > 1, "range": (0, max(most, 1)), "max_scale": 5, "min_scale": 1 if most < 5 else 4,
        "value_formatter": "{:,.0f}".format, "legend_box_size": 12, "spacing": 8,
    }  # fmt: skip
