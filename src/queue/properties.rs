//! What holds for any control file, tried on made-up ones.

use super::control_file::{BodyPlace, ControlFileFormat};
use crate::envelope::{Envelope, Notify, Recipient};
use crate::message::Headers;
use crate::sys::clock::Timestamp;

#[test]
fn any_envelope_comes_back_from_its_control_file() {
    let addresses: [&[u8]; 6] = [
        b"<a@b>",
        b"ann",
        b"\"x y\"@z",
        b"<>",
        b"caf\xe9@x",
        b"|prog a",
    ];
    let values: [&[u8]; 5] = [b" one", b" \xc4\x81g \xff", b" a,\n\tb", b"", b" $u ${x}"];
    let notify: [&[u8]; 4] = [
        b"NEVER",
        b"SUCCESS",
        b"FAILURE,DELAY",
        b"SUCCESS,FAILURE,DELAY",
    ];
    let format = ControlFileFormat::default();
    let mut number = 1_u64;
    let mut roll = |limit: usize| {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(number >> 33).unwrap() % limit
    };
    for round in 0..1_000 {
        let mut envelope = Envelope {
            created: Timestamp::from_seconds(1_700_000_000 + round),
            priority: 30_000 + round,
            attempts: u32::try_from(roll(5)).unwrap(),
            ..Envelope::default()
        };
        envelope.sender.address = addresses[roll(6)].to_vec();
        let mut header = Vec::new();
        for field in 0..roll(5) {
            header.extend(
                [
                    b"X-",
                    field.to_string().as_bytes(),
                    b":",
                    values[roll(5)],
                    b"\n",
                ]
                .concat(),
            );
        }
        envelope.headers = Headers::parse(&header).0;
        for _ in 0..roll(4) {
            let mut recipient = Recipient::new(addresses[roll(6)]);
            recipient.primary = roll(2) == 0;
            if roll(2) == 0 {
                recipient.notify = Notify::parse(notify[roll(4)]).unwrap();
            }
            envelope.recipients.push(recipient);
        }
        let text = format.write(&envelope, BodyPlace::default());
        let parsed = format.parse(&text).unwrap().envelope;
        let plain = |headers: &Headers| -> Vec<_> {
            headers
                .iter()
                .map(|f| (f.name.clone(), f.value.clone()))
                .collect()
        };
        assert_eq!(
            plain(&parsed.headers),
            plain(&envelope.headers),
            "round {round}"
        );
        let told = |envelope: &Envelope| -> Vec<_> {
            let all = envelope.recipients.iter();
            all.map(|r| (r.address.clone(), r.notify, r.primary))
                .collect()
        };
        assert_eq!(told(&parsed), told(&envelope), "round {round}");
        assert_eq!(
            parsed.sender.address, envelope.sender.address,
            "round {round}"
        );
        assert_eq!(parsed.priority, envelope.priority);
        let again = format.write(&parsed, BodyPlace::default());
        assert_eq!(
            again.escape_ascii().to_string(),
            text.escape_ascii().to_string()
        );
    }
}
