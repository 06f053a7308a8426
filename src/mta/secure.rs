//! The two sides of TLS, and what is told of them.

use std::sync::Arc;

use super::Mta;
use crate::tls::{ClientSide, Line, ServerSide};

impl Mta {
    /// Returns the server's side of TLS, made when it is first asked for.
    pub fn tls_server(&self) -> Option<Arc<ServerSide>> {
        let security = &self.config.options.security;
        self.tls.server(security, &|lines| self.tell_tls(lines))
    }

    /// Returns the client's side of TLS, made when it is first asked for.
    pub fn tls_client(&self) -> Option<Arc<ClientSide>> {
        let security = &self.config.options.security;
        self.tls.client(security, &|lines| self.tell_tls(lines))
    }

    /// Writes lines about TLS to the log.
    pub fn tell_tls(&self, lines: &[Line]) {
        for line in lines {
            let text = format_args!("{}", line.text);
            self.log.syslog(line.level, line.severity, None, text);
        }
    }
}
