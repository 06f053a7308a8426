//! Class `program`: the first line a program prints is the value.

use std::io::Read;
use std::sync::Arc;

use super::definition::MapDefinition;
use super::flags::{MapFlags, is_space};
use super::lookup::{LookupContext, Map, MapAnswer, STATUS_CONFIG, STATUS_OK, STATUS_UNAVAILABLE};
use super::set::MapServices;
use crate::sys::file::path_of;
use crate::sys::identity::Credentials;
use crate::sys::moment::Moments;
use crate::sys::privilege::Privileged;
use crate::sys::spawn::{Ended, SpawnPlan, Stdio};

/// Most octets that are read of the output.
const MAX_OUTPUT: u64 = 2_048;

/// A program and its first arguments; the key follows as the last one.
pub(super) struct ProgramMap {
    flags: MapFlags,
    argv: Vec<Vec<u8>>,
    user: Option<Credentials>,
    privileged: Arc<dyn Privileged>,
    moments: Moments,
}

impl ProgramMap {
    pub(super) fn new(definition: &MapDefinition, services: &MapServices) -> ProgramMap {
        let words = definition.rest.split(|&octet| is_space(octet));
        let arguments = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec);
        let argv = std::iter::once(definition.file.clone())
            .chain(arguments)
            .collect();
        ProgramMap {
            flags: definition.flags.clone(),
            argv,
            user: services.program_user.clone(),
            privileged: services.privileged.clone(),
            moments: services.moments.clone(),
        }
    }

    /// Runs the program; returns its output and how it ended.
    fn run(&self, key: &[u8]) -> std::io::Result<(Vec<u8>, Ended)> {
        let program = self.argv.first().map_or(&[][..], Vec::as_slice);
        if !program.starts_with(b"/") || key.contains(&0) {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        let argv = self.argv.iter().cloned().chain([key.to_vec()]).collect();
        let mut plan = SpawnPlan::new(path_of(program), argv);
        plan.environment = vec![(b"AGENT".to_vec(), b"sendmail".to_vec())];
        plan.stdout = Stdio::Pipe;
        plan.credentials = self.user.clone();
        self.moments.end();
        let mut child = self.privileged.spawn(plan)?;
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout() {
            stdout.take(MAX_OUTPUT).read_to_end(&mut output)?;
        }
        Ok((output, child.wait(None)?))
    }
}

impl Map for ProgramMap {
    fn lookup(&self, key: &[u8], arguments: &[&[u8]], _: &mut LookupContext<'_>) -> MapAnswer {
        let Ok((output, ended)) = self.run(key) else {
            return MapAnswer::failed(STATUS_CONFIG);
        };
        let status = match ended {
            Ended::Exited(status) => u8::try_from(status).unwrap_or(STATUS_UNAVAILABLE),
            Ended::Signaled(_) | Ended::StillRunning => STATUS_UNAVAILABLE,
        };
        if status != STATUS_OK || output.is_empty() {
            return MapAnswer::failed(status);
        }
        let line = output.split(|&octet| octet == b'\n').next().unwrap_or(&[]);
        MapAnswer::found(self.flags.value(key, line, arguments))
    }
}
