//! Input of a child, made ready whole before the child starts.
//!
//! A program that is fed while it runs gets half a message when its feeder is
//! killed, and cannot know it. So the message is put where the kernel keeps it for
//! the program: into a pipe, made larger where needed, and beyond that into a file
//! without a name, which programs read like a pipe. Whatever ends us, the program
//! that runs has all of it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::file::{pipe, set_nonblocking, unnamed_file};

/// The largest pipe asked for, in bytes: what Linux grants anyone (`pipe-max-size`).
const MAX_PIPE: i32 = 1_048_576;

/// Takes the bytes of a child's input and keeps them until the child reads.
#[derive(Debug)]
pub struct Prefilled {
    place: Place,
    folder: Option<PathBuf>,
}

#[derive(Debug)]
enum Place {
    Pipe {
        read: File,
        write: File,
    },
    /// A file on disk; a full disk is no reason not to deliver, which makes room on it.
    Disk(File),
    Memory(File),
}

impl Prefilled {
    /// Starts with an empty pipe; what does not fit goes to a file in `folder`, or to memory.
    ///
    /// # Errors
    /// As `pipe2(2)`.
    pub fn new(folder: Option<PathBuf>) -> io::Result<Prefilled> {
        let (read, write) = pipe()?;
        set_nonblocking(&write, true)?;
        let place = Place::Pipe { read, write };
        Ok(Prefilled { place, folder })
    }

    /// Returns the descriptor for the child, at the start of the input.
    ///
    /// # Errors
    /// As `lseek(2)`.
    pub fn into_input(self) -> io::Result<OwnedFd> {
        match self.place {
            Place::Pipe { read, .. } => Ok(read.into()),
            Place::Disk(mut file) | Place::Memory(mut file) => {
                // For reading only, if /proc is there to open it anew.
                let path = format!("/proc/self/fd/{}", file.as_raw_fd());
                if let Ok(again) = File::open(path) {
                    return Ok(again.into());
                }
                file.seek(SeekFrom::Start(0))?;
                Ok(file.into())
            }
        }
    }

    /// Makes the pipe larger, or goes from the pipe to a file.
    fn leave_pipe(&mut self) -> io::Result<()> {
        let Place::Pipe { read, write } = &mut self.place else {
            return Ok(());
        };
        let size = fcntl(&*write, FcntlArg::F_GETPIPE_SZ)?;
        let larger = size.saturating_mul(4).min(MAX_PIPE);
        if larger > size && fcntl(&*write, FcntlArg::F_SETPIPE_SZ(larger)).is_ok() {
            return Ok(());
        }
        set_nonblocking(read, true)?;
        let mut held = Vec::new();
        match read.read_to_end(&mut held) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        let on_disk = self.folder.as_deref().and_then(|folder| {
            let mut file = unnamed_file(folder).ok()?;
            file.write_all(&held).ok()?;
            Some(file)
        });
        self.place = match on_disk {
            Some(file) => Place::Disk(file),
            None => {
                let mut file = in_memory()?;
                file.write_all(&held)?;
                Place::Memory(file)
            }
        };
        Ok(())
    }

    /// Goes from the disk to memory.
    fn leave_disk(&mut self) -> io::Result<()> {
        if let Place::Disk(file) = &mut self.place {
            file.seek(SeekFrom::Start(0))?;
            let mut memory = in_memory()?;
            io::copy(file, &mut memory)?;
            self.place = Place::Memory(memory);
        }
        Ok(())
    }
}

fn in_memory() -> io::Result<File> {
    Ok(memfd_create(c"message", MFdFlags::MFD_CLOEXEC)?.into())
}

impl Write for Prefilled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match &mut self.place {
                Place::Pipe { write, .. } => match write.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.leave_pipe()?,
                    done => return done,
                },
                Place::Disk(file) => match file.write(bytes) {
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                        self.leave_disk()?;
                    }
                    done => return done,
                },
                Place::Memory(file) => return file.write(bytes),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(folder: Option<PathBuf>, text: &[u8]) -> (bool, Vec<u8>) {
        let mut prefilled = Prefilled::new(folder).unwrap();
        for piece in text.chunks(7_001) {
            prefilled.write_all(piece).unwrap();
        }
        let is_pipe = matches!(prefilled.place, Place::Pipe { .. });
        let mut input = File::from(prefilled.into_input().unwrap());
        let mut read = Vec::new();
        input.read_to_end(&mut read).unwrap();
        (is_pipe, read)
    }

    #[test]
    fn all_is_there_before_anyone_reads_whatever_its_size() {
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        for size in [0, 1, 60_000, 200_000, 3_000_000] {
            let text = &large[..size];
            for folder in [None, Some("/tmp".into()), Some("/no/such/folder".into())] {
                let (is_pipe, read) = kept(folder, text);
                assert!(read == text, "{size}: {} read", read.len());
                assert!(is_pipe || size > 60_000, "{size} fits any pipe");
            }
        }
    }

    #[test]
    fn what_a_disk_has_no_room_for_goes_on_in_memory() {
        let mut prefilled = Prefilled::new(None).unwrap();
        let mut disk = in_memory().unwrap();
        disk.write_all(b"first ").unwrap();
        prefilled.place = Place::Disk(disk);
        prefilled.leave_disk().unwrap();
        prefilled.write_all(b"then").unwrap();
        let mut read = String::new();
        File::from(prefilled.into_input().unwrap())
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, "first then");
    }
}
