"""Times both programs over the same address-test conversations, and their start-up.

What is said lies in a file and so does what is answered, both in memory: only the program takes
time. Each round lets both programs have all conversations in turn, one pair after the other, so
that a machine whose speed drifts treats both alike. Printed are medians over the rounds, and the
median of the ratios of each round.
"""
import os
import resource
import statistics
import subprocess
import time

# How often a start is repeated in one round: it takes about a millisecond.
STARTS = 20
ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "USER": "root", "LOGNAME": "root",
               "TZ": "UTC", "LC_ALL": "C"}


class Task:
    """One call of the program, `repeated` so many times."""

    def __init__(self, arguments, words=b"", repeated=1):
        self.arguments, self.repeated = arguments, repeated
        self.words = os.memfd_create("words")
        os.write(self.words, words)

    def seconds(self, program):
        """Returns wall and processor seconds, and how the program ended."""
        before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        for _ in range(self.repeated):
            os.lseek(self.words, 0, os.SEEK_SET)
            with os.fdopen(os.memfd_create("answers"), "wb") as answers:
                ended = subprocess.run(["sendmail", *self.arguments], executable=program, stdin=self.words,
                                       stdout=answers, stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd="/").returncode
        wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended


def conversations(made):
    """The tasks of conversations both programs can have to their end."""
    return [Task(["-bt", "-C" + one.cf], one.words(None)) for one in made]


def starts(cf):
    """A start that does nothing, and one that looks at one recipient."""
    return [("start", [Task(["-bt", "-C" + cf], b"", STARTS)]), ("-bv user", [Task(["-C" + cf, "-bv", "root"], b"", STARTS)])]


def measure(what, tasks, real, ours, rounds):
    """Times `tasks`, after one round that is not counted, and prints a line."""
    kept = []
    for task in tasks:
        ends = [task.seconds(program)[2] for program in (real, ours)]
        if min(ends) < 0:
            print("%s: left out, a signal ended it: %s" % (" ".join(task.arguments), ends))
        else:
            kept.append(task)
    walls, processors = ([], []), ([], [])
    for number in range(rounds):
        sums = [[0, 0], [0, 0]]
        for task in kept:
            # Who comes first changes from round to round.
            for side, program in ((0, real), (1, ours))[::1 if number % 2 else -1]:
                wall, processor, _ = task.seconds(program)
                sums[side][0] += wall
                sums[side][1] += processor
        for side in (0, 1):
            walls[side].append(sums[side][0])
            processors[side].append(sums[side][1])
    shown = []
    for name, (theirs, own) in (("wall", walls), ("processor", processors)):
        ratios = [a / b for a, b in zip(theirs, own)]
        shown.append("%s %.3f s and %.3f s, ratio %.2f (%.2f to %.2f)" % (
            name, statistics.median(theirs), statistics.median(own), statistics.median(ratios), min(ratios), max(ratios)))
    print("speed: %-13s real and ours: %s" % (what, "; ".join(shown)), flush=True)


def run(made, cf, real, ours, rounds):
    """Prints the three figures: all conversations, a start, one recipient looked at."""
    for what, tasks in [("-bt", conversations(made)), *starts(cf)]:
        measure(what, tasks, real, ours, rounds)
    print("speed: %d conversations, %d blocks, %d rounds" % (len(made), sum(len(one.blocks) for one in made), rounds))
