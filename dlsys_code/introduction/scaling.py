"""How much faster many ranks can be, and how long a training run takes.

A part s of the work cannot be shared.  The same work on p ranks is bounded (Amdahl);
work that grows with the ranks, in the same time, is not (Gustafson)::

    Amdahl        speed-up = 1 / (s + (1 - s) / p)  <  1 / s     s of one rank's time
    Gustafson     speed-up = s + (1 - s) p                       s of p ranks' time
    strong efficiency   t_1 / (p t_p)     the same work on p ranks
    weak efficiency     t_1 / t_p         p times the work on p ranks
    Karp and Flatt      s = (1 / speed-up - 1 / p) / (1 - 1 / p)

If s grows with p, what is lost is not serial work but talk, waiting, or unequal shares.
The question of this book in one line::

    time = FLOPs / (one device's rate x devices x parallel efficiency)

Sources: G. M. Amdahl, "Validity of the single processor approach to achieving large
scale computing capabilities", AFIPS 1967; J. L. Gustafson, "Reevaluating Amdahl's law",
CACM 31 (1988) 532-533; A. H. Karp and H. P. Flatt, "Measuring parallel processor
performance", CACM 33 (1990) 539-543.
"""

DAY_S = 24 * 60 * 60
YEAR_S = 365 * DAY_S


def amdahl(serial: float, p: int) -> float:
    """Return the speed-up of fixed work on p ranks.

    serial: the share s of one rank's time that cannot be shared.
    Errors: ValueError when the share is outside 0 to 1 or there is no rank.
    """
    _check(serial, p)
    return 1 / (serial + (1 - serial) / p)


def gustafson(serial: float, p: int) -> float:
    """Return the speed-up of work that grows until p ranks need as long as one did.

    serial: the share s of the p ranks' time in which they do not share work.
    Errors: as `amdahl`.
    """
    _check(serial, p)
    return serial + (1 - serial) * p


def karp_flatt(speed_up: float, p: int) -> float:
    """Return the serial share that would explain a measured speed-up, by Amdahl's law.

    It is negative where p ranks were more than p times as fast.
    Errors: ValueError when p is less than 2, or the speed-up not positive.
    """
    if p < 2 or speed_up <= 0:
        raise ValueError(
            f"a serial share needs at least 2 ranks and a speed-up above 0, not {p} "
            f"and {speed_up}"
        )
    return (1 / speed_up - 1 / p) / (1 - 1 / p)


def strong_efficiency(one_s: float, many_s: float, p: int) -> float:
    """Return t_1 / (p t_p) of the same work on one rank and on p.

    Errors: ValueError when a time is not positive or there is no rank.
    """
    return weak_efficiency(one_s, many_s, p) / p


def weak_efficiency(one_s: float, many_s: float, p: int) -> float:
    """Return t_1 / t_p, where p ranks did p times the work of one.

    Errors: as `strong_efficiency`.
    """
    if min(one_s, many_s) <= 0 or p < 1:
        raise ValueError(
            "an efficiency needs times above 0 and at least 1 rank, not "
            f"{one_s} s, {many_s} s and {p}"
        )
    return one_s / many_s


def train_time_s(
    flops: float, rate: float, *, devices: int = 1, efficiency: float = 1.0
) -> float:
    """Return the time that a training run takes [s].

    flops: of the whole run.  rate: FLOP/s that one device reaches alone.  efficiency:
    the share of it that is left to each when `devices` work together.
    Errors: ValueError when one of them is not positive.
    """
    if min(flops, rate, devices, efficiency) <= 0:
        raise ValueError(
            "a run needs work, a rate, devices and an efficiency above 0, not "
            f"{flops}, {rate}, {devices} and {efficiency}"
        )
    return flops / (rate * devices * efficiency)


def _check(serial: float, p: int) -> None:
    if not 0 <= serial <= 1 or p < 1:
        raise ValueError(
            "the law needs a serial share from 0 to 1 and at least 1 rank, not "
            f"{serial} and {p}"
        )
