//! What holds for any header and any body, tried on made-up ones.

use super::line_writer::{LineForm, LineWriter};
use super::mime::to_eight::{encoded_text, write_eight_bit};
use super::mime::to_seven::{Parts, SevenBitContext, write_seven_bit};
use super::mime::{BuiltInClasses, ConversionStamp};
use super::{Body, Headers};

/// Numbers that look like chance and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        let at = self.below(choices.len() as u64);
        choices[usize::try_from(at).unwrap()]
    }

    fn text(&mut self, pieces: u64, choices: &[&[u8]]) -> Vec<u8> {
        (0..self.below(pieces))
            .flat_map(|_| self.of(choices).to_vec())
            .collect()
    }
}

#[test]
fn any_header_is_written_as_it_was_read() {
    let names: &[&[u8]] = &[b"To", b"X-Odd", b"received", b"!", b"Subject", b"Bcc"];
    let values: &[&[u8]] = &[
        b" a", b"\xe9", b"\x81g", b"\xff", b",", b":", b"\n\t", b"\n ", b"(", b"\"", b"<b@c>",
        b"\0",
    ];
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut text = Vec::new();
        for _ in 0..dice.below(8) {
            text.extend_from_slice(dice.of(names));
            text.push(b':');
            text.extend(dice.text(12, values));
            text.push(b'\n');
        }
        text.extend_from_slice(b"\nbody\n");
        let (headers, at) = Headers::parse(&text);
        let mut written = Vec::new();
        for field in &headers {
            written.extend([&field.name[..], b":", &field.value, b"\n"].concat());
        }
        assert_eq!(
            written.escape_ascii().to_string(),
            text[..at - 1].escape_ascii().to_string()
        );
        assert_eq!(&text[at..], b"body\n", "seed {seed}");
    }
}

#[test]
fn any_text_comes_back_from_seven_bits() {
    let pieces: &[&[u8]] = &[
        b"\xe9",
        b"\xff\x80",
        b"=",
        b" ",
        b"\t",
        b".",
        b"From ",
        b"word",
        b"\n",
        b" \n",
        b"--b\n",
        b"long long long ",
    ];
    let header = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=x\n";
    for seed in 0..2_000 {
        let mut dice = Dice(seed);
        let mut body = dice.text(90, pieces);
        body.extend_from_slice(b"\xe9\n");
        let mut seven = Vec::new();
        let stamp = ConversionStamp::default();
        let cx = SevenBitContext {
            classes: &BuiltInClasses,
            stamp: &stamp,
            escape_from: dice.below(2) == 0,
            ebcdic_safe: dice.below(2) == 0,
            parts: Parts::Encoded,
        };
        let mut out = LineWriter::new(&mut seven, LineForm::default());
        let headers = Headers::parse(header).0;
        write_seven_bit(&headers, &Body::Memory(body.clone()), &cx, &mut out).unwrap();
        assert!(seven.is_ascii(), "seed {seed}");
        let sent = [&header[..], &seven].concat();
        let (headers, at) = Headers::parse(&sent);
        let encoded = encoded_text(&headers).unwrap_or_else(|| panic!("seed {seed}: no encoding"));
        let mut eight = Vec::new();
        let mut out = LineWriter::new(&mut eight, LineForm::default());
        let sent_body = Body::Memory(sent[at..].to_vec());
        write_eight_bit(encoded, &headers, &sent_body, &stamp, &mut out).unwrap();
        let (_, at) = Headers::parse(&eight);
        // An empty line is added at the end.
        let back = eight[at..].strip_suffix(b"\n").unwrap_or(&eight[at..]);
        assert_eq!(
            back.escape_ascii().to_string(),
            body.escape_ascii().to_string(),
            "seed {seed}"
        );
    }
}
