"""Units, spelled once: a gigabyte is not a gibibyte and a bit is not a byte.

Network links are sold in bits per second and powers of ten, memory in bytes and powers
of two; a factor of 8 x 1.07 lies between "Gbit/s" and "GiB/s"::

    decimal   KB = 10^3    MB = 10^6    GB = 10^9    TB = 10^12   bytes
    binary    KiB = 2^10   MiB = 2^20   GiB = 2^30   TiB = 2^40   bytes

Multiply to say a quantity, `4 * MiB`; divide to read one, `n / GB`.

Source: IEC 80000-13:2008, prefixes for binary multiples.
"""

KB, MB, GB, TB = 10**3, 10**6, 10**9, 10**12  # bytes
KiB, MiB, GiB, TiB = 2**10, 2**20, 2**30, 2**40  # bytes
Kbit, Mbit, Gbit = KB / 8, MB / 8, GB / 8  # bytes

us, ms = 1e-6, 1e-3  # seconds


def show_bytes(n: float) -> str:
    """Return `n` bytes in the largest binary unit that fits, for example "1.5 MiB".

    n: bytes, at least 0.  Whole numbers are shown without decimals, others with
    three significant digits.
    Errors: ValueError when n is negative.
    """
    if n < 0:
        raise ValueError(f"a number of bytes is at least 0, not {n}")
    for name, unit in (("TiB", TiB), ("GiB", GiB), ("MiB", MiB), ("KiB", KiB)):
        if n >= unit:
            return f"{_digits(n / unit)} {name}"
    return f"{_digits(n)} B"


def show_time(seconds: float) -> str:
    """Return a time in s, ms or us, for example "2.5 ms".

    Errors: ValueError when seconds is negative.
    """
    if seconds < 0:
        raise ValueError(f"a duration is at least 0 s, not {seconds}")
    for name, unit in (("s", 1.0), ("ms", ms)):
        if seconds >= unit:
            return f"{_digits(seconds / unit)} {name}"
    return f"{_digits(seconds / us)} us"


def parse_bytes(text: str) -> int:
    """Return the bytes that "8", "64K", "1M" or "2G" says, in powers of two.

    Errors: ValueError for anything else.
    """
    units = {"": 1, "K": KiB, "M": MiB, "G": GiB}
    digits = text.rstrip("KMG")
    if not digits.isdecimal() or text[len(digits) :] not in units:
        raise ValueError(f"a size is a number like 8, 64K, 1M or 2G, not {text!r}")
    return int(digits) * units[text[len(digits) :]]


def _digits(value: float) -> str:
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
