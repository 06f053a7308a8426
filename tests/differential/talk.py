"""Holds the same address-test conversation (-bt) with two programs and compares the answers.

A conversation is a configuration and a list of blocks; a block is a list of lines that
belong together. Between blocks a command nobody knows is sent; the answer to it marks the
end of a block. Where the real program dies of a signal, the block is left out and both
programs are started again behind it: there is nothing to be like.
"""
import difflib
import os
import re
import subprocess

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "USER": "root", "LOGNAME": "root",
               "TZ": "UTC", "LC_ALL": "C"}
MARK = re.compile(rb'Unknown "/" command /mark(\d{7})\n')
# Each program tells its own version when a configuration is older than it.
VERSION = re.compile(rb"(out of date: sendmail )\S+( supports)")
# A program is stopped after this many seconds; what the real one cannot do in time is left out.
PATIENCE = 10
# After this many deaths the rest of a conversation is left out.
MAX_DEATHS = 40
# Longer answers, in lines, are shown as a list of what differs.
LONG_ANSWER = 8


class TooSlow(Exception):
    """A program was not done in time."""


class Conversation:
    """One configuration and what is asked of it."""

    def __init__(self, name, cf, blocks, arguments=()):
        self.name, self.cf, self.blocks, self.arguments = name, cf, blocks, list(arguments)


def visible(text):
    """A text on paper: other octets than ASCII show as \\x.., long runs of one character as a{99}."""
    text = re.sub(r"[^\n\t -~]", lambda m: "\\x%02x" % ord(m.group()), text.decode("latin-1"))
    return re.sub(r"([^\n ])\1{15,}", lambda m: "%s{%d}" % (m.group(1), len(m.group())), text)


def hold(program, conversation, begin):
    """Says the blocks from `begin` on; returns the answers, the exit status, and what came last."""
    said = [b"/mark%07d\n" % begin]
    for number, block in enumerate(conversation.blocks[begin:], begin + 1):
        said.extend(line + b"\n" for line in block)
        said.append(b"/mark%07d\n" % number)
    child = subprocess.Popen(["sendmail", "-bt", "-C" + conversation.cf, *conversation.arguments],
                             executable=program, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, env=ENVIRONMENT, cwd="/", start_new_session=True)
    try:
        heard, _ = child.communicate(b"".join(said), PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, 9)
        heard, _ = child.communicate()
        raise TooSlow("%s: %s did not end in %d s; last words:\n%s" %
                      (conversation.name, program, PATIENCE, visible(heard[-2000:])))
    heard = VERSION.sub(rb"\1VERSION\2", heard)
    answers, at = {}, 0
    for mark in MARK.finditer(heard):
        answers[int(mark.group(1))] = heard[at:mark.start()]
        at = mark.end()
    return answers, child.returncode, heard[at:]


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


def compare(real, ours, conversation, found, excused=None):
    """Compares two programs; calls `found` with the block number and text of each difference.

    Blocks whose answer from the real program has the words `excused` in it are left out.

    Returns how many blocks were compared and how many were left out.
    """
    compared, left_out, begin, deaths = 0, 0, 0, 0
    blocks = conversation.blocks
    while begin <= len(blocks):
        try:
            theirs, their_end, their_rest = hold(real, conversation, begin)
        except TooSlow:
            return compared, left_out + len(blocks) - begin
        answers, our_end, rest = hold(ours, conversation, begin)
        if begin == 0 and theirs.get(0) != answers.get(0):
            found(None, show(conversation, " at the start", [], theirs.get(0, their_rest), answers.get(0, rest)))
            if 0 not in theirs or 0 not in answers:
                return 1, 0
        known = max(theirs, default=begin)
        for number in range(begin + 1, known + 1):
            if excused and excused in theirs[number]:
                left_out += 1
                continue
            compared += 1
            if theirs[number] != answers.get(number):
                text = answers.get(number, rest + b"[ended: %d]" % our_end)
                found(number - 1, show(conversation, "", blocks[number - 1], theirs[number], text))
                if number not in answers:
                    return compared, left_out
        if known == len(blocks):
            if their_end >= 0 and (their_end, their_rest) != (our_end, rest):
                found(None, show(conversation, " at the end", [], their_rest + b"[%d]" % their_end,
                                 rest + b"[%d]" % our_end))
            break
        if their_end >= 0:
            # Both may leave in the middle, if they do so in the same way.
            if known in answers and known + 1 not in answers and (their_end, their_rest) == (our_end, rest):
                begin = known + 1
                continue
            found(known, show(conversation, ": the end", blocks[known], their_rest + b"[%d]" % their_end,
                              rest + b"[%d]" % our_end))
            break
        left_out += 1
        deaths += 1
        begin = known + 1
        if deaths >= MAX_DEATHS:
            left_out += len(blocks) - begin
            break
    return compared, left_out
