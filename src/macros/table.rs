//! Values of macros.
//!
//! A configuration has one table; each message and each session has a small one
//! of its own that lies over it. [`Macros`] is the view through the layers.

use std::sync::Arc;

use super::id::MacroId;
use super::names::MacroNames;
use super::template::Template;
use crate::token::ClassSet;
use crate::token::mark::push_plain;
use crate::token::print::print_word;
use crate::token::print_template;

/// The value of one macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MacroValue {
    /// Bytes from anywhere; dollar signs in them mean themselves and are never expanded.
    Text(Vec<u8>),
    /// Text of the configuration, expanded whenever the macro is used.
    Template(Template),
}

impl MacroValue {
    /// Says whether the value has no text.
    pub fn is_empty(&self) -> bool {
        match self {
            MacroValue::Text(text) => text.is_empty(),
            MacroValue::Template(template) => template.is_empty(),
        }
    }

    /// Appends the value unexpanded, as marked text.
    pub fn push_marked(&self, out: &mut Vec<u8>) {
        match self {
            MacroValue::Text(text) => push_plain(text, out),
            MacroValue::Template(template) => template.push_marked(out),
        }
    }

    /// Gives the line that tells of a macro being set (`-d35.9`), without line end.
    ///
    /// Observed: 8.17.1.9 (`redefine(w as mail)`).
    pub fn definition_line(&self, id: MacroId, is_new: bool, names: &MacroNames) -> Vec<u8> {
        let mut line = if is_new {
            &b"define("[..]
        } else {
            b"redefine("
        }
        .to_vec();
        line.extend(names.name(id));
        line.extend_from_slice(b" as ");
        self.print(names, &mut line);
        line.push(b')');
        line
    }

    /// Appends the value unexpanded, as test mode shows it.
    pub fn print(&self, names: &MacroNames, out: &mut Vec<u8>) {
        match self {
            MacroValue::Text(text) => {
                print_word(text, names, out);
            }
            MacroValue::Template(template) => {
                let mut marked = Vec::new();
                template.push_marked(&mut marked);
                print_template(&marked, names, out);
            }
        }
    }
}

/// Values of macros by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MacroTable {
    /// Sorted by number; a message has a few dozen.
    values: Vec<(MacroId, MacroValue)>,
    /// The class `{cert_altnames}` of the connection that the macros are about.
    names_of_peer: Option<Arc<ClassSet>>,
}

impl MacroTable {
    /// Makes an empty table.
    pub fn new() -> MacroTable {
        MacroTable::default()
    }

    fn position(&self, id: MacroId) -> Result<usize, usize> {
        self.values.binary_search_by_key(&id, |(key, _)| *key)
    }

    /// Returns the value of a macro.
    pub fn get(&self, id: MacroId) -> Option<&MacroValue> {
        let index = self.position(id).ok()?;
        self.values.get(index).map(|(_, value)| value)
    }

    /// Returns the bytes of a macro that was set as text; none for templates.
    pub fn text(&self, id: MacroId) -> Option<&[u8]> {
        match self.get(id)? {
            MacroValue::Text(text) => Some(text),
            MacroValue::Template(_) => None,
        }
    }

    /// Sets a macro to inert bytes.
    pub fn set_text(&mut self, id: MacroId, text: &[u8]) {
        self.set(id, MacroValue::Text(text.to_vec()));
    }

    /// Sets a macro.
    pub fn set(&mut self, id: MacroId, value: MacroValue) {
        match self.position(id) {
            Ok(index) => {
                if let Some(slot) = self.values.get_mut(index) {
                    slot.1 = value;
                }
            }
            Err(index) => self.values.insert(index, (id, value)),
        }
    }

    /// Removes a macro and returns its value.
    pub fn remove(&mut self, id: MacroId) -> Option<MacroValue> {
        let index = self.position(id).ok()?;
        Some(self.values.remove(index).1)
    }

    /// Sets the class `{cert_altnames}`; without one that of the configuration counts.
    pub fn set_names_of_peer(&mut self, names: Option<Arc<ClassSet>>) {
        self.names_of_peer = names;
    }

    /// Returns all macros in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (MacroId, &MacroValue)> {
        self.values.iter().map(|(id, value)| (*id, value))
    }

    /// Returns how many macros are set.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Says whether no macro is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Macros as seen by one piece of work: front, then middle, then base.
///
/// What is set goes to the front table.
#[derive(Debug)]
pub struct Macros<'a> {
    front: &'a mut MacroTable,
    middle: Option<&'a MacroTable>,
    base: &'a MacroTable,
}

impl<'a> Macros<'a> {
    /// Lays `front` over `middle` over `base`.
    pub fn new(
        front: &'a mut MacroTable,
        middle: Option<&'a MacroTable>,
        base: &'a MacroTable,
    ) -> Macros<'a> {
        Macros {
            front,
            middle,
            base,
        }
    }

    /// Returns the value of a macro.
    pub fn get(&self, id: MacroId) -> Option<&MacroValue> {
        self.front
            .get(id)
            .or_else(|| self.middle.and_then(|table| table.get(id)))
            .or_else(|| self.base.get(id))
    }

    /// Returns the class `{cert_altnames}` of the connection, if one was ever looked at.
    pub fn names_of_peer(&self) -> Option<&ClassSet> {
        let middle = || self.middle.and_then(|table| table.names_of_peer.as_deref());
        self.front.names_of_peer.as_deref().or_else(middle)
    }

    /// Says whether a macro has a value that is not empty.
    pub fn is_set(&self, id: MacroId) -> bool {
        self.get(id).is_some_and(|value| !value.is_empty())
    }

    /// Returns the fully expanded value of a macro, empty if it is not defined.
    pub fn expanded(&self, id: MacroId) -> Vec<u8> {
        match self.get(id) {
            None => Vec::new(),
            Some(MacroValue::Text(text)) => text.clone(),
            Some(MacroValue::Template(template)) => template.expanded(self),
        }
    }

    /// Sets a macro of the front table to inert bytes.
    pub fn set_text(&mut self, id: MacroId, text: &[u8]) {
        self.front.set_text(id, text);
    }

    /// Sets a macro of the front table.
    pub fn set(&mut self, id: MacroId, value: MacroValue) {
        self.front.set(id, value);
    }

    /// Removes a macro from the front table, so that lower layers show again.
    pub fn remove(&mut self, id: MacroId) -> Option<MacroValue> {
        self.front.remove(id)
    }

    /// Returns the front table, to be saved or given back.
    pub fn front(&mut self) -> &mut MacroTable {
        self.front
    }

    /// Borrows the same view for a shorter time.
    pub fn reborrow(&mut self) -> Macros<'_> {
        Macros {
            front: self.front,
            middle: self.middle,
            base: self.base,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_table_hides_the_others() {
        let mut base = MacroTable::new();
        base.set_text(MacroId::J, b"base");
        let mut middle = MacroTable::new();
        middle.set_text(MacroId::F, b"middle");
        let mut front = MacroTable::new();
        let mut macros = Macros::new(&mut front, Some(&middle), &base);
        assert_eq!(macros.expanded(MacroId::J), b"base");
        assert_eq!(macros.expanded(MacroId::F), b"middle");
        macros.set_text(MacroId::J, b"$w");
        assert_eq!(macros.expanded(MacroId::J), b"$w");
        macros.remove(MacroId::J);
        assert_eq!(macros.expanded(MacroId::J), b"base");
    }
}
