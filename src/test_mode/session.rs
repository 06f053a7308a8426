//! The loop of test mode, and lines that name rulesets.
//!
//! Source: guide 3.8; texts observed: 8.17.1.9.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use super::address::waits;
use super::command::{Command, split_word};
use super::printed::Printed;
use crate::alias::judge::{judge_resolved, resolve_name};
use crate::config::Config;
use crate::config::class_line::{Addition, NAMELESS, addition_line, additions, copy_line};
use crate::config::startup::VERSION;
use crate::dns::{Patience, Resolver};
use crate::logging::debug::DebugLog;
use crate::macros::{ClassId, MacroId, MacroTable, MacroValue, Macros, Template};
use crate::map::{AliasName, LookupContext, LookupHost, LookupMode, MapSet};
use crate::message::address::PhraseRules;
use crate::queue::QueueIdSource;
use crate::rewrite::resolve::ErrorSource;
use crate::rewrite::{Place, RewriteContext, RewriteWorkspace, Role, RuleError, Trace};
use crate::smtp::ExitStatus;
use crate::sys::clock::SystemClock;
use crate::sys::moment::Moments;
use crate::sys::process::process_id;
use crate::text::bytes::skip_spaces;
use crate::token::{Faults, Parentheses, Reading, TokenizeOptions};

/// First level of configuration files in which parentheses are tokens.
const PARENTHESES_LEVEL: u8 = 9;
/// Longest line that is read (MAXLINE less its end mark).
const MAX_LINE: usize = 2_047;

/// Names the program mentions between the configuration and the first line. Observed: 8.17.1.9.
const MENTIONED_LAST: &[MacroId] = &[
    MacroId::CHECK_MIME_FIELD_HEADERS,
    MacroId::CHECK_MIME_TEXT_HEADERS,
    MacroId::CHECK_MIME_HEADERS,
    MacroId::PERSISTENT_MACROS,
    MacroId::QUARANTINE,
    MacroId::ADDR_TYPE,
];

/// What test mode uses besides its configuration.
pub struct Surroundings<'a> {
    /// The maps of the configuration.
    pub maps: &'a MapSet,
    /// Who runs the session, as `$_` has it.
    pub caller: Vec<u8>,
    /// Host names, for `/mx` and `/canon`.
    pub resolver: &'a dyn Resolver,
    /// The `-d` flags of the command line, and the file of `-D`.
    pub debug: Arc<DebugLog>,
    /// What ends when the session waits for input.
    pub moments: Moments,
}

/// One session of address test mode.
pub struct TestMode<'a> {
    pub(super) config: Config,
    pub(super) surroundings: Surroundings<'a>,
    pub(super) printed: Printed,
    pub(super) place: Place,
    pub(super) role: Role,
    macros: MacroTable,
    workspace: RewriteWorkspace,
}

/// Stands in traces for the address of the envelope in memory, which nobody needs to know.
const ENVELOPE_PLACE: u64 = 0x5555_0000_0000;

impl<'a> TestMode<'a> {
    /// Makes a session on `config`, which its commands may change, that prints to `output`.
    pub fn new(
        config: Config,
        surroundings: Surroundings<'a>,
        output: Box<dyn Write>,
    ) -> TestMode<'a> {
        let printed = Printed::new(Arc::clone(&surroundings.debug), output);
        let mut session = TestMode {
            config,
            surroundings,
            printed,
            place: Place::Envelope,
            role: Role::Recipient,
            macros: MacroTable::new(),
            workspace: RewriteWorkspace::new(),
        };
        session.printed.exit = session.config.diagnostics.status();
        for id in MENTIONED_LAST {
            session.config.names.meet(*id);
        }
        session.set_defaults();
        session
    }

    /// Sets what an envelope starts with, in the order in which the reference does.
    fn set_defaults(&mut self) {
        let mode = [self.config.options.queueing.delivery_mode.letter()];
        // Told of already, between the lines of the file and the names of this host.
        self.macros
            .set_text(MacroId::UNDERSCORE, &self.surroundings.caller);
        let queue_id = QueueIdSource::new(process_id()).next(&SystemClock);
        for (id, value) in [
            (MacroId::QUARANTINE, b"".as_slice()),
            (MacroId::DELIVERY_MODE, b"i"),
            (MacroId::I, queue_id.as_str().as_bytes()),
        ] {
            self.define(id, MacroValue::Text(value.to_vec()));
        }
        if self.printed.debug.is_on(7, 1) {
            let line = format!("assign_queueid: assigned id {queue_id}, e={ENVELOPE_PLACE:#x}\n");
            self.printed.write(line.as_bytes());
        }
        for (id, value) in [
            (MacroId::QUARANTINE, b"".as_slice()),
            (MacroId::DELIVERY_MODE, &mode),
        ] {
            self.define(id, MacroValue::Text(value.to_vec()));
        }
    }

    /// Sets a macro, and tells so when that is asked for.
    fn define(&mut self, id: MacroId, value: MacroValue) {
        if self.printed.debug.is_on(35, 9) {
            let is_new = self.macro_value(id).is_none();
            let mut line = value.definition_line(id, is_new, &self.config.names);
            line.push(b'\n');
            self.printed.write(&line);
        }
        self.macros.set(id, value);
    }

    /// Reads lines until the input ends and returns the exit status.
    ///
    /// # Errors
    /// When input or output fail.
    pub fn run(&mut self, input: &mut dyn Read) -> io::Result<ExitStatus> {
        let mut input = BufReader::new(input);
        self.printed
            .line(b"ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)");
        self.printed.line(b"Enter <ruleset> <address>");
        self.set_address_type();
        let mut line = Vec::new();
        let is_verbose = self.config.options.running.verbose;
        loop {
            if !is_verbose {
                self.printed.out.extend_from_slice(b"> ");
            }
            if input.buffer().is_empty() {
                self.printed.flush()?;
            }
            line.clear();
            if read_line(&mut input, &mut line, &self.surroundings.moments)? == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            // Observed: 8.17.1.9 shows each line it has read instead of a prompt.
            if is_verbose {
                self.printed.parts(&[b"> ", text]);
            }
            let command = Command::parse(text);
            if command == Command::Quit {
                break;
            }
            self.obey(command);
        }
        self.printed.flush()?;
        // What may go better another time is no failure of the session.
        Ok(match self.printed.exit {
            ExitStatus::TempFail => ExitStatus::Ok,
            exit => exit,
        })
    }

    fn obey(&mut self, command: Command<'_>) {
        match command {
            Command::Nothing | Command::Quit => {}
            Command::Help => self.help(),
            Command::DefineMacro(text) => self.define_macro(text),
            Command::AddToClass(text) => self.add_to_class(text),
            Command::ShowRules(name) => self.show_rules(name),
            Command::ShowMailers => self.show_mailers(),
            Command::Debug(flags) => {
                self.printed.debug.add(flags);
                let shows_octets = self.printed.debug.shows_symbols_as_octets();
                self.config.names.show_octets(shows_octets);
            }
            Command::ShowMacro(name) => self.show_macro(name),
            Command::ShowClass(name) => self.show_class(name),
            Command::Mx(host) => self.mx(host),
            Command::Canon(host) => self.canon(host),
            Command::Map(argument) => self.ask_map(argument),
            Command::Try(argument) => self.try_mailer(argument),
            Command::TryFlags(letters) => self.try_flags(letters),
            Command::Parse(address) => self.parse_address(address),
            Command::Wrong(text, line) => {
                let line = line.unwrap_or(b"");
                self.printed.parts(&[text.as_bytes(), line]);
            }
            Command::Rewrite(line) => self.rewrite(line),
        }
    }

    /// Sets `${addr_type}` to what `/tryflags` chose.
    pub(super) fn set_address_type(&mut self) {
        let text = [self.place.letter(), b' ', self.role.letter()];
        self.define(MacroId::ADDR_TYPE, MacroValue::Text(text.to_vec()));
    }

    pub(super) fn macro_value(&self, id: MacroId) -> Option<&MacroValue> {
        self.macros.get(id).or_else(|| self.config.macros.get(id))
    }

    /// What the configuration says about phrases.
    pub(super) fn phrases(&self) -> PhraseRules<'_> {
        let headers = &self.config.options.headers;
        PhraseRules {
            must_quote: &headers.must_quote_chars,
            colon_is_ordinary: headers.colon_ok_in_addr,
        }
    }

    /// Lends everything that rewriting needs to `work`.
    pub(super) fn with_rewriting<R>(
        &mut self,
        work: impl FnOnce(&mut RewriteContext<'_>) -> R,
    ) -> R {
        let headers = &self.config.options.headers;
        let mut cx = RewriteContext {
            rules: &self.config.rules,
            classes: &self.config.classes,
            syntax: &self.config.syntax,
            names: &self.config.names,
            mailers: &self.config.mailers,
            maps: self.surroundings.maps,
            macros: Macros::new(&mut self.macros, None, &self.config.macros),
            phrases: PhraseRules {
                must_quote: &headers.must_quote_chars,
                colon_is_ordinary: headers.colon_ok_in_addr,
            },
            lookup_mode: LookupMode::Usual,
            trace: &mut self.printed,
            workspace: &mut self.workspace,
        };
        work(&mut cx)
    }

    fn define_macro(&mut self, text: &[u8]) {
        let mut errors = Vec::new();
        let (id, taken) = self.config.names.parse(text, &mut errors);
        for text in errors.drain(..) {
            self.printed.fault(&text);
        }
        let Some(id) = id else {
            return;
        };
        let value = text.get(taken..).unwrap_or(b"");
        let value = Template::parse_reporting(value, &mut self.config.names, &mut errors);
        for text in errors {
            self.printed.fault(&text);
        }
        self.define(id, MacroValue::Template(value));
    }

    fn add_to_class(&mut self, text: &[u8]) {
        let mut errors = Vec::new();
        let (id, taken) = self.config.names.parse(text, &mut errors);
        let words = Template::parse_reporting(
            text.get(taken..).unwrap_or(b""),
            &mut self.config.names,
            &mut errors,
        );
        for text in errors {
            self.printed.fault(&text);
        }
        let Some(id) = id else {
            return;
        };
        let mut marked = Vec::new();
        let macros = Macros::new(&mut self.macros, None, &self.config.macros);
        if let Err(error) = words.expand_marked(&macros, &mut marked) {
            self.printed.fault(error.to_string().as_bytes());
        }
        let (class, is_told) = (ClassId(id), self.printed.debug.is_on(37, 8));
        for addition in additions(&marked) {
            let names = &self.config.names;
            let mut line = match &addition {
                Addition::Word(word) => addition_line(names, class, word),
                Addition::Members(source) => copy_line(names, *source, class),
                Addition::Nameless => {
                    self.printed.fault(NAMELESS.as_bytes());
                    continue;
                }
            };
            if is_told {
                line.push(b'\n');
                self.printed.write(&line);
            }
            match addition {
                Addition::Word(word) => {
                    self.config.classes.insert(class, &word);
                }
                Addition::Members(source) => self.config.classes.copy(source, class),
                Addition::Nameless => {}
            }
        }
    }

    /// A line `ruleset[,ruleset...] address`.
    fn rewrite(&mut self, line: &[u8]) {
        let line = skip_spaces(line);
        let (rulesets, addresses) = split_word(line);
        let Some(addresses) = addresses else {
            self.printed.line(b"No address!");
            return;
        };
        let refused = self.with_rewriting(|cx| cx.refuse_invalid(addresses, b""));
        if let Some(error) = refused {
            self.remember(&error);
            return;
        }
        let options = TokenizeOptions {
            delimiter: Some(b','),
            reading: Reading::Plain,
            parentheses: if self.config.level >= PARENTHESES_LEVEL {
                Parentheses::Operators
            } else {
                Parentheses::Comments
            },
            faults: Faults::Repair,
        };
        let mut rest = addresses;
        loop {
            let end = self.with_rewriting(|cx| {
                cx.start_chain();
                let (end, cut) = cx.tokenize(rest, options);
                if let Ok(mut tokens) = cut {
                    run_rulesets(rulesets, &mut tokens, cx);
                    cx.finish(tokens);
                }
                end
            });
            match rest.get(end) {
                Some(&b',') => rest = rest.get(end + 1..).unwrap_or(b""),
                _ => break,
            }
        }
    }

    /// Takes the exit status of a refusal: what a rule says, and octets that could be symbols leave one.
    pub(super) fn remember(&mut self, error: &RuleError) {
        if let ErrorSource::Mailer { .. } = error.source {
            self.printed.set_exit(error.exit);
        }
        if error.has_symbol {
            self.printed.set_exit(ExitStatus::Usage);
        }
    }

    fn mx(&mut self, host: &[u8]) {
        use crate::dns::mx::{MxRules, mail_exchangers};
        let fallback = &self.config.options.delivering.fallback_mx_host;
        let rules = MxRules {
            // Observed: 8.17.1.9 lists this host here, unlike for deliveries.
            is_ourselves: &|_| false,
            fallback: fallback.as_deref().unwrap_or(b""),
            try_null_mx_list: self.config.options.delivering.try_null_mx_list,
            patience: Patience::default(),
        };
        let found = mail_exchangers(self.surroundings.resolver, host, &rules);
        let hosts: Vec<Vec<u8>> = match found {
            Ok(list) => list.exchangers.iter().map(|e| e.host.clone()).collect(),
            Err(_) => Vec::new(),
        };
        let head = [
            b"getmxrr(".as_slice(),
            host,
            format!(") returns {} value(s):", hosts.len()).as_bytes(),
        ]
        .concat();
        self.printed.line(&head);
        for host in hosts {
            self.printed.line(&[b"\t".as_slice(), &host].concat());
        }
    }

    fn canon(&mut self, host: &[u8]) {
        let name = match self
            .surroundings
            .resolver
            .canonical_name(host, Patience::default())
        {
            Ok(found) => found.name,
            Err(_) => host.to_vec(),
        };
        self.printed
            .line(&[b"getcanonname(".as_slice(), host, b") returns ", &name].concat());
    }

    fn ask_map(&mut self, argument: &[u8]) {
        let (name, key) = split_word(argument);
        let Some(key) = key else {
            self.printed.line(b"No key specified");
            return;
        };
        let maps = self.surroundings.maps;
        let Some(id) = maps.find(name) else {
            self.printed
                .line(&[b"Map named \"".as_slice(), name, b"\" not found"].concat());
            return;
        };
        if !maps.open(id, &mut Host(self)) {
            self.printed
                .line(&[b"Map named \"".as_slice(), name, b"\" not open"].concat());
            return;
        }
        // Members of a sequence are opened by the question; what they say comes in between.
        self.printed
            .write(&[b"map_lookup: ".as_slice(), name, b" (", key, b") "].concat());
        let mut cx = LookupContext {
            host: &mut Host(self),
            mode: LookupMode::Usual,
        };
        let answer = maps.ask(id, key, &[], &mut cx);
        let said = match answer.value {
            Some(value) => [b"returns ".as_slice(), &value].concat(),
            None => b"no match".to_vec(),
        };
        let status = format!(" ({})", answer.status);
        self.printed.line(&[&said, status.as_bytes()].concat());
    }

    /// Prints the topic of test mode from the help file.
    fn help(&mut self) {
        let path = self.config.options.running.help_file.clone();
        let text = path.and_then(|path| std::fs::read(path).ok());
        let mut found = false;
        for line in text.as_deref().unwrap_or(b"").split(|&c| c == b'\n') {
            if let Some(rest) = line.strip_prefix(b"-bt\t") {
                found = true;
                self.printed.line(rest);
            }
        }
        if found {
            self.printed.line(b"End of HELP info");
        } else {
            self.printed
                .line(format!("Sendmail {} -- HELP not implemented", VERSION).as_bytes());
        }
    }
}

/// Applies the rulesets of a list to an address, one after the other.
fn run_rulesets(
    rulesets: &[u8],
    tokens: &mut Vec<crate::token::Token>,
    cx: &mut RewriteContext<'_>,
) {
    let mut rest = rulesets;
    while !rest.is_empty() {
        let mut errors = Vec::new();
        let found = cx.rules.find_reporting(rest, &mut errors);
        for text in errors {
            cx.trace.complain(crate::token::Complaint {
                about: Vec::new(),
                text,
            });
        }
        let Some(id) = found else {
            cx.trace
                .write(&[b"Undefined ruleset ".as_slice(), rest, b"\n"].concat());
            return;
        };
        let status = cx.rewrite(tokens, id);
        if status != ExitStatus::Ok {
            let tail = format!(" ({}) status {}\n", id.number(), status.number());
            cx.trace
                .write(&[b"== Ruleset ".as_slice(), rest, tail.as_bytes()].concat());
        }
        rest = match rest.iter().position(|&c| c == b',') {
            Some(comma) => rest.get(comma + 1..).unwrap_or(b""),
            None => b"",
        };
    }
}

/// Reads one line of bounded length; longer ones come in pieces.
fn read_line(
    input: &mut BufReader<impl Read>,
    line: &mut Vec<u8>,
    moments: &Moments,
) -> io::Result<usize> {
    loop {
        if input.buffer().is_empty() {
            moments.end();
        }
        let available = input.fill_buf()?;
        if available.is_empty() {
            return Ok(line.len());
        }
        let room = MAX_LINE - line.len();
        let window = available.get(..room).unwrap_or(available);
        let (taken, is_whole) = match memchr::memchr(b'\n', window) {
            Some(at) => (at + 1, true),
            None => (window.len(), window.len() == room),
        };
        line.extend_from_slice(window.get(..taken).unwrap_or(window));
        input.consume(taken);
        if is_whole {
            return Ok(line.len());
        }
    }
}

/// What maps may do to the session.
struct Host<'h, 'a>(&'h mut TestMode<'a>);

impl LookupHost for Host<'_, '_> {
    fn set_macro(&mut self, name: &[u8], value: Option<&[u8]>) -> bool {
        let mut errors = Vec::new();
        let (id, _) = self.0.config.names.parse(name, &mut errors);
        for text in errors {
            self.0.printed.fault(&text);
        }
        let Some(id) = id else {
            return false;
        };
        match value {
            Some(value) => self.0.macros.set_text(id, value),
            None => {
                self.0.macros.remove(id);
            }
        }
        true
    }

    fn complain(&mut self, text: &[u8]) {
        self.0.printed.fault(text);
    }

    fn complain_of_system(&mut self, text: &[u8]) {
        self.0.printed.complain_of_system(text);
    }

    fn trace_level(&self) -> u8 {
        self.0.printed.level(38)
    }

    fn trace(&mut self, text: &[u8]) {
        self.0.printed.write(text);
    }

    fn narrate(&mut self, text: &[u8]) {
        self.0.printed.line(text);
    }

    fn judge_alias(&mut self, place: &[u8], name: &[u8]) -> AliasName {
        self.0.printed.place = place.to_vec();
        let resolved = self.0.with_rewriting(|cx| resolve_name(name, cx));
        if waits(&resolved) {
            self.0.tell_of_wait(name.trim_ascii());
        }
        let (verdict, error) = judge_resolved(name, resolved.resolution, &self.0.config.mailers);
        self.0.printed.place.clear();
        let Some(error) = error.filter(|error| error.source != ErrorSource::Syntax) else {
            return verdict;
        };
        // The rules made something of it, if only an error.
        self.0.remember(&error);
        let shown = name.trim_ascii().to_vec();
        match error.source {
            ErrorSource::Mailbox(triple) if self.0.config.mailers.get(triple.mailer).has(b'A') => {
                AliasName::Local {
                    user: triple.user,
                    shown,
                }
            }
            ErrorSource::Mailer { .. }
            | ErrorSource::Mailbox(_)
            | ErrorSource::Rules(_)
            | ErrorSource::Syntax => AliasName::NotLocal(shown),
        }
    }
}
