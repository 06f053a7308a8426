//! What the configuration says about a session with a server.
//!
//! A session asks a [`Rules`] before it tries TLS, after it did, and before it
//! names a recipient; the answers are those of the rulesets `try_tls`,
//! `tls_clt_features`, `tls_server` and `tls_rcpt` (guide 5.1.4).

use std::net::IpAddr;
use std::sync::Arc;

use crate::smtp::Reply;
use crate::tls::{ClientSide, Facts, Line};

/// Whom a session is with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, without a final dot: `${server_name}`.
    pub name: Vec<u8>,
    /// Its address: `${server_addr}`.
    pub address: Option<IpAddr>,
}

/// What protects a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing; the word is that of `${verify}` and says why.
    Clear(&'static str),
    /// TLS.
    Tls(Box<Facts>),
}

impl Security {
    /// Returns the value of `${verify}`.
    pub fn word(&self) -> &'static str {
        match self {
            Security::Clear(word) => word,
            Security::Tls(facts) => facts.verdict.word(),
        }
    }
}

/// Asked by a session.
pub trait Rules {
    /// Notes whom the session is with and what protects it, for the macros of all rulesets.
    fn know(&mut self, server: &Server, security: &Security);

    /// Says how TLS is tried with the server; `None` if it is not.
    fn tls_side(&mut self, server: &Server) -> Option<Arc<ClientSide>>;

    /// Writes lines to the log.
    fn tell(&mut self, lines: &[Line]);

    /// Says why the session must not be used (`tls_server`).
    fn refusal_of_server(&mut self, server: &Server, security: &Security) -> Option<Reply>;

    /// Says why a recipient must not be named in this session (`tls_rcpt`).
    fn refusal_of_recipient(&mut self, server: &[u8], recipient: usize) -> Option<Reply>;
}
