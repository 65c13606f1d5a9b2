"""Was anybody ready when requests were not answered? Truth is what requests met; where nobody serves, what the faults
took from the swarm."""
GRACE_S = 1.0   # between two looks, and until a request shows that the swarm works again
LIMIT_S = 3.0


def outages(asked, since):
    """[(from, until)] in which no request was answered. An outage begins where the last answer ended, and ends where an
    answered request began, or ended if that took long. A time in which the serve was not asked ends it, too."""
    found, began, last_ok, covered = [], None, since, since
    for t0, t1, served, _ in sorted(asked, key=lambda a: a[1]):
        if t1 < since:
            continue
        if began is not None and t0 - covered > GRACE_S:
            found.append((began, covered))
            began = None
        if t0 - covered > GRACE_S:
            last_ok = t0
        covered = max(covered, t1)
        if served:
            if began is not None:
                found.append((began, t0 if t1 - t0 < GRACE_S else t1))
                began = None
            last_ok = t1
        elif began is None:
            began = max(last_ok, since)
    if began is not None:
        found.append((began, covered + GRACE_S))
    return found


def down_since(spans, t):
    for a, b in spans:
        if a <= t < b - GRACE_S:
            return a
    return None


class Judge:
    """of one run: `since` its first fault; `front`: serves that were themselves parted from nodes; `lost`: [(from, until,
    names or None)] in which the swarm lacked a shard or a link by what was done to it. `mended`: when that was undone; from
    then on nodes and serves may come to it at different times, but nobody earlier by more than the limit."""

    def __init__(self, watch, since, front, lost, mended=float("inf")):
        self.watch, self.since, self.front, self.lost, self.mended = watch, since, front, lost, mended
        self.spans = {p.name: outages(watch.asked[p.name], since) for p in watch.arena.serves}

    def _known(self, name, t):
        return any(a[0] - GRACE_S <= t <= a[1] + GRACE_S for a in self.watch.asked[name] if a[1] > t - 3)

    def broken_since(self, p, t):
        """When the swarm broke as p should see it; None: it works, or nobody knows."""
        for a, b, names in self.lost:
            if (names is None or p.name in names) and a <= t < b:
                return a
        if p.name in self.spans:
            return down_since(self.spans[p.name], t)
        since = []
        for serve in self.watch.arena.serves:
            if serve.name not in self.front and self._known(serve.name, t):
                since.append(down_since(self.spans[serve.name], t))
        return max(since) if since and None not in since else None

    def worst(self):
        """(seconds, who) of the longest false ready."""
        found = (0.0, None)
        for p in self.watch.arena.all():
            for t, ready in list(self.watch.said[p.name]):
                if ready and t > self.since:
                    broken = self.broken_since(p, t)
                    if broken is not None:
                        anew = [x for x in (p.fresh_at, self.mended) if x < t]
                        found = max(found, (t - max([broken, *anew]), p.name), key=lambda x: x[0])
        return found

    def failed(self):
        """Requests that were not answered."""
        return [(name, *a) for name, asked in self.watch.asked.items() for a in asked if a[1] > self.since and not a[2]]

    def story(self):
        """Each change of what was said and of how requests went, in seconds since the first fault."""
        lines = []
        for what, seen in [(f"{n} says", said) for n, said in self.watch.said.items()] + [
                (f"{n} serves", [(a[0], a[2], a[1], a[3]) for a in sorted(asked)]) for n, asked in self.watch.asked.items()]:
            before, text = None, ""
            for t, good, *more in seen:
                if good != before:
                    text += f" {t - self.since:+.2f}" + (f"..{more[0] - self.since:+.2f}" if more else "") + (" yes" if good else " NO")
                    if more and not good:
                        text += f" ({more[1][:150]})"
                before = good
            lines.append(f"{what}:{text}")
        return "\n".join(lines)
