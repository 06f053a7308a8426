//! The language between the daemon and its helper process.
//!
//! One message is one packet on a local socket, with descriptors beside it; a
//! text too long for a packet travels in a memory file. Both ends are this same
//! program, so numbers have the machine's byte order and there is no version.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

use super::clock::Timestamp;
use super::file::{FileFacts, FileKind, path_of};
use super::identity::Credentials;
use super::safe_open::{
    OpenError, OpenRequest, OpenRules, Opened, PathFacts, Purpose, StepFacts, Unsafe,
};
use super::socket::{ListenAddress, ListenSpec};
use super::spawn::{Ended, SpawnPlan, Stdio};

/// The longest text sent in the packet itself, in bytes.
const MAX_PACKET: usize = 32 * 1024;
/// The most descriptors beside one message: a reply socket, a memory file, three ends.
const MAX_DESCRIPTORS: usize = 8;

/// The marks in front of a packet: the text follows, or is in the first descriptor.
const INLINE: u8 = 0;
const IN_FILE: u8 = 1;

/// Makes two connected ends for whole packets.
pub(super) fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

/// Sends one message.
pub(super) fn send(socket: &OwnedFd, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if text.len() <= MAX_PACKET {
        return send_packet(socket, INLINE, text, fds);
    }
    let name = c"request";
    // SAFETY: the string is valid for the whole call.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor nobody else owns.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(text)?;
    let mut all = vec![file.as_fd()];
    all.extend_from_slice(fds);
    send_packet(socket, IN_FILE, &[], &all)
}

fn send_packet(socket: &OwnedFd, mark: u8, text: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = if numbers.is_empty() { &[] } else { &rights[..] };
    let parts = [
        IoSlice::new(std::slice::from_ref(&mark)),
        IoSlice::new(text),
    ];
    loop {
        match sendmsg::<()>(
            socket.as_raw_fd(),
            &parts,
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message; `None` when the other end is gone.
pub(super) fn receive(socket: &OwnedFd) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut buffer = vec![0; MAX_PACKET + 1];
    let mut space = nix::cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut fds = Vec::new();
    let length = {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = loop {
            match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Err(nix::Error::EINTR) => {}
                other => break other?,
            }
        };
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                // SAFETY: the kernel just made these descriptors for us.
                fds.extend(
                    numbers
                        .into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                );
            }
        }
        message.bytes
    };
    if length == 0 {
        return Ok(None);
    }
    buffer.truncate(length);
    let mark = buffer.remove(0);
    if mark == IN_FILE {
        if fds.is_empty() {
            return Err(malformed());
        }
        let mut file = File::from(fds.remove(0));
        buffer.clear();
        file.rewind()?;
        file.read_to_end(&mut buffer)?;
    }
    Ok(Some((buffer, fds)))
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "malformed message of the helper process",
    )
}

/// A message being written.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    pub(super) fn small(&mut self, number: u32) -> &mut Self {
        self.number(u64::from(number))
    }

    pub(super) fn signed(&mut self, number: i64) -> &mut Self {
        self.0.extend_from_slice(&number.to_ne_bytes());
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn path(&mut self, path: &Path) -> &mut Self {
        self.bytes(path.as_os_str().as_bytes())
    }

    fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
        self
    }

    fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.number(items.len() as u64);
        for item in items {
            put(self, item);
        }
        self
    }

    fn credentials(&mut self, user: &Credentials) {
        self.small(user.uid)
            .small(user.gid)
            .list(&user.groups, |writer, gid| {
                writer.small(*gid);
            });
    }

    pub(super) fn listen_spec(&mut self, spec: &ListenSpec) {
        match &spec.address {
            ListenAddress::Internet(address) => {
                self.number(0).bytes(address.to_string().as_bytes());
            }
            ListenAddress::Local(path) => {
                self.number(1).path(path);
            }
        }
        self.small(spec.backlog);
        for size in [spec.send_buffer, spec.receive_buffer] {
            self.optional(size, |writer, size| {
                writer.number(size as u64);
            });
        }
    }

    pub(super) fn open_request(&mut self, request: &OpenRequest) {
        self.path(&request.path);
        self.optional(request.credentials.as_ref(), Self::credentials);
        let (kind, mode) = match request.purpose {
            Purpose::Read => (0, None),
            Purpose::AppendDelivery { create_mode } => (1, create_mode),
            Purpose::ReadWrite { create_mode } => (2, create_mode),
            Purpose::Examine => (3, None),
        };
        self.number(kind).optional(mode, |writer, mode| {
            writer.small(mode);
        });
        self.small(request.rules.bits());
        self.optional(request.root.as_deref(), |writer, root| {
            writer.path(root);
        });
    }

    pub(super) fn opened(&mut self, opened: &Opened) {
        self.facts(&opened.facts);
        for steps in [&opened.way.directories, &opened.way.links] {
            self.list(steps, |writer, step| {
                writer.path(&step.path).facts(&step.facts);
            });
        }
        self.number(u64::from(opened.way.created));
    }

    fn facts(&mut self, facts: &FileFacts) {
        self.number(facts.device)
            .number(facts.inode)
            .small(facts.uid)
            .small(facts.gid);
        self.small(facts.mode)
            .number(facts.kind as u64)
            .number(facts.links)
            .number(facts.size);
        for time in [facts.modified, facts.changed] {
            self.signed(time.seconds()).small(time.nanoseconds());
        }
    }

    pub(super) fn io_error(&mut self, error: &io::Error) {
        let code = error.raw_os_error().unwrap_or(0);
        self.signed(i64::from(code))
            .bytes(error.to_string().as_bytes());
    }

    pub(super) fn open_error(&mut self, error: &OpenError) {
        match error {
            OpenError::Io(error) => self.number(0).io_error(error),
            OpenError::Unsafe { reason, path } => {
                self.number(1).number(*reason as u64).path(path);
            }
        }
    }

    /// Writes all of a plan but its three ends, which travel as descriptors.
    pub(super) fn plan(&mut self, plan: &SpawnPlan) {
        self.path(&plan.program);
        self.list(&plan.argv, |writer, word| {
            writer.bytes(word);
        });
        self.list(&plan.environment, |writer, (name, value)| {
            writer.bytes(name).bytes(value);
        });
        self.list(&plan.directories, |writer, path| {
            writer.path(path);
        });
        self.optional(plan.start_directory.as_deref(), |writer, path| {
            writer.path(path);
        });
        self.optional(plan.credentials.as_ref(), Self::credentials);
        self.optional(plan.chroot.as_deref(), |writer, path| {
            writer.path(path);
        });
        self.signed(i64::from(plan.nice)).small(plan.umask);
    }

    pub(super) fn ended(&mut self, ended: Ended) {
        match ended {
            Ended::Exited(status) => self.number(0).signed(i64::from(status)),
            Ended::Signaled(signal) => self.number(1).signed(i64::from(signal)),
            Ended::StillRunning => self.number(2),
        };
    }
}

/// A message being read.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    fn eight(&mut self) -> io::Result<[u8; 8]> {
        let (first, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        Ok(u64::from_ne_bytes(self.eight()?))
    }

    pub(super) fn signed(&mut self) -> io::Result<i64> {
        Ok(i64::from_ne_bytes(self.eight()?))
    }

    pub(super) fn small(&mut self) -> io::Result<u32> {
        u32::try_from(self.number()?).map_err(|_| malformed())
    }

    fn size(&mut self) -> io::Result<usize> {
        usize::try_from(self.number()?).map_err(|_| malformed())
    }

    pub(super) fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.size()?;
        let (first, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(first.to_vec())
    }

    fn path(&mut self) -> io::Result<PathBuf> {
        Ok(path_of(&self.bytes()?).to_owned())
    }

    fn optional<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        if self.number()? == 0 {
            Ok(None)
        } else {
            take(self).map(Some)
        }
    }

    fn list<T>(&mut self, mut take: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let length = self.number()?;
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(take(self)?);
        }
        Ok(items)
    }

    fn credentials(&mut self) -> io::Result<Credentials> {
        let (uid, gid) = (self.small()?, self.small()?);
        Ok(Credentials {
            uid,
            gid,
            groups: self.list(Self::small)?,
        })
    }

    pub(super) fn listen_spec(&mut self) -> io::Result<ListenSpec> {
        let address = match self.number()? {
            0 => {
                let text = String::from_utf8(self.bytes()?).map_err(|_| malformed())?;
                ListenAddress::Internet(text.parse::<SocketAddr>().map_err(|_| malformed())?)
            }
            _ => ListenAddress::Local(self.path()?),
        };
        Ok(ListenSpec {
            address,
            backlog: self.small()?,
            send_buffer: self.optional(Self::size)?,
            receive_buffer: self.optional(Self::size)?,
        })
    }

    pub(super) fn open_request(&mut self) -> io::Result<OpenRequest> {
        let path = self.path()?;
        let credentials = self.optional(Self::credentials)?;
        let kind = self.number()?;
        let create_mode = self.optional(Self::small)?;
        Ok(OpenRequest {
            path,
            credentials,
            purpose: match kind {
                0 => Purpose::Read,
                1 => Purpose::AppendDelivery { create_mode },
                2 => Purpose::ReadWrite { create_mode },
                3 => Purpose::Examine,
                _ => return Err(malformed()),
            },
            rules: OpenRules::from_bits(self.small()?),
            root: self.optional(Self::path)?,
        })
    }

    pub(super) fn opened(&mut self, fd: OwnedFd) -> io::Result<Opened> {
        let facts = self.facts()?;
        let step = |reader: &mut Self| -> io::Result<StepFacts> {
            Ok(StepFacts {
                path: reader.path()?,
                facts: reader.facts()?,
            })
        };
        let directories = self.list(step)?;
        let links = self.list(step)?;
        let created = self.number()? != 0;
        Ok(Opened {
            file: fd.into(),
            facts,
            way: PathFacts {
                directories,
                links,
                created,
            },
        })
    }

    fn facts(&mut self) -> io::Result<FileFacts> {
        Ok(FileFacts {
            device: self.number()?,
            inode: self.number()?,
            uid: self.small()?,
            gid: self.small()?,
            mode: self.small()?,
            kind: kind_from(self.number()?)?,
            links: self.number()?,
            size: self.number()?,
            modified: self.time()?,
            changed: self.time()?,
        })
    }

    fn time(&mut self) -> io::Result<Timestamp> {
        Ok(Timestamp::new(self.signed()?, self.small()?))
    }

    pub(super) fn io_error(&mut self) -> io::Result<io::Error> {
        let code = i32::try_from(self.signed()?).map_err(|_| malformed())?;
        let text = self.bytes()?;
        Ok(match code {
            0 => io::Error::other(String::from_utf8_lossy(&text).into_owned()),
            code => io::Error::from_raw_os_error(code),
        })
    }

    pub(super) fn open_error(&mut self) -> io::Result<OpenError> {
        if self.number()? == 0 {
            return Ok(OpenError::Io(self.io_error()?));
        }
        let reason = *Unsafe::ALL.get(self.size()?).ok_or_else(malformed)?;
        Ok(OpenError::Unsafe {
            reason,
            path: self.path()?,
        })
    }

    pub(super) fn plan(&mut self) -> io::Result<SpawnPlan> {
        Ok(SpawnPlan {
            program: self.path()?,
            argv: self.list(Self::bytes)?,
            environment: self.list(|reader| Ok((reader.bytes()?, reader.bytes()?)))?,
            directories: self.list(Self::path)?,
            start_directory: self.optional(Self::path)?,
            credentials: self.optional(Self::credentials)?,
            chroot: self.optional(Self::path)?,
            nice: i32::try_from(self.signed()?).map_err(|_| malformed())?,
            umask: self.small()?,
            stdin: Stdio::Null,
            stdout: Stdio::Null,
            stderr: Stdio::Null,
        })
    }

    pub(super) fn ended(&mut self) -> io::Result<Ended> {
        let kind = self.number()?;
        let mut code =
            || -> io::Result<i32> { i32::try_from(self.signed()?).map_err(|_| malformed()) };
        Ok(match kind {
            0 => Ended::Exited(code()?),
            1 => Ended::Signaled(code()?),
            _ => Ended::StillRunning,
        })
    }
}

fn kind_from(number: u64) -> io::Result<FileKind> {
    [
        FileKind::Regular,
        FileKind::Directory,
        FileKind::SymbolicLink,
        FileKind::Fifo,
        FileKind::Socket,
        FileKind::CharacterDevice,
        FileKind::BlockDevice,
    ]
    .into_iter()
    .find(|kind| *kind as u64 == number)
    .ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_out_as_they_went_in() {
        let request = OpenRequest {
            path: "/a/b".into(),
            credentials: Some(Credentials {
                uid: 1,
                gid: 2,
                groups: vec![2, 3],
            }),
            purpose: Purpose::AppendDelivery {
                create_mode: Some(0o600),
            },
            rules: OpenRules::NO_HARD_LINKS | OpenRules::REGULAR_ONLY,
            root: Some("/r".into()),
        };
        let mut writer = Writer::default();
        writer.open_request(&request);
        assert_eq!(Reader(&writer.0).open_request().unwrap(), request);
        for address in [
            ListenAddress::Internet("[::1]:25".parse().unwrap()),
            ListenAddress::Local("/run/x".into()),
        ] {
            let spec = ListenSpec {
                send_buffer: Some(7),
                ..ListenSpec::new(address)
            };
            let mut writer = Writer::default();
            writer.listen_spec(&spec);
            assert_eq!(Reader(&writer.0).listen_spec().unwrap(), spec);
        }
    }

    #[test]
    fn every_reason_has_its_number() {
        for (number, reason) in Unsafe::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
    }

    #[test]
    fn messages_of_any_length_arrive_with_their_descriptors() {
        let (one, other) = packet_pair().unwrap();
        let null = File::open("/dev/null").unwrap();
        for length in [0, 1, MAX_PACKET, MAX_PACKET + 1, 3_000_000] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            send(&one, &text, &[null.as_fd()]).unwrap();
            let (received, fds) = receive(&other).unwrap().unwrap();
            assert!(received == text, "{length}");
            assert_eq!(fds.len(), 1);
        }
        drop(one);
        assert!(receive(&other).unwrap().is_none());
    }

    #[test]
    fn cut_messages_are_errors() {
        let mut writer = Writer::default();
        writer.plan(&SpawnPlan::new("/bin/sh", vec![b"sh".to_vec()]));
        for length in 0..writer.0.len() {
            assert!(Reader(&writer.0[..length]).plan().is_err(), "{length}");
        }
        assert!(Reader(&[0xff; 64]).plan().is_err());
    }
}
