"""Nearest neighbours by exhaustive search: float32 products find candidates, float64 differences decide."""

import math

import torch
from torch import Tensor

CHUNK_VALUES, CHUNK_ROWS = 2**23, 2048  # bound each float64 matrix held at once to 64 MiB
SPARE = 3  # candidates beyond those wanted, since float32 may order near-equal ones wrongly
TOLERANCE = 1e-5  # of |a|^2 + |b|^2: more than a squared distance from float32 products is wrong by


def knn(queries: Tensor, references: Tensor, count: int, *, same: bool = False) -> tuple[Tensor, Tensor]:
    """The nearest references of each query, by exhaustive search.

    Takes n m d multiply-adds in float32. Whatever these cannot tell apart is decided by float64 differences, so the
    result is that of float64; points that lie much closer together than to the others cost a search in float64.

    Args:
        queries: (n, d), uint8 or floating point.
        references: (m, d), on the same device.
        count: How many, at least 1, at most m.
        same: Whether both are one set, and no point is its own neighbour; then at most m - 1.

    Returns:
        Indices into the references, int64 (n, count), nearest first, of a few equally near ones the first; and squared
        distances, float64 (n, count), without cancellation: a copy is at distance 0.
    """
    own = torch.arange(len(queries), device=queries.device) if same else None
    indices, squares, sure = _search(queries, references, count, own, torch.float32)
    unsure = (~sure).nonzero()[:, 0]
    if len(unsure):
        again = _search(queries[unsure], references, count, None if own is None else own[unsure], torch.float64)
        indices[unsure], squares[unsure] = again[0], again[1]
    return indices, squares


def chunk_rows(width: int) -> int:
    """How many rows of this width to take at once, so that neither they nor their distances take over 64 MiB."""
    return max(1, min(CHUNK_ROWS, CHUNK_VALUES // max(1, width)))


def about(origin: Tensor, points: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Points (n, d) as seen from an origin (d,) among them, so that what all share costs no digits."""
    exact = torch.promote_types(points.dtype, torch.float32)
    return (points.to(exact) - origin.to(exact)).to(dtype)


def squared_distances(a: Tensor, b: Tensor, a_sizes: Tensor | None = None, b_sizes: Tensor | None = None) -> Tensor:
    """Squared Euclidean distances between rows: (n, d) and (m, d), of one floating type, to (n, m), at least 0.

    From products, so that the error is one of |a|^2 + |b|^2: for float32 below `TOLERANCE` of it.

    Args:
        a: Points.
        b: Others.
        a_sizes: Their `squared_sizes`, where known.
        b_sizes: Likewise.
    """
    a_sizes = squared_sizes(a) if a_sizes is None else a_sizes
    b_sizes = squared_sizes(b) if b_sizes is None else b_sizes
    return torch.addmm(b_sizes[None], a, b.T, alpha=-2).add_(a_sizes[:, None]).clamp_(min=0)


def squared_sizes(points: Tensor) -> Tensor:
    """Squared Euclidean norms of rows, (n, d) to (n,)."""
    return points.square().sum(1)


def squared_differences(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of pairs, (n, d) and (n, d), to float64 (n,), from differences in float64."""
    rows = chunk_rows(a.shape[1])
    pairs = zip(torch.split(a, rows), torch.split(b, rows), strict=True)
    return torch.cat([(one.double() - other.double()).square().sum(1) for one, other in pairs])


def _search(
    queries: Tensor, references: Tensor, count: int, own: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices and squared distances as of `knn`, and whether no other reference can be nearer: bool, (n,)."""
    others = len(references) - (own is not None)
    kept = min(count + SPARE, others)
    rows = chunk_rows(references.shape[1])
    origin, device = references[0], references.device
    points = about(origin, queries, dtype)
    sizes = squared_sizes(points)
    best = torch.full((len(queries), kept), math.inf, dtype=dtype, device=device)
    found = torch.zeros(len(queries), kept, dtype=torch.int64, device=device)
    farthest = 0.0
    for first in range(0, len(references), rows):
        columns = about(origin, references[first : first + rows], dtype)
        column_sizes = squared_sizes(columns)
        farthest = max(farthest, float(column_sizes.max()))
        for start in range(0, len(queries), rows):
            chosen = slice(start, start + rows)
            squares = squared_distances(points[chosen], columns, sizes[chosen], column_sizes)
            if own is not None:
                here = ((own[chosen] >= first) & (own[chosen] < first + rows)).nonzero()[:, 0]
                squares[here, own[chosen][here] - first] = math.inf
            nearest = squares.topk(min(kept, len(columns)), dim=1, largest=False)
            candidates = torch.cat([best[chosen], nearest.values], dim=1)
            best[chosen], order = candidates.topk(kept, dim=1, largest=False)
            found[chosen] = torch.cat([found[chosen], nearest.indices + first], dim=1).gather(1, order)
    found = found.sort(1).values
    exact = torch.zeros(len(queries), kept, dtype=torch.float64, device=device)
    for place in range(kept):
        for chosen in torch.split(torch.arange(len(queries), device=device), CHUNK_ROWS):
            exact[chosen, place] = squared_differences(queries[chosen], references[found[chosen, place]])
    squares, order = exact.sort(dim=1, stable=True)
    if kept == others or dtype == torch.float64:
        sure = torch.ones(len(queries), dtype=torch.bool, device=device)
    else:
        sure = squares[:, count - 1] < best.max(1).values.double() - TOLERANCE * (sizes.double() + farthest)
    return found.gather(1, order)[:, :count], squares[:, :count], sure
