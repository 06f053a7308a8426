//! An address to a mailer, a host and a user.
//!
//! Rulesets 3 and 0 must end in `$#mailer $@host $:user`; then the user goes
//! through ruleset 2, the recipient ruleset of the mailer and ruleset 4, and
//! some users of some mailers mean a program, a file or a list. A `$#error`
//! answers at once. Source: guide 5.1.2 and 5.1.5; order of the steps, checks
//! and messages observed: 8.17.1.9.

use super::context::RewriteContext;
use super::mailbox::{MailboxFault, Unfit, check_user};
use super::rename::{Place, Role};
use crate::macros::MacroId;
use crate::mailer::{MailerId, MailerTriple};
use crate::smtp::{EnhancedStatus, ExitStatus, Reply, ReplyCode};
use crate::text::balanced::shorten_balanced;
use crate::text::quoted::strip_quotes;
use crate::token::{Complaint, Mark, RulesetId, Token, TokenizeOptions};

/// Longest address in octets (MAXNAME less its end mark).
pub const MAX_ADDRESS: usize = 255;

/// Longest host in octets. Observed: 8.17.1.9.
const MAX_HOST: usize = 254;

/// What an address resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// A mailer will take it.
    Mailer(MailerTriple),
    /// A mailer would take it, but a map could not answer now: the message must wait.
    Deferred(MailerTriple),
    /// It is refused.
    Error(RuleError),
}

/// Why an address is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// Exit status to leave or to report.
    pub exit: ExitStatus,
    /// Enhanced status the rule or its text named.
    pub enhanced: Option<EnhancedStatus>,
    /// What to tell the client.
    pub reply: Reply,
    /// Who refused it.
    pub source: ErrorSource,
    /// An octet that could be a symbol was in it; test mode leaves with a status for that.
    pub has_symbol: bool,
}

/// Who refused an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorSource {
    /// It is no address at all; nothing was rewritten, or nothing came of it.
    Syntax,
    /// The rules did not lead to a mailer, host and user; perhaps to a mailer that wants a host.
    Rules(Option<MailerId>),
    /// A rule said `$#error`.
    Mailer {
        /// The `$@` part.
        host: Option<Vec<u8>>,
        /// The `$:` part.
        user: Vec<u8>,
    },
    /// The user it leads to holds characters no mailbox has.
    Mailbox(MailerTriple),
}

/// What resolving an address told besides the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The result.
    pub resolution: Resolution,
    /// Offset of the delimiter, or the length of the text.
    pub end: usize,
    /// The user began with `@` and F=@ was set: ruleset 5 is not to be asked.
    pub skips_ruleset_5: bool,
    /// A map could not answer now, whatever became of the address.
    pub is_deferred: bool,
}

/// How to resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolving {
    /// Whose address it is.
    pub role: Role,
    /// Where it stands.
    pub place: Place,
    /// Character that ends the address.
    pub delimiter: Option<u8>,
}

/// Resolves an envelope address that fills the whole text.
pub fn resolve_address(address: &[u8], role: Role, cx: &mut RewriteContext<'_>) -> Resolution {
    let how = Resolving {
        role,
        place: Place::Envelope,
        delimiter: None,
    };
    cx.resolve(address, how).resolution
}

/// Asks ruleset 5 about a local address that is no alias; `None` when it leaves it as it is.
pub fn resolve_local(triple: &MailerTriple, cx: &mut RewriteContext<'_>) -> Option<Resolution> {
    if cx.rules.rules(RulesetId::LOCAL_ADDRESS).is_empty() {
        return None;
    }
    cx.start_chain();
    let (_, cut) = cx.tokenize(&triple.user, TokenizeOptions::ADDRESS);
    let mut tokens = cut.ok()?;
    cx.macros.set_text(MacroId::H, &triple.host);
    cx.macros.set_text(MacroId::U, &triple.user);
    let status = cx.rewrite(&mut tokens, RulesetId::LOCAL_ADDRESS);
    if status == ExitStatus::TempFail {
        return Some(Resolution::Deferred(triple.clone()));
    }
    if tokens.first().and_then(Token::mark) != Some(Mark::Mailer) {
        return None;
    }
    let how = Resolving {
        role: Role::Recipient,
        place: Place::Envelope,
        delimiter: None,
    };
    let (resolution, _) = cx.build_address(&tokens, how, &triple.user);
    match &resolution {
        Resolution::Mailer(found) if found == triple => None,
        _ => Some(resolution),
    }
}

fn code(number: u16) -> ReplyCode {
    ReplyCode::new(number).unwrap_or_else(|| Reply::of("553 bad address").code)
}

impl RewriteContext<'_> {
    /// Resolves an address to a mailer, host and user.
    pub fn resolve(&mut self, address: &[u8], how: Resolving) -> Resolved {
        self.resolve_then(address, how, |_, _| {})
    }

    /// Resolves an address and does `afterwards` before it is told what became of it.
    pub fn resolve_then(
        &mut self,
        address: &[u8],
        how: Resolving,
        afterwards: impl FnOnce(&mut Self, &MailerTriple),
    ) -> Resolved {
        let traced = self.trace.level(20) >= 1;
        if traced {
            let shown = self.shown_text(address);
            self.trace
                .write(&[b"\n--parseaddr(".as_slice(), &shown, b")\n"].concat());
        }
        self.start_chain();
        let options = TokenizeOptions {
            delimiter: how.delimiter,
            ..TokenizeOptions::ADDRESS
        };
        let (end, cut) = self.tokenize(address, options);
        let refused = |error| Resolved {
            resolution: Resolution::Error(error),
            end,
            skips_ruleset_5: false,
            is_deferred: false,
        };
        let Ok(mut tokens) = cut else {
            if traced {
                self.trace.write(b"parseaddr-->NULL\n");
            }
            return refused(syntax_error(Reply::of("553 5.1.3 Syntax error")));
        };
        let shown = address.get(..MAX_ADDRESS).unwrap_or(address);
        let taken = address.get(..end).unwrap_or(address);
        if let Some(error) = self.refuse_invalid(taken, shown) {
            if traced {
                self.trace.write(b"parseaddr-->bad address\n");
            }
            return refused(error);
        }
        self.set_address_type(how);
        let mut is_deferred = false;
        for ruleset in [RulesetId::CANONIFY, RulesetId::PARSE] {
            is_deferred |= self.rewrite(&mut tokens, ruleset) == ExitStatus::TempFail;
        }
        let given = address.get(..end).unwrap_or(address);
        let (mut resolution, skips_ruleset_5) = self.build_address(&tokens, how, given);
        self.finish(tokens);
        if let (true, Resolution::Mailer(triple)) = (is_deferred, &resolution) {
            resolution = Resolution::Deferred(triple.clone());
        }
        if self.trace.level(24) >= 4 {
            // Test mode keeps nothing of an address, messages keep everything.
            let flags = match (self.trace.shows_every_ruleset(), how.role) {
                (true, _) => 0,
                (false, Role::Recipient) => 30,
                (false, Role::Sender) => 31,
            };
            let head = format!("allocaddr(flags={flags}, paddr=");
            let line = [head.as_bytes(), given, b", ad=1)\n"].concat();
            self.trace.write(&line);
        }
        if let Resolution::Mailer(triple) | Resolution::Deferred(triple) = &resolution {
            afterwards(self, triple);
        }
        if traced {
            self.trace_resolved(given, &resolution, skips_ruleset_5);
        }
        Resolved {
            resolution,
            end,
            skips_ruleset_5,
            is_deferred,
        }
    }

    /// Tells what became of an address.
    ///
    /// Most of what the reference shows there is not known yet and shows as empty.
    fn trace_resolved(&mut self, given: &[u8], resolution: &Resolution, skips_ruleset_5: bool) {
        let (triple, state) = match resolution {
            Resolution::Mailer(triple) => (triple, "OK"),
            Resolution::Deferred(triple) => (triple, "QUEUEUP"),
            Resolution::Error(_) => return,
        };
        let flags = match skips_ruleset_5 {
            true => "100184<QNOTREMOTE,",
            false => "100180<",
        };
        let mailer = &self.mailers.get(triple.mailer).name;
        let text = [
            b"parseaddr-->0x7ffd0000abc0=".as_slice(),
            given,
            format!(":\n\tmailer {} (", triple.mailer.index()).as_bytes(),
            mailer,
            b"), host `",
            &triple.host,
            b"'\n\tuser `",
            &triple.user,
            b"', ruser `<null>'\n\tstate=",
            state.as_bytes(),
            b", next=0x0, alias 0x0, uid 0, gid 0\n\tflags=",
            flags.as_bytes(),
            b"QPINGONFAILURE,QPINGONDELAY,QSECURE>\n\
              \towner=(none), home=\"(none)\", fullname=\"(none)\"\n\
              \torcpt=\"(none)\", statmta=(none), status=(none)\n\
              \tfinalrcpt=\"(none)\"\n\
              \trstatus=\"(none)\"\n\
              \tstatdate=(none)\n",
        ]
        .concat();
        self.trace.write(&text);
    }

    fn set_address_type(&mut self, how: Resolving) {
        let text = [how.place.letter(), b' ', how.role.letter()];
        self.macros.set_text(MacroId::ADDR_TYPE, &text);
    }

    /// Refuses what is too long or holds octets that stand for symbols inside of rules.
    ///
    /// `about` is what the message shall name first, if anything.
    pub fn refuse_invalid(&mut self, address: &[u8], about: &[u8]) -> Option<RuleError> {
        if address.len() > MAX_ADDRESS {
            let shown = address.get(..MAX_ADDRESS).unwrap_or(address);
            return Some(self.refuse_long(shown, about));
        }
        let is_bad = |c: &u8| c & 0xe0 == 0x80;
        if !self.syntax.eight_bit_addresses && address.iter().any(is_bad) {
            let shown: Vec<u8> = address
                .iter()
                .map(|c| if is_bad(c) { b'?' } else { *c & 0x7f })
                .collect();
            let text = [
                b"8-bit character in mailbox address \"".as_slice(),
                &shown,
                b"\"",
            ]
            .concat();
            return Some(RuleError {
                has_symbol: true,
                ..self.refuse(501, "5.1.3", text, Vec::new())
            });
        }
        None
    }

    fn refuse_long(&mut self, shown: &[u8], about: &[u8]) -> RuleError {
        let text = [
            b"Address \"".as_slice(),
            shown,
            format!("\" too long ({MAX_ADDRESS} bytes max)").as_bytes(),
        ]
        .concat();
        self.refuse(553, "5.1.0", text, about.to_vec())
    }

    fn refuse(&mut self, number: u16, status: &str, text: Vec<u8>, about: Vec<u8>) -> RuleError {
        self.trace.complain(Complaint {
            about,
            text: [format!("{number} {status} ").as_bytes(), &text].concat(),
        });
        let enhanced = EnhancedStatus::parse(status.as_bytes());
        syntax_error(Reply {
            code: code(number),
            enhanced,
            lines: vec![text],
        })
    }

    /// Turns `$#mailer $@host $:user` into a resolution.
    ///
    /// `given` is the address as the client wrote it, for messages.
    pub(super) fn build_address(
        &mut self,
        tokens: &[Token],
        how: Resolving,
        given: &[u8],
    ) -> (Resolution, bool) {
        match self.split_result(tokens) {
            Err(text) => (Resolution::Error(self.rule_fault(text, None)), false),
            Ok(parts) if parts.mailer.eq_ignore_ascii_case(b"error") => {
                let error = self.error_mailer(&parts, given);
                (Resolution::Error(self.check_error(error, how.role)), false)
            }
            Ok(parts) => self.deliverable(&parts, how, given),
        }
    }

    /// Reports rules that lead nowhere.
    fn rule_fault(&mut self, text: Vec<u8>, mailer: Option<MailerId>) -> RuleError {
        let full = [b"554 5.3.5 buildaddr: ".as_slice(), &text].concat();
        self.complain(full);
        RuleError {
            exit: ExitStatus::Config,
            enhanced: EnhancedStatus::new(5, 3, 5),
            reply: Reply {
                code: code(554),
                enhanced: EnhancedStatus::new(5, 3, 5),
                lines: vec![[b"buildaddr: ".as_slice(), &text].concat()],
            },
            source: ErrorSource::Rules(mailer),
            has_symbol: false,
        }
    }

    fn split_result<'t>(&self, tokens: &'t [Token]) -> Result<Parts<'t>, Vec<u8>> {
        let mut rest = match tokens {
            [first, rest @ ..] if first.mark() == Some(Mark::Mailer) => rest,
            _ => return Err(b"no mailer in parsed address".to_vec()),
        };
        let mailer = match rest {
            [] => Vec::new(),
            [name, tail @ ..] => {
                rest = tail;
                strip_quotes(self.word(name)).into_owned()
            }
        };
        let has_host = rest.first().and_then(Token::mark) == Some(Mark::Host);
        if has_host {
            rest = rest.get(1..).unwrap_or(&[]);
        }
        let Some(user_at) = rest.iter().position(|t| t.mark() == Some(Mark::User)) else {
            return Err(b"no user".to_vec());
        };
        let (host, user) = rest.split_at(user_at);
        Ok(Parts {
            mailer,
            host: (has_host && !host.is_empty()).then(|| self.joined_within(host, MAX_HOST)),
            user: user.get(1..).unwrap_or(&[]),
        })
    }

    fn error_mailer(&mut self, parts: &Parts<'_>, given: &[u8]) -> RuleError {
        let user = self.joined_with(parts.user, b' ');
        let error = error_from_rule(parts.host.as_deref(), &user);
        let number = match leading_code(&strip_quotes(&user)) {
            Some((number, _)) => number,
            None => error.reply.code.number(),
        };
        let mut text = format!("{number:03}").into_bytes();
        if let Some(status) = error.reply.enhanced {
            text.extend_from_slice(format!(" {status}").as_bytes());
        }
        text.push(b' ');
        text.extend_from_slice(error.reply.text());
        self.trace.complain(Complaint {
            about: given.to_vec(),
            text,
        });
        error
    }

    /// Looks at what `$#error` says as if it were the user of a mailbox.
    fn check_error(&mut self, mut error: RuleError, role: Role) -> RuleError {
        if let ErrorSource::Mailer { user, .. } = &mut error.source
            && let Err(unfit) = check_user(user, self.syntax.eight_bit_addresses)
        {
            user.clone_from(&unfit.shown);
            error.has_symbol = unfit.has_symbol;
            self.refuse_mailbox(&unfit, role);
        }
        error
    }

    fn deliverable(
        &mut self,
        parts: &Parts<'_>,
        how: Resolving,
        given: &[u8],
    ) -> (Resolution, bool) {
        let Some(mut id) = self.mailers.find(&parts.mailer) else {
            let text = [b"unknown mailer ".as_slice(), &parts.mailer].concat();
            return (Resolution::Error(self.rule_fault(text, None)), false);
        };
        let mut mailer = self.mailers.get(id);
        if parts.host.is_none() && !mailer.has(b'l') {
            let error = self.rule_fault(b"no host".to_vec(), Some(id));
            return (Resolution::Error(error), false);
        }
        let mut user = parts.user;
        let text = self.joined_with(user, b' ');
        let skips = mailer.has(b'@') && text.first() == Some(&b'@');
        let mut shown = text.as_slice();
        if skips {
            shown = shown.get(1..).unwrap_or(b"");
            user = user.get(1..).unwrap_or(&[]);
        }
        let bare = shown.strip_prefix(b"\"").unwrap_or(shown);
        let special = match bare.first() {
            Some(b'|') if mailer.has(b'|') => self.mailers.program(),
            Some(b'/') if mailer.has(b'/') => self.mailers.file(),
            Some(b':') if mailer.has(b':') => {
                if let Some(list) = self.include_list(shown) {
                    return (Resolution::Mailer(list), skips);
                }
                None
            }
            _ => None,
        };
        if let Some(other) = special {
            id = other;
            mailer = self.mailers.get(id);
        }
        let mut host = parts.host.clone().unwrap_or_default();
        self.define(MacroId::H, parts.host.as_deref());
        let mut tokens = self.workspace.list();
        tokens.extend_from_slice(user);
        if self.syntax.level >= 10 || (how.role, how.place) == (Role::Recipient, Place::Envelope) {
            self.rewrite_part(&mut tokens, RulesetId::RECIPIENT);
            if let Some(ruleset) = mailer.recipient_rewriting.envelope {
                self.rewrite_part(&mut tokens, ruleset);
            }
        }
        self.rewrite_part(&mut tokens, RulesetId::FINAL);
        let mut user = self.joined_within(&tokens, MAX_ADDRESS);
        self.finish(tokens);
        if !mailer.has(b'h') {
            host.make_ascii_lowercase();
            // $h shows the same text.
            if parts.host.is_some() {
                self.macros.set_text(MacroId::H, &host);
            }
        }
        if !mailer.has(b'u') {
            user.make_ascii_lowercase();
        }
        let triple = MailerTriple {
            mailer: id,
            host,
            user,
        };
        (self.check_mailbox(triple, how.role, given), skips)
    }

    fn include_list(&self, user: &[u8]) -> Option<MailerTriple> {
        let user = strip_quotes(user);
        let head = user.get(..9)?;
        if !head.eq_ignore_ascii_case(b":include:") {
            return None;
        }
        Some(MailerTriple {
            mailer: self.mailers.include()?,
            host: Vec::new(),
            user: user.get(9..)?.to_vec(),
        })
    }

    /// Refuses users that are too long or have symbols, bare control characters or open quotes in them.
    fn check_mailbox(&mut self, mut triple: MailerTriple, role: Role, given: &[u8]) -> Resolution {
        let Err(unfit) = check_user(&triple.user, self.syntax.eight_bit_addresses) else {
            return Resolution::Mailer(triple);
        };
        let error = match unfit.fault {
            MailboxFault::TooLong => {
                triple.user = shorten_balanced(&unfit.shown, MAX_ADDRESS);
                self.refuse_long(&triple.user, given)
            }
            _ => {
                triple.user.clone_from(&unfit.shown);
                self.refuse_mailbox(&unfit, role)
            }
        };
        Resolution::Error(RuleError {
            source: ErrorSource::Mailbox(triple),
            has_symbol: unfit.has_symbol,
            ..error
        })
    }

    fn refuse_mailbox(&mut self, unfit: &Unfit, role: Role) -> RuleError {
        let text = [
            b"Syntax error in mailbox address \"".as_slice(),
            &unfit.shown,
            format!("\" ({})", unfit.fault.name()).as_bytes(),
        ]
        .concat();
        let status = match role {
            Role::Sender => "5.1.7",
            Role::Recipient => "5.1.3",
        };
        let error = self.refuse(501, status, text, Vec::new());
        if self.trace.level(20) >= 1 {
            self.trace.write(b"parseaddr-->bad q_user\n");
        }
        error
    }

    fn shown_text(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for &octet in text {
            crate::token::print::print_octet(octet, &mut out);
        }
        out
    }
}

/// The parts of what ruleset 0 says.
struct Parts<'t> {
    mailer: Vec<u8>,
    host: Option<Vec<u8>>,
    user: &'t [Token],
}

fn syntax_error(reply: Reply) -> RuleError {
    RuleError {
        exit: ExitStatus::Usage,
        enhanced: reply.enhanced,
        reply,
        source: ErrorSource::Syntax,
        has_symbol: false,
    }
}

/// Understands `$#error $@host $:user`.
///
/// The user part may begin with a reply code and an enhanced status; the host
/// part is an enhanced status, a number or a name from sysexits.
pub(crate) fn error_from_rule(host: Option<&[u8]>, user: &[u8]) -> RuleError {
    // Observed: 8.17.1.9 keeps as much of the text as of any address, quotes counted.
    let user = user.get(..MAX_ADDRESS).unwrap_or(user);
    let host_status = host.and_then(EnhancedStatus::parse);
    let exit = match host {
        None => ExitStatus::Unavailable,
        Some(host) if host.contains(&b'.') => {
            host_status.map_or(ExitStatus::Config, ExitStatus::from_enhanced)
        }
        Some(host) if host.first().is_some_and(u8::is_ascii_digit) => {
            let digits: Vec<u8> = host
                .iter()
                .copied()
                .take_while(u8::is_ascii_digit)
                .collect();
            let number = std::str::from_utf8(&digits)
                .ok()
                .and_then(|d| d.parse().ok());
            ExitStatus::from_number(number.unwrap_or(69))
        }
        Some(host) => ExitStatus::from_name(host).unwrap_or(ExitStatus::Unavailable),
    };
    let text = strip_quotes(user);
    let (number, status, text) = match leading_code(&text) {
        Some((number, rest)) => match EnhancedStatus::parse_prefix(rest) {
            Some((status, length)) if rest.get(length) == Some(&b' ') => {
                (number, Some(status), rest.get(length + 1..).unwrap_or(b""))
            }
            _ => (number, host_status, rest),
        },
        None => (553, EnhancedStatus::new(5, 3, 0), &*text),
    };
    RuleError {
        exit,
        enhanced: status.or(host_status),
        reply: Reply {
            code: code(number),
            enhanced: status,
            lines: vec![text.to_vec()],
        },
        source: ErrorSource::Mailer {
            host: host.map(<[u8]>::to_vec),
            user: user.to_vec(),
        },
        has_symbol: false,
    }
}

fn leading_code(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, rest) = text.split_at_checked(3)?;
    let rest = rest.strip_prefix(b" ")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0_u16, |n, c| n * 10 + u16::from(c - b'0'));
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_texts_carry_code_and_status() {
        for (host, user, reply, exit) in [
            (
                Some("5.1.1"),
                "\"550 no such user\"",
                "550 5.1.1 no such user",
                67,
            ),
            (Some("NOUSER"), "no such user", "553 5.3.0 no such user", 67),
            (Some("67"), "553 number", "553 number", 67),
            (None, "550 5.7.1 no", "550 5.7.1 no", 69),
        ] {
            let error = error_from_rule(host.map(str::as_bytes), user.as_bytes());
            let mut text = error.reply.code.number().to_string();
            if let Some(status) = error.reply.enhanced {
                text += &format!(" {status}");
            }
            text += &format!(" {}", String::from_utf8_lossy(error.reply.text()));
            assert_eq!(text, reply);
            assert_eq!(error.exit.number(), exit, "{user}");
        }
    }
}
