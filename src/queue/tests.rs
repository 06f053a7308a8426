//! Entries on a real disk: the order of a commit, locks, and what a crash leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::envelope::{DeliveryStatus, Envelope, QueueId, Recipient, RecipientState};
use crate::message::{Body, HeaderField};
use crate::smtp::{EnhancedStatus, ExitStatus};
use crate::sys::clock::Timestamp;

struct Spool {
    folder: tempfile::TempDir,
    directory: Arc<QueueDirectory>,
}

impl Spool {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let format = Arc::new(ControlFileFormat::default());
        let sync = DirectorySync::new();
        let directory = QueueDirectory::open(folder.path(), 0o600, format, &sync).unwrap();
        Spool {
            folder,
            directory: Arc::new(directory),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        self.chmod(name, 0o600);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn entry(&self, id: &str) -> EntryName {
        let directory = Arc::clone(&self.directory);
        EntryName {
            directory,
            id: self.id(id),
            kind: FileKind::Control,
        }
    }

    fn id(&self, id: &str) -> QueueId {
        QueueId::parse(id.as_bytes()).unwrap()
    }

    fn commit(&self, id: &str) -> LockedEnvelope {
        let mut entry = NewEntry::create(&self.directory, self.id(id));
        entry.write(b"body\n").unwrap();
        let (message, committed) = entry
            .commit_envelope(envelope(), Durability::Synced)
            .map_err(|(_, e)| e)
            .unwrap();
        assert_eq!(committed.durability(), Durability::Synced);
        message
    }
}

fn envelope() -> Envelope {
    let mut envelope = Envelope {
        created: Timestamp::from_seconds(5),
        ..Envelope::default()
    };
    envelope.sender.address = b"ann".to_vec();
    envelope.recipients = vec![Recipient::new(b"bob"), Recipient::new(b"cid")];
    envelope.headers.push(HeaderField::new(b"Subject", b" x"));
    envelope
}

fn text(body: &Body) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut body.reader(), &mut bytes).unwrap();
    bytes
}

#[test]
fn a_committed_message_is_two_private_files() {
    let spool = Spool::new();
    let message = spool.commit("aaa");
    assert_eq!(spool.names(), ["dfaaa", "qfaaa"]);
    assert_eq!(text(&message.envelope.body), b"body\n");
    for name in spool.names() {
        let mode = fs::metadata(spool.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_second_runner_finds_the_entry_busy_until_it_is_let_go() {
    let spool = Spool::new();
    let message = spool.commit("aaa");
    assert!(matches!(spool.entry("aaa").take(), Err(TakeError::Busy)));
    drop(message);
    let taken = spool.entry("aaa").take().unwrap().message;
    assert_eq!(taken.envelope.recipients.len(), 2);
    assert_eq!(text(&taken.envelope.body), b"body\n");
}

#[test]
fn rewriting_keeps_the_lock_and_the_rest_of_the_recipients() {
    let spool = Spool::new();
    let mut message = spool.commit("aaa");
    spool.write("tfaaa", "left by a crash");
    let done = DeliveryStatus::local(
        EnhancedStatus::new(2, 0, 0).unwrap(),
        ExitStatus::Ok,
        "Sent",
        Timestamp::from_seconds(6),
    );
    message.envelope.recipients[0].state = RecipientState::Delivered(done);
    message.entry.rewrite(&message.envelope).unwrap();
    assert!(matches!(spool.entry("aaa").take(), Err(TakeError::Busy)));
    assert_eq!(spool.names(), ["dfaaa", "qfaaa"]);
    drop(message);
    let again = spool.entry("aaa").take().unwrap().message;
    assert_eq!(again.envelope.recipients.len(), 1);
    assert_eq!(again.envelope.recipients[0].address, b"cid");
    again.entry.remove().unwrap();
    assert!(spool.names().is_empty());
}

#[test]
fn an_entry_read_from_the_queue_records_the_inode_of_its_body() {
    let spool = Spool::new();
    drop(spool.commit("aaa"));
    let mut taken = spool.entry("aaa").take().unwrap().message;
    taken.entry.rewrite(&taken.envelope).unwrap();
    let text = fs::read_to_string(spool.path().join("qfaaa")).unwrap();
    assert!(text.lines().any(|line| line.starts_with('I')), "{text}");
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let spool = Spool::new();
    let mut entry = NewEntry::create(&spool.directory, spool.id("aaa"));
    entry.write(&[b'x'; 200_000]).unwrap();
    assert_eq!(spool.names(), ["dfaaa"]);
    assert_eq!(entry.body().unwrap().len(), 200_000);
    drop(entry);
    assert!(spool.names().is_empty());
}

#[test]
fn a_failed_step_leaves_nothing() {
    let spool = Spool::new();
    // A directory in the way of the temporary file fails the second step.
    fs::create_dir(spool.path().join("tfaaa")).unwrap();
    let mut entry = NewEntry::create(&spool.directory, spool.id("aaa"));
    entry.write(b"body\n").unwrap();
    let (_, error) = entry
        .commit_envelope(envelope(), Durability::Synced)
        .unwrap_err();
    assert_eq!((error.step, error.fault()), ("create", QueueFault::Other));
    assert_eq!(spool.names(), ["tfaaa"]);
}

#[test]
fn an_identifier_in_use_is_never_overwritten() {
    let spool = Spool::new();
    drop(spool.commit("aaa"));
    let mut entry = NewEntry::create(&spool.directory, spool.id("aaa"));
    entry.write(b"other\n").unwrap();
    assert!(
        entry
            .commit_envelope(envelope(), Durability::Synced)
            .is_err()
    );
    let kept = spool.entry("aaa").take().unwrap().message;
    assert_eq!(text(&kept.envelope.body), b"body\n");
}

#[test]
fn full_disks_are_told_from_other_trouble() {
    for (number, fault) in [
        (28, QueueFault::Full),
        (122, QueueFault::Full),
        (27, QueueFault::Full),
        (5, QueueFault::Other),
        (13, QueueFault::Other),
    ] {
        assert_eq!(
            QueueFault::of(&std::io::Error::from_raw_os_error(number)),
            fault,
            "{number}"
        );
    }
}

#[test]
fn a_message_in_memory_becomes_files_only_when_something_is_left() {
    let spool = Spool::new();
    for size in [5, 200_000] {
        let mut entry = NewEntry::create(&spool.directory, spool.id("aaa"));
        entry.write(&vec![b'x'; size]).unwrap();
        let (mut message, _) = entry
            .commit_envelope(envelope(), Durability::Memory)
            .map_err(|(_, e)| e)
            .unwrap();
        assert!(!spool.names().contains(&"qfaaa".to_owned()));
        message.entry.rewrite(&message.envelope).unwrap();
        assert_eq!(spool.names(), ["dfaaa", "qfaaa"]);
        assert_eq!(message.entry.body().unwrap().len(), size as u64);
        message.entry.remove().unwrap();
        assert!(spool.names().is_empty());
    }
}

#[test]
fn split_entries_share_the_body_until_the_last_is_gone() {
    let spool = Spool::new();
    let first = spool.commit("aaa");
    let second = first
        .entry
        .split(&spool.directory, spool.id("bbb"), &envelope())
        .unwrap();
    assert_eq!(spool.names(), ["dfaaa", "dfbbb", "qfaaa", "qfbbb"]);
    first.entry.remove().unwrap();
    assert_eq!(text(&second.body().unwrap()), b"body\n");
    drop(second);
    assert!(spool.entry("bbb").take().is_ok());
}

#[test]
fn quarantine_moves_the_control_file_there_and_back() {
    let spool = Spool::new();
    let mut message = spool.commit("aaa");
    message.envelope.quarantine = Some(b"why".to_vec());
    message.entry.rewrite(&message.envelope).unwrap();
    assert_eq!(spool.names(), ["dfaaa", "hfaaa"]);
    message.envelope.quarantine = None;
    message.entry.rewrite(&message.envelope).unwrap();
    assert_eq!(spool.names(), ["dfaaa", "qfaaa"]);
}

#[test]
fn damaged_files_are_moved_aside_and_told() {
    let good = "V8\nT5\nSann\nRPFD:bob\n.\n";
    for (name, text, mode, expected) in [
        (
            "aaa",
            "V8\n~odd\n.\n",
            0o600,
            "Losing ./qfaaa: unrecognized line",
        ),
        (
            "bbb",
            good,
            0o666,
            "Losing ./qfbbb: bogus file uid/gid in mqueue",
        ),
        (
            "ccc",
            good,
            0o620,
            "Losing ./qfccc: bogus file uid/gid in mqueue",
        ),
        (
            "ddd",
            "V8\nd/etc\n.\n",
            0o600,
            "Losing ./qfddd: bogus queue file directory",
        ),
    ] {
        let spool = Spool::new();
        spool.write(&format!("qf{name}"), text);
        spool.chmod(&format!("qf{name}"), mode);
        let Err(TakeError::Lost(complaints)) = spool.entry(name).take() else {
            panic!("{name} was believed");
        };
        assert_eq!(
            complaints.last(),
            Some(&Complaint::Alert(expected.to_owned()))
        );
        assert_eq!(spool.names(), [format!("Qf{name}")]);
    }
}

#[test]
fn empty_and_cut_files_stay() {
    for text in ["", "V8\nT5\nSann\nRPFD:b"] {
        let spool = Spool::new();
        spool.write("qfaaa", text);
        assert!(matches!(spool.entry("aaa").take(), Err(TakeError::Left(_))));
        assert_eq!(spool.names(), ["qfaaa"]);
    }
}

#[test]
fn a_control_file_that_is_a_link_or_linked_is_not_followed() {
    let spool = Spool::new();
    let good = "V8\nT5\nSann\nRPFD:bob\n.\n";
    spool.write("real", good);
    std::os::unix::fs::symlink("real", spool.path().join("qfaaa")).unwrap();
    assert!(matches!(spool.entry("aaa").take(), Err(TakeError::Io(_))));
    spool.write("qfbbb", good);
    fs::hard_link(spool.path().join("qfbbb"), spool.path().join("other")).unwrap();
    assert!(matches!(spool.entry("bbb").take(), Err(TakeError::Lost(_))));
}

#[test]
fn a_missing_body_is_told_and_replaced_by_a_note() {
    let spool = Spool::new();
    spool.write("qfaaa", "V8\nT5\nSann\nRPFD:bob\n.\n");
    let taken = spool.entry("aaa").take().unwrap();
    assert_eq!(
        text(&taken.message.envelope.body),
        b"<<< No Message Collected >>>\n"
    );
    let told = "readqf: cannot open ./dfaaa: No such file or directory";
    assert_eq!(taken.complaints, [Complaint::System(told.to_owned())]);
}

#[test]
fn a_body_that_cannot_be_opened_now_is_not_given_up() {
    let spool = Spool::new();
    spool.write("qfaaa", "V8\nT5\nSann\nRPFD:bob\n.\n");
    spool.write("real", "text\n");
    std::os::unix::fs::symlink("real", spool.path().join("dfaaa")).unwrap();
    let told = "readqf: cannot open ./dfaaa: Too many levels of symbolic links";
    match spool.entry("aaa").take() {
        Err(TakeError::Left(complaints)) => {
            assert_eq!(complaints, [Complaint::System(told.to_owned())]);
        }
        other => panic!("{other:?}"),
    }
    assert!(spool.path().join("qfaaa").exists());
}

#[test]
fn header_records_that_are_none_are_told_and_passed_over() {
    let spool = Spool::new();
    for (id, record, shown) in [
        ("aaa", "Hno colon", "no colon"),
        ("aab", "H??Bad name: x", "?"),
        ("aac", "H?D?: x", "?D"),
        ("aad", "H?${x}?no colon", "?${x}?no colon"),
        ("aae", "H?x", "?x"),
        ("aaf", "H", ""),
    ] {
        let text = format!("V8\nT5\nSann\nRPFD:bob\n{record}\nH??Good : x\n.\n");
        spool.write(&format!("qf{id}"), &text);
        spool.write(&format!("df{id}"), "x\n");
        let taken = spool.entry(id).take().unwrap();
        let told = format!("header syntax error, line \"{shown}\"");
        assert_eq!(taken.complaints, [Complaint::Entry(told)]);
        let headers = &taken.message.envelope.headers;
        assert_eq!(headers.iter().count(), 1, "{record}");
    }
}

#[test]
fn a_message_without_hope_stays_for_the_operator() {
    let spool = Spool::new();
    let told = spool.commit("aaa").lose("savemail panic").unwrap();
    assert_eq!(
        told,
        Complaint::Alert("Losing ./qfaaa: savemail panic".to_owned())
    );
    assert_eq!(spool.names(), ["Qfaaa", "dfaaa"]);
}
