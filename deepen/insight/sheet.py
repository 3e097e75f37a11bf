"""Several pictures on one sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence

SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')


def sheet(drawn: Sequence[str], across: int = 2, gap: float = 12.0) -> str:
    """SVG pictures in a grid, as one SVG. Their sizes are read from their own `width` and `height`."""
    sizes = []
    for picture in drawn:
        found = SIZE.search(picture)
        assert found is not None, "a picture without a size"
        sizes.append((float(found[1]), float(found[2])))
    wide, high = max(size[0] for size in sizes), max(size[1] for size in sizes)
    columns = min(across, len(drawn))
    placed = [
        picture.replace(
            "<svg ", f'<svg x="{index % columns * (wide + gap):g}" y="{index // columns * (high + gap):g}" ', 1
        )
        for index, picture in enumerate(drawn)
    ]
    width, height = columns * (wide + gap), -(-len(drawn) // columns) * (high + gap)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
    return f"{head}{''.join(placed)}</svg>"
