//! All mailers of a configuration.

use super::definition::Mailer;

/// The place of a mailer in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailerId(u16);

impl MailerId {
    /// Gives the number `=M` shows.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Most mailers a configuration may define. Observed: 8.17.1.9 stops at 25.
pub const MAX_MAILERS: usize = 25;

/// The mailers in the order they were defined, and the ones everybody needs to know.
#[derive(Debug, Clone, Default)]
pub struct MailerTable {
    mailers: Vec<Mailer>,
    program: Option<MailerId>,
    file: Option<MailerId>,
    include: Option<MailerId>,
    error: Option<MailerId>,
    local: Option<MailerId>,
}

impl MailerTable {
    /// Adds a mailer, or replaces the one of the same name (letter case not regarded).
    ///
    /// `None` when the table is full.
    pub fn insert(&mut self, mailer: Mailer) -> Option<MailerId> {
        if let Some(id) = self.find(&mailer.name) {
            self.mailers[id.index()] = mailer;
            return Some(id);
        }
        if self.mailers.len() >= MAX_MAILERS {
            return None;
        }
        let id = MailerId(u16::try_from(self.mailers.len()).ok()?);
        let slot = match mailer.name.to_ascii_lowercase().as_slice() {
            b"prog" => Some(&mut self.program),
            b"*file*" => Some(&mut self.file),
            b"*include*" => Some(&mut self.include),
            b"error" => Some(&mut self.error),
            b"local" => Some(&mut self.local),
            _ => None,
        };
        if let Some(slot) = slot {
            *slot = Some(id);
        }
        self.mailers.push(mailer);
        Some(id)
    }

    /// Finds a mailer by name, letter case not regarded.
    pub fn find(&self, name: &[u8]) -> Option<MailerId> {
        let found = self
            .mailers
            .iter()
            .position(|mailer| mailer.name.eq_ignore_ascii_case(name))?;
        u16::try_from(found).ok().map(MailerId)
    }

    /// Gives the mailer of an id made by this table.
    pub fn get(&self, id: MailerId) -> &Mailer {
        &self.mailers[id.index()]
    }

    /// Gives a mailer to change.
    pub fn get_mut(&mut self, id: MailerId) -> &mut Mailer {
        &mut self.mailers[id.index()]
    }

    /// Gives all mailers in order.
    pub fn iter(&self) -> impl Iterator<Item = (MailerId, &Mailer)> {
        (0u16..).map(MailerId).zip(self.mailers.iter())
    }

    /// Tells how many mailers there are.
    pub fn len(&self) -> usize {
        self.mailers.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.mailers.is_empty()
    }

    /// Gives the mailer of `|program` recipients (`prog`).
    pub fn program(&self) -> Option<MailerId> {
        self.program
    }

    /// Gives the mailer of `/file` recipients (`*file*`).
    pub fn file(&self) -> Option<MailerId> {
        self.file
    }

    /// Gives the mailer of `:include:` lists (`*include*`).
    pub fn include(&self) -> Option<MailerId> {
        self.include
    }

    /// Gives the `error` mailer when an M line names it; `$#error` works without.
    pub fn error(&self) -> Option<MailerId> {
        self.error
    }

    /// Gives the mailer `local`, which every sound configuration has.
    pub fn local(&self) -> Option<MailerId> {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_definition_replaces_the_first_in_its_place() {
        let mut table = MailerTable::default();
        let local = table.insert(Mailer::new(b"local", b"/a")).unwrap();
        table.insert(Mailer::new(b"prog", b"/b")).unwrap();
        assert_eq!(table.insert(Mailer::new(b"LOCAL", b"/c")), Some(local));
        assert_eq!(table.get(local).path, b"/c");
        assert_eq!((table.len(), table.local()), (2, Some(local)));
    }

    #[test]
    fn a_full_table_takes_no_more() {
        let mut table = MailerTable::default();
        for number in 0..MAX_MAILERS {
            assert!(
                table
                    .insert(Mailer::new(format!("m{number}").as_bytes(), b"/x"))
                    .is_some()
            );
        }
        assert!(table.insert(Mailer::new(b"more", b"/x")).is_none());
    }
}
