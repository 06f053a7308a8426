//! Options about header and body text, and about address syntax.
//!
//! Source: guide 5.6.

use crate::macros::Template;

/// What happens to eight-bit data that nobody declared (`EightBitMode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EightBitMode {
    /// Pass it, convert it where the mailer needs it (`p`).
    #[default]
    Pass,
    /// Declare it with MIME fields (`m`).
    Mime,
    /// Refuse it (`s`).
    Strict,
}

/// What is done to a message without recipient fields (`NoRecipientAction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoRecipientAction {
    /// Nothing.
    #[default]
    None,
    /// Add a `To:` with all recipients.
    AddTo,
    /// Add an `Apparently-To:` with all recipients.
    AddApparentlyTo,
    /// Add `To: undisclosed-recipients:;`.
    AddToUndisclosed,
    /// Add an empty `Bcc:`.
    AddBcc,
}

/// Options about header and body text, and about address syntax.
#[derive(Debug, Clone)]
pub struct HeaderOptions {
    /// What replaces an unquoted blank in an address.
    pub blank_sub: u8,
    /// Allow colons in addresses (off: they begin a list).
    pub colon_ok_in_addr: bool,
    /// Blanks separate addresses in header fields.
    pub old_style_headers: bool,
    /// Characters that make a phrase quoted, apart from `@,;:\()[]`.
    pub must_quote_chars: Vec<u8>,
    /// Operators of the tokenizer; `None` when no line set them.
    pub operator_chars: Option<Vec<u8>>,
    /// Keep UNIX `From ` lines at the head of messages.
    pub save_from_line: bool,
    /// The `From ` line of files and mailers.
    pub unix_from_line: Template,
    /// What happens to undeclared eight-bit data.
    pub eight_bit_mode: EightBitMode,
    /// Strip input to seven bits.
    pub seven_bit_input: bool,
    /// Character set of undeclared eight-bit data.
    pub default_char_set: Vec<u8>,
    /// What is done to a message without recipient fields.
    pub no_recipient_action: NoRecipientAction,
    /// Most octets of a message's header; zero is no limit.
    pub max_headers_length: u64,
    /// Longest MIME header field; zero is no limit.
    pub max_mime_header_length: u32,
    /// Longest parameter of a MIME header field; zero is no limit.
    pub max_mime_field_length: u32,
    /// Turn a From: of several lines into one line.
    pub single_line_from_header: bool,
}

impl Default for HeaderOptions {
    fn default() -> Self {
        Self {
            blank_sub: b' ',
            colon_ok_in_addr: true,
            old_style_headers: false,
            must_quote_chars: b".'".to_vec(),
            operator_chars: None,
            save_from_line: false,
            unix_from_line: Template::default(),
            eight_bit_mode: EightBitMode::Pass,
            seven_bit_input: false,
            default_char_set: b"unknown-8bit".to_vec(),
            no_recipient_action: NoRecipientAction::None,
            max_headers_length: 32_768,
            max_mime_header_length: 2_048,
            max_mime_field_length: 1_024,
            single_line_from_header: false,
        }
    }
}
