//! What MAIL says to one server, and whether the message may go there at all.
//!
//! A [`MailCommand`] is what the message wants; [`MailCommand::fit`] compares it with what the
//! server offers: parameters it does not know are left out, the body is converted, or the
//! message is refused in its name, before a word was said about it.
//!
//! Source: RFC 1870, 2852, 3461, 4954, 6152; texts observed: 8.17.1.9.

use crate::client::outcome::{Outcome, status};
use crate::smtp::parameter::{DeliverBy, DeliverByMode};
use crate::smtp::{ExitStatus, Extensions};
use crate::text::idna::ascii_address;

/// What the MAIL command says besides the sender.
#[derive(Clone, Debug, Default)]
pub struct MailCommand {
    /// The sender between the angle brackets; empty for a bounce.
    pub sender: Vec<u8>,
    /// Size of the message in octets; 0 says nothing.
    pub size: u64,
    /// What the body is and may become.
    pub body: BodyRequest,
    /// `ENVID=` in xtext.
    pub envelope_id: Option<Vec<u8>>,
    /// `RET=`: `FULL` or `HDRS`.
    pub return_what: Option<Vec<u8>>,
    /// `AUTH=` in xtext.
    pub auth: Option<Vec<u8>>,
    /// `BY=`, with the seconds that are left.
    pub deliver_by: Option<DeliverBy>,
    /// What is beyond ASCII; `None` where nobody speaks of that and addresses go out as they are.
    pub utf8: Option<BeyondAscii>,
}

/// What of a message is beyond ASCII, besides its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BeyondAscii {
    /// Its header.
    pub header: bool,
    /// A recipient.
    pub recipients: bool,
}

/// Which addresses a server gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// As they are.
    AsTheyAre,
    /// In ASCII; who has no such address is not served.
    Ascii,
}

/// The body as far as the dialogue cares.
#[derive(Clone, Debug, Default)]
pub struct BodyRequest {
    /// It is BINARYMIME (RFC 3030): sent in chunks as it is, or converted to lines of seven bits.
    pub is_binary: bool,
    /// The body type the sender declared, `8BITMIME` or `7BIT`.
    pub declared: Option<Vec<u8>>,
    /// It has octets above 127.
    pub has_eight_bit: bool,
    /// It may be declared 8BITMIME although the sender declared nothing.
    pub may_declare: bool,
    /// What to do for a server that takes seven bits only.
    pub for_seven_bit_server: SevenBitServer,
}

/// What to do with octets above 127 for a server without 8BITMIME.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SevenBitServer {
    /// Send them all the same (mailer flag 8, EightBitMode pass).
    #[default]
    SendAnyway,
    /// Convert the message to quoted-printable or base64.
    Convert,
    /// Refuse the message.
    Refuse,
}

/// What the server forces on the writer of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// Send it as it is.
    AsIs,
    /// Convert it to seven bits (RFC 6152 section 3).
    ToSevenBit,
    /// Send it octet by octet, in chunks (RFC 3030 section 3).
    Binary,
}

/// MAIL as one server gets it.
#[derive(Debug)]
pub(super) struct Fitted {
    /// The command without its line end.
    pub command: Vec<u8>,
    /// What becomes of the body.
    pub conversion: Conversion,
    /// What becomes of the recipients' addresses.
    pub addresses: Addresses,
}

/// Why the message is not for this server.
#[derive(Debug)]
pub(super) struct Unfit {
    /// What happens to all recipients.
    pub outcome: Outcome,
    /// A line for the transcript.
    pub transcript: Vec<u8>,
    /// Lines for whoever watches.
    pub shown: Vec<Vec<u8>>,
}

impl MailCommand {
    /// Words MAIL for a server, or tells why the message cannot go there.
    pub(super) fn fit(&self, offers: &Extensions, host: &[u8]) -> Result<Fitted, Box<Unfit>> {
        let (body, conversion) = self.fit_body(offers, host)?;
        if let Some(by) = self.deliver_by {
            in_time(by, offers)?;
        }
        let (sender, addresses, is_utf8) = self.fit_addresses(offers, host)?;
        let mut command = self.words(&sender, offers, body.as_deref());
        if is_utf8 {
            command.extend_from_slice(b" SMTPUTF8");
        }
        Ok(Fitted {
            command,
            conversion,
            addresses,
        })
    }

    /// Decides about SMTPUTF8: asked for only where something needs it, and only of a server that
    /// takes eight bits. Without it domains go out in their ASCII form.
    ///
    /// Source: RFC 6531 sections 3.1 and 3.2.
    fn fit_addresses(
        &self,
        offers: &Extensions,
        host: &[u8],
    ) -> Result<(Vec<u8>, Addresses, bool), Box<Unfit>> {
        let as_it_is = self.sender.clone();
        let Some(beyond) = self.utf8 else {
            return Ok((as_it_is, Addresses::AsTheyAre, false));
        };
        if self.sender.is_ascii() && !beyond.header && !beyond.recipients {
            return Ok((as_it_is, Addresses::AsTheyAre, false));
        }
        if offers.smtp_utf8 && offers.eight_bit_mime {
            return Ok((as_it_is, Addresses::AsTheyAre, true));
        }
        match ascii_address(&self.sender).filter(|_| !beyond.header) {
            Some(sender) => Ok((sender, Addresses::Ascii, false)),
            None => Err(Box::new(Unfit {
                outcome: needs_utf8(host),
                transcript: without_utf8(host),
                shown: Vec::new(),
            })),
        }
    }

    /// Decides about `BODY=` and conversion.
    fn fit_body(
        &self,
        offers: &Extensions,
        host: &[u8],
    ) -> Result<(Option<Vec<u8>>, Conversion), Box<Unfit>> {
        let body = &self.body;
        if body.is_binary {
            let takes_it = offers.chunking && offers.binary_mime;
            return Ok(if takes_it {
                (Some(b"BINARYMIME".to_vec()), Conversion::Binary)
            } else {
                (None, Conversion::ToSevenBit)
            });
        }
        if offers.eight_bit_mime {
            let declared = body
                .declared
                .clone()
                .or_else(|| (body.has_eight_bit && body.may_declare).then(|| b"8BITMIME".to_vec()));
            return Ok((declared, Conversion::AsIs));
        }
        if !body.has_eight_bit {
            return Ok((None, Conversion::AsIs));
        }
        match body.for_seven_bit_server {
            SevenBitServer::SendAnyway => Ok((None, Conversion::AsIs)),
            SevenBitServer::Convert => Ok((None, Conversion::ToSevenBit)),
            SevenBitServer::Refuse => Err(Box::new(Unfit {
                outcome: Outcome::new(ExitStatus::DataError, status(5, 6, 3)),
                transcript: [b"554 5.6.3 ", host, b" does not support 8BITMIME"].concat(),
                shown: Vec::new(),
            })),
        }
    }

    fn words(&self, sender: &[u8], offers: &Extensions, body: Option<&[u8]>) -> Vec<u8> {
        let mut command = [b"MAIL From:<", sender, b">"].concat();
        let mut add = |name: &[u8], value: &[u8]| {
            command.push(b' ');
            command.extend_from_slice(name);
            command.push(b'=');
            command.extend_from_slice(value);
        };
        if offers.size.is_some() && self.size > 0 {
            add(b"SIZE", self.size.to_string().as_bytes());
        }
        if let Some(body) = body {
            add(b"BODY", body);
        }
        if offers.dsn {
            if let Some(envelope_id) = &self.envelope_id {
                add(b"ENVID", envelope_id);
            }
            if let Some(return_what) = &self.return_what {
                add(b"RET", return_what);
            }
        }
        if let Some(auth) = self.auth.as_ref().filter(|_| !offers.auth.is_empty()) {
            add(b"AUTH", auth);
        }
        if let Some(by) = self.deliver_by.filter(|_| offers.deliver_by.is_some()) {
            add(b"BY", by.value().as_bytes());
        }
        command
    }
}

/// The outcome for a recipient, or for all, who cannot be reached without SMTPUTF8.
pub(super) fn needs_utf8(host: &[u8]) -> Outcome {
    Outcome {
        diagnostic: Some(without_utf8(host)),
        ..Outcome::new(ExitStatus::Unavailable, status(5, 6, 7))
    }
}

pub(super) fn without_utf8(host: &[u8]) -> Vec<u8> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    [b"550 5.6.7 ", host, b" does not support SMTPUTF8"].concat()
}

/// Tells whether a server can keep the time of a message that goes back otherwise (mode R).
///
/// Source: RFC 2852 section 4.1.4.1.
fn in_time(by: DeliverBy, offers: &Extensions) -> Result<(), Box<Unfit>> {
    if by.mode != DeliverByMode::Return {
        return Ok(());
    }
    let least = match offers.deliver_by {
        None => return Err(too_late("Server does not support Deliver By".to_owned())),
        Some(least) => least.unwrap_or(0),
    };
    let left = by.seconds;
    if left <= 0 || u64::try_from(left).is_ok_and(|left| left < least) {
        let text = format!("Message can't be delivered in time; {left} < {least}");
        return Err(too_late(text));
    }
    Ok(())
}

fn too_late(text: String) -> Box<Unfit> {
    let outcome = Outcome {
        reported: status(5, 4, 7),
        ..Outcome::new(ExitStatus::Unavailable, status(5, 0, 0))
    };
    Box::new(Unfit {
        outcome,
        transcript: [b"554 5.4.7 ", text.as_bytes()].concat(),
        shown: vec![text.into_bytes()],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(seconds: i64, mode: DeliverByMode) -> MailCommand {
        MailCommand {
            sender: b"ann@x.test".to_vec(),
            deliver_by: Some(DeliverBy {
                seconds,
                mode,
                trace: true,
            }),
            ..MailCommand::default()
        }
    }

    fn said(mail: &MailCommand, deliver_by: Option<Option<u64>>) -> String {
        let offers = Extensions {
            deliver_by,
            ..Extensions::default()
        };
        let text = match mail.fit(&offers, b"mx.far.test") {
            Ok(fitted) => fitted.command,
            Err(unfit) => {
                assert_eq!(unfit.outcome.exit, ExitStatus::Unavailable);
                assert_eq!(unfit.outcome.reported.to_string(), "5.4.7");
                unfit.transcript
            }
        };
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn smtputf8_is_asked_for_where_something_needs_it() {
        let ask = |sender: &str, header, recipients, smtp_utf8, eight_bit_mime| {
            let mail = MailCommand {
                sender: sender.as_bytes().to_vec(),
                utf8: Some(BeyondAscii { header, recipients }),
                ..MailCommand::default()
            };
            let offers = Extensions {
                smtp_utf8,
                eight_bit_mime,
                ..Extensions::default()
            };
            match mail.fit(&offers, b"mx.far.test") {
                Ok(fitted) => {
                    let text = String::from_utf8(fitted.command).unwrap();
                    (text, fitted.addresses == Addresses::Ascii)
                }
                Err(unfit) => (unfit.outcome.reported.to_string(), false),
            }
        };
        let said = |text: &str| (format!("MAIL From:<{text}"), false);
        assert_eq!(
            ask("ann@x.test", false, false, true, true),
            said("ann@x.test>")
        );
        let demanded = said("ann@x.test> SMTPUTF8");
        assert_eq!(ask("ann@x.test", true, false, true, true), demanded);
        assert_eq!(ask("ann@x.test", false, true, true, true), demanded);
        let demanded = said("änn@x.test> SMTPUTF8");
        assert_eq!(ask("änn@x.test", false, false, true, true), demanded);
        // Nobody offers it, or not completely.
        let refused = ("5.6.7".to_owned(), false);
        assert_eq!(ask("änn@x.test", false, false, false, true), refused);
        assert_eq!(ask("änn@x.test", false, false, true, false), refused);
        assert_eq!(ask("ann@x.test", true, false, false, true), refused);
        let (text, is_ascii) = ask("ann@bücher.test", false, true, false, true);
        assert_eq!((text, is_ascii), (said("ann@xn--bcher-kva.test>").0, true));
    }

    #[test]
    fn a_deadline_goes_where_it_is_kept_or_not_at_all() {
        let plain = "MAIL From:<ann@x.test>";
        let (r, n) = (DeliverByMode::Return, DeliverByMode::Notify);
        for (left, mode, offered, expected) in [
            (100, r, Some(None), format!("{plain} BY=100;RT")),
            (100, r, Some(Some(100)), format!("{plain} BY=100;RT")),
            (-9, n, Some(Some(100)), format!("{plain} BY=-9;NT")),
            (100, n, None, plain.to_owned()),
            (
                100,
                r,
                None,
                "554 5.4.7 Server does not support Deliver By".to_owned(),
            ),
            (
                99,
                r,
                Some(Some(1000)),
                "554 5.4.7 Message can't be delivered in time; 99 < 1000".to_owned(),
            ),
        ] {
            assert_eq!(said(&by(left, mode), offered), expected);
        }
    }
}
