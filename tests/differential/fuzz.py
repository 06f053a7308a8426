"""Random rules, classes, macros, maps and addresses, asked of both programs.

A seed makes a series of configurations and of what is asked about each; the same seed makes the
same series. Where the real program reads memory it has given back or writes behind a buffer there is
nothing to be like; what leads there is left out of the grammar, with the reason beside it.
"""
import os
import random
import re
import time

import talk
from tools import REAL_SENDMAIL

OURS = "/usr/sbin/sendmail"
# Tokens of a value overwrite the list the address itself lies in. That shows when the replacement fails in the end:
# to the ruleset that is asked next, and in ruleset 4 of /parse, which works on a part of that list, if only brackets
# are unbalanced.
# The message about an endless rule ends with what errno was left at by whatever came before.
EXCUSED = re.compile(rb"Infinite loop in ruleset [^\n]*, rule \d+: "
                     rb"|\.\.\. prescan: to|\n4 +input:[^\n]*\n(?!4 +returns)(?:[^\n]*\n)*?[^\n]*\.\.\. Unbalanced [^\n]*\n"
                     rb"mailer "
                     rb"|== Ruleset [^\n]* status 65\n[^\n]* input:")
# Questions about one configuration.
QUESTIONS = 1500

WORDS = ["ann", "bob", "cid", "host", "hub", "mx", "stage", "test", "example", "org", "net", "one", "two", "x", "y",
         "Ann", "HOST", "local", "1", "22", "007", "a-b", "no_more", "uucp", "ok", "k.v", "Two"]
DOMAINS = ["mx.stage.test", "localhost", "example.org", "a.example.net", "hub.example.test", "first.example",
           "virtual.example", "[192.0.2.20]", "[IPv6:2001:db8::7]", "www", "nosuch.invalid", "decvax", "old.example"]
CLASS_NAMES = ["w", "A", "B", "X", "{Long}", "{Other}", "z"]
MACRO_NAMES = ["D", "E", "G", "{Text}", "{More}", "{Late}", "w", "m", "j"]
# Names used as $&x too. Their values are plain: the real program takes what is left unexpanded in them
# for symbols of the rule, and words in which codes of macros stand for text.
LATE_NAMES = ["{Late}", "{Text}", "G", "{client_name}", "s", "{addr_type}", "h", "u", "{nosuch}", "k"]
# $m is put behind short names of hosts as it stands, symbols and all.
PLAIN_NAMES = [*LATE_NAMES, "m"]
OPERATORS = [".:%@!^/[]+", ".:%@!^/[]+", ".:%@!^/[]+-", ".:@[]", ".@!", "@", ":.%@!^/[]+=*"]


class Configuration:
    """One random configuration."""

    def __init__(self, rng):
        self.rng = rng
        self.rulesets = ["R%d" % n for n in range(rng.randint(4, 8))]
        self.maps = []
        self.mailers = ["local", "prog", "esmtp", "odd"]
        self.lines = []
        self.level = rng.choice([10, 10, 10, 10, 9, 8, 7, 5])

    # ------------------------------------------------------------- pieces
    def some(self, *choices):
        """One of (weight, value) pairs; a value that can be called is."""
        value = self.rng.choices([c[1] for c in choices], [c[0] for c in choices])[0]
        return value() if callable(value) else value

    def word(self):
        return self.rng.choice(WORDS)

    def operator(self):
        # Before level 9 parentheses are comments; a comment hides wildcards, and the real program
        # then takes what lies behind the bindings for what they bound.
        return self.rng.choice([".", "@", "@", "%", "!", ":", "<", ">", "<", ">", "[", "]", "+", "/", "^", ",", ";",
                                "=", "-", "|", *(["(", ")"] if self.level >= 9 else [])])

    def text(self, low=1, high=3):
        return " ".join(self.word() for _ in range(self.rng.randint(low, high)))

    # -------------------------------------------------------- definitions
    def definitions(self):
        rng, add = self.rng, self.lines.append
        add("V%d%s" % (self.level, rng.choice(["", "/Berkeley"])))
        add("O OperatorChars=" + rng.choice(OPERATORS))
        add("O BlankSub=" + rng.choice([".", " ", "_", "-"]))
        if rng.random() < .3:
            add("O ColonOkInAddr=" + rng.choice(["True", "False"]))
        if rng.random() < .2:
            add("O MustQuoteChars=" + rng.choice([".", ".'", "", "@%"]))
        if rng.random() < .1:
            add("O ResolverOptions=+AAONLY")
        add("O AliasFile=/etc/mail/aliases")
        for name in MACRO_NAMES:
            if rng.random() < .6:
                add("D" + name + (self.text(0, 3) if name in PLAIN_NAMES else self.macro_value()))
        for name in CLASS_NAMES:
            if rng.random() < .7:
                add("C" + name + " " + " ".join(self.phrase() for _ in range(rng.randint(1, 5))))
                if rng.random() < .2:
                    add("C%s$=%s %s" % (name, rng.choice(CLASS_NAMES), self.phrase()))
        for _ in range(rng.randint(0, 2)):
            add("F" + rng.choice(CLASS_NAMES) + "/etc/mail/virtual-names")
        for number in range(rng.randint(2, 7)):
            self.map("m%d" % number)
        if self.maps and rng.random() < .5:
            members = rng.sample(self.maps, min(len(self.maps), rng.randint(1, 3)))
            add("Kseq sequence " + " ".join(members))
            self.maps.append("seq")
        if self.maps and rng.random() < .3:
            add("K%s.files text -o -k0 -v1 -z: /etc/mail/words" % "sw")
            add("Ksw switch aliases" if rng.random() < .5 else "Ksw switch -o passwd")
            self.maps.append("sw")

    def phrase(self):
        return self.some((5, self.word), (2, lambda: self.rng.choice(DOMAINS)),
                         (1, lambda: self.word() + self.rng.choice(".@-+%") + self.word()),
                         (1, lambda: '"' + self.text(1, 2).replace(" ", "_") + '"'))

    def macro_value(self):
        rng = self.rng
        return self.some(
            (6, lambda: self.text(0, 3)), (2, lambda: rng.choice(DOMAINS)),
            (1, lambda: "$?%s%s$|%s$." % (rng.choice(["{Text}", "G", "{nosuch}"]), self.word(), self.word())),
            (1, lambda: "$?%s%s$." % (rng.choice(["G", "{Late}"]), self.text())),
            (1, lambda: "$" + rng.choice(["G", "{Text}"]) + "." + self.word()),
            (1, lambda: self.word() + self.operator() + self.word()))

    def map(self, name):
        rng = self.rng
        flags = "".join(" " + self.some(
            (2, "-a" + rng.choice([".ok", "<X>", "@D", "%0", "%1"])), (1, "-m"), (1, "-f"), (1, "-q"), (1, "-t"),
            (1, "-S" + rng.choice(["_", ".", " "]).strip()), (1, "-T" + rng.choice(["<TMP>", ".TMPF"])), (1, "-D"),
            (1, "-o"), (1, "-A"), (1, "-N"), (1, "-O")) for _ in range(rng.randint(0, 2)))
        self.lines.append("K" + name + " " + self.some(
            (3, lambda: "text -o" + flags + rng.choice([" -k0 -v1 -z:", " -k1 -v0 -z:", " -k0 -v1", " -v2", " -z:"])
             + " /etc/mail/words"),
            (3, lambda: "hash" + flags + " /etc/mail/" + rng.choice(["access", "usersone", "virtusertable"])),
            (1, lambda: "btree" + flags + " /etc/mail/" + rng.choice(["virttree", "accesstree", "generictree"])),
            (1, lambda: "hash -o" + flags + " /etc/mail/nosuch"),
            (1, lambda: "hash" + flags + " /etc/mail/nosuch"),
            (4, self.regex), (2, "arith"), (1, "arith -a.n"),
            (2, lambda: "dequote" + rng.choice(["", " -s_", " -a.d", " -s.", " -S-"])),
            (2, "macro"), (1, "null"), (1, "arpa"), (1, "arpa -a.arpa"),
            (1, lambda: "user" + flags + rng.choice([" -vuid", " -vgecos", "", " -vdir"])),
            (1, lambda: "implicit" + flags + " /etc/mail/usersone"),
            (1, lambda: "stab -o" + flags + " /etc/mail/aliases"),
            (1, lambda: "host" + flags)))
        self.maps.append(name)

    def regex(self):
        rng = self.rng
        pattern = self.some(
            (2, "^([a-z]+)$"), (2, "^([a-z]+)[.@-]([a-z.]+)$"), (1, "([0-9]+)"), (1, "(.*)@(.*)"),
            (1, "^(.)(.*)$"), (1, "[aeiou]"), (1, "(a|b)c?"), (1, '"'), (1, "(<[^>]*>)"), (1, "(.+) (.+)"),
            (1, "^$"), (1, "x(y)?(.*)"), (1, "(.*)(\\.)(.*)"), (1, "(\\(.*)"), (1, "(\"?[^\"]*)(.*)"))
        groups = pattern.count("(") - pattern.count("\\(")
        options = []
        if groups and rng.random() < .6:
            chosen = rng.sample(range(0, groups + 1), rng.randint(1, groups))
            options.append("-s" + rng.choice(["", ",".join(map(str, chosen)), ",".join(map(str, chosen))]))
            if rng.random() < .5:
                options.append("-d" + rng.choice([":", "_", ".", ""]))
        for option in ("-n", "-f", "-a.re", "-a<R>", "-m", "-q", "-b", "-S_"):
            if rng.random() < .1:
                options.append(option)
        return " ".join(["regex", *options, pattern])

    # -------------------------------------------------------------- rules
    def pattern(self):
        rng, parts, wildcards = self.rng, [], 0
        for _ in range(rng.randint(1, 6)):
            part = self.some(
                (5, "$*"), (4, "$+"), (4, "$-"), (3, lambda: "$=" + rng.choice(CLASS_NAMES)),
                (1, lambda: "$~" + rng.choice(CLASS_NAMES)), (4, self.word), (5, self.operator),
                (1, lambda: "$&" + rng.choice(LATE_NAMES)), (1, lambda: "$" + rng.choice(MACRO_NAMES)), (.3, "$@"),
                (.3, lambda: '"' + self.text(1, 2) + '"'), (.2, "$|"))
            # The real program tries every way; more than these would take it hours.
            if part in ("$*", "$+") and sum(parts.count(many) for many in ("$*", "$+")) == 3:
                part = "$-"
            wildcards += part[:2] in ("$*", "$+", "$-", "$=", "$~")
            parts.append(part)
        return rng.choice(["", " "]).join(parts) if rng.random() < .4 else " ".join(parts), wildcards

    def position(self, wildcards):
        return "$%d" % self.rng.randint(1, wildcards) if wildcards else self.word()

    def key(self, wildcards):
        rng = self.rng
        return " ".join(self.some((5, lambda: self.position(wildcards)), (2, self.word), (1, self.operator),
                                  (.5, lambda: "$&" + rng.choice(LATE_NAMES)),
                                  (.5, lambda: '"%s"' % self.text(1, 2))) for _ in range(rng.randint(1, 3)))

    def lookup(self, wildcards):
        rng = self.rng
        if rng.random() < .1:
            return "$[ %s%s $]" % (self.key(wildcards), rng.choice([" $: " + self.word(), ""]))
        # An alias text is read through the rules; if they ask for it, the real program reads it again from within,
        # until it has no file or no stack left.
        names = [name for name in self.maps if not self.leads_to(name, "stab", "switch")]
        name = rng.choice(names + ["nosuchmap"] * (rng.random() < .05)) if names else "host"
        line = self.definition(name)
        if " arith" in line:
            numbers = [rng.choice([str(rng.randint(-9, 99)), self.position(wildcards)]) for _ in range(2)]
            what = "%s $@ %s $@ %s" % (rng.choice("+-*/%|&l="), *numbers)
        elif " macro" in line:
            what = "{%s} $@ %s" % (rng.choice(["Late", "Text"]), self.key(wildcards))
        else:
            what = self.key(wildcards) + "".join(" $@ " + self.key(wildcards) for _ in range(rng.randint(0, 2)))
        default = rng.choice(["", " $: " + self.key(wildcards), " $: "])
        return "$( %s %s%s $)" % (name, what, default)

    def definition(self, name):
        return next((line for line in self.lines if line.startswith("K" + name + " ")), "")

    def leads_to(self, name, *classes):
        words = self.definition(name).split()[1:]
        return words[:1] != [] and (words[0] in classes or words[0] == "sequence" and any(
            self.leads_to(member, *classes) for member in words[1:]))

    def call(self, number):
        later = self.rulesets[number + 1:]
        return "$>" + self.rng.choice(later) if later else ""

    def replacement(self, number, pattern, wildcards):
        rng = self.rng
        prefix = self.some((5, "$: "), (3, "$@ "), (2, ""))
        if rng.random() < .08:
            return rng.choice(["", "$@ ", "$: "]) + self.triple(wildcards)
        if not prefix and rng.random() < .9:
            return self.shorter(pattern, wildcards)
        parts = [self.some(
            (6, lambda: self.position(wildcards)), (3, self.word), (3, self.operator),
            (2 if prefix else 0, lambda: self.lookup(wildcards)),
            (1 if prefix else 0, lambda: self.call(number)),
            (1, lambda: "$&" + rng.choice(LATE_NAMES)), (1, lambda: "$" + rng.choice(MACRO_NAMES)),
            (.3, lambda: '"' + self.text(1, 2) + '"'), (.2, "$|")) for _ in range(rng.randint(1, 5))]
        for at, part in enumerate(parts):
            # What is doubled in every rule is soon so long that the real program needs minutes to match it.
            if part in parts[:at] and rng.random() < .9:
                parts[at] = self.word()
        return prefix + " ".join(parts)

    def shorter(self, pattern, wildcards):
        """A replacement with fewer tokens than the pattern matched: it is used again and again, but not for ever."""
        positions = ["$%d" % n for n in range(1, wildcards + 1)]
        literals = len([part for part in pattern.split() if part[0] != "$"])
        words = [self.some((1, self.word), (1, self.operator)) for _ in range(self.rng.randint(0, max(0, literals - 1)))]
        if len(words) == literals:
            positions = positions[1:]
        parts = positions + words
        self.rng.shuffle(parts)
        return " ".join(parts)

    def triple(self, wildcards):
        rng = self.rng
        if rng.random() < .3:
            return "$#error $@ %s $: %s" % (
                rng.choice(["5.1.1", "4.7.0", "nouser", "67", "tempfail", "2.1.0", "x"]),
                rng.choice(['"550 no"', "550 5.7.1 no", '"450 4.2.1 slow"', '"552 5.2.2 full"', "421 gone",
                            '"451 4.0.0 later " $&{Late}', "plain words",
                            self.position(wildcards)]))
        return "$#%s%s%s" % (rng.choice(self.mailers + ["nosuch"]),
                             rng.choice([" $@ " + self.key(wildcards), "", " $@ " + self.position(wildcards)]),
                             rng.choice([" $: " + self.key(wildcards)] * 5 + [""]))

    def ruleset(self, name, number):
        self.lines.append("S" + name)
        for _ in range(self.rng.randint(1, 5)):
            pattern, wildcards = self.pattern()
            self.lines.append("R%s\t%s" % (pattern, self.replacement(number, pattern, wildcards) or "$@"))

    def finish(self):
        rng, add = self.rng, self.lines.append
        for number, name in enumerate(self.rulesets):
            self.ruleset(name, number)
        # A ruleset that calls itself, once in each rule: 50 calls and no more.
        add("SLoop")
        pattern, wildcards = self.pattern()
        add("R%s\t$: %s $>Loop %s" % (pattern, self.word(), self.position(wildcards)))
        for name in ("3", "1", "2", "4", "5"):
            if rng.random() < .7:
                self.ruleset(name, 0)
        if rng.random() < .7:
            add("S0")
            for _ in range(rng.randint(0, 3)):
                pattern, wildcards = self.pattern()
                add("R%s\t%s" % (pattern, rng.choice([self.triple(wildcards), self.replacement(0, pattern, wildcards)]) or "$@"))
            add("R$*\t" + self.triple(1))
        pairs = [rng.choice(self.rulesets + ["0", "1"]) for _ in range(8)]
        flags = lambda: "".join(rng.sample("lsDFMAmnuhw5:/|@qXCeE8acd0k", rng.randint(4, 14)))  # noqa: E731
        add("Mlocal, P=/bin/false, F=%s, S=%s, R=%s/%s, A=false $u" % (flags(), pairs[0], pairs[1], pairs[2]))
        add("Mesmtp, P=[IPC], F=%s, S=%s/%s, R=%s, A=TCP $h" % (flags(), pairs[3], pairs[4], pairs[5]))
        add("Modd, P=[IPC], F=%s, S=%s, R=%s, L=%d, M=%d, A=TCP $h %d" % (
            flags(), pairs[6], pairs[7], rng.randint(0, 999), rng.randint(0, 9999), rng.randint(1, 99)))
        return "\n".join(self.lines) + "\n"


class Asker:
    """Questions about one configuration."""

    def __init__(self, rng, configuration):
        self.rng, self.configuration = rng, configuration

    def address(self):
        rng, c = self.rng, self.configuration
        count = rng.choice([1, 2, 3, 3, 4, 5, 6, 8, 12])
        parts = [c.some(
            (10, c.word), (4, lambda: rng.choice(DOMAINS)), (10, c.operator), (2, " "),
            (1, lambda: '"%s"' % c.text(1, 2)), (1, lambda: "(%s)" % c.text(0, 2)),
            (.5, lambda: rng.choice(['"', "(", ")", "\\", "<>", "\\\"", "$", "#", "'"])),
            (.2, lambda: chr(rng.randint(0xa0, 0xff))), (.1, lambda: chr(rng.randint(1, 31)).replace("\n", "x")),
            (.1, lambda: rng.choice("ab") * rng.choice([50, 120, 200, 250, 256, 260])),
            (.05, lambda: rng.choice(".@!") * rng.randint(5, 30))) for _ in range(count)]
        return "".join(parts).replace("\0", "x")

    def block(self):
        rng, c = self.rng, self.configuration
        address = self.address()
        names = c.rulesets + ["3", "0", "1", "4", "Loop"]
        lines = c.some(
            (60, lambda: [",".join(rng.choices(names, k=rng.choice([1, 1, 1, 2, 3]))) + " " + address]),
            (12, lambda: ["/parse " + address]),
            (12, lambda: ["/tryflags " + rng.choice(["HS", "HR", "ES", "ER"]),
                          "/try %s %s" % (rng.choice(["local", "esmtp", "odd"]), address)]),
            (6, lambda: self.ask_map(address)),
            (1, lambda: [".D%s%s" % (rng.choice(LATE_NAMES[:4]), c.text(0, 3))]),
            # After .Cx$=y the real program reads what an earlier answer left in the memory before it.
            (1, lambda: [".C%s %s" % (rng.choice(CLASS_NAMES), c.phrase())]),
            (1, lambda: ["$" + rng.choice(MACRO_NAMES + LATE_NAMES)]))
        return [line.encode("latin-1") for line in lines]

    def ask_map(self, key):
        # /map on a macro map makes the real program read past the arguments it has not got.
        c = self.configuration
        names = [name for name in c.maps if not c.leads_to(name, "macro")]
        # For a literal that is none, a host map answers with what was wrong with the name before it.
        key = key.lstrip(" [")
        return ["/map %s %s" % (self.rng.choice(names + ["aliases", "host", "nosuch"]), key)]

    def preface(self):
        # Alias texts are read now: read from inside of a rule, they would go through the rules themselves.
        c = self.configuration
        texts = [name for name in c.maps if " stab" in c.definition(name) or name == "sw"]
        return [b"/map %s x" % name.encode() for name in ["aliases", *texts]]

    def blocks(self):
        facts = [b"=M"] + [b"=S" + name.encode() for name in [*self.configuration.rulesets, "0", "3", "Loop"]]
        return [[fact] for fact in facts] + [self.block() for _ in range(QUESTIONS)]


def run(shown, seconds="60", seed=None, count=None):
    seed = int(seed) if seed else random.SystemRandom().randrange(10 ** 9)
    seconds, count = float(seconds) or None, int(count) if count else None
    begin, tally, number = time.monotonic(), talk.Tally(), 0
    print("differ: fuzzing with seed %d" % seed, flush=True)
    while (seconds is None or time.monotonic() - begin < seconds) and (count is None or tally.evaluations < count):
        rng = random.Random("%d:%d" % (seed, number))
        configuration = Configuration(rng)
        configuration.definitions()
        text = configuration.finish()
        path = "/etc/mail/fuzz.cf"
        with open(path, "w", encoding="latin-1") as f:
            f.write(text)
        asker = Asker(rng, configuration)
        conversation = talk.Conversation("seed %d, configuration %d" % (seed, number), path, asker.blocks(),
                                         asker.preface())

        def found(block, words, text=text, number=number, conversation=conversation):
            keep(number, text, conversation.words(block))
            shown.found(block, words)

        talk.compare(REAL_SENDMAIL, OURS, conversation, found, tally, EXCUSED)
        number += 1
    print("differ: seed %d: %s; %d configurations, %d differences, %.1f s" % (
        seed, tally, number, shown.count, time.monotonic() - begin))
    assert shown.count == 0


def keep(number, text, words):
    """Leaves the configuration of a difference, and what was said up to there, where it can be looked at."""
    os.makedirs("/project/target/differ", exist_ok=True)
    with open("/project/target/differ/%d.cf" % number, "w", encoding="latin-1") as f:
        f.write(text)
    with open("/project/target/differ/%d.in" % number, "wb") as f:
        f.write(words)
    print("the configuration is in target/differ/%d.cf, all questions in %d.in" % (number, number))
