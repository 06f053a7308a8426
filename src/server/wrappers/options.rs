//! What a rule that matches asks for: `: option : option`.
//!
//! Options that would change the process are only checked, as it serves other clients too
//! (`umask`, `nice`, `setenv` but for the commands behind it), or refuse the client (`user`,
//! `group`), whose session could not have that identity. Those about the socket find none, for the
//! library is not given one.
//!
//! Source: hosts_options(5), hosts_access(5) % EXPANSIONS; messages observed: libwrap 7.6.q.

use std::time::{Duration, Instant};

use super::{Admission, DAEMON, Jump, Place, Question, UNKNOWN, quoted};
use crate::logging::record::Severity;
use crate::sys::host::error_text;
use crate::sys::spawn::{Ended, SpawnPlan};
use crate::text::bytes::{eq_folded, escape_for_display, parse_decimal, trim};

/// How long a command of a rule may take; the client and its session wait for it.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);
/// Most octets of a value whose `%` letters are replaced: no command is so long, and none may
/// grow for ever.
const MAX_EXPANDED: usize = 8_191;
/// Octets a client may bring into a command besides letters and digits.
/// Observed: libwrap 7.6.q.
const HARMLESS: &[u8] = b"!@%-_=+:,./";

/// Which value an option has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    None,
    Optional,
    Needed,
    /// Needed, and its `%` letters are replaced.
    Expanded,
}

#[derive(Clone, Copy)]
enum Kind {
    Allow,
    Deny,
    Twist,
    Spawn,
    AclExec,
    SetEnv,
    Severity,
    User,
    Group,
    Umask,
    Linger,
    KeepAlive,
    Rfc931,
    Nice,
    Banners,
}

/// Name, value, and whether nothing may follow.
const OPTIONS: &[(&str, Kind, Value, bool)] = &[
    ("user", Kind::User, Value::Needed, false),
    ("group", Kind::Group, Value::Needed, false),
    ("umask", Kind::Umask, Value::Needed, false),
    ("linger", Kind::Linger, Value::Needed, false),
    ("keepalive", Kind::KeepAlive, Value::None, false),
    ("aclexec", Kind::AclExec, Value::Expanded, false),
    ("spawn", Kind::Spawn, Value::Expanded, false),
    ("twist", Kind::Twist, Value::Expanded, true),
    ("rfc931", Kind::Rfc931, Value::Optional, false),
    ("setenv", Kind::SetEnv, Value::Expanded, false),
    ("nice", Kind::Nice, Value::Optional, false),
    ("severity", Kind::Severity, Value::Needed, false),
    ("allow", Kind::Allow, Value::None, true),
    ("deny", Kind::Deny, Value::None, true),
    ("banners", Kind::Banners, Value::Needed, false),
];

/// Facilities and levels of `severity`.
const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "lpr", "news", "uucp", "cron", "local0", "local1",
    "local2", "local3", "local4", "local5", "local6", "local7",
];
const LEVELS: &[&str] = &[
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// Does what the options say; tells whether the rule still matches.
pub(super) fn process(
    question: &Question<'_>,
    options: &[u8],
    place: &Place<'_>,
) -> Result<bool, Jump> {
    let mut run = Run {
        question,
        place,
        environment: vec![(b"AGENT".to_vec(), b"sendmail".to_vec())],
        is_match: true,
    };
    let mut fields = fields(options).into_iter().peekable();
    while let Some(field) = fields.next() {
        run.option(trim(&field), fields.peek().is_none())?;
    }
    Ok(run.is_match)
}

/// Splits at colons; `\:` is one that stays.
fn fields(options: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let mut octets = options.iter().copied().peekable();
    while let Some(octet) = octets.next() {
        let next = (octet == b'\\').then(|| octets.next_if_eq(&b':')).flatten();
        match (octet, next, fields.last_mut()) {
            (b':', _, _) => fields.push(Vec::new()),
            (_, kept, Some(field)) => field.push(kept.unwrap_or(octet)),
            (_, _, None) => {}
        }
    }
    fields
}

/// The options of one rule under way.
struct Run<'a> {
    question: &'a Question<'a>,
    place: &'a Place<'a>,
    environment: Vec<(Vec<u8>, Vec<u8>)>,
    is_match: bool,
}

impl Run<'_> {
    fn option(&mut self, field: &[u8], is_last: bool) -> Result<(), Jump> {
        let is_end = |octet: &u8| octet.is_ascii_whitespace() || *octet == b'=';
        let end = field.iter().position(is_end).unwrap_or(field.len());
        let (name, rest) = field.split_at(end);
        let skipped = rest.iter().take_while(|octet| is_end(octet)).count();
        let value = rest.get(skipped..).unwrap_or(b"");
        if name.is_empty() {
            return Err(self.place.fault("missing option name"));
        }
        let known = OPTIONS
            .iter()
            .find(|(known, ..)| eq_folded(known.as_bytes(), name));
        let fault = |what: &str| Err(self.place.fault(&format!("option {} {what}", quoted(name))));
        let Some(&(_, kind, wants, must_be_last)) = known else {
            let text = format!("bad option name: {}", quoted(name));
            return Err(self.place.fault(&text));
        };
        if value.is_empty() && matches!(wants, Value::Needed | Value::Expanded) {
            return fault("requires value");
        }
        if !value.is_empty() && wants == Value::None {
            return fault("requires no value");
        }
        if must_be_last && !is_last {
            return fault("must be at end");
        }
        match wants {
            Value::Expanded => {
                let value = self.expanded(value)?;
                self.perform(kind, trim(&value))
            }
            Value::None | Value::Optional | Value::Needed => self.perform(kind, value),
        }
    }

    fn perform(&mut self, kind: Kind, value: &[u8]) -> Result<(), Jump> {
        let bad = |what: &str| {
            Err(self
                .place
                .fault(&format!("bad {what} value: {}", quoted(value))))
        };
        match kind {
            Kind::Allow => return Err(Jump::Decided(Admission::Granted)),
            Kind::Deny => return Err(Jump::Decided(Admission::Denied)),
            Kind::Twist => return Err(self.twist(value)),
            Kind::Spawn => {
                self.command(value);
            }
            Kind::AclExec => {
                let status = self.command(value);
                if status != 0 {
                    self.is_match = false;
                    let told = format_args!("aclexec returned {status}");
                    (self.question.log).syslog(0, Severity::Info, None, told);
                }
            }
            Kind::SetEnv => {
                let end = value.iter().position(u8::is_ascii_whitespace);
                let (name, rest) = value.split_at(end.unwrap_or(value.len()));
                let pair = (name.to_vec(), trim(rest).to_vec());
                self.environment.retain(|(known, _)| *known != pair.0);
                self.environment.push(pair);
            }
            Kind::Severity => return self.severity(value),
            Kind::User => return Err(self.user(value)),
            Kind::Group => return Err(self.group(value, "group")),
            Kind::Umask if !is_mode(value) => return bad("umask"),
            Kind::Nice if !value.is_empty() && parse_decimal::<i32>(value).is_none() => {
                return bad("nice");
            }
            Kind::Linger => match parse_decimal::<u32>(value) {
                Some(seconds) => self.miss_socket(&format!("SO_LINGER {seconds}")),
                None => return bad("linger"),
            },
            Kind::KeepAlive => self.miss_socket("SO_KEEPALIVE"),
            Kind::Rfc931 if !value.is_empty() && !is_positive(value) => {
                let text = format!("bad rfc931 timeout: {}", quoted(value));
                return Err(self.place.fault(&text));
            }
            Kind::Umask | Kind::Nice | Kind::Rfc931 | Kind::Banners => {}
        }
        Ok(())
    }

    fn miss_socket(&self, option: &str) {
        self.place
            .warn(&format!("setsockopt {option}: Bad file descriptor"));
    }

    /// The client should talk to a command, which gets no socket: the connection ends.
    fn twist(&self, command: &[u8]) -> Jump {
        let (client, command) = (self.letter(b'c'), escape_for_display(command));
        let client = escape_for_display(&client.unwrap_or_default());
        let told = format_args!("twist {client} to {command}");
        (self.question.log).syslog(0, Severity::Notice, None, told);
        self.place.warn("twist_option: dup: Bad file descriptor");
        Jump::Decided(Admission::Closed)
    }

    fn severity(&self, value: &[u8]) -> Result<(), Jump> {
        let dot = value.iter().position(|&octet| octet == b'.');
        let (facility, level) = match dot {
            Some(at) => (value.get(..at), value.get(at + 1..).unwrap_or(b"")),
            None => (None, value),
        };
        let is_in = |names: &[&str], word: &[u8]| {
            let mut names = names.iter();
            names.any(|name| eq_folded(name.as_bytes(), word))
        };
        let wrong = match facility.filter(|facility| !is_in(FACILITIES, facility)) {
            Some(facility) => Some(facility),
            None => Some(level).filter(|level| !is_in(LEVELS, level)),
        };
        match wrong {
            None => Ok(()),
            Some(word) => {
                let text = format!("bad syslog facility or severity: {}", quoted(word));
                Err(self.place.fault(&text))
            }
        }
    }

    fn user(&self, value: &[u8]) -> Jump {
        let dot = value.iter().position(|&octet| octet == b'.');
        let (user, group) = value.split_at(dot.unwrap_or(value.len()));
        if !group.is_empty() {
            let group = group.get(1..).unwrap_or(b"");
            if !matches!(self.question.users.group_by_name(group), Ok(Some(_))) {
                return self.group(group, "user");
            }
        }
        match self.question.users.user_by_name(user) {
            Ok(Some(_)) => self.place.fault("option \"user\" cannot be followed"),
            Ok(None) | Err(_) => (self.place).fault(&format!("unknown user: {}", quoted(user))),
        }
    }

    fn group(&self, value: &[u8], option: &str) -> Jump {
        let text = match self.question.users.group_by_name(value) {
            Ok(Some(_)) => format!("option \"{option}\" cannot be followed"),
            Ok(None) | Err(_) => format!("unknown group: {}", quoted(value)),
        };
        self.place.fault(&text)
    }

    /// Runs a command of the shell without input and output; returns its exit status.
    fn command(&self, command: &[u8]) -> i32 {
        let argv = vec![b"sh".to_vec(), b"-c".to_vec(), command.to_vec()];
        let plan = SpawnPlan {
            environment: self.environment.clone(),
            ..SpawnPlan::new("/bin/sh", argv)
        };
        let ended = self.question.privileged.spawn(plan).and_then(|mut child| {
            let ended = child.wait(Some(Instant::now() + COMMAND_PATIENCE))?;
            if ended == Ended::StillRunning {
                child.kill_group();
            }
            Ok(ended)
        });
        match ended {
            Ok(Ended::Exited(status)) => status,
            Ok(Ended::Signaled(signal)) => {
                self.place
                    .warn(&format!("command exited with signal {signal}"));
                1
            }
            Ok(Ended::StillRunning) => {
                let limit = COMMAND_PATIENCE.as_secs();
                self.place
                    .warn(&format!("command ended after {limit} seconds"));
                1
            }
            Err(error) => {
                let why = error_text(&error);
                self.place.warn(&format!("cannot run /bin/sh: {why}"));
                1
            }
        }
    }

    /// Replaces `%` and a letter.
    fn expanded(&self, value: &[u8]) -> Result<Vec<u8>, Jump> {
        let mut text = Vec::new();
        let mut octets = value.iter();
        while let Some(&octet) = octets.next() {
            match (octet, octets.as_slice().first()) {
                (b'%', Some(&letter)) => {
                    octets.next();
                    match self.letter(letter) {
                        Some(known) => text.extend(known),
                        None => {
                            let letter = escape_for_display(&[letter]);
                            self.place.warn(&format!("unrecognized %{letter}"));
                        }
                    }
                }
                (b'%', None) => {}
                _ => text.push(octet),
            }
            if text.len() > MAX_EXPANDED {
                let begin = escape_for_display(text.get(..30).unwrap_or(b""));
                let told = format!("percent_x: expansion too long: {begin}...");
                return Err(self.place.fault(&told));
            }
        }
        Ok(text)
    }

    /// Returns what a letter stands for, without octets a shell might take for something else.
    fn letter(&self, letter: u8) -> Option<Vec<u8>> {
        let client = self.question.client();
        let name_or_address = match eq_folded(client.name, UNKNOWN) {
            true => client.address,
            false => client.name,
        };
        let text = match letter {
            b'a' => client.address,
            b'c' | b'h' => name_or_address,
            b'n' => client.name,
            b'd' | b's' => DAEMON,
            b'A' | b'H' | b'N' | b'u' => UNKNOWN,
            b'r' | b'R' => b"0",
            b'p' => return Some(std::process::id().to_string().into_bytes()),
            b'%' => b"%",
            _ => return None,
        };
        let harmless = |octet: &u8| match octet.is_ascii_alphanumeric() || HARMLESS.contains(octet)
        {
            true => *octet,
            false => b'_',
        };
        Some(text.iter().map(harmless).collect())
    }
}

/// Tells whether a text is an octal number of permission bits.
fn is_mode(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|octet| (b'0'..=b'7').contains(octet))
        && std::str::from_utf8(text)
            .ok()
            .and_then(|text| u32::from_str_radix(text, 8).ok())
            .is_some_and(|mode| mode <= 0o777)
}

fn is_positive(text: &[u8]) -> bool {
    parse_decimal::<u32>(text).is_some_and(|number| number > 0)
}
