"""SVG pictures: what is added to a layout of graphviz's (title, legend, tooltips, type sizes)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from .visualize_dot import FONT, STYLES
from .visualize_model import Drawing

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
MARGIN = 10.0
TITLE_HEIGHT = 24.0
LEGEND_ROW = 18.0
LETTER = 6.2  # width of a letter of the legend, on average
NARROWEST = 420.0


def decorate(svg: bytes, drawing: Drawing) -> str:
    """A picture of graphviz's with title and legend above it, and tooltips that browsers show."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(svg)
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    _set_tooltips(root, drawing)
    _set_type_sizes(root)
    return frame([ElementTree.tostring(child, "unicode") for child in root], width, height, drawing)


def frame(content: Sequence[str], width: float, height: float, drawing: Drawing) -> str:
    """An SVG document with title and legend above elements that take `width` by `height`."""
    whole = max(width, NARROWEST)
    legend, legend_height = _draw_legend(drawing, whole)
    top = TITLE_HEIGHT + legend_height + MARGIN
    inner = "\n".join(content)
    return "\n".join([
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" width="{whole:.0f}" height="{top + height:.0f}" '
        f'viewBox="0 0 {whole:.1f} {top + height:.1f}" font-family="{FONT}">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{MARGIN}" y="17" font-size="13" font-weight="bold">{escape(drawing.title)}</text>',
        *legend,
        f'<g transform="translate({(whole - width) / 2:.1f} {top:.1f})">',
        inner,
        "</g>",
        "</svg>",
        "",
    ])  # fmt: skip


def _draw_legend(drawing: Drawing, width: float) -> tuple[list[str], float]:
    """Swatches in rows, and the height of these."""
    entries = [(STYLES[kind].fill, STYLES[kind].line, "", STYLES[kind].meaning) for kind in drawing.kinds()]
    if any(cluster.kind == "fused" for cluster in drawing.clusters.values()):
        entries.append(("#dde6f3", "#4a6fa5", "", "one fused kernel"))
    if any(node.gradient for node in drawing.nodes):
        entries.append(("#ffffff", STYLES["gradient"].line, ' stroke-dasharray="3 2"', "of the gradients"))
    x, y, parts = MARGIN, TITLE_HEIGHT, []
    for fill, line, dashes, meaning in entries:
        length = 24 + LETTER * len(meaning)
        if x + length > width - MARGIN and x > MARGIN:
            x, y = MARGIN, y + LEGEND_ROW
        parts.append(
            f'<rect x="{x:.1f}" y="{y + 2:.1f}" width="12" height="10" rx="2" fill="{fill}" stroke="{line}"{dashes}/>'
            f'<text x="{x + 16:.1f}" y="{y + 10.5:.1f}" font-size="10" fill="#444444">{escape(meaning)}</text>'
        )
        x += length
    return parts, y + LEGEND_ROW - TITLE_HEIGHT


def _set_tooltips(root: ElementTree.Element, drawing: Drawing) -> None:
    texts = {node.key: node.tooltip or node.label for node in drawing.nodes}
    texts |= {f"{e.source}->{e.target}": e.label or "control dependency" for e in drawing.edges}
    for path, cluster in drawing.clusters.items():
        texts[f"cluster {'/'.join(path)}".replace("\0", "#")] = cluster.tooltip or cluster.label
    for group in root.iter(f"{{{SVG}}}g"):
        title = group.find(f"{{{SVG}}}title")
        if title is not None and title.text in texts:
            title.text = texts[title.text].replace("\0", "")
        _unwrap_links(group)


def _unwrap_links(group: ElementTree.Element) -> None:
    """Graphviz puts tooltips on links around what they are for, which browsers ignore."""
    for index, child in enumerate(list(group)):
        if child.tag != f"{{{SVG}}}g":
            continue
        links = child.findall(f"{{{SVG}}}a")
        if len(links) == 1 and "id" in child.attrib and child.attrib["id"].startswith("a_"):
            replacement = ElementTree.Element(f"{{{SVG}}}g")
            replacement.extend(list(links[0]))
            group[index] = replacement


def _set_type_sizes(root: ElementTree.Element) -> None:
    """The first line of a box stands out, further ones step back."""
    for group in root.iter(f"{{{SVG}}}g"):
        if group.attrib.get("class") != "node":
            continue
        for number, text in enumerate(group.iter(f"{{{SVG}}}text")):
            if number:
                text.set("font-size", "8.50")
                text.set("fill", "#666666")
            elif text.attrib.get("font-size") == "10.00":
                text.set("font-weight", "600")


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
