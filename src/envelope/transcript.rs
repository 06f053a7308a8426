//! The transcript of the sessions of one delivery attempt.
//!
//! A failure report quotes what was said to the next host, and a message to thousands
//! of recipients can be refused at length. So it is kept as the reference keeps it: a
//! little in memory (XscriptFileBufferSize), more in the `xf` file of the entry, which
//! thus is seen by an administrator only while a long session goes on. It is removed when
//! the attempt is over, as is one that a crash or another program left for the same
//! entry (8.17.1.9 complains of an old one first and fails the run's exit status, which
//! serves nobody); nothing is ever read from such a file, and `mailq` shows nothing of it.
//!
//! Where there is no entry yet (addresses being checked) memory is all there is.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

/// Most bytes kept in memory where there is no file to go to; what comes later is left out.
const MAX_IN_MEMORY: usize = 262_144;
/// Most bytes kept in a file: 40 times what 10,000 refused recipients need, and no more
/// than a disk can bear if a host talks without end.
const MAX_IN_FILE: u64 = 67_108_864;
/// Fewest bytes written to the file at once, however small XscriptFileBufferSize is.
const MIN_BUFFER: usize = 4_096;
/// Bytes read from the file at once.
const READ_SIZE: usize = 65_536;

/// Where the file of a transcript is made.
pub trait TranscriptPlace: Send + Sync {
    /// Makes the file, empty, for reading and writing; an old one is thrown away.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self) -> io::Result<File>;
}

/// The part of a transcript that has gone to disk.
struct Spill {
    place: Arc<dyn TranscriptPlace>,
    /// Most bytes kept in memory before they go to the file.
    buffer: usize,
    file: Option<File>,
    written: u64,
}

/// Lines of dialogue and error messages, as the report's transcript section prints them.
#[derive(Default)]
pub struct Transcript {
    /// What is not in the file.
    text: Vec<u8>,
    spill: Option<Spill>,
    truncated: bool,
}

impl Transcript {
    /// Makes an empty transcript.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the transcript go to a file once it is longer than `buffer` bytes.
    pub fn spill_to(&mut self, place: Arc<dyn TranscriptPlace>, buffer: usize) {
        self.spill = Some(Spill {
            place,
            buffer: buffer.clamp(MIN_BUFFER, MAX_IN_MEMORY),
            file: None,
            written: 0,
        });
    }

    /// Adds one line (without its end), such as `>>> RCPT To:<x>` or `550 5.1.1 <x>... User unknown`.
    ///
    /// Line breaks inside are replaced by spaces, so that one call is one line.
    pub fn push_line(&mut self, line: &[u8]) {
        let limit = self.spill.as_ref().map_or(MAX_IN_MEMORY, |s| s.buffer);
        if self.text.len() + line.len() + 1 > limit {
            self.make_room();
        }
        // A line longer than the buffer is no reason to lose it.
        if self.truncated || self.text.len() + line.len() + 1 > MAX_IN_MEMORY {
            self.truncated = true;
            return;
        }
        let one_line = |b: &u8| {
            if matches!(b, b'\r' | b'\n' | 0) {
                b' '
            } else {
                *b
            }
        };
        self.text.extend(line.iter().map(one_line));
        self.text.push(b'\n');
    }

    /// Writes what is in memory to the file; without one, or when it is full, no more is kept.
    fn make_room(&mut self) {
        let written = match &mut self.spill {
            Some(_) if self.text.is_empty() => return,
            Some(spill) => Some(spill.take(&self.text)),
            None => None,
        };
        match written {
            Some(Ok(())) => self.text.clear(),
            Some(Err(error)) => {
                log::warn!("the transcript of a session is cut: {error}");
                self.truncated = true;
            }
            None => self.truncated = true,
        }
    }

    /// Gives the lines in memory, each ended by a newline: all of them where there is no file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// Gives all lines to `sink`, piece by piece.
    ///
    /// # Errors
    /// What the sink says, or the system about the file.
    pub fn write_to(&self, sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let spill = self.spill.as_ref();
        if let Some((file, spill)) = spill.and_then(|spill| Some((spill.file.as_ref()?, spill))) {
            let mut file = file;
            file.rewind()?;
            let mut rest = file.take(spill.written);
            let mut block = vec![0; READ_SIZE];
            loop {
                let count = rest.read(&mut block)?;
                if count == 0 {
                    break;
                }
                sink(block.get(..count).unwrap_or_default())?;
            }
        }
        sink(&self.text)
    }

    /// Tells whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.spill.as_ref().is_none_or(|spill| spill.written == 0)
    }

    /// Tells whether lines were left out because of the limit.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl Spill {
    fn take(&mut self, text: &[u8]) -> io::Result<()> {
        if self.written + text.len() as u64 > MAX_IN_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.place.create()?),
        };
        // A report that was written meanwhile has moved the position.
        file.seek(io::SeekFrom::Start(self.written))?;
        file.write_all(text)?;
        self.written += text.len() as u64;
        Ok(())
    }
}

/// A copy has what is in memory; it never writes to the file of the original.
impl Clone for Transcript {
    fn clone(&self) -> Self {
        let has_file = self.spill.as_ref().is_some_and(|spill| spill.written > 0);
        Transcript {
            text: self.text.clone(),
            spill: None,
            truncated: self.truncated || has_file,
        }
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.spill.as_ref().map_or(0, |spill| spill.written);
        let bytes = written + self.text.len() as u64;
        write!(f, "Transcript({bytes} bytes)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct TemporaryFile;

    impl TranscriptPlace for TemporaryFile {
        fn create(&self) -> io::Result<File> {
            tempfile::tempfile()
        }
    }

    struct NoPlace;

    impl TranscriptPlace for NoPlace {
        fn create(&self) -> io::Result<File> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn whole(transcript: &Transcript) -> Vec<u8> {
        let mut all = Vec::new();
        let mut sink = |piece: &[u8]| {
            all.extend_from_slice(piece);
            Ok(())
        };
        transcript.write_to(&mut sink).unwrap();
        all
    }

    #[test]
    fn a_line_cannot_bring_another_one() {
        let mut transcript = Transcript::new();
        transcript.push_line(b"550 no\r\n>>> fake");
        assert_eq!(transcript.as_bytes(), b"550 no  >>> fake\n");
    }

    #[test]
    fn memory_is_bounded() {
        for place in [None, Some(Arc::new(NoPlace))] {
            let mut transcript = Transcript::new();
            if let Some(place) = place {
                transcript.spill_to(place, 4_096);
            }
            for _ in 0..10_000 {
                transcript.push_line(&[b'x'; 100]);
            }
            assert!(transcript.is_truncated());
            assert!(whole(&transcript).len() <= MAX_IN_MEMORY);
        }
    }

    #[test]
    fn a_long_one_goes_to_its_file_and_comes_back_whole() {
        let mut transcript = Transcript::new();
        transcript.spill_to(Arc::new(TemporaryFile), 4_096);
        let mut wanted = Vec::new();
        for number in 0..20_000 {
            let line = format!("<<< 550 5.1.1 recipient {number} is not known here");
            transcript.push_line(line.as_bytes());
            wanted.extend_from_slice(line.as_bytes());
            wanted.push(b'\n');
            if number == 10_000 {
                assert_eq!(whole(&transcript), wanted, "read in the middle");
            }
        }
        let long = vec![b'y'; 10_000];
        transcript.push_line(&long);
        wanted.extend_from_slice(&long);
        wanted.push(b'\n');
        assert!(!transcript.is_truncated() && !transcript.is_empty());
        assert!(transcript.as_bytes().len() <= long.len() + 1);
        assert_eq!(whole(&transcript), wanted);
        assert!(transcript.clone().is_truncated());
    }
}
