//! Parameters of MAIL and RCPT: SIZE BODY RET ENVID AUTH BY, NOTIFY ORCPT.
//!
//! [`split`] cuts the text behind the address into keywords and values;
//! [`MailParameters::add`] and [`RcptParameters::add`] take them one by one and
//! answer with the reply of the reference when something is wrong. What a
//! parameter means for the message is decided by the server.
//!
//! Sources: RFC 1870, 6152, 3461, 4954, 2852; texts observed: 8.17.1.9.

use super::{Reply, ReplyCode, xtext};

/// One `KEYWORD` or `KEYWORD=value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The keyword as received.
    pub keyword: &'a [u8],
    /// The value; `None` without `=`.
    pub value: Option<&'a [u8]>,
}

/// Most parameters of one command.
const MAX_PARAMETERS: usize = 20;

/// Cuts the text behind an address into parameters; beyond the limit the last result is a refusal.
///
/// A keyword is letters, digits and hyphens; whatever follows it other than `=` is skipped.
pub fn split(text: &[u8]) -> Vec<Result<Parameter<'_>, Reply>> {
    let mut parameters = Vec::new();
    let mut rest = super::command::skip_blanks(text);
    while !rest.is_empty() {
        if parameters.len() == MAX_PARAMETERS {
            parameters.push(Err(Reply::of("501 5.5.4 Too many parameters")));
            break;
        }
        let length = rest
            .iter()
            .take_while(|octet| octet.is_ascii_alphanumeric() || **octet == b'-')
            .count();
        let (keyword, tail) = rest.split_at(length);
        let (value, tail) = match tail.strip_prefix(b"=") {
            Some(tail) => {
                let length = tail
                    .iter()
                    .take_while(|octet| {
                        !octet.is_ascii_control() && !matches!(**octet, b' ' | b'=')
                    })
                    .count();
                let (value, tail) = tail.split_at(length);
                (Some(value), tail)
            }
            None => (None, tail),
        };
        parameters.push(Ok(Parameter { keyword, value }));
        rest = super::command::skip_blanks(tail.get(1..).unwrap_or(b""));
    }
    parameters
}

/// Tells whether the text behind an address has this parameter.
pub fn names(text: &[u8], keyword: &[u8]) -> bool {
    split(text)
        .iter()
        .flatten()
        .any(|parameter| parameter.keyword.eq_ignore_ascii_case(keyword))
}

/// What the server allows in parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterPolicy {
    /// Whether delivery status notifications are offered.
    pub allows_dsn: bool,
    /// Shortest delivery time a client may ask for with BY, in seconds, zero for any; none: BY
    /// is not offered.
    pub deliver_by_minimum: Option<i64>,
    /// Whether SMTPUTF8 is offered.
    pub allows_utf8: bool,
    /// Whether BINARYMIME is offered.
    pub allows_binary: bool,
}

/// The BODY parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyParameter {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME` (RFC 3030).
    Binary,
}

/// The RET parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetParameter {
    /// `FULL`: reports carry the whole message.
    Full,
    /// `HDRS`: reports carry the header only.
    Headers,
}

/// The BY parameter (RFC 2852).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliverBy {
    /// Seconds from now; negative when it is past already.
    pub seconds: i64,
    /// What happens when the time is over.
    pub mode: DeliverByMode,
    /// Whether a trace is wanted (`T`).
    pub trace: bool,
}

impl DeliverBy {
    /// Words the value of `BY=`.
    pub fn value(&self) -> String {
        let mode = match self.mode {
            DeliverByMode::Return => "R",
            DeliverByMode::Notify => "N",
        };
        let trace = if self.trace { "T" } else { "" };
        format!("{};{mode}{trace}", self.seconds)
    }
}

/// What happens when the time of BY is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliverByMode {
    /// `R`: return the message.
    Return,
    /// `N`: notify and go on.
    Notify,
}

/// The parameters of one MAIL command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE in octets.
    pub size: Option<u64>,
    /// BODY.
    pub body: Option<BodyParameter>,
    /// RET.
    pub ret: Option<RetParameter>,
    /// ENVID as received (xtext).
    pub envid: Option<Vec<u8>>,
    /// AUTH as received (xtext).
    pub auth: Option<Vec<u8>>,
    /// BY.
    pub deliver_by: Option<DeliverBy>,
    /// SMTPUTF8 (RFC 6531 section 3.4).
    pub smtp_utf8: bool,
}

impl MailParameters {
    /// Adds one parameter.
    ///
    /// # Errors
    /// The reply that refuses it.
    pub fn add(&mut self, parameter: Parameter<'_>, policy: ParameterPolicy) -> Result<(), Reply> {
        match parameter.keyword.to_ascii_lowercase().as_slice() {
            b"size" => self.size = Some(parse_size(parameter.value)?),
            b"body" => self.body = Some(parse_body(parameter.value, policy)?),
            b"envid" => self.add_envid(parameter.value, policy)?,
            b"ret" => self.add_ret(parameter.value, policy)?,
            b"auth" => self.add_auth(parameter.value)?,
            b"by" if policy.deliver_by_minimum.is_some() => {
                self.deliver_by = Some(parse_deliver_by(parameter.value, policy)?);
            }
            b"smtputf8" if policy.allows_utf8 => {
                if parameter.value.is_some() {
                    return Err(Reply::of("501 5.5.4 SMTPUTF8 takes no value"));
                }
                self.smtp_utf8 = true;
            }
            _ => return Err(unrecognized(parameter.keyword)),
        }
        Ok(())
    }

    fn add_envid(&mut self, value: Option<&[u8]>, policy: ParameterPolicy) -> Result<(), Reply> {
        let value = dsn_value("ENVID", value, policy)?;
        if !xtext::is_xtext(value) {
            return Err(Reply::of("501 5.5.4 Syntax error in ENVID parameter value"));
        }
        refuse_second("ENVID", self.envid.is_some())?;
        self.envid = Some(value.to_vec());
        Ok(())
    }

    fn add_ret(&mut self, value: Option<&[u8]>, policy: ParameterPolicy) -> Result<(), Reply> {
        let value = dsn_value("RET", value, policy)?;
        refuse_second("RET", self.ret.is_some())?;
        self.ret = Some(match value.to_ascii_lowercase().as_slice() {
            b"full" => RetParameter::Full,
            b"hdrs" => RetParameter::Headers,
            _ => return Err(refusal(501, b"5.5.2 Bad argument \"", value, b"\" to RET")),
        });
        Ok(())
    }

    fn add_auth(&mut self, value: Option<&[u8]>) -> Result<(), Reply> {
        let value = value.ok_or_else(|| Reply::of("501 5.5.2 AUTH= requires a value"))?;
        refuse_second("AUTH", self.auth.is_some())?;
        if !xtext::is_xtext(value) {
            return Err(Reply::of("501 5.5.4 Syntax error in AUTH parameter value"));
        }
        self.auth = Some(value.to_vec());
        Ok(())
    }
}

/// The NOTIFY parameter: what the sender wants to hear of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NotifyParameter {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// The parameters of one RCPT command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// NOTIFY; all three unset means `NEVER`.
    pub notify: Option<NotifyParameter>,
    /// ORCPT as received: an address type, a semicolon and xtext.
    pub orcpt: Option<Vec<u8>>,
}

impl RcptParameters {
    /// Adds one parameter.
    ///
    /// # Errors
    /// The reply that refuses it.
    pub fn add(&mut self, parameter: Parameter<'_>, policy: ParameterPolicy) -> Result<(), Reply> {
        match parameter.keyword.to_ascii_lowercase().as_slice() {
            b"notify" => self.add_notify(parameter.value, policy),
            b"orcpt" => self.add_orcpt(parameter.value, policy),
            _ => Err(unrecognized(parameter.keyword)),
        }
    }

    fn add_notify(&mut self, value: Option<&[u8]>, policy: ParameterPolicy) -> Result<(), Reply> {
        let value = dsn_value("NOTIFY", value, policy)?;
        let mut notify = NotifyParameter::default();
        if !value.eq_ignore_ascii_case(b"never") {
            for word in value.split(|octet| *octet == b',') {
                match word.to_ascii_lowercase().as_slice() {
                    b"success" => notify.success = true,
                    b"failure" => notify.failure = true,
                    b"delay" => notify.delay = true,
                    // Two blanks: the reference's own text.
                    _ => {
                        return Err(refusal(
                            501,
                            b"5.5.4 Bad argument \"",
                            word,
                            b"\"  to NOTIFY",
                        ));
                    }
                }
            }
        }
        self.notify = Some(notify);
        Ok(())
    }

    fn add_orcpt(&mut self, value: Option<&[u8]>, policy: ParameterPolicy) -> Result<(), Reply> {
        let value = dsn_value("ORCPT", value, policy)?;
        let malformed = || Reply::of("501 5.5.4 Syntax error in ORCPT parameter value");
        let at = value
            .iter()
            .position(|octet| *octet == b';')
            .ok_or_else(malformed)?;
        let (kind, address) = (value.get(..at), value.get(at + 1..));
        // RFC 6533 section 3: an address of this type may stand there as it is.
        let is_utf8 = policy.allows_utf8
            && kind.is_some_and(|kind| kind.eq_ignore_ascii_case(b"utf-8"))
            && address.is_some_and(|address| std::str::from_utf8(address).is_ok());
        if at == 0 || !(is_utf8 || address.is_some_and(xtext::is_xtext)) {
            return Err(malformed());
        }
        refuse_second("ORCPT", self.orcpt.is_some())?;
        self.orcpt = Some(value.to_vec());
        Ok(())
    }
}

/// Gives the value of a parameter that belongs to DSN; all of them may be switched off.
fn dsn_value<'v>(
    keyword: &str,
    value: Option<&'v [u8]>,
    policy: ParameterPolicy,
) -> Result<&'v [u8], Reply> {
    if !policy.allows_dsn {
        return Err(Reply::of(&format!(
            "504 5.7.0 Sorry, {keyword} not supported, we do not allow DSN"
        )));
    }
    value.ok_or_else(|| Reply::of(&format!("501 5.5.2 {keyword} requires a value")))
}

/// Refuses a parameter that was given before.
fn refuse_second(keyword: &str, is_given: bool) -> Result<(), Reply> {
    match is_given {
        true => Err(Reply::of(&format!(
            "501 5.5.0 Duplicate {keyword} parameter"
        ))),
        false => Ok(()),
    }
}

/// Reads a SIZE value as C's `strtoul` does: leading digits count, none is zero.
fn parse_size(value: Option<&[u8]>) -> Result<u64, Reply> {
    let value = value.ok_or_else(|| Reply::of("501 5.5.2 SIZE requires a value"))?;
    let too_large = || Reply::of("552 5.2.3 Message size exceeds maximum value");
    let mut size: u64 = 0;
    for digit in value.iter().take_while(|octet| octet.is_ascii_digit()) {
        size = size
            .checked_mul(10)
            .and_then(|size| size.checked_add(u64::from(digit - b'0')))
            .filter(|size| i64::try_from(*size).is_ok())
            .ok_or_else(too_large)?;
    }
    if value.first() == Some(&b'-') {
        return Err(Reply::of("552 5.2.3 Message size invalid"));
    }
    Ok(size)
}

fn parse_body(value: Option<&[u8]>, policy: ParameterPolicy) -> Result<BodyParameter, Reply> {
    let value = value.ok_or_else(|| Reply::of("501 5.5.2 BODY requires a value"))?;
    match value.to_ascii_lowercase().as_slice() {
        b"7bit" => Ok(BodyParameter::SevenBit),
        b"8bitmime" => Ok(BodyParameter::EightBitMime),
        b"binarymime" if policy.allows_binary => Ok(BodyParameter::Binary),
        _ => Err(refusal(501, b"5.5.4 Unknown BODY type ", value, b"")),
    }
}

fn parse_deliver_by(value: Option<&[u8]>, policy: ParameterPolicy) -> Result<DeliverBy, Reply> {
    let value = value.ok_or_else(|| Reply::of("501 5.5.2 BY= requires a value"))?;
    let (negative, digits) = match value.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, value),
    };
    let count = digits
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (digits, rest) = digits.split_at(count);
    // RFC 2852 allows nine digits; more is out of range.
    let amount = digits.iter().try_fold(0_i64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    });
    let seconds = match amount {
        Some(amount) if amount <= MAX_DELIVER_BY => {
            if negative {
                -amount
            } else {
                amount
            }
        }
        _ => return Err(refusal(501, b"5.5.2 BY=", value, b" out of range")),
    };
    let modes = rest
        .strip_prefix(b";")
        .ok_or_else(|| Reply::of("501 5.5.2 BY= missing ';'"))?;
    let (mode, traces) = match modes.split_first() {
        Some((b'R' | b'r', traces)) => (DeliverByMode::Return, traces),
        Some((b'N' | b'n', traces)) => (DeliverByMode::Notify, traces),
        Some((other, _)) => return Err(refusal(501, b"5.5.2 illegal by-mode '", &[*other], b"'")),
        None => return Err(refusal(501, b"5.5.2 illegal by-mode '", b"?", b"'")),
    };
    let trace = match traces.first() {
        None => false,
        Some(b'T' | b't') => true,
        Some(other) => return Err(refusal(501, b"5.5.2 illegal by-trace '", &[*other], b"'")),
    };
    if mode == DeliverByMode::Return {
        if seconds <= 0 {
            return Err(Reply::of("501 5.5.4 mode R requires BY time > 0"));
        }
        let minimum = policy.deliver_by_minimum.unwrap_or(0);
        if minimum > 0 && seconds < minimum {
            let text = format!("5.5.2 time {seconds} less than {minimum}");
            return Err(refusal(555, text.as_bytes(), b"", b""));
        }
    }
    Ok(DeliverBy {
        seconds,
        mode,
        trace,
    })
}

/// Largest time of BY in seconds (RFC 2852: nine digits).
const MAX_DELIVER_BY: i64 = 999_999_999;

fn unrecognized(keyword: &[u8]) -> Reply {
    refusal(555, b"5.5.4 ", keyword, b" parameter unrecognized")
}

/// Makes a refusal from three pieces of text, the first beginning with the enhanced status code.
fn refusal(code: u16, before: &[u8], value: &[u8], after: &[u8]) -> Reply {
    let text = [format!("{code} ").as_bytes(), before, value, after].concat();
    Reply::from_text(&text)
        .unwrap_or_else(|_| Reply::new(ReplyCode::new(501).expect("a code"), None, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: ParameterPolicy = ParameterPolicy {
        allows_dsn: true,
        deliver_by_minimum: Some(0),
        allows_utf8: false,
        allows_binary: false,
    };

    fn mail(text: &str) -> Result<MailParameters, String> {
        let mut parameters = MailParameters::default();
        for parameter in split(text.as_bytes()) {
            let parameter = parameter.map_err(|reply| line(&reply))?;
            parameters
                .add(parameter, POLICY)
                .map_err(|reply| line(&reply))?;
        }
        Ok(parameters)
    }

    fn rcpt(text: &str) -> Result<RcptParameters, String> {
        let mut parameters = RcptParameters::default();
        for parameter in split(text.as_bytes()) {
            let parameter = parameter.map_err(|reply| line(&reply))?;
            parameters
                .add(parameter, POLICY)
                .map_err(|reply| line(&reply))?;
        }
        Ok(parameters)
    }

    fn line(reply: &Reply) -> String {
        String::from_utf8_lossy(&reply.last_line()).into_owned()
    }

    #[test]
    fn mail_parameters_are_read() {
        let all = mail(" SIZE=100 body=8bitmime RET=hdrs ENVID=abc+2Bd AUTH=<> BY=100;RT");
        let all = all.expect("good parameters");
        assert_eq!(
            (all.size, all.body),
            (Some(100), Some(BodyParameter::EightBitMime))
        );
        assert_eq!(all.ret, Some(RetParameter::Headers));
        assert_eq!(all.envid.as_deref(), Some(&b"abc+2Bd"[..]));
        let by = DeliverBy {
            seconds: 100,
            mode: DeliverByMode::Return,
            trace: true,
        };
        assert_eq!(all.deliver_by, Some(by));
        assert_eq!(
            mail("SIZE=abc").expect("no digits count as zero").size,
            Some(0)
        );
    }

    #[test]
    fn wrong_mail_parameters_get_the_replies_of_the_reference() {
        for (text, reply) in [
            (
                "a a a a a a a a a a a a a a a a a a a a a a a a",
                "555 5.5.4 a parameter unrecognized",
            ),
            (
                "SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 \
                 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1 SIZE=1",
                "501 5.5.4 Too many parameters",
            ),
            ("FOO=bar", "555 5.5.4 FOO parameter unrecognized"),
            ("SIZE", "501 5.5.2 SIZE requires a value"),
            (
                "SIZE=99999999999999999999999",
                "552 5.2.3 Message size exceeds maximum value",
            ),
            ("BODY=BINARYMIME", "501 5.5.4 Unknown BODY type BINARYMIME"),
            ("RET=SOME", "501 5.5.2 Bad argument \"SOME\" to RET"),
            ("RET", "501 5.5.2 RET requires a value"),
            ("RET=HDRS RET=FULL", "501 5.5.0 Duplicate RET parameter"),
            ("ENVID=a ENVID=b", "501 5.5.0 Duplicate ENVID parameter"),
            (
                "ENVID=bad%+xy",
                "501 5.5.4 Syntax error in ENVID parameter value",
            ),
            ("BY=0;R", "501 5.5.4 mode R requires BY time > 0"),
            ("BY=10", "501 5.5.2 BY= missing ';'"),
            ("BY=10;X", "501 5.5.2 illegal by-mode 'X'"),
        ] {
            assert_eq!(mail(text), Err(reply.to_owned()), "{text}");
        }
    }

    #[test]
    fn rcpt_parameters_are_read_and_refused_as_by_the_reference() {
        let all = rcpt("NOTIFY=SUCCESS,delay ORCPT=rfc822;Bob+40x").expect("good parameters");
        let notify = NotifyParameter {
            success: true,
            failure: false,
            delay: true,
        };
        assert_eq!(all.notify, Some(notify));
        assert_eq!(
            rcpt("NOTIFY=NEVER").expect("good").notify,
            Some(NotifyParameter::default())
        );
        for (text, reply) in [
            (
                "NOTIFY=NEVER,SUCCESS",
                "501 5.5.4 Bad argument \"NEVER\"  to NOTIFY",
            ),
            ("NOTIFY", "501 5.5.2 NOTIFY requires a value"),
            (
                "ORCPT=nosemicolon",
                "501 5.5.4 Syntax error in ORCPT parameter value",
            ),
            (
                "ORCPT=rfc822;bad+zz",
                "501 5.5.4 Syntax error in ORCPT parameter value",
            ),
            (
                "ORCPT=rfc822;a ORCPT=rfc822;b",
                "501 5.5.0 Duplicate ORCPT parameter",
            ),
            (
                "trailing words",
                "555 5.5.4 trailing parameter unrecognized",
            ),
        ] {
            assert_eq!(rcpt(text), Err(reply.to_owned()), "{text}");
        }
    }

    #[test]
    fn no_input_makes_the_parser_panic() {
        let seed = b"SIZE=1 BY=-12;RT ENVID=+20 ORCPT=a;b NOTIFY=a,b =";
        for cut in 0..seed.len() {
            for octet in [0, b'=', b';', b'+', b'-', b'9', 255] {
                let mut input = seed.to_vec();
                input[cut] = octet;
                for parameter in split(&input).into_iter().flatten() {
                    let _ = MailParameters::default().add(parameter, POLICY);
                    let _ = RcptParameters::default().add(parameter, POLICY);
                }
            }
        }
    }
}
