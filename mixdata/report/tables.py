"""Tables of plain text for a terminal."""

from mixdata.text import shown


def table(head: list[str], rows: list[list[str]], left: int) -> list[str]:
    """Align columns, the first `left` of them to the left, under an empty line. A long cell is cut. Nothing where there are no rows."""
    if not rows:
        return []
    cells = [[cut(shown(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    aligned = [
        "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]
    return ["", *(line.rstrip() for line in aligned)]


def cut(text: str, longest: int = 36) -> str:
    """Return the text, shortened with an ellipsis where it is longer."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
