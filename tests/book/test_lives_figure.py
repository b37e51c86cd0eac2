"""The figure of who lived how long says what the processes wrote down."""

from lettering import words

from dlsys_code.architecture.diary import Diary, Entry
from dlsys_code.book import lives

ALT = "两台服务器和两个 worker 在每一步做了什么"
WHOLE = Diary(
    [
        Entry("worker 0", "computed", 0),
        Entry("server 0", "updated", 0),
        Entry("server 1", "updated", 0),
        Entry("server 0", "acknowledged", 0),
        Entry("worker 0", "computed", 1),
    ],
    [[3.0, 2.0]],
)
KILLED = WHOLE._replace(killed=Entry("server 1", "updated", 0))


def test_a_server_that_told_nobody_is_told_from_one_that_did():
    assert lives.did(WHOLE, "server 0", 0) == lives.TOLD
    assert lives.did(WHOLE, "server 1", 0) == lives.KEPT
    assert lives.did(WHOLE, "worker 0", 1) == lives.COMPUTED
    assert lives.did(WHOLE, "server 0", 1) == ""


def test_every_process_and_panel_is_named(monkeypatch):
    def paint():
        return lives.lives({"one run": WHOLE, "other": KILLED}, steps=2, alt=ALT)

    written = words(monkeypatch, paint)
    for name in ("one run", "other", "worker 0", "server 1", *lives.LOOK):
        assert name in written


def test_a_drawing_is_the_same_each_time_and_shows_the_dead():
    one, again = (lives.lives({"a": WHOLE}, steps=2, alt=ALT) for _ in range(2))
    assert one.svg == again.svg
    assert lives.lives({"a": KILLED}, steps=2, alt=ALT).svg != one.svg
