//! What the reader of the configuration says, as problems.
//!
//! The reader's words are those of the reference. A table tells by how they begin what
//! kind of problem they mean and which word of the line they are about.

use crate::config::Config;
use crate::config::diagnostics::{Doubt, Doubted, Kind, Message};
use crate::config::options::table::OPTIONS;
use crate::map::MapClass;
use crate::text::bytes::printable;

use super::nearest::nearest;
use super::problem::{Code, Place, Problem, Severity};
use super::sheet::{Sheet, Statement};

/// Where a message has the word it is about.
#[derive(Debug, Clone, Copy)]
enum About {
    /// Behind its beginning, up to a blank.
    Next,
    /// Behind its beginning, all of it.
    Rest,
    /// Behind the last of these texts.
    Behind(&'static str),
    /// Between the first quotes or brackets.
    Quoted,
    /// The whole line.
    Line,
}

/// One kind of message.
struct Saying {
    /// How the message begins.
    begins: &'static str,
    /// What it also contains.
    contains: &'static str,
    code: Code,
    about: About,
    help: &'static str,
}

const fn saying(
    begins: &'static str,
    contains: &'static str,
    code: Code,
    about: About,
    help: &'static str,
) -> Saying {
    Saying {
        begins,
        contains,
        code,
        about,
        help,
    }
}

const TAB_HELP: &str = "the two sides of a rule are separated by tabs, not by blanks";
const NAME_HELP: &str = "names are one character, or letters, digits and _ in braces: ${name}";
const FLAG_HELP: &str = "see the flags of this class in the guide, section 5.9";
const USER_HELP: &str = "create the account or name another one";

/// All kinds, the first that fits counts.
#[rustfmt::skip]
const SAYINGS: &[Saying] = {
    use About::{Behind, Line, Next, Quoted, Rest};
    use Code::*;
    &[
        saying("cannot open: ", "", Unreadable, Line, "name the right file with -C, or run as a user who may read it"),
        saying("not a plain file", "", Unreadable, Line, "name a file with -C"),
        saying("unknown configuration line", "", UnknownLine, Line, "lines begin with one of C D E F H K M O P Q R S T V X, comments with #"),
        saying("invalid argument to V line", "", BadVersion, Line, "write V10/Berkeley"),
        saying("invalid V line vendor code", "", BadVersion, Quoted, "write V10/Berkeley"),
        saying("Warning: .cf version level", "", BadVersion, Line, "this file was made for a newer program; write V10/Berkeley and test it"),
        saying("Warning: .cf file is out of date", "", Version, Line, "make the file again with the m4 library of this release, or write V10/Berkeley and test it"),
        saying("readcf: unknown option name ", "", UnknownOption, Next, ""),
        saying("readcf: ambiguous option name ", "", UnknownOption, Next, "write the name in full"),
        saying("readcf: null option name", "", UnknownOption, Line, "write: O name=value"),
        saying("Option ", "used as abbreviation", AbbreviatedOption, Next, "write the name in full: abbreviations may become ambiguous"),
        saying("settimeout: invalid timeout ", "", UnknownOption, Rest, "see the names of timeouts in the guide, section 4.1"),
        saying("Invalid time unit", "", BadInterval, Line, "units are s, m, h, d and w, as in 1h30m"),
        saying("readcf: mailer U= flag: unknown ", "", UnknownUser, Behind(" "), USER_HELP),
        saying("readcf: option ", "unknown ", UnknownUser, Behind(" "), USER_HELP),
        saying("readcf: map ", "not available", UnknownMapClass, Line, ""),
        saying("readcf: config K line", "", BadMap, Line, "write: Kname class -flags file"),
        saying("Illegal option ", "", UnknownMapFlag, Next, FLAG_HELP),
        saying("No file name for ", "", BadMap, Line, "name the file behind the flags"),
        saying("Sequence map ", "unknown member", UndefinedMap, Behind(" "), "define the member before the sequence"),
        saying("Switch map ", "", BadMap, Line, ""),
        saying("pattern-compile-error", "", BadMap, Line, "patterns are extended regular expressions, see regex(7)"),
        saying("field (", "out of range", BadMap, Line, "the pattern has fewer groups"),
        saying("dns map ", "wrong type", BadMap, Behind(" "), "write -R and a record type, as in -RMX"),
        saying("syslog map", "", BadMap, Line, FLAG_HELP),
        saying("fileclass: cannot open", "", ClassSource, Quoted, "create the file, make it safe to read, or write -o if it may be missing"),
        saying("fileclass: ", "not available", UnknownMapClass, Line, ""),
        saying("fileclass: ", "", ClassSource, Line, "write: Fname /path, F{name}-o /path or F{name}key@class:file"),
        saying("", "missing map file", ClassSource, Line, "build the map with makemap"),
        saying("invalid ruleset name", "", BadRulesetName, Quoted, "names begin with a letter and have letters, digits and _"),
        saying("bad ruleset", "", BadRulesetName, Line, "numbers of rulesets go from 0 to 99"),
        saying("", "ruleset changed value", BadRulesetName, Line, "give the ruleset its number where it is named first, and one number only"),
        saying("", "too many named rulesets", BadRulesetName, Line, "remove rulesets nobody calls"),
        saying("missing valid ruleset for", "", RuleOutside, Line, "put an S line before the first rule"),
        saying("invalid rewrite line", "", BadRule, Line, TAB_HELP),
        saying("replacement $", "out of bounds", BadPosition, Next, "the left side has fewer wildcards; count them from one"),
        saying("Inappropriate use of ", "on LHS", BadRule, Next, "this symbol belongs on the right side"),
        saying("Inappropriate use of ", "on RHS", BadRule, Next, "this symbol belongs on the left side; what it matched is $1 to $9"),
        saying("R line: null LHS", "", BadRule, Line, "write a pattern before the tab; no tokens at all are $@"),
        saying("R line: null RHS", "", BadRule, Line, "write a result behind the tab; no tokens at all are $@"),
        saying("R line: too many wildcards", "", BadRule, Line, "a pattern has nine wildcards at most"),
        saying("missing map closing token", "", BadRule, Line, "close $( with $) and $[ with $]"),
        saying("cannot nest map lookups", "", BadRule, Line, "look the inner one up in a rule of its own before"),
        saying("too many arguments for map", "", BadRule, Line, "a lookup has nine arguments at most"),
        saying("", "Unbalanced { on ", BadName, Line, NAME_HELP),
        saying("553", "", BadRule, Line, ""),
        saying("expand: recursion too deep", "", BadName, Line, "a macro uses itself"),
        saying("Name required for macro", "", BadName, Line, NAME_HELP),
        saying("Invalid macro/class character ", "", BadName, Rest, NAME_HELP),
        saying("Macro/class name", "too long", BadName, Line, NAME_HELP),
        saying("No local mailer defined", "", NoLocalMailer, Line, "add an M line for mailer local"),
        saying("M", "unknown mailer equate ", UnknownField, Behind("equate "), "fields are P F S R E A M m r L N D C Q T U W and /"),
        saying("mailer ", "unknown queue ", BadMailer, Behind(" "), "define the queue group with a Q line before the mailer"),
        saying("mailer ", "", BadMailer, Line, ""),
        saying("M", "argument", BadMailer, Line, ""),
        saying("M", "parameters for [", BadMailer, Line, "write A=TCP $h or A=FILE path"),
        saying("M", "P=[TCP]", BadMailer, Quoted, ""),
        saying("name required for mailer", "", BadMailer, Line, "write: Mname, P=path, F=flags, A=words"),
        saying("too many mailers", "", BadMailer, Line, ""),
        saying("name required for mail filter", "", BadFilter, Line, "write: Xname, S=socket, F=flags"),
        saying("X", "", BadFilter, Line, ""),
        saying("name required for queue", "", BadQueueGroup, Line, "write: Qname, P=directory"),
        saying("queue ", "", BadQueueGroup, Line, ""),
        saying("Q", "", BadQueueGroup, Line, ""),
        saying("Warning: Q=", "", OptionConflict, Line, ""),
        saying("header syntax error", "", Syntax, Line, "write: Hname: value"),
        saying("header", "", Syntax, Line, ""),
        saying("too many P lines", "", Syntax, Line, ""),
        saying("WARNING: local host name", "", HostName, Quoted, "give the host a name with a domain, in /etc/hosts or by Dj in the file"),
        saying("Unknown delivery mode ", "", BadValue, Next, "modes are interactive, background, queue and defer"),
        saying("Unknown 8-bit mode ", "", BadValue, Next, "modes are mimify, pass8 and strict"),
        saying("Invalid queue sort order", "", BadValue, Quoted, "orders are priority, host, time, filename, modification, random and none"),
        saying("Invalid NoRecipientAction: ", "", BadValue, Rest, "actions are none, add-to, add-apparently-to, add-bcc and add-to-undisclosed"),
        saying("readcf: DontBlameSendmail option: ", "", BadValue, Next, "see the words in the guide, section 4.9.2"),
        saying("readcf: Op line: ", "", BadValue, Next, "see the words of PrivacyOptions in the guide, section 5.6"),
        saying("readcf: ", "unrecognized", BadValue, Line, ""),
        saying("readcf: option Connect", "", BadValue, Line, "write an IP address"),
        saying("readcf: ", "", BadValue, Line, ""),
        saying("setalias: ", "", BadMap, Line, "write class:file with a class that can hold aliases, such as hash"),
        saying("milter_set_option", "", BadValue, Line, "suboptions are LogLevel and macros.connect to macros.eom"),
        saying("Warning: Option:", "", BadValue, Line, ""),
        saying("Warning: OperatorChars", "", OptionConflict, Line, "set OperatorChars once, before the first rule"),
        saying("Warning:", "limit set lower", BadValue, Line, "such a low limit refuses sound mail"),
        saying("Warning:", "", OptionConflict, Line, ""),
        saying("WARNING: SuperSafe", "", OptionConflict, Line, "set DeliveryMode=interactive too"),
        saying("Can't initialize mailbox database", "", BadValue, Quoted, "the only mailbox database here is pw"),
    ]
};

/// Turns a message into a problem; `None` for what another check tells better.
pub fn problem(message: &Message, sheet: &Sheet, config: Option<&Config>) -> Option<Problem> {
    let text = message.said();
    let has = |part: &str| crate::text::bytes::find(text, part.as_bytes()).is_some();
    let found = SAYINGS
        .iter()
        .find(|saying| text.starts_with(saying.begins.as_bytes()) && has(saying.contains));
    let statement = message.line.and_then(|line| sheet.statement(line));
    let (code, about, help) = match found {
        Some(saying) => (saying.code, word(text, saying), saying.help),
        None => (statement.map_or(Code::Syntax, usual), None, ""),
    };
    // What cannot be assigned was told of in the message before.
    if text.starts_with(b"Unable to assign") {
        return None;
    }
    // A whole-file check has a better place than the line of the V line.
    if code == Code::Version && config.is_some_and(|config| config.level == 0) {
        return None;
    }
    let place = match (code, statement) {
        (Code::Version | Code::BadVersion, None) => version_place(sheet),
        (_, Some(statement)) if has("on RHS") => match about {
            Some(word) => statement.find_on_the_right(word),
            None => statement.whole(),
        },
        (_, Some(statement)) => place_in(statement, code, about),
        (_, None) => Place::FILE,
    };
    let severity = match (found, message.kind) {
        // What is printed as a mere warning keeps nobody from working.
        (Some(saying), Kind::Warning | Kind::Note | Kind::Hint | Kind::UserError) => {
            saying.code.severity().max(Severity::Warning)
        }
        (Some(saying), Kind::Error | Kind::SystemError) => saying.code.severity(),
        (_, Kind::Trace) => return None,
        (None, Kind::Hint) => Severity::Hint,
        (None, Kind::Error | Kind::SystemError) => Severity::Error,
        (None, Kind::Warning | Kind::Note | Kind::UserError) => Severity::Warning,
    };
    let about = about.map(<[u8]>::trim_ascii);
    let help = match proposal(code, about.unwrap_or_default(), statement) {
        Some(near) if about.is_some_and(|name| name.eq_ignore_ascii_case(near.as_bytes())) => {
            "one blank only may stand before the name".to_owned()
        }
        Some(near) => format!("did you mean {near}?"),
        None => help.to_owned(),
    };
    let problem = Problem::new(code, place, wording(text)).help(help);
    Some(problem.severity(severity))
}

/// Turns a value that was taken without a word into a problem.
pub fn doubted(doubt: &Doubted, sheet: &Sheet) -> Problem {
    let Doubted {
        doubt,
        line,
        option,
        value,
    } = doubt;
    let place = sheet
        .statement(*line)
        .map_or(Place::FILE, |statement| statement.find_behind(b"=", value));
    let shown = printable(value);
    let (code, message, help) = match doubt {
        Doubt::Truth => (
            Code::BadBoolean,
            format!("option {option}: \"{shown}\" is no truth value and counts as false"),
            "write True or False",
        ),
        Doubt::Number => (
            Code::BadNumber,
            format!("option {option}: \"{shown}\" is no number"),
            "write decimal digits; only those at the start count",
        ),
        Doubt::Octal => (
            Code::BadNumber,
            format!("option {option}: \"{shown}\" is no octal number"),
            "write digits from 0 to 7, as in 0600",
        ),
        Doubt::Word => (
            Code::BadValue,
            format!("option {option}: \"{shown}\" is not known and changes nothing"),
            "see the words of this option in the guide, section 5.6",
        ),
        Doubt::Interval => (
            Code::BadInterval,
            format!("option {option}: \"{shown}\" is no interval"),
            "write numbers with s, m, h, d or w, as in 1h30m",
        ),
    };
    Problem::new(code, place, message)
        .help(help)
        .severity(Severity::Warning)
}

/// What is usually wrong with a line of this command.
fn usual(statement: &Statement) -> Code {
    match statement.command() {
        b'F' => Code::ClassSource,
        b'K' => Code::BadMap,
        b'M' => Code::BadMailer,
        b'O' => Code::BadValue,
        b'Q' => Code::BadQueueGroup,
        b'R' => Code::BadRule,
        b'S' => Code::BadRulesetName,
        b'V' => Code::BadVersion,
        b'X' => Code::BadFilter,
        _ => Code::Syntax,
    }
}

/// The place of the V line.
fn version_place(sheet: &Sheet) -> Place {
    sheet.of(b'V').last().map_or(Place::FILE, Statement::whole)
}

fn place_in(statement: &Statement, code: Code, about: Option<&[u8]>) -> Place {
    let Some(word) = about else {
        return statement.whole();
    };
    match code {
        Code::UnknownMapFlag => statement.find(&[b"-", word].concat()),
        Code::UnknownField => statement.find(word),
        Code::UnknownUser => statement.find_behind(b"=", word),
        Code::BadPosition => statement.find_on_the_right(word),
        _ => statement.find(word),
    }
}

/// Finds the word a message is about.
fn word<'t>(text: &'t [u8], saying: &Saying) -> Option<&'t [u8]> {
    let behind = text.get(saying.begins.len()..)?;
    let first = |text: &'t [u8]| {
        let end = text.iter().position(|b| b" \t,:\n".contains(b));
        text.get(..end.unwrap_or(text.len()))
    };
    let word = match saying.about {
        About::Line => None,
        About::Rest => Some(behind),
        About::Next if saying.code == Code::BadPosition => {
            // `$9`: the dollar sign belongs to the word.
            let start = saying.begins.len().checked_sub(1)?;
            text.get(start..start + 2)
        }
        About::Next => first(behind.trim_ascii_start()),
        About::Behind(mark) => {
            let at = memchr::memmem::rfind(text, mark.as_bytes())?;
            text.get(at + mark.len()..)
        }
        About::Quoted => {
            let open = text.iter().position(|b| b"\"'`(".contains(b))?;
            let tail = text.get(open + 1..)?;
            let end = tail.iter().position(|b| b"\"')".contains(b))?;
            tail.get(..end.max(1))
        }
    };
    word.filter(|word| !word.is_empty())
}

/// Finds the name that was perhaps meant.
fn proposal(code: Code, word: &[u8], statement: Option<&Statement>) -> Option<String> {
    let near = match code {
        Code::UnknownOption => nearest(word, OPTIONS.iter().map(|spec| spec.name.as_bytes())),
        Code::UnknownMapClass => {
            let text = statement?.rest();
            let class = text.split(u8::is_ascii_whitespace).nth(1)?;
            nearest(class, MapClass::names().map(str::as_bytes))
        }
        _ => None,
    };
    near.map(printable)
}

/// Messages that show their line, which stands below them anyway.
const REWORDED: &[(&str, &str)] = &[
    (
        "invalid rewrite line",
        "there is no tab between the two sides of this rule",
    ),
    (
        "missing valid ruleset for",
        "this rule belongs to no ruleset",
    ),
    ("unknown configuration line", "no command begins like this"),
    ("R line: null LHS", "the left side of this rule is empty"),
    ("R line: null RHS", "the right side of this rule is empty"),
    (
        "readcf: unknown option name 0x0",
        "this line names no option",
    ),
];

/// The message without what the reference puts in front of it for itself.
fn wording(text: &[u8]) -> String {
    let known = |(begins, _): &&(&str, &str)| text.starts_with(begins.as_bytes());
    if let Some((_, words)) = REWORDED.iter().find(known) {
        return (*words).to_owned();
    }
    if let Some(letter) = text.strip_prefix(b"readcf: unknown option name 0x".as_slice())
        && let Ok(letter) = u8::from_str_radix(&String::from_utf8_lossy(letter), 16)
    {
        return format!(
            "there is no option with the letter {}",
            printable(&[letter])
        );
    }
    let text = text.strip_prefix(b"readcf: ").unwrap_or(text);
    let text = text.strip_prefix(b"553 ").unwrap_or(text);
    let text = text.strip_prefix(b"5.1.0 ").unwrap_or(text);
    let text = text.strip_prefix(b"Warning: ").unwrap_or(text);
    let text = text.strip_prefix(b"WARNING: ").unwrap_or(text);
    let joined: Vec<&[u8]> = crate::text::bytes::words(text).collect();
    printable(&joined.join(&b' ')).replacen(": Warning:", ":", 1)
}
