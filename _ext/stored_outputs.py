"""What the stored outputs of a notebook may be relied upon for."""

NOT_COMPARED = "nbval-ignore-output"


def is_compared(cell: dict) -> bool:
    """Return whether every run repeats the outputs of a cell; measured ones differ."""
    return NOT_COMPARED not in cell.get("metadata", {}).get("tags", [])
