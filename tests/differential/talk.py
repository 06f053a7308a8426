"""Holds the same address-test conversation (-bt) with two programs and compares the answers.

A conversation is a configuration and a list of blocks; a block is a list of lines that
belong together. Between blocks a command nobody knows is sent; the answer to it marks the
end of a block. Where the real program dies of a signal or takes too long, the block is left
out and both programs are started again behind it: there is nothing to be like.
"""
import concurrent.futures
import difflib
import os
import re
import select
import subprocess
import threading
import time

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "USER": "root", "LOGNAME": "root",
               "TZ": "UTC", "LC_ALL": "C"}
MARK = re.compile(rb'Unknown "/" command /mark(\d{7})\n')
# Each program tells its own version when a configuration is older than it.
VERSION = re.compile(rb"(out of date: sendmail )\S+( supports)")
# What a database that did not have a key left in errno; the real program adds it to the next message about the rules.
LEFTOVER = re.compile(rb": Unknown error -\d+(?=\n)")
# Blocks in which an address is evaluated; the others only show or set something.
EVALUATION = re.compile(rb"/(parse|try) |[^/.=$-]")
# Seconds for one block: what the real program cannot do in time is left out. Ours gets more, as a debug
# build on a busy machine is no difference.
PATIENCE, OUR_PATIENCE = 3, 60
# After this many deaths or slow blocks the rest of a conversation is left out.
MAX_DEATHS, MAX_SLOW = 40, 5
# Longer answers, in lines, are shown as a list of what differs.
LONG_ANSWER = 8


class Conversation:
    """One configuration and what is asked of it."""

    def __init__(self, name, cf, blocks, preface=()):
        # `preface` is said first, also after a new start.
        self.name, self.cf, self.blocks, self.preface = name, cf, blocks, list(preface)

    def words(self, last):
        """What is said up to the block `last`, or all of it."""
        blocks = self.blocks if last is None else self.blocks[:last + 1]
        return b"".join(line + b"\n" for block in [self.preface, *blocks] for line in block)


def visible(text):
    """A text on paper: other octets than ASCII show as \\x.., long runs of one character as a{99}."""
    text = re.sub(r"[^\n\t -~]", lambda m: "\\x%02x" % ord(m.group()), text.decode("latin-1"))
    return re.sub(r"([^\n ])\1{15,}", lambda m: "%s{%d}" % (m.group(1), len(m.group())), text)


class Tally:
    """What was compared, and why the rest was not."""

    def __init__(self):
        self.answers = self.evaluations = self.died = self.slow = self.excused = self.skipped = 0

    def compared(self, block):
        self.answers += 1
        self.evaluations += bool(EVALUATION.match(block[-1]))

    def __str__(self):
        left_out = self.died + self.slow + self.excused + self.skipped
        share = 100 * left_out / max(1, left_out + self.answers)
        return "%d evaluations of addresses (%d answers) compared, %.1f %% left out (died %d, slow %d, excused %d, " \
            "behind those %d)" % (self.evaluations, self.answers, share, self.died, self.slow, self.excused,
                                  self.skipped)


class Held:
    """One program's side of a conversation."""

    def __init__(self, program, conversation, begin):
        # `answers` by block, the exit status (None: stopped as too slow), and what came behind the last answer.
        self.answers, self.end, self.rest = {}, None, b""
        self.has_leftover = False
        # How many blocks the other program has answered once it has ended.
        self.enough = None
        self.program, self.conversation, self.begin = program, conversation, begin

    def hold(self, patience):
        """Says the blocks from `begin` on and hears the answers, waiting at most `patience` seconds for each."""
        said = [line + b"\n" for line in [*self.conversation.preface, b"/mark%07d" % self.begin]]
        for number, block in enumerate(self.conversation.blocks[self.begin:], self.begin + 1):
            said.extend(line + b"\n" for line in block)
            said.append(b"/mark%07d\n" % number)
        child = subprocess.Popen(["sendmail", "-bt", "-C" + self.conversation.cf],
                                 executable=self.program, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd="/", start_new_session=True)
        speaker = threading.Thread(target=speak, args=(child.stdin, b"".join(said)))
        speaker.start()
        try:
            if self.hear(child.stdout, patience):
                self.end = child.wait()
        finally:
            if child.poll() is None:
                os.killpg(child.pid, 9)
                child.wait()
            speaker.join()
            child.stdout.close()
        return self

    def hear(self, stream, patience):
        """Collects answers to the end of the stream; False if the program was too slow or is no longer wanted."""
        since = time.monotonic()
        while self.enough is None or max(self.answers, default=-1) < self.enough:
            if not select.select([stream], [], [], .2)[0]:
                if time.monotonic() - since > patience:
                    return False
                continue
            piece = os.read(stream.fileno(), 65536)
            if not piece:
                return True
            self.rest += piece
            marks = list(MARK.finditer(self.rest))
            if marks:
                since = time.monotonic()
                at = 0
                for mark in marks:
                    self.has_leftover |= bool(LEFTOVER.search(self.rest))
                    answer = LEFTOVER.sub(b"", VERSION.sub(rb"\1VERSION\2", self.rest[at:mark.start()]))
                    self.answers[int(mark.group(1))] = answer
                    at = mark.end()
                self.rest = self.rest[at:]
            elif time.monotonic() - since > patience:
                return False
        return False


def speak(stream, words):
    """Writes what is said; a program that has ended hears no more."""
    try:
        stream.write(words)
        stream.close()
    except BrokenPipeError:
        pass


def hold_both(real, ours, conversation, begin):
    """Has the conversation with both programs at the same time."""
    theirs, answers = Held(real, conversation, begin), Held(ours, conversation, begin)
    with concurrent.futures.ThreadPoolExecutor(1) as second:
        later = second.submit(answers.hold, OUR_PATIENCE)
        theirs.hold(PATIENCE)
        if theirs.end is None:
            answers.enough = max(theirs.answers, default=begin)
        later.result()
    return theirs, answers


def show(conversation, what, lines, real, ours):
    """The words of a difference: the question and both answers, or how they differ when they are long."""
    real, ours = visible(real), visible(ours)
    if max(real.count("\n"), ours.count("\n")) > LONG_ANSWER:
        both = list(difflib.unified_diff(real.split("\n"), ours.split("\n"), "real", "ours", n=1, lineterm=""))
        both[2 * LONG_ANSWER:] = ["..."] * (len(both) > 2 * LONG_ANSWER)
    else:
        both = ["--- real", real, "--- ours", ours, "---"]
    return "\n".join(["%s: the answers differ%s" % (conversation.name, what),
                      *("asked:  " + visible(line) for line in lines), *both])


def compare(real, ours, conversation, found, tally, excused=None):
    """Compares two programs; calls `found` with the block number and text of each difference, and counts in `tally`.

    Blocks whose answer from the real program the expression `excused` finds something in are left out.
    """
    begin, deaths, slow = 0, 0, 0
    blocks = conversation.blocks
    while begin <= len(blocks):
        theirs, answers = hold_both(real, ours, conversation, begin)
        if 0 not in theirs.answers and begin == 0 and (theirs.end is None or theirs.end < 0):
            # It died, or took too long, before the first question: there is nothing to ask.
            tally.died += theirs.end is not None
            tally.slow += theirs.end is None
            tally.skipped += len(blocks)
            return
        if begin == 0 and theirs.answers.get(0) != answers.answers.get(0):
            found(None, show(conversation, " at the start", [], theirs.answers.get(0, theirs.rest),
                             answers.answers.get(0, answers.rest)))
            if 0 not in theirs.answers or 0 not in answers.answers:
                return
        known = max(theirs.answers, default=begin)
        for number in range(begin + 1, known + 1):
            if excused and excused.search(theirs.answers[number]):
                tally.excused += 1
                continue
            tally.compared(blocks[number - 1])
            if theirs.answers[number] != answers.answers.get(number):
                text = answers.answers.get(number, answers.rest + b"[ended: %s]" % str(answers.end).encode())
                found(number - 1, show(conversation, "", blocks[number - 1], theirs.answers[number], text))
                if number not in answers.answers:
                    return
        same_end = (theirs.end, theirs.rest) == (answers.end, answers.rest)
        # With something left in errno a fault of the rules counts as one of the system.
        same_end |= theirs.has_leftover and {theirs.end, answers.end} <= {70, 71}
        if known == len(blocks):
            if theirs.end is not None and theirs.end >= 0 and not same_end:
                found(None, show(conversation, " at the end", [], b"%s[%d]" % (theirs.rest, theirs.end),
                                 answers.rest + b"[%s]" % str(answers.end).encode()))
            return
        begin = known + 1
        if theirs.end is not None and theirs.end >= 0:
            # Both may leave in the middle, if they do so in the same way.
            if same_end and known in answers.answers and begin not in answers.answers:
                continue
            found(known, show(conversation, ": the end", blocks[known], b"%s[%d]" % (theirs.rest, theirs.end),
                              answers.rest + b"[%s]" % str(answers.end).encode()))
            return
        if theirs.end is None:
            tally.slow, slow = tally.slow + 1, slow + 1
        else:
            tally.died, deaths = tally.died + 1, deaths + 1
        if deaths >= MAX_DEATHS or slow >= MAX_SLOW:
            tally.skipped += len(blocks) - begin
            return
