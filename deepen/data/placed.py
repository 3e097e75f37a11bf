"""Augmentation for targets that lie in the picture, boxes and masks: what moves pixels moves them too.

Four pictures put together (mosaic, YOLOv4, Bochkovskiy et al., 2020), mirrors, shift, rotation and scale, a random part brought
to full size (crop, Szegedy et al., 2015), and what changes colours only. All moves of a picture are one affine map and one
sampling. What moves in from beyond an edge is the mean colour, never the picture mirrored: things would stand in it that have
no box. Everything drawn comes from the generator that is given, so that a batch is a function of (seed, step).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from deepen.data.augment import ASPECT, Augmenter, check, uniform
from deepen.data.moves import flipped
from deepen.errors import Misuse
from deepen.recipe import Augment
from deepen.spec import EMPTY, IGNORED, Image

KEPT = 0.3
"""A box stays when this share of its area is still seen: less is hardly recognised, and would be learnt as a thing."""
SMALLEST = 2.0
"""Pixels of its shorter side that a box has at least."""
MIDDLE = (0.3, 0.7)
"""Where the corner that four pictures share lies, as a share of height and width."""
ROOM = 32
"""Boxes that there is room for in a picture made of four, at least; twice those of one picture where that is more."""


@dataclass(frozen=True)
class Quarters:
    """How pictures are put together from four: picture b from b, b + 1, b + 2, b + 3 of the batch."""

    chosen: Tensor
    """bool [B]: which are."""
    middle: Tensor
    """int64 [2, B]: the line and column at which the lower and the right quarters begin."""
    starts: Tensor
    """int64 [2, 4, B]: the first line and column that upper left, upper right, lower left and lower right show of theirs."""


class PlacedAugmenter:
    """The changes of `config` to batches whose `target` is boxes float32 [B, M, 5] or masks uint8 [B, H, W].

    `mean` and `std` are those that pictures are normalised with, per channel, in units of 0..1. Raises `Misuse` for a strength
    out of range, and for mixup and cutmix, which blend what has no place.
    """

    def __init__(self, config: Augment, input: Image, mean: Sequence[float], std: Sequence[float]) -> None:
        for name in ("mixup", "cutmix"):
            if getattr(config, name):
                raise Misuse(
                    f"augment.{name}={getattr(config, name):g} blends the targets of whole pictures, which boxes and masks are "
                    "not: leave it out (augment.mosaic puts pictures together)."
                )
        check(config, input)
        self.config = config
        colours = Augment(colour=config.colour, erase=config.erase)
        self._colours = Augmenter(colours, input, mean, std) if config.colour or config.erase else None
        self._moves = bool(config.shift or config.rotate or config.scale or config.crop)

    def stored(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures put together and, where nothing else moves them, mirrored, as stored rows `input` [B, H, W, C]."""
        if self.config.mosaic:
            batch = assemble(batch, self._quarters(batch["input"], generator))
        for asked, side in ((self.config.flip, 2), (self.config.flip_vertical, 1)):
            if asked and not self._moves:
                chance = uniform(generator, (len(batch["input"]),), batch["input"].device)
                batch = mirror(batch, chance < 0.5, side)
        return batch

    def tensor(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """The other changes, to normalised pictures `input` [B, C, H, W], after `stored`."""
        if self._moves:
            batch = move(batch, self._matrix(batch["input"], generator))
        if self._colours is not None:
            batch = self._colours.tensor(batch, generator)
        return batch

    def _quarters(self, rows: Tensor, generator: torch.Generator) -> Quarters:
        count, height, width, _ = rows.shape
        draws = uniform(generator, (11, count), rows.device)
        sides = torch.tensor([height, width], device=rows.device)
        middle = ((MIDDLE[0] + draws[1:3] * (MIDDLE[1] - MIDDLE[0])) * sides[:, None]).round().long()
        free = torch.stack(
            [sides[:, None] - middle, middle]
        )  # what the windows before and after the middle leave, [2, 2, B]
        free = torch.stack([free[[0, 0, 1, 1], 0], free[[0, 1, 0, 1], 1]])  # [2, 4, B]
        starts = (draws[3:].view(2, 4, count) * (free + 1)).long().minimum(free)
        return Quarters(draws[0] < self.config.mosaic, middle, starts)

    def _matrix(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """For each picture where a place of the result lies in it, in pixels: float [B, 2, 3]."""
        config, (height, width) = self.config, x.shape[2:]
        draws = uniform(generator, (9, len(x)), x.device)
        mirrored = torch.where(draws[0] < 0.5, -1.0, 1.0) if config.flip else torch.ones_like(draws[0])
        upright = torch.ones_like(draws[0])
        if config.flip_vertical:
            upright = torch.where(uniform(generator, (len(x),), x.device) < 0.5, -1.0, upright)
        right, down = ((draws[1:3] * 2 - 1) * config.shift).round()
        size = 1 + (draws[3] * 2 - 1) * config.scale
        angle = (draws[4] * 2 - 1) * math.radians(config.rotate)
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        share = 1 - draws[5] * (1 - config.crop) if config.crop else torch.ones_like(draws[5])
        slant = torch.exp((draws[6] * 2 - 1) * math.log(ASPECT)) if config.crop else torch.ones_like(draws[6])
        across, along = (share * slant).sqrt().clamp(max=1), (share / slant).sqrt().clamp(max=1)
        first_x, first_y = draws[7] * (1 - across) * width, draws[8] * (1 - along) * height
        # About the centre turned, scaled and mirrored, then into the part of the picture that is kept.
        away_x, away_y = -width / 2 - right, -height / 2 - down
        row_x = torch.stack([cosine, -sine, cosine * away_x - sine * away_y]) * mirrored
        row_y = torch.stack([sine, cosine, sine * away_x + cosine * away_y]) * upright
        row_x[2] += width / 2
        row_y[2] += height / 2
        row_x, row_y = row_x * across, row_y * along
        row_x[2] += first_x
        row_y[2] += first_y
        return torch.stack([row_x, row_y]).permute(2, 0, 1)


def mirror(batch: dict[str, Tensor], chosen: Tensor, side: int = 2) -> dict[str, Tensor]:
    """The stored rows and targets of a batch where `chosen`, bool [B], with left for right (`side` 2) or top for bottom (1)."""
    rows, target = batch["input"], batch["target"]
    changed = {"input": flipped(rows, chosen, side)}
    if target.dtype == torch.uint8:
        changed["target"] = flipped(target, chosen, side)
    else:
        low, high = (0, 2) if side == 2 else (1, 3)
        turned = target.clone()
        turned[..., low], turned[..., high] = rows.shape[side] - target[..., high], rows.shape[side] - target[..., low]
        turned = torch.where(target[..., 4:] != EMPTY, turned, target)
        changed["target"] = torch.where(chosen.view(-1, 1, 1), turned, target)
    return batch | changed


def assemble(batch: dict[str, Tensor], quarters: Quarters) -> dict[str, Tensor]:
    """Stored rows and targets put together from four where they are chosen.

    Boxes have room for more than before, the same in every batch; of more than fit, the largest stay.
    """
    rows, target = batch["input"], batch["target"]
    count, height, width, channels = rows.shape
    device = rows.device
    own = torch.arange(count, device=device)
    source = (own + torch.arange(4, device=device)[:, None]) % count  # [4, B]
    low = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]], device=device)[:, :, None] * quarters.middle[:, None]  # [2, 4, B]
    # A quarter's pixels lie at its own distance from those of the result, in rows that are one long line of pixels.
    step = quarters.starts - low
    shift = source * (height * width) + step[0] * width + step[1]  # [4, B]
    shift = torch.where(quarters.chosen, shift, own * (height * width)).view(4, count, 1, 1)
    above = torch.arange(height, device=device)[:, None] < quarters.middle[0].view(-1, 1, 1)  # [B, H, 1]
    before = torch.arange(width, device=device) < quarters.middle[1].view(-1, 1, 1)  # [B, 1, W]
    shift = torch.where(above, torch.where(before, shift[0], shift[1]), torch.where(before, shift[2], shift[3]))
    index = (shift + torch.arange(height * width, device=device).view(height, width)).flatten()
    changed = {"input": rows.reshape(-1, channels).index_select(0, index).view(rows.shape)}
    if target.dtype == torch.uint8:
        changed["target"] = target.reshape(-1).index_select(0, index).view(target.shape)
    else:
        changed["target"] = _gathered(target, quarters, source, low, (height, width))
    return batch | changed


def _gathered(target: Tensor, quarters: Quarters, source: Tensor, low: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes of four pictures, moved with their quarters: float32 [B, M', 5]. `low` int64 [2, 4, B] is where they begin."""
    most = target.shape[1]
    sides = torch.tensor(size, device=target.device)[:, None, None]
    high = torch.where(
        low > 0, sides, quarters.middle[:, None]
    )  # an upper or left quarter begins at 0 and ends in the middle
    step = (low - quarters.starts).flip(0).repeat(2, 1, 1).permute(2, 1, 0)[:, :, None]  # x, y, x, y: [B, 4, 1, 4]
    edges = torch.cat([low.flip(0), high.flip(0)]).permute(2, 1, 0)[:, :, None]  # left, top, right, bottom
    four = target[source.T]  # [B, 4, M, 5]
    moved = torch.cat([four[..., :4] + step, four[..., 4:]], dim=-1)
    together = cut(moved, edges).flatten(1, 2)  # [B, 4 * M, 5]
    alone = torch.cat([target, _empty(target, 3 * most)], dim=1)
    boxes = torch.where(quarters.chosen.view(-1, 1, 1), together, alone)
    room = min(4 * most, max(2 * most, ROOM))
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    # What is ignored comes after what is learnt.
    worth = torch.where(boxes[..., 4] >= 0, area, torch.where(boxes[..., 4] == EMPTY, -1, 0))
    order = worth.argsort(dim=1, descending=True, stable=True)[:, :room]
    return boxes.gather(1, order[..., None].expand(-1, -1, 5))


def _empty(target: Tensor, count: int) -> Tensor:
    nothing = target.new_zeros(len(target), count, 5)
    nothing[..., 4] = EMPTY
    return nothing


def cut(boxes: Tensor, edges: Tensor) -> Tensor:
    """Boxes [..., 5] cut at left, top, right, bottom [..., 4]; empty where too little of them is left, and what is ignored where
    nothing is."""
    before, number = boxes[..., :4], boxes[..., 4:]
    after = torch.cat([before[..., :2].maximum(edges[..., :2]), before[..., 2:].minimum(edges[..., 2:])], dim=-1)
    sides, whole = after[..., 2:] - after[..., :2], before[..., 2:] - before[..., :2]
    narrow, label = sides.amin(-1), number[..., 0]
    enough = (narrow >= SMALLEST) & (sides.prod(-1) >= KEPT * whole.prod(-1)) & (label >= 0)
    stays = (enough | (narrow > 0) & (label < EMPTY))[..., None]
    return torch.cat([torch.where(stays, after, 0), torch.where(stays, number, EMPTY)], dim=-1)


def move(batch: dict[str, Tensor], matrix: Tensor) -> dict[str, Tensor]:
    """Pictures and targets moved. `matrix` [B, 2, 3] says where a place of the result lies in the picture, in pixels from its
    left and top edges."""
    x, target = batch["input"], batch["target"]
    height, width = x.shape[2:]
    column = torch.arange(width, device=x.device) + 0.5
    line = (torch.arange(height, device=x.device) + 0.5)[:, None]
    # Sums of a part along the line and a part down the column; eight times as fast as affine_grid's matrix product.
    from_x, from_y = (row[:, 0] * column + (row[:, 1] * line + row[:, 2]) for row in matrix[..., None, None].unbind(1))
    # In coordinates that run from -1 to 1 along both sides whatever their length.
    grid = torch.stack([from_x * (2 / width) - 1, from_y * (2 / height) - 1], dim=3)
    # Beyond the edge is 0, the mean colour.
    moved = F.grid_sample(x, grid, align_corners=False).contiguous(memory_format=torch.channels_last)
    if target.dtype == torch.uint8:
        return batch | {"input": moved, "target": _nearest(target, from_x, from_y)}
    return batch | {"input": moved, "target": _along(target, matrix, height, width)}


def _nearest(mask: Tensor, from_x: Tensor, from_y: Tensor) -> Tensor:
    """The mask read at places in pixels, float [B, H, W] each."""
    count, height, width = mask.shape
    column, line = from_x.floor().long(), from_y.floor().long()
    inside = (column >= 0) & (column < width) & (line >= 0) & (line < height)
    index = (torch.arange(count, device=mask.device).view(-1, 1, 1) * height + line) * width + column
    return torch.where(inside, torch.take(mask, torch.where(inside, index, 0)), IGNORED)


def _along(boxes: Tensor, matrix: Tensor, height: int, width: int) -> Tensor:
    """Boxes [B, M, 5] where their pictures were moved by `matrix`: the boxes around their moved corners."""
    (a, b, c), (d, e, f) = matrix[:, 0].unbind(1), matrix[:, 1].unbind(1)
    scale = (a * e - b * d)[:, None, None]
    left, top, right, bottom, _ = boxes.unbind(2)
    x = torch.stack([left, right, left, right], 2) - c[:, None, None]  # [B, M, 4], the corners
    y = torch.stack([top, top, bottom, bottom], 2) - f[:, None, None]
    new_x = (e[:, None, None] * x - b[:, None, None] * y) / scale
    new_y = (a[:, None, None] * y - d[:, None, None] * x) / scale
    around = torch.stack([new_x.amin(2), new_y.amin(2), new_x.amax(2), new_y.amax(2), boxes[..., 4]], 2)
    return cut(around, boxes.new_tensor([0, 0, width, height]))
