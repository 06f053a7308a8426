//! The first packet each way: versions, what a filter may change, which steps it wants to see.
//!
//! Source: libmilter 1.0.1; faults and texts observed: 8.17.1.9.

/// The version we speak.
pub const VERSION: u32 = 6;
/// The oldest version taken.
const OLDEST: u32 = 2;

/// What a filter may do at the end of a message.
pub mod action {
    /// Add header fields.
    pub const ADD_HEADERS: u32 = 0x01;
    /// Replace the body.
    pub const CHANGE_BODY: u32 = 0x02;
    /// Add recipients.
    pub const ADD_RECIPIENTS: u32 = 0x04;
    /// Take recipients away.
    pub const DELETE_RECIPIENTS: u32 = 0x08;
    /// Change header fields.
    pub const CHANGE_HEADERS: u32 = 0x10;
    /// Hold the message.
    pub const QUARANTINE: u32 = 0x20;
    /// Change the sender.
    pub const CHANGE_SENDER: u32 = 0x40;
    /// Add recipients with parameters.
    pub const ADD_RECIPIENTS_WITH_PARAMETERS: u32 = 0x80;
    /// Say which macros are wanted.
    pub const SET_SYMBOLS: u32 = 0x100;
    /// All of them.
    pub const ALL: u32 = 0x1ff;
}

/// Which steps a filter does not want, or does not answer.
pub mod step {
    /// No CONNECT.
    pub const NO_CONNECT: u32 = 0x01;
    /// No HELO.
    pub const NO_HELO: u32 = 0x02;
    /// No MAIL.
    pub const NO_MAIL: u32 = 0x04;
    /// No RCPT.
    pub const NO_RECIPIENT: u32 = 0x08;
    /// No body.
    pub const NO_BODY: u32 = 0x10;
    /// No header fields.
    pub const NO_HEADERS: u32 = 0x20;
    /// No end of the header.
    pub const NO_END_OF_HEADER: u32 = 0x40;
    /// Header fields are not answered.
    pub const SILENT_HEADER: u32 = 0x80;
    /// No unknown commands.
    pub const NO_UNKNOWN: u32 = 0x100;
    /// No DATA.
    pub const NO_DATA: u32 = 0x200;
    /// The filter may answer `skip`.
    pub const SKIP: u32 = 0x400;
    /// Recipients that were refused are told too.
    pub const REFUSED_RECIPIENTS: u32 = 0x800;
    /// CONNECT is not answered.
    pub const SILENT_CONNECT: u32 = 0x1000;
    /// HELO is not answered.
    pub const SILENT_HELO: u32 = 0x2000;
    /// MAIL is not answered.
    pub const SILENT_MAIL: u32 = 0x4000;
    /// RCPT is not answered.
    pub const SILENT_RECIPIENT: u32 = 0x8000;
    /// DATA is not answered.
    pub const SILENT_DATA: u32 = 0x1_0000;
    /// Unknown commands are not answered.
    pub const SILENT_UNKNOWN: u32 = 0x2_0000;
    /// The end of the header is not answered.
    pub const SILENT_END_OF_HEADER: u32 = 0x4_0000;
    /// The body is not answered.
    pub const SILENT_BODY: u32 = 0x8_0000;
    /// Values of header fields keep their leading space.
    pub const LEADING_SPACE: u32 = 0x10_0000;
    /// All of them.
    pub const ALL: u32 = 0x1f_ffff;
}

/// What was agreed on with one filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// What it may change.
    pub actions: u32,
    /// Which steps it does without.
    pub steps: u32,
    /// Lists of macros it asked for: number of the stage, names as written.
    pub symbols: Vec<(u32, Vec<u8>)>,
}

impl Agreement {
    /// Tells whether a step is left out or not answered.
    pub fn has(&self, step: u32) -> bool {
        self.steps & step != 0
    }

    /// Tells whether a change was announced.
    pub fn may(&self, action: u32) -> bool {
        self.actions & action != 0
    }
}

/// Makes the data of our packet.
pub fn offer() -> Vec<u8> {
    [VERSION, action::ALL, step::ALL]
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

/// Reads what a filter answered to the offer.
///
/// # Errors
/// The fault in the words of the log.
pub fn agree(letter: u8, data: &[u8]) -> Result<Agreement, String> {
    if letter != super::packet::command::NEGOTIATE {
        let shown = crate::text::bytes::escape_for_display(&[letter]);
        return Err(format!("returned {shown} instead of O"));
    }
    let mut rest = data;
    let (Some(version), Some(actions), Some(steps)) =
        (number(&mut rest), number(&mut rest), number(&mut rest))
    else {
        // A filter of the oldest kind told less.
        return Err("did not return enough info".to_owned());
    };
    if version < OLDEST && version != 0 {
        return Err(format!(
            "version {version} != MTA milter version {SHOWN_VERSION}"
        ));
    }
    if actions & !action::ALL != 0 {
        let ours = action::ALL;
        return Err(format!(
            "filter abilities 0x{actions:x} != MTA milter abilities 0x{ours:x}"
        ));
    }
    if steps & !step::ALL != 0 {
        let ours = step::ALL;
        return Err(format!(
            "protocol abilities 0x{steps:x} != MTA milter abilities 0x{ours:x}"
        ));
    }
    Ok(Agreement {
        actions,
        steps,
        symbols: symbols(rest),
    })
}

/// What the log calls our version. Observed: 8.17.1.9 (that of its library).
const SHOWN_VERSION: u32 = 0x0100_0001;

fn number(data: &mut &[u8]) -> Option<u32> {
    let (number, rest) = data.split_first_chunk::<4>()?;
    *data = rest;
    Some(u32::from_be_bytes(*number))
}

/// Reads `stage names NUL` as long as there are any; what is no list ends them.
fn symbols(mut rest: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(stage) = number(&mut rest) {
        let Some(end) = rest.iter().position(|octet| *octet == 0) else {
            break;
        };
        let (names, after) = rest.split_at(end);
        found.push((stage, names.to_vec()));
        rest = after.get(1..).unwrap_or(b"");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(numbers: [u32; 3], more: &[u8]) -> Vec<u8> {
        let mut data: Vec<u8> = numbers.iter().flat_map(|one| one.to_be_bytes()).collect();
        data.extend_from_slice(more);
        data
    }

    #[test]
    fn the_offer_is_what_the_reference_offers() {
        assert_eq!(offer(), b"\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff");
    }

    #[test]
    fn an_answer_may_name_macros() {
        let more = b"\0\0\0\0j, {daemon_port}\0\0\0\0\x03i\0";
        let agreed = agree(b'O', &answer([6, 0x1ff, 0x400], more)).unwrap();
        assert!(agreed.has(step::SKIP) && !agreed.has(step::NO_BODY));
        assert_eq!(
            agreed.symbols,
            [(0, b"j, {daemon_port}".to_vec()), (3, b"i".to_vec())]
        );
        // Neither junk nor a list without its end is a list.
        assert!(
            agree(b'O', &answer([6, 1, 0], b"junk"))
                .unwrap()
                .symbols
                .is_empty()
        );
        assert!(
            agree(b'O', &answer([6, 1, 0], b"\0\0\0\0j"))
                .unwrap()
                .symbols
                .is_empty()
        );
    }

    #[test]
    fn faults_are_told_in_the_words_of_the_reference() {
        for (letter, data, text) in [
            (b'c', answer([6, 0, 0], b""), "returned c instead of O"),
            (b'O', b"\0\0\0\x06".to_vec(), "did not return enough info"),
            (
                b'O',
                answer([1, 0, 0], b""),
                "version 1 != MTA milter version 16777217",
            ),
            (
                b'O',
                answer([6, 0xfff, 0], b""),
                "filter abilities 0xfff != MTA milter abilities 0x1ff",
            ),
            (
                b'O',
                answer([6, 0, 0x3ff_ffff], b""),
                "protocol abilities 0x3ffffff != MTA milter abilities 0x1fffff",
            ),
        ] {
            assert_eq!(agree(letter, &data), Err(text.to_owned()));
        }
        for cut in 0..30 {
            let whole = answer([6, 1, 0], b"\0\0\0\0j\0\0\0\0\x01i\0");
            let _ = agree(b'O', whole.get(..cut).unwrap_or(&whole));
        }
    }
}
