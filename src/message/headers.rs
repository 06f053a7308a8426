//! The header of a message: fields in order.
//!
//! Names are compared without regard to case; the order of fields is kept, because
//! trace fields and resent fields mean something by their place.

use super::address_lines::format_address_header;
use super::collector::{HeaderCollector, LineUse};
use super::header::{Expansion, HeaderField, HeaderTraits};

/// The ordered header fields of one message.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Headers(Vec<HeaderField>);

impl Headers {
    /// Makes an empty header.
    pub fn new() -> Self {
        Headers::default()
    }

    /// Splits a whole message into its header and the offset at which its body begins.
    pub fn parse(message: &[u8]) -> (Headers, usize) {
        let mut collector = HeaderCollector::new();
        let mut offset = 0;
        while offset < message.len() {
            let rest = &message[offset..];
            let next = memchr::memchr(b'\n', rest).map_or(message.len(), |at| offset + at + 1);
            let line = &message[offset..next];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            match collector.push_line(line) {
                LineUse::Header => offset = next,
                LineUse::Separator => return (collector.finish(), next),
                LineUse::Body | LineUse::Text => return (collector.finish(), offset),
            }
        }
        (collector.finish(), message.len())
    }

    /// Returns the first field of this name.
    pub fn get(&self, name: &[u8]) -> Option<&HeaderField> {
        self.0.iter().find(|field| field.is(name))
    }

    /// Returns the first field of this name for change.
    pub fn get_mut(&mut self, name: &[u8]) -> Option<&mut HeaderField> {
        self.0.iter_mut().find(|field| field.is(name))
    }

    /// Returns all fields of this name in order.
    pub fn all<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a HeaderField> {
        self.0.iter().filter(move |field| field.is(name))
    }

    /// Tells whether there is a field of this name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the bottom.
    pub fn push(&mut self, field: HeaderField) {
        self.0.push(field);
    }

    /// Inserts a field before position `at`; positions past the end mean the bottom.
    pub fn insert(&mut self, at: usize, field: HeaderField) {
        self.0.insert(at.min(self.0.len()), field);
    }

    /// Removes every field of this name and tells how many there were.
    pub fn remove(&mut self, name: &[u8]) -> usize {
        let before = self.0.len();
        self.0.retain(|field| !field.is(name));
        before - self.0.len()
    }

    /// Keeps only the fields for which `keep` says yes.
    pub fn retain(&mut self, keep: impl FnMut(&HeaderField) -> bool) {
        self.0.retain(keep);
    }

    /// Yields the fields from top to bottom.
    pub fn iter(&self) -> std::slice::Iter<'_, HeaderField> {
        self.0.iter()
    }

    /// Yields the fields from top to bottom for change.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, HeaderField> {
        self.0.iter_mut()
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether no recipient field uses the syntax of lists with commas.
    ///
    /// Source: option OldStyleHeaders; observed: 8.17.1.9 decides for the whole header.
    pub fn look_old_style(&self) -> bool {
        let mut recipients = self
            .0
            .iter()
            .filter(|field| field.traits().has(HeaderTraits::RECIPIENTS));
        recipients.all(|field| super::address_lines::looks_old_style(&field.value))
    }

    /// Notes how queue files show lists of addresses: each as written, joined and folded anew.
    ///
    /// Observed: 8.17.1.9.
    pub fn note_stored_forms(&mut self, old_style_option: bool) {
        let is_old_style = old_style_option && self.look_old_style();
        for field in &mut self.0 {
            let traits = field.traits();
            if !traits.holds_addresses() || field.expansion != Expansion::Done {
                continue;
            }
            let old_style = is_old_style && !traits.has(HeaderTraits::ORIGINATOR);
            let as_it_is = &mut |address: &[u8]| address.to_vec();
            let text = format_address_header(&field.name, &field.value, None, old_style, as_it_is);
            let value = text.get(field.name.len() + 1..).unwrap_or_default();
            field.stored = (value != field.value).then(|| value.to_vec());
        }
    }

    /// Counts the trace fields, which is the number of hops the message has made.
    pub fn hop_count(&self) -> u32 {
        let hops = self
            .0
            .iter()
            .filter(|field| field.traits().has(HeaderTraits::TRACE))
            .count();
        u32::try_from(hops).unwrap_or(u32::MAX)
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a HeaderField;
    type IntoIter = std::slice::Iter<'a, HeaderField>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<HeaderField> for Headers {
    fn from_iter<I: IntoIterator<Item = HeaderField>>(fields: I) -> Self {
        Headers(fields.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_splits_at_the_first_blank_line() {
        let text = b"From: a\nTo: b,\n c\n\nbody\n";
        let (headers, at) = Headers::parse(text);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers.get(b"to").unwrap().value, b" b,\n c");
        assert_eq!(&text[at..], b"body\n");
    }

    #[test]
    fn stored_forms_join_lists_and_keep_what_was_written() {
        let text = b"To: a@b@c, d e (x),\n\t<q>\nFrom: A. B <ann>\nX: a,b\n\n";
        let mut headers = Headers::parse(text).0;
        headers.note_stored_forms(true);
        let stored: Vec<_> = headers.iter().map(|f| f.stored.as_deref()).collect();
        assert_eq!(stored, [Some(&b" a@b@c, d e (x), <q>"[..]), None, None]);
    }

    #[test]
    fn a_line_that_is_no_header_starts_the_body() {
        let text = b"From: a\nhello there\n";
        let (headers, at) = Headers::parse(text);
        assert_eq!(headers.len(), 1);
        assert_eq!(&text[at..], b"hello there\n");
    }
}
