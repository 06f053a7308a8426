//! Dialogues with a mail filter behind them.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;

use super::*;
use crate::config::options::DeliveryMode;

/// Starts a filter that does without some steps and refuses what one letter names.
fn filter(path: std::path::PathBuf, steps: u32, refused: u8) {
    let listener = UnixListener::bind(path).expect("a free path");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut head = [0; 4];
            while stream.read_exact(&mut head).is_ok() {
                let mut packet = vec![0; u32::from_be_bytes(head) as usize];
                stream.read_exact(&mut packet).expect("a whole packet");
                let answer = match packet[0] {
                    b'O' => {
                        let numbers = [6, 0x1ff, steps].map(u32::to_be_bytes).concat();
                        [b"\0\0\0\x0dO".as_slice(), &numbers].concat()
                    }
                    b'A' | b'D' | b'Q' => continue,
                    letter if letter == refused => b"\0\0\0\x01r".to_vec(),
                    _ => b"\0\0\0\x01c".to_vec(),
                };
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
        }
    });
}

fn dialogue(steps: u32, refused: u8, more: &str) -> (Dialogue, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("filter");
    filter(path.clone(), steps, refused);
    let text = format!(
        "Xone, S=local:{}, F=T\nO InputMailFilters=one\n{more}",
        path.display()
    );
    (Dialogue::with(&text), folder)
}

#[test]
fn nobody_is_delivered_to_while_a_filter_may_refuse_him() {
    const NO_RECIPIENTS: u32 = 8;
    for (steps, mode) in [
        (0, DeliveryMode::Background),
        (NO_RECIPIENTS, DeliveryMode::Interactive),
    ] {
        let (dialogue, _folder) = dialogue(steps, 0, "O DeliveryMode=i\n");
        assert_eq!(dialogue.session.delivery_mode(), mode);
    }
}

#[test]
fn a_message_a_filter_refuses_leaves_nothing_in_the_queue() {
    for safe in ["True", "PostMilter"] {
        let (mut dialogue, _folder) = dialogue(0, b'E', &format!("O SuperSafe={safe}\n"));
        dialogue.open_message();
        dialogue.say("DATA");
        let answer = dialogue.raw(b"Subject: x\r\n\r\nbody\r\n.\r\n");
        assert_eq!(answer, "554 5.7.1 Command rejected\r\n");
        let left = std::fs::read_dir(dialogue.queue.path()).expect("a folder");
        assert_eq!(left.count(), 0, "{safe}");
        // The session goes on, and asks anew.
        dialogue.expect(&[("MAIL FROM:<y@far.test>", "250 "), ("NOOP", "250 ")]);
    }
}

#[test]
fn a_recipient_a_filter_refuses_is_not_in_the_message() {
    let (mut dialogue, _folder) = dialogue(0, b'R', "");
    dialogue.expect(&[
        ("EHLO client.test", "250-"),
        ("MAIL FROM:<x@far.test>", "250 "),
        (
            "RCPT TO:<bob@mx.test>",
            "550 5.7.1 <bob@mx.test>... Command rejected\r\n",
        ),
        ("DATA", "503 5.0.0 Need RCPT (recipient)\r\n"),
    ]);
}
