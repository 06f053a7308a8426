//! O lines and `-o`/`-O`: finding the option a text means, and setting it.
//!
//! Source: guide 5.6; observed: 8.17.1.9.

use super::compiled::Config;
use super::diagnostics::Diagnostics;
use super::ldap::{self, Ownership};
use super::options::setting::{Origin, Setting, macro_definition};
use super::options::table::{AUTO_REBUILD_ALIASES, LETTERS_ONLY, OPTIONS, OWN_OPTIONS, OptionSpec};
use super::options::value;
use super::overrides::Overrides;
use super::source::FileSource;
use crate::macros::{MacroId, MacroValue};

/// An option as it was written.
#[derive(Debug, Clone, Copy)]
pub enum OptionText<'a> {
    /// Letter and value.
    Letter(u8, &'a [u8]),
    /// `name=value`.
    Named(&'a [u8]),
}

impl<'a> OptionText<'a> {
    /// Reads the text behind the letter `O`.
    pub fn of_line(rest: &'a [u8]) -> Self {
        match rest.split_first() {
            Some((b' ', named)) => OptionText::Named(named),
            Some((letter, value)) => OptionText::Letter(*letter, value),
            None => OptionText::Letter(0, b""),
        }
    }
}

/// What was found for a name.
enum Found<'a> {
    Option(&'static OptionSpec, Option<&'a [u8]>, &'a [u8]),
    Macro(&'a [u8]),
    Nothing,
}

/// What must be remembered between options.
#[derive(Debug, Default)]
pub struct OptionState {
    /// Options the command line has set.
    fixed: Vec<&'static str>,
    /// Timeouts the command line has set.
    fixed_timeouts: Vec<&'static str>,
}

impl OptionState {
    /// Sets one option.
    pub fn set(
        &mut self,
        text: OptionText<'_>,
        origin: Origin,
        overrides: &Overrides,
        config: &mut Config,
        source: &dyn FileSource,
        out: &mut Diagnostics,
    ) {
        let (spec, suboption, value) = match find(text, out) {
            Found::Option(spec, suboption, value) => (spec, suboption, value),
            Found::Macro(value) => {
                if out.traces(37, 1) {
                    out.trace([b"setoption  (M)=".as_slice(), &printed(value)].concat());
                }
                if let Some((id, text)) = macro_definition(value, &mut config.names, out) {
                    config.define(id, MacroValue::Text(text), out);
                }
                return;
            }
            Found::Nothing => return,
        };
        let is_fixed = origin == Origin::File && self.fixed.contains(&spec.name);
        if out.traces(37, 1) {
            let takes_suboptions = matches!(spec.name, "Timeout" | "Milter");
            let suboption = match suboption {
                Some(ignored) if !takes_suboptions => {
                    let head = format!("setoption: {} does not support suboptions, ", spec.name);
                    out.trace([head.as_bytes(), b"ignoring .", ignored].concat());
                    None
                }
                suboption => suboption,
            };
            let suboption = suboption.map(|text| config.names.told(text));
            let mut line = told(spec, suboption.as_deref(), value);
            if is_fixed {
                line.extend_from_slice(b" (ignored)");
            }
            out.trace(line);
        }
        if is_fixed {
            return;
        }
        if spec.name == "LogLevel"
            && origin == Origin::CommandLine
            && !overrides.caller_is_root
            && value::number(value) <= i64::from(config.options.running.log_level)
        {
            return;
        }
        let maps = &config.maps;
        let macros = &config.macros;
        let cluster = config.names.find(ldap::CLUSTER);
        (spec.set)(&mut Setting {
            name: spec.name,
            value,
            suboption,
            options: &mut config.options,
            names: &mut config.names,
            source,
            known_map: &|name| maps.iter().any(|map| map.name.eq_ignore_ascii_case(name)),
            ldap: &|| Ownership::of(macros, cluster),
            fixed_timeouts: &mut self.fixed_timeouts,
            origin,
            out,
        });
        if out.traces(37, 1)
            && spec.name == "DaemonPortOptions"
            && let Some(port) = config.options.daemon_ports.last()
        {
            let flags = port.named_flags();
            let text = [b"Daemon ".as_slice(), &port.name, b" flags: ", &flags];
            out.trace(text.concat());
        }
        if spec.name == "DeliveryMode" {
            let mode = config.options.queueing.delivery_mode.letter();
            config.define(MacroId::DELIVERY_MODE, MacroValue::Text(vec![mode]), out);
        }
        // Timeouts are fixed one by one, and privacy flags only add up.
        if origin == Origin::CommandLine && !matches!(spec.name, "Timeout" | "PrivacyOptions") {
            self.fixed.push(spec.name);
        }
    }
}

/// An option as it was written, with the spec it means.
#[derive(Clone, Copy)]
pub struct Recognized<'a> {
    /// The option.
    pub spec: &'static OptionSpec,
    /// What follows the dot in its name.
    pub suboption: Option<&'a [u8]>,
    /// The value.
    pub value: &'a [u8],
}

/// Tells which option the text behind the letter `O` sets.
pub fn recognize(rest: &[u8]) -> Option<Recognized<'_>> {
    match find(OptionText::of_line(rest), &mut Diagnostics::default()) {
        Found::Option(spec, suboption, value) => Some(Recognized {
            spec,
            suboption,
            value,
        }),
        Found::Macro(_) | Found::Nothing => None,
    }
}

/// Gives the line `-d37.1` prints for an option.
///
/// Observed: 8.17.1.9 (`setoption Timeout (r).connect=3m30s`).
fn told(spec: &OptionSpec, suboption: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    let code = match spec.code {
        letter if letter.is_ascii_graphic() => char::from(letter).to_string(),
        number => format!("0x{number:x}"),
    };
    let mut text = format!("setoption {} ({code})", spec.name).into_bytes();
    if let Some(suboption) = suboption {
        text.push(b'.');
        text.extend_from_slice(suboption);
    }
    text.push(b'=');
    text.extend_from_slice(&printed(value));
    text
}

/// Shows a value with line breaks and tabs as C writes them.
fn printed(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .flat_map(|&byte| match byte {
            b'\n' => vec![b'\\', b'n'],
            b'\r' => vec![b'\\', b'r'],
            b'\t' => vec![b'\\', b't'],
            0x80.. => vec![b'M', b'-', byte & 0x7f],
            other => vec![other],
        })
        .collect()
}

/// Finds the option a text means.
fn find<'a>(text: OptionText<'a>, out: &mut Diagnostics) -> Found<'a> {
    match text {
        OptionText::Letter(b'M', value) => Found::Macro(value),
        // Observed: `-o ` is `-O`.
        OptionText::Letter(b' ', value) => find_named(value, out),
        // As older versions had it; what else begins with this letter is no option today.
        OptionText::Letter(b'D', value) if is_truth_or_time(value) => {
            Found::Option(&AUTO_REBUILD_ALIASES, None, value)
        }
        OptionText::Letter(letter, value) => {
            let mut all = OPTIONS.iter().chain(LETTERS_ONLY);
            match all.find(|spec| spec.has_letter(letter)) {
                Some(spec) => Found::Option(spec, None, value),
                None => {
                    // A dollar sign is a symbol by then, and what looks like one is quoted.
                    let letter = match letter {
                        b'$' => 0x81,
                        0x80..=0x9f => 0xff,
                        _ => letter,
                    };
                    out.error(format!("readcf: unknown option name 0x{letter:x}"));
                    Found::Nothing
                }
            }
        }
        OptionText::Named(text) => find_named(text, out),
    }
}

fn find_named<'a>(text: &'a [u8], out: &mut Diagnostics) -> Found<'a> {
    let (name, value) = match memchr::memchr(b'=', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b"".as_slice()),
    };
    let name = trim_spaces_end(name);
    if matches!(text.first(), None | Some(b'=')) {
        out.error("readcf: null option name");
        return Found::Nothing;
    }
    let value = trim_spaces_start(value);
    let (name, suboption) = match memchr::memchr(b'.', name) {
        Some(at) => (&name[..at], Some(&name[at + 1..])),
        None => (name, None),
    };
    let is_own = |spec: &&OptionSpec| spec.name.as_bytes().eq_ignore_ascii_case(name);
    if let Some(spec) = OWN_OPTIONS.iter().find(is_own) {
        return Found::Option(spec, None, value);
    }
    match look_up(name, out) {
        Some(spec) => Found::Option(spec, suboption, value),
        None => Found::Nothing,
    }
}

/// Says whether a value of the old option `D` is one that has been written.
fn is_truth_or_time(value: &[u8]) -> bool {
    let is_word = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
    value.first().is_none_or(u8::is_ascii_digit)
        || ["t", "f", "y", "n", "true", "false", "yes", "no"]
            .into_iter()
            .any(is_word)
}

fn trim_spaces_end(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_suffix(b" ") {
        text = rest;
    }
    text
}

fn trim_spaces_start(mut text: &[u8]) -> &[u8] {
    while let Some(rest) = text.strip_prefix(b" ") {
        text = rest;
    }
    text
}

/// Finds a long name or an abbreviation that is not ambiguous.
fn look_up(name: &[u8], out: &mut Diagnostics) -> Option<&'static OptionSpec> {
    let begins = |spec: &&OptionSpec| {
        spec.name
            .as_bytes()
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    if let Some(spec) = OPTIONS
        .iter()
        .filter(begins)
        .find(|spec| spec.name.len() == name.len())
    {
        return Some(spec);
    }
    let mut candidates = OPTIONS.iter().filter(begins);
    match (candidates.next(), candidates.next()) {
        (None, _) => {
            out.error([b"readcf: unknown option name ".as_slice(), name].concat());
            None
        }
        (Some(first), Some(second)) => {
            let matches = format!(" (matches {} and {})", first.name, second.name);
            let text = [
                b"readcf: ambiguous option name ".as_slice(),
                name,
                matches.as_bytes(),
            ];
            out.error(text.concat());
            None
        }
        (Some(only), None) => {
            let text = format!(" used as abbreviation for {}", only.name);
            out.note([b"Option ".as_slice(), name, text.as_bytes()].concat());
            Some(only)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overrides::OverrideSetting;
    use super::super::source::FixedSource;
    use super::*;

    /// Loads a file with nothing in it and one option on the command line.
    fn with_option(text: &str) -> (usize, String) {
        let mut overrides = Overrides::only_file("/x.cf");
        let setting = OverrideSetting::Named(text.as_bytes().to_vec());
        overrides.settings.push(setting);
        let mut source = FixedSource::with_file("/x.cf", b"");
        let config = Config::load(&overrides, &mut source).unwrap();
        let said = String::from_utf8(config.diagnostics.printed(false)).unwrap();
        (config.options.receiving.session_workers, said)
    }

    #[test]
    fn session_workers_are_a_number_within_bounds() {
        for (text, workers) in [
            ("SessionWorkers=4", 4),
            ("sessionworkers = 1024", 1_024),
            ("SessionWorkers=1", 1),
        ] {
            let (read, said) = with_option(text);
            assert_eq!(read, workers, "{text}");
            assert!(!said.contains("SessionWorkers"), "{text}: {said}");
        }
        for text in ["0", "1025", "-1", "4x", "", "99999999999999999999"] {
            let (read, said) = with_option(&format!("SessionWorkers={text}"));
            assert_eq!(read, 24, "{text}");
            let wanted = format!("SessionWorkers: {text} is not a number from 1 to 1024");
            assert!(said.contains(&wanted), "{text}: {said}");
        }
    }

    #[test]
    fn our_own_options_are_no_abbreviations() {
        let (read, said) = with_option("SessionWorker=4");
        assert_eq!(read, 24);
        assert!(said.contains("unknown option name SessionWorker"), "{said}");
    }
}
