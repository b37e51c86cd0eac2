"""Who reads what in an epoch, what twice and what never."""

from dlsys_code.book.epoch_chart import cells, epochs, unread

EPOCH = [[[3, 1], [0]], [[4], [3]]]  # two steps of two ranks
ALT = "一张表：两列是两步，两行是两个 rank，一个样本被读了两次"


def test_a_sample_is_new_once():
    assert list(cells(EPOCH)) == [
        (0, 0, 0, 3, False),
        (0, 0, 1, 1, False),
        (0, 1, 0, 0, False),
        (1, 0, 0, 4, False),
        (1, 1, 0, 3, True),
    ]
    assert unread(EPOCH, 6) == [2, 5]


def test_a_table_says_what_nobody_reads():
    drawn = epochs({"padded": EPOCH, "dropped": EPOCH[:1]}, 6, alt=ALT)
    again = epochs({"padded": EPOCH, "dropped": EPOCH[:1]}, 6, alt=ALT)
    assert drawn.svg == again.svg
    for text in ("padded", "dropped", "never read: 2, 5", "never read: 2, 4, 5", "r1"):
        assert f"<!-- {text} -->" in drawn.svg
