//! One TLS connection, without a socket.
//!
//! Octets from the other side go in, text comes out; text goes in, octets for the
//! other side come out. The owner of the socket decides when.

use std::io::{Read, Write};

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, Connection, Error, InvalidMessage, ProtocolVersion};

/// Octets of text taken out at a time.
const PIECE: usize = 16_384;

/// What became of octets from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// The connection goes on.
    Open,
    /// The other side said that it has no more to say.
    Closed,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In OpenSSL's words where it has some.
    pub reason: String,
    /// In full.
    pub detail: String,
}

impl Failure {
    /// The other side went away in the middle.
    pub fn closed() -> Self {
        Failure {
            reason: "unexpected eof while reading".to_owned(),
            detail: "the connection was closed".to_owned(),
        }
    }

    /// Something that is no fault of the protocol.
    pub fn other(text: String) -> Self {
        Failure {
            reason: text.clone(),
            detail: text,
        }
    }

    fn of(error: &Error) -> Self {
        let reason = match error {
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => "wrong version number".to_owned(),
            Error::InvalidMessage(_) => "bad record".to_owned(),
            Error::PeerIncompatible(_) => "no protocols or ciphers in common".to_owned(),
            Error::AlertReceived(alert) => format!("alert received: {alert:?}"),
            other => other.to_string(),
        };
        Failure {
            reason,
            detail: error.to_string(),
        }
    }
}

/// One connection.
pub struct Channel {
    connection: Connection,
}

impl Channel {
    /// Takes a connection whose handshake has not begun.
    pub fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        // What the owner gives is in memory already; a limit would only cut it.
        connection.set_buffer_limit(None);
        Channel { connection }
    }

    /// Tells whether the handshake is still going on.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes octets from the other side and appends their text.
    ///
    /// # Errors
    /// The other side broke the protocol; [`Channel::take_output`] still has to be sent, it says why.
    pub fn receive(&mut self, mut octets: &[u8], text: &mut Vec<u8>) -> Result<Received, Failure> {
        let mut state = Received::Open;
        while !octets.is_empty() {
            let read = self.connection.read_tls(&mut octets);
            let read = read.map_err(|error| Failure {
                reason: "bad record".to_owned(),
                detail: error.to_string(),
            })?;
            let progress = self.connection.process_new_packets();
            let progress = progress.map_err(|error| Failure::of(&error))?;
            self.take_text(progress.plaintext_bytes_to_read(), text);
            if progress.peer_has_closed() {
                state = Received::Closed;
            }
            if read == 0 {
                // Nothing is taken any more: what follows the end means nothing.
                break;
            }
        }
        Ok(state)
    }

    fn take_text(&mut self, mut left: usize, text: &mut Vec<u8>) {
        let mut piece = [0; PIECE];
        while left > 0 {
            match self.connection.reader().read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    text.extend_from_slice(piece.get(..count).unwrap_or_default());
                    left = left.saturating_sub(count);
                }
            }
        }
    }

    /// Takes text for the other side.
    pub fn seal(&mut self, text: &[u8]) {
        // Without a limit the buffer takes everything.
        let _ = self.connection.writer().write_all(text);
    }

    /// Says that we have no more to say.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends what is to be sent.
    pub fn take_output(&mut self, output: &mut Vec<u8>) {
        while self.connection.wants_write() {
            if self.connection.write_tls(output).is_err() {
                return;
            }
        }
    }

    /// The certificates the other side showed, its own first.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.connection.peer_certificates().unwrap_or_default()
    }

    /// The version, once it is agreed on.
    pub fn version(&self) -> Option<ProtocolVersion> {
        self.connection.protocol_version()
    }

    /// The cipher, once it is agreed on.
    pub fn cipher(&self) -> Option<CipherSuite> {
        let suite = self.connection.negotiated_cipher_suite()?;
        Some(suite.suite())
    }
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}
