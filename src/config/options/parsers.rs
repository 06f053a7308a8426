//! Parsers of options that are more than one plain value.
//!
//! Source: guide 5.6; messages and tolerance observed: 8.17.1.9.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::map::MapDefinition;
use crate::smtp::ExitStatus;
use crate::sys::file::path_buf_of;
use crate::text::bytes;
use crate::text::interval::IntervalUnit;

use super::headers::{EightBitMode, NoRecipientAction};
use super::queueing::{DeliveryMode, QueueSortOrder};
use super::receiving::MAX_SESSION_WORKERS;
use super::security::PrivacyFlags;
use super::setting::Setting;
use super::value::{self, Interval};
use crate::safefile::DontBlameSendmail;

/// Reads EightBitMode; a letter that is no mode ends the program with 64.
pub fn eight_bit_mode(setting: &mut Setting<'_>) {
    let letter = setting.value.first().copied();
    setting.options.headers.eight_bit_mode = match letter {
        Some(b'm') => EightBitMode::Mime,
        Some(b'p') => EightBitMode::Pass,
        Some(b's') => EightBitMode::Strict,
        _ => {
            let letter: &[u8] = letter.as_ref().map_or(b"", std::slice::from_ref);
            setting
                .out
                .error([b"Unknown 8-bit mode ".as_slice(), letter].concat());
            return setting.out.stop(ExitStatus::Usage);
        }
    };
}

/// Reads DeliveryMode; a letter that is no mode ends the program with 64.
pub fn delivery_mode(setting: &mut Setting<'_>) {
    let letter = *setting.value.first().unwrap_or(&b'i');
    match DeliveryMode::from_letter(letter) {
        Some(mode) => setting.options.queueing.delivery_mode = mode,
        None => {
            setting
                .out
                .error([b"Unknown delivery mode ".as_slice(), &[letter]].concat());
            setting.out.stop(ExitStatus::Usage);
        }
    }
}

/// Reads SessionWorkers, a plain number within bounds; anything else is an error.
pub fn session_workers(setting: &mut Setting<'_>) {
    let text = setting.value.trim_ascii();
    let number = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse::<usize>().ok())
        .filter(|number| (1..=MAX_SESSION_WORKERS).contains(number));
    match number {
        Some(number) => setting.options.receiving.session_workers = number,
        None => {
            let bounds = format!(" is not a number from 1 to {MAX_SESSION_WORKERS}");
            let text = [b"SessionWorkers: ".as_slice(), text, bounds.as_bytes()];
            setting.out.error(text.concat());
        }
    }
}

/// Reads MinFreeBlocks, `blocks` or `blocks/largest message`.
pub fn min_free_blocks(setting: &mut Setting<'_>) {
    setting.options.queueing.min_free_blocks = match bytes::split_once(setting.value, b'/') {
        Some((blocks, size)) => {
            setting.options.receiving.max_message_size = value::size(size);
            value::size(blocks)
        }
        None => setting.size(),
    };
}

/// Reads AliasWait; without a value five minutes.
pub fn alias_wait(setting: &mut Setting<'_>) {
    setting.options.delivering.alias_wait = if setting.value.is_empty() {
        std::time::Duration::from_secs(5 * 60)
    } else {
        setting.interval(IntervalUnit::Minutes)
    };
}

/// Classes of maps that can hold aliases; the others are refused by name.
const ALIAS_CLASSES: &[&str] = &[
    "hash", "btree", "text", "implicit", "nis", "nisplus", "ldap", "null", "switch", "sequence",
    "program", "stab", "socket", "userdb",
];

/// Classes of maps that cannot hold aliases.
const OTHER_CLASSES: &[&str] = &[
    "regex", "dns", "macro", "arith", "host", "user", "dequote", "syslog", "bestmx", "arpa",
];

/// Most alias databases of one configuration.
const MAX_ALIAS_FILES: usize = 12;

/// Reads AliasFile: a list of `class:file`, the class `implicit` when it is left out.
pub fn alias_file(setting: &mut Setting<'_>) {
    let mut rest = if setting.value.is_empty() {
        b"aliases"
    } else {
        setting.value
    };
    if setting.out.traces(27, 8) {
        let line = [b"setalias(".as_slice(), rest, b")"].concat();
        setting.out.trace(line);
    }
    // The files become members of one sequence, which the first of them opens.
    if setting.out.traces(38, 2) && setting.options.delivering.alias_file.is_empty() {
        setting.out.trace("seq_map_parse(aliases.files, )");
    }
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return;
        }
        if setting.options.delivering.alias_file.len() >= MAX_ALIAS_FILES {
            let text = format!("Too many alias databases defined, {MAX_ALIAS_FILES} max");
            return setting.out.error(text);
        }
        let stop = rest
            .iter()
            .position(|b| b" ,/:".contains(b))
            .unwrap_or(rest.len());
        let (class, tail): (&[u8], &[u8]) = match rest.get(stop) {
            Some(b':') => (&rest[..stop], &rest[stop + 1..]),
            _ => (b"implicit", rest),
        };
        let (file, after) = until_comma(tail);
        rest = after;
        add_alias_database(setting, class, file);
    }
}

/// Cuts at the first comma outside of double quotes (LDAP specifications hold commas).
fn until_comma(text: &[u8]) -> (&[u8], &[u8]) {
    let mut quoted = false;
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, b"")
}

fn add_alias_database(setting: &mut Setting<'_>, class: &[u8], file: &[u8]) {
    let number = setting.options.delivering.alias_file.len();
    if setting.out.traces(27, 20) {
        let name = format!(":Alias{number} ");
        let file = file.trim_ascii();
        let line = [b"  map ".as_slice(), class, name.as_bytes(), file].concat();
        setting.out.trace(line);
    }
    let is_in = |list: &[&str]| {
        list.iter()
            .any(|name| name.as_bytes().eq_ignore_ascii_case(class))
    };
    if !is_in(ALIAS_CLASSES) {
        let text = if is_in(OTHER_CLASSES) {
            [
                b"setalias: map class ".as_slice(),
                class,
                b" can't handle aliases",
            ]
            .concat()
        } else {
            [b"setalias: unknown alias class ".as_slice(), class].concat()
        };
        return setting.out.error(text);
    }
    let file = match file.trim_ascii() {
        b"" if class.eq_ignore_ascii_case(b"ldap") => (setting.ldap)().aliases(),
        file => file.to_vec(),
    };
    let file = crate::config::ldap::with_defaults(class, &file, setting.options);
    let line = [format!("Alias{number} ").as_bytes(), class, b" ", &file].concat();
    let mut errors = Vec::new();
    let mut definition = MapDefinition::parse(&line, setting.known_map, &mut errors);
    for error in &errors {
        setting.out.error(&error.text);
    }
    if setting.source.reaches_out()
        && let Some(text) = definition
            .as_mut()
            .and_then(crate::config::ldap::check_secret)
    {
        setting.out.error(text);
    }
    if definition.is_some() {
        let entry = [class, b":", file.trim_ascii()].concat();
        setting.options.delivering.alias_file.push(entry);
    }
}

const RESOLVER_WORDS: &[&str] = &[
    "debug",
    "aaonly",
    "usevc",
    "primary",
    "igntc",
    "recurse",
    "defnames",
    "stayopen",
    "dnsrch",
    "use_inet6",
    "use_edns0",
    "use_dnssec",
    "trustad",
];

/// Reads ResolverOptions: words, each with `+` or `-` in front.
pub fn resolver_options(setting: &mut Setting<'_>) {
    for word in bytes::words(setting.value) {
        let (on, word) = signed_word(word);
        if word.eq_ignore_ascii_case(b"HasWildcardMX") {
            setting.options.running.has_wildcard_mx = on;
        } else if word.eq_ignore_ascii_case(b"WorkAroundBrokenAAAA") {
            setting.options.running.work_around_broken_aaaa = on;
        } else if RESOLVER_WORDS
            .iter()
            .any(|name| name.as_bytes().eq_ignore_ascii_case(word))
        {
            setting
                .options
                .running
                .resolver_options
                .push((word.to_ascii_lowercase(), on));
        } else {
            setting.unrecognized("I option value ", word);
        }
    }
}

fn signed_word(word: &[u8]) -> (bool, &[u8]) {
    match word.split_first() {
        Some((b'-', rest)) => (false, rest),
        Some((b'+', rest)) => (true, rest),
        _ => (true, word),
    }
}

/// Adds the words of PrivacyOptions.
pub fn privacy_options(setting: &mut Setting<'_>) {
    for word in value::alphanumeric_words(setting.value) {
        match PrivacyFlags::from_word(word) {
            Some(flags) => setting.options.security.privacy_options.insert(flags),
            None => setting.unrecognized("Op line: ", word),
        }
    }
}

/// Adds the words of DontBlameSendmail.
pub fn dont_blame_sendmail(setting: &mut Setting<'_>) {
    for word in value::alphanumeric_words(setting.value) {
        let policy = &mut setting.options.security.dont_blame_sendmail;
        match DontBlameSendmail::from_word(word) {
            Some(DontBlameSendmail::SAFE) => *policy = DontBlameSendmail::SAFE,
            Some(set) => *policy = policy.union(set),
            None => setting.unrecognized("DontBlameSendmail option: ", word),
        }
    }
}

/// Reads QueueSortOrder by its first letter.
pub fn queue_sort_order(setting: &mut Setting<'_>) {
    setting.options.queueing.queue_sort_order = match setting.value.first() {
        Some(b'f' | b'F') => QueueSortOrder::FileName,
        Some(b'h' | b'H') => QueueSortOrder::Host,
        Some(b'm' | b'M') => QueueSortOrder::Modification,
        Some(b'n' | b'N') => QueueSortOrder::None,
        Some(b'p' | b'P') => QueueSortOrder::Priority,
        Some(b'r' | b'R') => QueueSortOrder::Random,
        Some(b's' | b'S') => QueueSortOrder::Shuffle,
        Some(b't' | b'T') => QueueSortOrder::Time,
        _ => {
            let text = [
                b"Invalid queue sort order \"".as_slice(),
                setting.value,
                b"\"",
            ]
            .concat();
            return setting.out.error(text);
        }
    };
}

/// Reads NoRecipientAction.
pub fn no_recipient_action(setting: &mut Setting<'_>) {
    const ACTIONS: &[(&str, NoRecipientAction)] = &[
        ("none", NoRecipientAction::None),
        ("add-to", NoRecipientAction::AddTo),
        ("add-apparently-to", NoRecipientAction::AddApparentlyTo),
        ("add-bcc", NoRecipientAction::AddBcc),
        ("add-to-undisclosed", NoRecipientAction::AddToUndisclosed),
    ];
    match ACTIONS
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(setting.value))
    {
        Some((_, action)) => setting.options.headers.no_recipient_action = *action,
        None => {
            let text = [b"Invalid NoRecipientAction: ".as_slice(), setting.value].concat();
            setting.out.error(text);
        }
    }
}

/// Longest MustQuoteChars, the built-in ones included.
const MAX_QUOTE_CHARS: usize = 64;

/// Characters that make a phrase quoted in any case.
const ALWAYS_QUOTED: &[u8] = b"@,;:\\()[]";

/// Reads MustQuoteChars.
pub fn must_quote_chars(setting: &mut Setting<'_>) {
    if setting.value.len() + ALWAYS_QUOTED.len() >= MAX_QUOTE_CHARS {
        return setting
            .out
            .warning("Warning: MustQuoteChars too long, ignored.");
    }
    setting.options.headers.must_quote_chars = setting.text();
}

/// Reads OperatorChars; a second time is warned about.
pub fn operator_chars(setting: &mut Setting<'_>) {
    if setting.options.headers.operator_chars.is_some() {
        setting.out.warning(
            "Warning: OperatorChars is being redefined.\n         \
             It should only be set before ruleset definitions.",
        );
    }
    let (characters, _) = value::unquote(setting.value, None);
    setting.options.headers.operator_chars = Some(characters);
}

/// Reads ConnectOnlyTo, an address.
pub fn connect_only_to(setting: &mut Setting<'_>) {
    let text = String::from_utf8_lossy(setting.value);
    let address = text.strip_prefix("IPv6:").unwrap_or(&text);
    // The C library takes `1` and `10.2` for addresses, too.
    let is_short = address
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if address.parse::<IpAddr>().is_ok() || (is_short && !address.is_empty()) {
        setting.options.delivering.connect_only_to = Some(setting.text());
    } else {
        let message = format!("readcf: option ConnectOnlyTo: invalid IP address {text}");
        setting.out.error(message);
    }
}

/// Reads MaxMimeHeaderLength, `header/field`; the second is half of the first if left out.
pub fn max_mime_header_length(setting: &mut Setting<'_>) {
    const LEAST_HEADER: u32 = 128;
    const LEAST_FIELD: u32 = 40;
    let (header, field) = match bytes::split_once(setting.value, b'/') {
        Some((header, field)) => (value::count(header), Some(field)),
        None => (setting.count(), None),
    };
    let field = match field {
        Some(field) if !field.is_empty() => value::count(field),
        _ => header / 2,
    };
    for (length, least, what) in [
        (header, LEAST_HEADER, "header"),
        (field, LEAST_FIELD, "field"),
    ] {
        if length > 0 && length < least {
            setting.out.warning(format!(
                "Warning: MaxMimeHeaderLength: {what} length limit set lower than {least}"
            ));
        }
    }
    setting.options.headers.max_mime_header_length = header;
    setting.options.headers.max_mime_field_length = field;
}

/// Reads MaxHeadersLength.
pub fn max_headers_length(setting: &mut Setting<'_>) {
    const LEAST: u64 = 16_384;
    let length = setting.size();
    if length > 0 && length < LEAST {
        setting.out.warning(format!(
            "Warning: MaxHeadersLength: headers length limit set lower than {LEAST}"
        ));
    }
    setting.options.headers.max_headers_length = length;
}

/// Reads a file name, and a second one behind a comma.
pub fn file_pair(setting: &mut Setting<'_>) -> Option<(PathBuf, Option<PathBuf>)> {
    if setting.value.is_empty() {
        return None;
    }
    let path = |text: &[u8]| path_buf_of(text.trim_ascii().to_vec());
    Some(match bytes::split_once(setting.value, b',') {
        Some((first, second)) => (path(first), Some(path(second))),
        None => (path(setting.value), None),
    })
}

/// Keeps the letters that are known and warns about the others.
pub fn letters(setting: &mut Setting<'_>, known: &[u8]) -> Vec<u8> {
    let (taken, unknown): (Vec<u8>, Vec<u8>) = setting
        .value
        .iter()
        .filter(|letter| !matches!(letter, b' ' | b',' | b'\t'))
        .partition(|letter| known.contains(letter));
    for letter in unknown {
        let name = setting.name;
        let text = format!("Warning: Option: {name} unknown parameter '");
        setting
            .out
            .warning([text.as_bytes(), &[letter], b"'"].concat());
    }
    taken
}

/// Reads InputMailFilters.
pub fn input_mail_filters(setting: &mut Setting<'_>) {
    setting.options.milter.input_mail_filters = filter_names(setting.value);
}

/// Cuts a list of filter names at commas and semicolons.
pub fn filter_names(list: &[u8]) -> Vec<Vec<u8>> {
    list.split(|byte| matches!(byte, b',' | b';'))
        .map(|name| name.trim_ascii().to_vec())
        .filter(|name| !name.is_empty())
        .collect()
}

const MILTER_STAGES: &[&str] = &[
    "connect", "helo", "envfrom", "envrcpt", "data", "eom", "eoh",
];

/// Reads `Milter.LogLevel` and `Milter.macros.STAGE`.
pub fn milter(setting: &mut Setting<'_>) {
    let Some(name) = setting.suboption else {
        let text = "milter_set_option: invalid Milter option, must specify suboption";
        return setting.out.error(text);
    };
    if name.eq_ignore_ascii_case(b"loglevel") {
        setting.options.milter.log_level = Some(u8::try_from(setting.count()).unwrap_or(u8::MAX));
        return;
    }
    let folded = name.to_ascii_lowercase();
    let stage = folded
        .strip_prefix(b"macros.")
        .filter(|stage| MILTER_STAGES.iter().any(|known| known.as_bytes() == *stage));
    match stage {
        Some(stage) => {
            let macros = &mut setting.options.milter.macros;
            macros.retain(|(name, _)| name != stage);
            macros.push((stage.to_vec(), setting.value.to_vec()));
        }
        None => {
            let text = [
                b"milter_set_option: invalid Milter option ".as_slice(),
                name,
            ]
            .concat();
            setting.out.error(text);
        }
    }
}

/// Reads DeliverByMin; a negative time does not offer the extension.
pub fn deliver_by_min(setting: &mut Setting<'_>) {
    let least = setting.read_interval(setting.value, IntervalUnit::Seconds);
    setting.options.receiving.deliver_by_min = match least {
        Interval::Seconds(seconds) if seconds < 0 => None,
        other => Some(other.duration()),
    };
}

/// Reads MailboxDatabase; whether the name is known is asked when the file is read.
pub fn mailbox_database(setting: &mut Setting<'_>) {
    setting.options.delivering.mailbox_database = setting.text();
}

const SSL_WORDS: &[&str] = &[
    "SSL_OP_MICROSOFT_SESS_ID_BUG",
    "SSL_OP_NETSCAPE_CHALLENGE_BUG",
    "SSL_OP_LEGACY_SERVER_CONNECT",
    "SSL_OP_NETSCAPE_REUSE_CIPHER_CHANGE_BUG",
    "SSL_OP_SSLREF2_REUSE_CERT_TYPE_BUG",
    "SSL_OP_MICROSOFT_BIG_SSLV3_BUFFER",
    "SSL_OP_MSIE_SSLV2_RSA_PADDING",
    "SSL_OP_SSLEAY_080_CLIENT_DH_BUG",
    "SSL_OP_TLS_D5_BUG",
    "SSL_OP_TLS_BLOCK_PADDING_BUG",
    "SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS",
    "SSL_OP_ALL",
    "SSL_OP_NO_QUERY_MTU",
    "SSL_OP_COOKIE_EXCHANGE",
    "SSL_OP_NO_TICKET",
    "SSL_OP_CISCO_ANYCONNECT",
    "SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION",
    "SSL_OP_NO_COMPRESSION",
    "SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION",
    "SSL_OP_SINGLE_ECDH_USE",
    "SSL_OP_SINGLE_DH_USE",
    "SSL_OP_EPHEMERAL_RSA",
    "SSL_OP_CIPHER_SERVER_PREFERENCE",
    "SSL_OP_TLS_ROLLBACK_BUG",
    "SSL_OP_NO_SSLv2",
    "SSL_OP_NO_SSLv3",
    "SSL_OP_NO_TLSv1",
    "SSL_OP_NO_TLSv1_3",
    "SSL_OP_NO_TLSv1_2",
    "SSL_OP_NO_TLSv1_1",
    "SSL_OP_PKCS1_CHECK_1",
    "SSL_OP_PKCS1_CHECK_2",
    "SSL_OP_NETSCAPE_CA_DN_BUG",
    "SSL_OP_NETSCAPE_DEMO_CIPHER_CHANGE_BUG",
    "SSL_OP_CRYPTOPRO_TLSEXT_BUG",
    "SSL_OP_TLSEXT_PADDING",
    "SSL_OP_SAFARI_ECDHE_ECDSA_BUG",
    "SSL_OP_NO_RENEGOTIATION",
    "SSL_OP_NO_ANTI_REPLAY",
    "SSL_OP_ALLOW_NO_DHE_KEX",
    "SSL_OP_NO_ENCRYPT_THEN_MAC",
    "SSL_OP_ENABLE_MIDDLEBOX_COMPAT",
    "SSL_OP_PRIORITIZE_CHACHA",
];

/// Reads ServerSSLOptions and ClientSSLOptions: names or numbers, each with a sign in front.
pub fn ssl_options(setting: &mut Setting<'_>) -> Vec<u8> {
    let list = setting
        .value
        .split(|byte| matches!(byte, b' ' | b',' | b'\t'));
    for word in list.filter(|word| !word.is_empty()) {
        let (_, word) = signed_word(word);
        let is_number = word.first().is_some_and(u8::is_ascii_digit);
        let is_name = SSL_WORDS
            .iter()
            .any(|name| name.as_bytes().eq_ignore_ascii_case(word));
        if !is_number && !is_name {
            let option = format!("{} option value ", setting.name);
            setting.unrecognized(&option, word);
        }
    }
    setting.text()
}
