//! Extensions: the keywords of an EHLO reply.
//!
//! The server writes its list from [`Extensions`]; the client reads what the
//! other side offers into the same type.

use super::Reply;

/// What one side of a session offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// EXPN.
    pub expn: bool,
    /// VERB.
    pub verb: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SIZE (RFC 1870); inside, the limit when one is stated.
    pub size: Option<Option<u64>>,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ETRN (RFC 1985).
    pub etrn: bool,
    /// AUTH (RFC 4954): mechanisms, in the order offered.
    pub auth: Vec<Vec<u8>>,
    /// STARTTLS (RFC 3207).
    pub start_tls: bool,
    /// DELIVERBY (RFC 2852); inside, the minimum in seconds when one is stated.
    pub deliver_by: Option<Option<u64>>,
    /// SMTPUTF8 (RFC 6531).
    pub smtp_utf8: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME (RFC 3030).
    pub binary_mime: bool,
    /// HELP.
    pub help: bool,
}

impl Extensions {
    /// Reads the reply to EHLO; the first line is the greeting and is skipped.
    pub fn from_reply(reply: &Reply) -> Self {
        let mut seen = Self::default();
        for line in reply.lines.iter().skip(1) {
            seen.add_line(line);
        }
        seen
    }

    /// Adds the extension of one line such as `SIZE 1000`; unknown keywords are ignored.
    pub fn add_line(&mut self, line: &[u8]) {
        let mut words = line
            .split(|octet| matches!(octet, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        let first_number = |words: &mut dyn Iterator<Item = &[u8]>| -> Option<u64> {
            std::str::from_utf8(words.next()?).ok()?.parse().ok()
        };
        match keyword.to_ascii_uppercase().as_slice() {
            b"ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            b"PIPELINING" => self.pipelining = true,
            b"EXPN" => self.expn = true,
            b"VERB" => self.verb = true,
            b"8BITMIME" => self.eight_bit_mime = true,
            b"SIZE" => self.size = Some(first_number(&mut words)),
            b"DSN" => self.dsn = true,
            b"ETRN" => self.etrn = true,
            b"AUTH" => self.auth.extend(words.map(<[u8]>::to_vec)),
            b"STARTTLS" => self.start_tls = true,
            b"DELIVERBY" => self.deliver_by = Some(first_number(&mut words)),
            b"SMTPUTF8" => self.smtp_utf8 = true,
            b"CHUNKING" => self.chunking = true,
            b"BINARYMIME" => self.binary_mime = true,
            b"HELP" => self.help = true,
            other => {
                // The form some old servers send: AUTH=LOGIN PLAIN.
                if let Some(first) = other.strip_prefix(b"AUTH=") {
                    self.auth.push(first.to_vec());
                    self.auth.extend(words.map(<[u8]>::to_vec));
                }
            }
        }
    }

    /// Returns the lines of an EHLO reply after the greeting, in the reference's order.
    ///
    /// Source: observed: 8.17.1.9.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut add = |offered: bool, keyword: &[u8]| {
            if offered {
                lines.push(keyword.to_vec());
            }
        };
        add(self.enhanced_status_codes, b"ENHANCEDSTATUSCODES");
        add(self.pipelining, b"PIPELINING");
        add(self.expn, b"EXPN");
        add(self.verb, b"VERB");
        add(self.eight_bit_mime, b"8BITMIME");
        add(self.size.is_some(), &with_number(b"SIZE", self.size));
        add(self.dsn, b"DSN");
        add(self.etrn, b"ETRN");
        add(
            !self.auth.is_empty(),
            &[&b"AUTH "[..], &self.auth.join(&b' ')].concat(),
        );
        add(self.start_tls, b"STARTTLS");
        add(
            self.deliver_by.is_some(),
            &with_number(b"DELIVERBY", self.deliver_by),
        );
        add(self.smtp_utf8, b"SMTPUTF8");
        add(self.chunking, b"CHUNKING");
        add(self.binary_mime, b"BINARYMIME");
        add(self.help, b"HELP");
        lines
    }
}

fn with_number(keyword: &[u8], value: Option<Option<u64>>) -> Vec<u8> {
    let mut line = keyword.to_vec();
    if let Some(Some(number)) = value {
        line.extend_from_slice(format!(" {number}").as_bytes());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ehlo_reply_is_read() {
        let reply = Reply::parse(
            b"250-mx Hello\r\n250-size 1000\r\n250-AUTH PLAIN LOGIN\r\n250-X-NEW a b\r\n250 HELP\r\n",
        )
        .expect("a reply");
        let seen = Extensions::from_reply(&reply);
        assert_eq!(seen.size, Some(Some(1000)));
        assert_eq!(seen.auth, [b"PLAIN".to_vec(), b"LOGIN".to_vec()]);
        assert!(seen.help && !seen.dsn);
    }

    #[test]
    fn lines_are_written_in_the_order_of_the_reference() {
        let offer = Extensions {
            enhanced_status_codes: true,
            size: Some(None),
            deliver_by: Some(Some(60)),
            help: true,
            ..Extensions::default()
        };
        let lines = offer.lines();
        assert_eq!(
            lines,
            [
                &b"ENHANCEDSTATUSCODES"[..],
                b"SIZE",
                b"DELIVERBY 60",
                b"HELP"
            ]
        );
    }

    #[test]
    fn a_size_without_or_with_a_wrong_number_has_no_limit() {
        for line in ["SIZE", "SIZE x", "SIZE 99999999999999999999999"] {
            let mut seen = Extensions::default();
            seen.add_line(line.as_bytes());
            assert_eq!(seen.size, Some(None), "{line}");
        }
    }
}
