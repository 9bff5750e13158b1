"""Where labels go, so that they hide neither each other nor what they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle; y goes down."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def overlap(self, box: Box) -> float:
        """The area that both cover."""
        width = min(self.x_max, box.x_max) - max(self.x_min, box.x_min)
        height = min(self.y_max, box.y_max) - max(self.y_min, box.y_min)
        return width * height if width > 0 and height > 0 else 0.0

    def is_within(self, outer: Box) -> bool:
        """Whether it lies in another."""
        return (
            outer.x_min <= self.x_min
            and self.x_max <= outer.x_max
            and outer.y_min <= self.y_min
            and self.y_max <= outer.y_max
        )


@dataclass(frozen=True)
class Spot:
    """A circle with a bar through it, which reaches from ``top`` to ``bottom``."""

    x: float
    y: float
    radius: float
    top: float
    bottom: float

    def boxes(self) -> tuple[Box, Box]:
        """What a label should not hide."""
        reach = self.radius
        circle = Box(self.x - reach, self.y - reach, self.x + reach, self.y + reach)
        return circle, Box(self.x - 3, self.top, self.x + 3, self.bottom)


def place(
    spots: Sequence[Spot],
    sizes: Sequence[tuple[float, float]],
    lines: Sequence[Box],
    frame: Box,
) -> tuple[list[Box], float]:
    """A box of each size (width, height) beside its spot, and the area of what they hide.

    One after the other takes the place that hides the least of the spots and of the boxes before
    it, and then of the thin lines. A place outside of the frame counts as hidden.
    """
    placed: list[Box] = []
    hidden = 0.0
    obstacles = [box for spot in spots for box in spot.boxes()]
    for spot, (width, height) in zip(spots, sizes, strict=True):
        boxes = list(_around(spot, width, height))
        costs = [
            (
                sum(box.overlap(obstacle) for obstacle in (*placed, *obstacles))
                + (0.0 if box.is_within(frame) else width * height),
                sum(box.overlap(line) for line in lines),
            )
            for box in boxes
        ]
        least = min(costs)
        placed.append(boxes[costs.index(least)])
        hidden += least[0]
    return placed, hidden


def _around(spot: Spot, width: float, height: float) -> Iterator[Box]:
    """Places around a spot, the preferred first."""
    gap, half = spot.radius + 3, height / 2
    east, west = spot.x + gap, spot.x - gap - width
    # Behind the end of a long bar nobody sees what a label belongs to.
    near = spot.radius + 24
    beyond = [spot.top - 2 - height] if spot.y - spot.top < near else []
    beyond += [spot.bottom + 2] if spot.bottom - spot.y < near else []
    corners = [
        (east, spot.y - height - 1),
        (east, spot.y + 2),
        (west, spot.y - half),
        (east, spot.y - half),
        (west, spot.y - height - 1),
        (west, spot.y + 2),
        *((spot.x - width * share, y) for share in (0.5, 0.1, 0.9) for y in beyond),
        *((x, y) for x in (spot.x + 5, spot.x - 5 - width) for y in beyond),
        *((x, spot.y + shift * height) for x in (east, west) for shift in (-2.2, 1.2)),
    ]
    for start, top in corners:
        yield Box(start, top, start + width, top + height)
