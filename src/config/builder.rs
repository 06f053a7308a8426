//! From lines to a [`Config`]: one arm for each command letter.
//!
//! Nothing here stops at a fault; each is told with file and line, and the line is
//! left out. Only values the reference refuses to go on with end the reading.
//!
//! Source: guide 5; messages observed: 8.17.1.9.

use std::collections::{HashMap, HashSet};

use crate::macros::{ClassId, MacroId, MacroTable, MacroValue, Macros, Template};
use crate::map::{MapClass, MapDefinition, MapSet};
use crate::rewrite::compile::{CUTTING_CATEGORY, Remark, RuleSource};
use crate::sys::identity::Credentials;
use crate::token::RulesetId;

use super::class_line::{self, ClassOrigin, ClassSink};
use super::compiled::Config;
use super::diagnostics::Diagnostics;
use super::finish::DEFAULT_QUEUE_GROUP;
use super::header_line::HeaderLine;
use super::ldap::{self, Ownership};
use super::mailer_line::MailerLine;
use super::option_line::{OptionState, OptionText};
use super::options::setting::Origin;
use super::options::value;
use super::overrides::{OverrideSetting, Overrides};
use super::reader::{LineReader, strip_comments};
use super::source::FileSource;
use super::watcher::Watcher;
use super::{filter_line, mailer_line, queue_group_line, startup};

/// Commands whose messages show texts of the line.
const TELLS_SYMBOLS: &[u8] = b"OMQXK";

/// A configuration being built.
pub struct Builder<'a> {
    /// What there is so far.
    pub config: Config,
    /// What was said so far.
    pub out: Diagnostics,
    pub(super) source: &'a mut dyn FileSource,
    /// The operators do not change any more.
    pub(super) syntax_is_fixed: bool,
    options: OptionState,
    ruleset: Option<RulesetId>,
    pub(super) overrides: &'a Overrides,
    /// Where the variables of E lines stand in the configuration.
    variables: HashMap<Vec<u8>, usize>,
    /// Names of filters in lower case.
    filter_names: HashSet<Vec<u8>>,
}

impl<'a> Builder<'a> {
    /// Begins with what every configuration has.
    pub fn new(
        mut config: Config,
        overrides: &'a Overrides,
        source: &'a mut dyn FileSource,
    ) -> Self {
        let mut out = Diagnostics::traced(overrides.debug.clone());
        startup::set_defaults(&mut config, overrides, source, &mut out);
        let processors = source.processors();
        config.options.queueing.queue_la = 8u32.saturating_mul(processors);
        config.options.queueing.refuse_la = 12u32.saturating_mul(processors);
        let mut builder = Self {
            config,
            out,
            source,
            options: OptionState::default(),
            ruleset: None,
            syntax_is_fixed: false,
            overrides,
            variables: HashMap::new(),
            filter_names: HashSet::new(),
        };
        for line in mailer_line::BUILT_IN {
            builder.mailer(line.as_bytes());
        }
        builder
    }

    /// Applies one setting of the command line.
    pub fn apply(&mut self, setting: &OverrideSetting) {
        match setting {
            OverrideSetting::Letter(letter, value) => {
                self.option(OptionText::Letter(*letter, value), Origin::CommandLine);
            }
            OverrideSetting::Named(text) => {
                self.option(OptionText::Named(text), Origin::CommandLine);
            }
            OverrideSetting::Macro(text) => self.define_plain(text),
        }
    }

    /// Reads a whole file; `watcher` sees each line before it counts.
    pub fn read(&mut self, name: &[u8], text: &[u8], watcher: &mut dyn Watcher) {
        for line in LineReader::new(text) {
            self.out.set_place(name, line.number);
            if line.text.is_empty() || line.text.first() == Some(&b'#') {
                continue;
            }
            let stripped = strip_comments(&line.text, self.config.level);
            watcher.line(&line, &stripped, &self.config);
            self.line(&stripped, line.number);
            if self.out.is_stopped() {
                return;
            }
        }
        self.out.clear_place();
    }

    fn line(&mut self, line: &[u8], number: u32) {
        let Some((&command, rest)) = line.split_first() else {
            return;
        };
        if command != b'R' {
            self.check_names(line);
        }
        if TELLS_SYMBOLS.contains(&command) {
            self.out.tell_symbols(self.config.names.symbols_in(line));
        }
        self.command(command, rest, line, number);
        self.out.tell_symbols(None);
    }

    fn command(&mut self, command: u8, rest: &[u8], line: &[u8], number: u32) {
        match command {
            b'R' => self.rule(line, number),
            b'S' => self.start_ruleset(rest),
            b'D' => self.define(rest),
            b'H' => self.header(rest),
            b'C' => self.class_words(rest),
            b'T' => {
                let class = ClassId::letter(b't');
                class_line::add_plain_words(&mut self.classes(), class, rest);
            }
            b'F' => self.class_file(rest),
            b'K' => self.map(rest),
            b'M' => self.mailer(rest),
            b'O' => self.option(OptionText::of_line(rest), Origin::File),
            b'P' => self.precedence(line),
            b'Q' => self.queue_group(rest),
            b'V' => self.level(rest),
            b'E' => self.environment(rest),
            b'X' => {
                let filter = filter_line::read(rest, &*self.source, &mut self.out);
                if let Some(filter) = filter {
                    self.filter(filter);
                }
            }
            _ => self.unknown(line),
        }
    }

    fn unknown(&mut self, line: &[u8]) {
        let text = [
            b"unknown configuration line \"".as_slice(),
            &self.config.names.told(line),
            b"\"",
        ]
        .concat();
        self.out.error(text);
    }

    /// Complains about names of macros behind dollar signs that are no names.
    ///
    /// R lines are checked where they are compiled.
    fn check_names(&mut self, line: &[u8]) {
        if memchr::memchr(b'$', line).is_none() {
            return;
        }
        let mut errors = Vec::new();
        Template::check_names(line, &mut self.config.names, &mut errors);
        errors.iter().for_each(|error| self.out.error(error));
    }

    /// Reads the name of a macro or class; complains about what is none.
    fn name<'t>(&mut self, text: &'t [u8]) -> Option<(MacroId, &'t [u8])> {
        let mut errors = Vec::new();
        let (id, taken) = self.config.names.parse(text, &mut errors);
        for error in &errors {
            let mut error = error.clone();
            // A symbol inside of a name was already taken for one when the name is read.
            error
                .iter_mut()
                .filter(|b| **b == b'$')
                .for_each(|b| *b = 1);
            self.out.error(error);
        }
        Some((id?, text.get(taken..).unwrap_or_default()))
    }

    fn define(&mut self, rest: &[u8]) {
        let Some((id, value)) = self.name(rest) else {
            return;
        };
        let (value, _) = value::unquote(value, None);
        let template = Template::parse(&value, &mut self.config.names);
        self.config
            .define(id, MacroValue::Template(template), &mut self.out);
    }

    /// Defines a macro from the command line: its value is inert text.
    fn define_plain(&mut self, text: &[u8]) {
        if self.out.traces(37, 1) {
            let line = [b"setoption  (M)=".as_slice(), text].concat();
            self.out.trace(line);
        }
        if let Some((id, value)) = self.name(text) {
            self.config
                .define(id, MacroValue::Text(value.to_vec()), &mut self.out);
        }
    }

    /// Expands macros as far as they are known while the file is read.
    fn expand_marked(&mut self, text: &[u8]) -> Vec<u8> {
        let template = Template::parse(text, &mut self.config.names);
        let mut front = MacroTable::new();
        let macros = Macros::new(&mut front, None, &self.config.macros);
        let mut out = Vec::new();
        if let Err(error) = template.expand_marked(&macros, &mut out) {
            self.out.error(error.to_string());
        }
        out
    }

    /// As [`Builder::expand_marked`]; what is a symbol of rules becomes its octet.
    fn expanded(&mut self, text: &[u8]) -> Vec<u8> {
        if memchr::memchr(b'$', text).is_none() {
            return text.to_vec();
        }
        let template = Template::parse(text, &mut self.config.names);
        let mut front = MacroTable::new();
        template.expanded(&Macros::new(&mut front, None, &self.config.macros))
    }

    fn class_words(&mut self, rest: &[u8]) {
        let Some((id, words)) = self.name(rest) else {
            return;
        };
        if memchr::memchr(b'$', words).is_none() {
            return class_line::add_plain_words(&mut self.classes(), ClassId(id), words);
        }
        let marked = self.expand_marked(words);
        class_line::add_words(&mut self.classes(), ClassId(id), &marked);
    }

    fn classes(&mut self) -> ClassSink<'_> {
        self.config.classes_told(&mut self.out)
    }

    fn class_file(&mut self, rest: &[u8]) {
        let Some((id, text)) = self.name(rest) else {
            return;
        };
        let text = text.to_vec();
        let file = class_line::parse_file(&text);
        let class = ClassId(id);
        self.tell_class_file(&file.origin);
        let (content, format) = match file.origin {
            ClassOrigin::Missing => {
                return self.out.error("fileclass: missing file name");
            }
            ClassOrigin::Map(key, map_class, specification) => {
                return self.class_from_map(id, key, map_class, specification, file.optional);
            }
            ClassOrigin::Program(program) => {
                let user = &self.config.options.security.default_user;
                let owner = Credentials::plain(user.uid, user.gid);
                let output = self.source.class_program(program, &owner);
                // A program that cannot be run leaves one word: the reference's child
                // complains into the pipe.
                (
                    output.unwrap_or_else(|_| match program {
                        [] => Vec::new(),
                        _ => self.out.place(),
                    }),
                    b"%s".as_slice(),
                )
            }
            ClassOrigin::File(path, format) => {
                let policy = self.config.options.security.dont_blame_sendmail;
                match self
                    .source
                    .class_file(crate::sys::file::path_of(path), policy)
                {
                    Ok(content) => (content, format),
                    Err(_) if file.optional => return,
                    Err(error) => {
                        let text = [
                            b"fileclass: cannot open '".as_slice(),
                            path,
                            b"': ",
                            error.reason.as_bytes(),
                        ];
                        return self.out.system_error(text.concat());
                    }
                }
            }
        };
        class_line::add_file(&mut self.classes(), class, &content, format);
    }

    /// Tells where the words of a class come from (`-d37.2`). Observed: 8.17.1.9.
    fn tell_class_file(&mut self, origin: &ClassOrigin<'_>) {
        if !self.out.traces(37, 2) {
            return;
        }
        let (bar, name, format): (&[u8], &[u8], &[u8]) = match *origin {
            ClassOrigin::File(path, format) => (b"", path, format),
            ClassOrigin::Program(program) => (b"|", program, b"%s"),
            ClassOrigin::Map(..) | ClassOrigin::Missing => return,
        };
        let line = [b"fileclass(".as_slice(), bar, name, b", fmt=", format, b")"];
        self.out.trace(line.concat());
    }

    /// Adds what a map answers to a key.
    fn class_from_map(
        &mut self,
        id: MacroId,
        key: &[u8],
        map_class: &[u8],
        specification: &[u8],
        optional: bool,
    ) {
        let name = self.config.names.name(id);
        let about = [b"fileclass: F{".as_slice(), &name, b"}: "].concat();
        let specification = match map_class {
            b"LDAP" if specification.is_empty() => {
                let cluster = self.config.names.find(ldap::CLUSTER);
                Ownership::of(&self.config.macros, cluster).class(&name)
            }
            _ => specification.to_vec(),
        };
        let specification = ldap::with_defaults(map_class, &specification, &self.config.options);
        let line = [&name, b" ".as_slice(), map_class, b" ", &specification].concat();
        let mut errors = Vec::new();
        let definition = MapDefinition::parse(&line, &|_| false, &mut errors);
        let Some(definition) = definition else {
            let text = [&about, b"class ".as_slice(), map_class, b" not available"];
            return self.out.error(text.concat());
        };
        for error in &errors {
            self.out.error(&error.text);
        }
        let asks_a_server = definition.class == MapClass::Ldap;
        if definition.file.is_empty() && !errors.is_empty()
            || asks_a_server && !self.source.reaches_out()
        {
            return;
        }
        let policy = self.config.options.security.dont_blame_sendmail;
        let answer = super::class_map::look_up(&definition, key, policy);
        // Only a missing file comes with an error of the system.
        for complaint in &answer.complaints {
            match crate::text::bytes::find(complaint, b"missing map file") {
                Some(_) => self.out.system_error(complaint),
                None => self.out.error(complaint),
            }
        }
        if let Some(complaint) = answer.complaints.last()
            && !optional
        {
            // Only a directory can be asked and fail then; the reason stands behind the last colon.
            let text = match complaint.strip_prefix(b"Error ") {
                Some(text) => {
                    let at = text.iter().rposition(|&octet| octet == b':');
                    let reason = text.get(at.unwrap_or(text.len())..).unwrap_or_default();
                    [b"map lookup failed".as_slice(), reason].concat()
                }
                None => b"map open failed".to_vec(),
            };
            self.out.error([about, text].concat());
        }
        let words = answer.words.unwrap_or_default();
        class_line::add_plain_words(&mut self.classes(), ClassId(id), &words);
    }

    fn map(&mut self, rest: &[u8]) {
        let text = self.expanded(rest);
        let maps = &self.config.maps;
        let own_name = crate::text::bytes::words(&text).next().unwrap_or_default();
        // A map is known while its own line is read (observed: 8.17.1.9).
        let known = |name: &[u8]| {
            name.eq_ignore_ascii_case(own_name)
                || MapSet::is_built_in(name)
                || maps.iter().any(|map| map.name.eq_ignore_ascii_case(name))
        };
        let mut errors = Vec::new();
        let level = self.out.debug().level(38);
        let text = ldap::line_with_defaults(&text, &self.config.options);
        let map = MapDefinition::parse_traced(&text, &known, level, &mut errors);
        for error in &errors {
            match error.is_trace {
                true => self.out.trace(&error.text),
                false => self.out.error(&error.text),
            }
        }
        if let Some(mut map) = map {
            if self.source.reaches_out()
                && let Some(text) = ldap::check_secret(&mut map)
            {
                self.out.error(text);
            }
            // The words of a key are joined with what BlankSub is by now; a later one does not
            // count (observed: 8.17.1.9).
            if map.flags.space == Some(b' ') {
                map.flags.space = Some(self.config.options.headers.blank_sub);
            }
            self.config.maps.push(map);
        }
    }

    fn mailer(&mut self, rest: &[u8]) {
        let config = &mut self.config;
        let groups = &config.queue_groups;
        let mailer = MailerLine {
            level: config.level,
            names: &mut config.names,
            rules: &mut config.rules,
            users: self.source.users(),
            knows_queue_group: &|name| {
                name.eq_ignore_ascii_case(DEFAULT_QUEUE_GROUP)
                    || groups
                        .iter()
                        .any(|group| group.name.eq_ignore_ascii_case(name))
            },
            out: &mut self.out,
        }
        .read(rest);
        if let Some(mailer) = mailer
            && config.mailers.insert(mailer).is_none()
        {
            let most = crate::mailer::table::MAX_MAILERS;
            self.out
                .error(format!("too many mailers defined ({most} max)"));
        }
    }

    fn header(&mut self, rest: &[u8]) {
        let rule = HeaderLine {
            names: &mut self.config.names,
            rules: &mut self.config.rules,
            out: &mut self.out,
        }
        .read(rest);
        self.config.headers.extend(rule);
    }

    fn option(&mut self, text: OptionText<'_>, origin: Origin) {
        self.options.set(
            text,
            origin,
            self.overrides,
            &mut self.config,
            &*self.source,
            &mut self.out,
        );
    }

    fn precedence(&mut self, line: &[u8]) {
        let Some((name, class)) = crate::text::bytes::split_once(&line[1..], b'=') else {
            return self.unknown(line);
        };
        if !self.config.precedences.push(name, value::number(class)) {
            let most = super::precedence_line::MAX_PRECEDENCES;
            self.out.error(format!("too many P lines, {most} max"));
        }
    }

    fn queue_group(&mut self, rest: &[u8]) {
        let directory = self.config.options.queueing.queue_directory.clone();
        let group = queue_group_line::read(rest, directory.as_deref(), &mut self.out);
        let Some(group) = group else { return };
        let groups = &mut self.config.queue_groups;
        let has_room = queue_group_line::is_room_for(&group, groups);
        match groups
            .iter_mut()
            .find(|known| known.name.eq_ignore_ascii_case(&group.name))
        {
            Some(known) => *known = group,
            None if has_room => groups.push(group),
            None => {
                let most = queue_group_line::MAX_QUEUE_GROUPS;
                let text = format!("too many queue groups defined ({most} max)");
                self.out.error(text);
            }
        }
    }

    fn filter(&mut self, filter: filter_line::FilterDefinition) {
        if !self.filter_names.insert(filter.name.to_ascii_lowercase()) {
            let text = [
                b"X".as_slice(),
                &filter.name,
                b": duplicate filter definition",
            ];
            return self.out.error(text.concat());
        }
        self.config.filters.push(filter);
    }

    fn environment(&mut self, rest: &[u8]) {
        let (name, value) = match crate::text::bytes::split_once(rest, b'=') {
            Some((name, value)) => (name, Some(value.to_vec())),
            None => (rest, self.source.environment(rest)),
        };
        let Some(value) = value.filter(|_| !name.is_empty()) else {
            return;
        };
        let environment = &mut self.config.environment;
        let known = self.variables.get(name).copied();
        match known.and_then(|at| environment.get_mut(at)) {
            Some(variable) => variable.1 = value,
            None => {
                self.variables.insert(name.to_vec(), environment.len());
                environment.push((name.to_vec(), value));
            }
        }
    }

    fn level(&mut self, rest: &[u8]) {
        let text = rest.trim_ascii_start();
        if !text.first().is_some_and(u8::is_ascii_digit) {
            let shown = self.config.names.told(rest.get(..20).unwrap_or(rest));
            let text = [b"invalid argument to V line: \"".as_slice(), &shown, b"\""];
            return self.out.error(text.concat());
        }
        self.config.level = u8::try_from(value::count(text)).unwrap_or(u8::MAX);
        if self.config.level >= 5 {
            startup::shorten_host_name(&mut self.config, &mut self.out);
        }
        if self.config.level >= 6 {
            self.config.options.headers.colon_ok_in_addr = false;
        }
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if let Some(vendor) = text[digits..].strip_prefix(b"/") {
            let letters = vendor
                .iter()
                .take_while(|byte| byte.is_ascii_alphabetic())
                .count();
            let vendor = &vendor[..letters];
            if !vendor.eq_ignore_ascii_case(b"Berkeley") {
                let text = [b"invalid V line vendor code: \"".as_slice(), vendor, b"\""];
                self.out.error(text.concat());
            }
        }
    }

    fn start_ruleset(&mut self, rest: &[u8]) {
        let name = match memchr::memchr(b'$', rest) {
            None => self.config.names.told(rest),
            Some(_) => {
                let marked = self.expand_marked(rest);
                self.config.names.told_marked(&marked)
            }
        };
        let mut errors = Vec::new();
        let found = self.config.rules.enter(&name, &mut errors);
        for error in &errors {
            self.out.error(error);
        }
        self.ruleset = found.map(|found| found.id);
        let is_told = self.overrides.tell_repeated_rulesets;
        let is_traced = self.out.traces(37, 1);
        if let Some(found) = found
            && found.is_defined
            && (is_told || is_traced)
        {
            let text = [
                b"WARNING: Ruleset ".as_slice(),
                &self.config.names.told(rest),
                b" has multiple definitions",
            ];
            if is_traced {
                self.out.trace(text.concat());
            }
            if is_told {
                self.out.warning(text.concat());
            }
        }
    }

    fn rule(&mut self, line: &[u8], number: u32) {
        let Some(ruleset) = self.ruleset else {
            self.check_names(line);
            let text = [
                b"missing valid ruleset for \"".as_slice(),
                &self.config.names.told(line),
                b"\"",
            ];
            return self.out.error(text.concat());
        };
        if has_open_name(line) {
            // The name swallows the tab, and with it the rule.
            self.check_names(line);
            let shown = self.config.names.told(line);
            let text = [
                b"invalid rewrite line \"".as_slice(),
                &shown,
                b"\" (tab expected)",
            ];
            return self.out.error(text.concat());
        }
        self.fix_syntax();
        let mut front = MacroTable::new();
        let config = &mut self.config;
        let macros = Macros::new(&mut front, None, &config.macros);
        let mut remarks = Vec::new();
        config.rules.add_rule(
            ruleset,
            &line[1..],
            &mut RuleSource {
                macros: &macros,
                names: &mut config.names,
                syntax: &config.syntax,
                line: number,
                trace_level: self.out.debug().level(CUTTING_CATEGORY),
            },
            &mut remarks,
        );
        for remark in &remarks {
            match remark {
                Remark::Fault(text) => self.out.error(text),
                Remark::Trace(line) => self.out.trace(line),
            }
        }
    }
}

/// Tells whether a long name begins in the pattern of an R line and never ends.
fn has_open_name(line: &[u8]) -> bool {
    let pattern = line.split(|&byte| byte == b'\t').next().unwrap_or_default();
    let brace = memchr::memchr(b'{', pattern);
    brace.is_some_and(|at| {
        let before = &pattern[..at];
        let before = match before.split_last() {
            Some((b'=' | b'~' | b'&' | b'?', rest)) => rest,
            _ => before,
        };
        before.last() == Some(&b'$') && memchr::memchr(b'}', &line[at..]).is_none()
    })
}
