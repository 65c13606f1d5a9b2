#!/usr/bin/env python3
"""The judge on timelines made by hand: it must see a false ready, and none where there is none."""
import pathlib, sys, types, unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]
from judge import Judge, outages


def every(first, end, step=0.2):
    n = round((end - first) / step)
    return [first + i * step for i in range(n)]


class FakeWatch:
    """One serve and one node. Requests are answered but in `down`; the node says ready but in `quiet`."""

    def __init__(self, down, quiet, hang=0.01, fresh_at=-1):
        made = [types.SimpleNamespace(name=n, fresh_at=fresh_at) for n in ("node", "serve")]
        self.arena = types.SimpleNamespace(all=lambda: made, serves=made[1:])
        self.asked = {"serve": [(t, t + (hang if down[0] <= t < down[1] else 0.01), not down[0] <= t < down[1], "") for t in every(-2, 12)]}
        self.said = {"node": [(t, not quiet[0] <= t < quiet[1]) for t in every(-2, 12)], "serve": []}


def late(watch, front=(), lost=(), mended=99):
    return Judge(watch, 0, set(front), lost, mended).worst()[0]


class Judged(unittest.TestCase):
    def test_ready_all_through_an_outage(self):
        self.assertAlmostEqual(late(FakeWatch((1, 8), (0, 0))), 6.0, delta=0.3)

    def test_withdrawn_after_two_seconds(self):
        self.assertAlmostEqual(late(FakeWatch((1, 8), (3, 8))), 2.0, delta=0.3)

    def test_ready_again_in_the_middle(self):
        watch = FakeWatch((1, 8), (1, 8))
        watch.said["node"] = [(t, r or 5 < t < 6) for t, r in watch.said["node"]]
        self.assertAlmostEqual(late(watch), 5.0, delta=0.3)

    def test_requests_that_hang_are_an_outage(self):
        self.assertGreater(late(FakeWatch((1, 8), (0, 0), hang=1.5)), 5)

    def test_no_outage(self):
        self.assertEqual(late(FakeWatch((0, 0), (0, 0))), 0)

    def test_a_serve_that_was_itself_cut_off_says_nothing_of_nodes(self):
        self.assertEqual(late(FakeWatch((1, 8), (0, 0)), front=["serve"]), 0)

    def test_one_that_has_just_gone_on_has_its_time(self):
        watch = FakeWatch((1, 12), (0, 0), fresh_at=6)
        watch.said["node"] = [(t, r) for t, r in watch.said["node"] if 6 < t < 9]
        self.assertAlmostEqual(late(watch), 3.0, delta=0.3)

    def test_after_the_remedy_it_counts_anew(self):
        watch = FakeWatch((1, 8), (1, 5))
        self.assertAlmostEqual(late(watch, mended=4.9), 2.0, delta=0.3)
        self.assertAlmostEqual(late(watch, mended=7), 5.7, delta=0.3)

    def test_before_the_remedy_it_counts_from_the_outage(self):
        self.assertAlmostEqual(late(FakeWatch((1, 8), (1, 5), fresh_at=20), mended=20), 6.0, delta=0.3)

    def test_what_the_faults_took_counts_where_nobody_serves(self):
        self.assertAlmostEqual(late(FakeWatch((0, 0), (4, 12)), lost=[(1, 9, None)]), 3.0, delta=0.3)

    def test_an_outage_begins_with_the_last_answer(self):
        (a, b), = outages([(0.0, 0.1, True, ""), (0.2, 1.7, False, ""), (1.8, 1.9, True, "")], 0)
        self.assertEqual((a, b), (0.1, 1.8))

    def test_a_late_answer_ends_an_outage_when_it_comes(self):
        (a, b), = outages([(0.0, 0.1, True, ""), (0.2, 1.7, False, ""), (0.4, 3.4, True, "")], 0)
        self.assertEqual((a, b), (0.1, 3.4))

    def test_a_time_without_questions_ends_it(self):
        spans = outages([(0.0, 0.1, True, ""), (0.2, 0.3, False, ""), (5.0, 5.1, False, ""), (5.2, 5.3, True, "")], 0)
        self.assertEqual(spans, [(0.1, 0.3), (5.0, 5.2)])


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    n_bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - n_bad} passed, {n_bad} failed, 0 skipped")
    sys.exit(n_bad > 0)
