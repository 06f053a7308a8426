//! Queue control files: the `qf` text format.

use crate::envelope::Envelope;

/// What a reader and writer of control files must know of the configuration.
#[derive(Debug, Default)]
pub struct ControlFileFormat {}

impl ControlFileFormat {
    /// Writes the control file of an envelope.
    pub fn write(&self, envelope: &Envelope) -> Vec<u8> {
        let _ = envelope;
        unimplemented!("queue: control file text")
    }
}
