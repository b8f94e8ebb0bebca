"""Our number of a cell beside the published one."""

from grjax.sweep.table import Cell


def beside(cell: Cell, tolerance: float) -> str:
    """As '88.6 [88.4, 88.8]; 88.9', ours first: bold where they are too far apart, failed runs counted."""
    ours = cell.spread()
    if ours is None:
        return "–"
    interval = "" if ours.low is None else f" [{ours.low:.1f}, {ours.high:.1f}]"
    failed = f", {cell.failed} of {cell.planned} failed" if cell.failed else ""
    text = (
        f"{ours.mean:.1f}{interval}; {'–' if cell.published is None else f'{cell.published[0]:.1f}'}{failed}"
    )
    apart = cell.published is not None and cell.verdict(tolerance) != "within"
    return f"**{text}**" if apart else text
