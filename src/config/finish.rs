//! What is done when the last line has been read.
//!
//! Source: guide 5.8; texts and order of the messages observed: 8.17.1.9.

use crate::macros::{ClassId, MacroId, MacroValue, Template};
use crate::map::{MapClass, MapDefinition};
use crate::smtp::ExitStatus;
use crate::token::AddressSyntax;

use super::builder::Builder;
use super::mailer_line;
use super::options::{DeliveryMode, SuperSafe};
use super::queue_group_line::QueueGroupDefinition;
use super::startup::{self, MAX_LEVEL, VERSION};
use super::{identity, shown};

/// Name of the queue group that is always there.
pub const DEFAULT_QUEUE_GROUP: &[u8] = b"mqueue";

impl Builder<'_> {
    /// Settles the operators: option, below level 7 macro `o`, else the built-in ones.
    ///
    /// The first rule does this; after it they do not change any more.
    pub(super) fn fix_syntax(&mut self) {
        if self.syntax_is_fixed {
            return;
        }
        self.syntax_is_fixed = true;
        let from_macro = (self.config.level < 7 && self.config.macros.get(MacroId::O).is_some())
            .then(|| self.config.expanded_macro(MacroId::O));
        let headers = &mut self.config.options.headers;
        let operators = headers
            .operator_chars
            .get_or_insert_with(|| from_macro.unwrap_or(AddressSyntax::DEFAULT_OPERATORS.to_vec()));
        self.config.syntax = AddressSyntax::new(operators, self.config.level);
    }

    /// Fills in what follows from the whole file, and tells what the whole file lacks.
    pub fn finish(&mut self) {
        self.out.clear_place();
        self.fix_syntax();
        self.config.syntax.level = self.config.level;
        self.config.syntax.eight_bit_addresses = self.config.options.receiving.smtp_utf8;
        self.config.syntax.space_substitute = self.config.options.headers.blank_sub;
        self.define_old_host_map();
        self.fill_in_texts();
        self.add_default_queue_group();
        mailer_line::settle_flags(&mut self.config.mailers, self.config.level);
        let full = self.config.expanded_macro(MacroId::J);
        if !full.is_empty() {
            let host_names = ClassId::letter(b'w');
            self.config
                .classes_told(&mut self.out)
                .insert(host_names, &full);
        }
        self.check();
        startup::add_default_words(&mut self.config, &mut self.out);
        self.tell_mailers();
    }

    /// Before level 2 the host map puts no dot behind canonical names.
    ///
    /// Observed: 8.17.1.9.
    fn define_old_host_map(&mut self) {
        if self.config.level < 2 {
            let of_class = MapDefinition::of_class;
            let map = of_class(b"host", MapClass::Host, b"-D", &|_| true, &mut Vec::new());
            self.config.maps.insert(0, map);
        }
    }

    /// Fills in the greeting and the `From ` line; older levels have them in macros.
    fn fill_in_texts(&mut self) {
        let old = self.config.level < 7;
        let from = |builder: &Self, id: MacroId| {
            old.then(|| builder.config.macros.get(id))
                .flatten()
                .map(|value| {
                    let mut source = Vec::new();
                    value.print(&builder.config.names, &mut source);
                    source
                })
        };
        let greeting = from(self, MacroId::letter(b'e'));
        let from_line = from(self, MacroId::L);
        let names = &mut self.config.names;
        let mut fill = |slot: &mut Template, text: Option<Vec<u8>>, default: &[u8]| {
            if slot.is_empty() {
                *slot = Template::parse(text.as_deref().unwrap_or(default), names);
            }
        };
        let options = &mut self.config.options;
        fill(
            &mut options.receiving.smtp_greeting_message,
            greeting,
            b"$j Sendmail $v ready at $b",
        );
        fill(
            &mut options.headers.unix_from_line,
            from_line,
            b"From $g  $d",
        );
    }

    fn add_default_queue_group(&mut self) {
        let groups = &mut self.config.queue_groups;
        let is_default = |group: &QueueGroupDefinition| group.name == DEFAULT_QUEUE_GROUP;
        if let Some(at) = groups.iter().position(is_default) {
            groups[..=at].rotate_right(1);
            return;
        }
        let queueing = &self.config.options.queueing;
        let path = queueing.queue_directory.clone().unwrap_or_default();
        let mut group = QueueGroupDefinition::new(DEFAULT_QUEUE_GROUP, &path);
        group.runners = queueing.max_runners_per_queue;
        group.nice = queueing.nice_queue_run;
        groups.insert(0, group);
    }

    /// Puts `$m` in class `m`, and what the interfaces are called in class `w`.
    pub fn add_host_names(&mut self) {
        self.out.clear_place();
        self.tell_caller();
        let domain = self.config.expanded_macro(MacroId::M);
        let which = self.config.options.running.dont_probe_interfaces;
        let mut classes = self.config.classes_told(&mut self.out);
        if !domain.is_empty() {
            classes.insert(ClassId::letter(b'm'), &domain);
        }
        startup::probe_interfaces(&mut classes, which, &*self.source);
    }

    /// Tells under which names and files the program works (`-d0.1`, `-d0.10`).
    pub fn tell_identity(&mut self) {
        if self.out.traces(0, 1) {
            let text = identity::system(&self.config, self.out.debug());
            self.out.trace(text);
        }
    }

    /// Tells who runs the program and with whose rights.
    fn tell_caller(&mut self) {
        let run_as = self.config.options.security.run_as_user.as_ref();
        startup::tell_privileges_after(run_as, self.overrides, &mut self.out);
        if self.out.traces(9, 1) {
            let caller = [b"getauthinfo: ".as_slice(), &self.overrides.caller].concat();
            self.out.trace(caller);
        }
        if self.out.traces(35, 9) {
            // Clients and messages have values of their own; only the trace is like theirs.
            let caller = MacroValue::Text(self.overrides.caller.clone());
            let line = caller.definition_line(MacroId::UNDERSCORE, true, &self.config.names);
            self.out.trace(line);
        }
    }

    /// Tells all mailers (`-d0.15`).
    fn tell_mailers(&mut self) {
        if !self.out.traces(0, 15) {
            return;
        }
        for (id, mailer) in self.config.mailers.iter() {
            self.out.trace(shown::mailer_line(&self.config, id, mailer));
        }
    }

    /// Tells what fits badly together before the command line has its last word.
    pub fn check_file(&mut self) {
        self.out.clear_place();
        let database = &self.config.options.delivering.mailbox_database;
        if database != b"pw" {
            let text = [
                b"Can't initialize mailbox database \"".as_slice(),
                database,
                b"\": Service unavailable",
            ];
            self.out.note(text.concat());
            self.out.fault(ExitStatus::Unavailable);
        }
        let queueing = &self.config.options.queueing;
        if queueing.super_safe == SuperSafe::Interactive
            && queueing.delivery_mode != DeliveryMode::Interactive
        {
            self.out.warning(
                "WARNING: SuperSafe=interactive should only be used with\n         \
                 DeliveryMode=interactive",
            );
        }
    }

    /// Tells of a file that is meant for a later version.
    pub fn check_level(&mut self) {
        let level = self.config.level;
        if level > MAX_LEVEL {
            self.out.error(format!(
                "Warning: .cf version level ({level}) exceeds sendmail version {VERSION} \
                 functionality ({MAX_LEVEL})"
            ));
        }
    }

    fn check(&mut self) {
        let level = self.config.level;
        self.check_host_status();
        if level < MAX_LEVEL {
            self.out.hint(format!(
                "Warning: .cf file is out of date: sendmail {VERSION} supports version \
                 {MAX_LEVEL}, .cf file is version {level}"
            ));
        }
        if self.config.mailers.local().is_none() {
            self.out.error("No local mailer defined");
        }
        let mut full = self.config.expanded_macro(MacroId::J);
        if full.is_empty() {
            full = b"localhost".to_vec();
        }
        if !full.contains(&b'.') {
            let text = [
                b"WARNING: local host name (".as_slice(),
                &full,
                b") is not qualified; see cf/README: WHO AM I?",
            ];
            self.out.hint(text.concat());
        }
    }

    fn check_host_status(&mut self) {
        let delivering = &mut self.config.options.delivering;
        if delivering.host_status_directory.is_some() && delivering.connection_cache_size == 0 {
            delivering.host_status_directory = None;
            self.out
                .warning("Warning: HostStatusDirectory disabled with ConnectionCacheSize = 0");
        }
        if delivering.single_thread_delivery && delivering.host_status_directory.is_none() {
            delivering.single_thread_delivery = false;
            self.out
                .warning("Warning: HostStatusDirectory required for SingleThreadDelivery");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::FixedSource;
    use super::super::{Config, Overrides};
    use crate::map::MapDefinition;

    fn maps(text: &str) -> Vec<MapDefinition> {
        let overrides = Overrides::only_file("/x.cf");
        let mut source = FixedSource::with_file("/x.cf", text.as_bytes());
        Config::load(&overrides, &mut source).unwrap().maps
    }

    #[test]
    fn words_of_keys_are_joined_with_the_blank_substitute_of_the_lines_before() {
        for (text, joined_with) in [
            ("V10\nO BlankSub=_\nKm hash /x\n", b'_'),
            ("V10\nKm hash /x\nO BlankSub=_\n", b' '),
            ("V10\nO BlankSub=_\nKm hash -S+ /x\n", b'+'),
        ] {
            assert_eq!(maps(text)[0].flags.space, Some(joined_with), "{text}");
        }
    }

    #[test]
    fn the_host_map_of_the_first_level_adds_no_dot() {
        let old = &maps("V1\n")[0];
        assert_eq!(
            (old.name.as_slice(), &old.flags.suffix),
            (b"host".as_slice(), &Vec::new())
        );
        assert!(maps("V2\n").is_empty());
    }
}
