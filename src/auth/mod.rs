//! SMTP AUTH (RFC 4954): SASL mechanisms for both sides, and where passwords are.
//!
//! Nothing here reads a socket of a client or writes one: an exchange takes what
//! the other side said and gives what to say next. Base64 is undone and done by
//! whoever talks, with [`encoding`].
//!
//! Reading order:
//!
//! - [`encoding`]: base64 as the reference takes it.
//! - [`mechanism`]: names, and which mechanisms AuthMechanisms and AuthOptions allow.
//! - [`secret`]: passwords in memory, and comparing without telling how far it went.
//! - [`outcome`]: who it is, or why not, in the words of the log.
//! - [`accounts`]: the question "is this the password?" and its answers.
//! - [`application`]: the file `Sendmail.conf` that says where passwords are.
//! - [`saslauthd`] and [`sasldb`]: the two places.
//! - [`server`] and [`client`]: an exchange seen from either side.
//! - [`plain`], [`login`], [`cram_md5`], [`digest_md5`], [`scram`]: one mechanism each.
//! - [`credentials`]: what we show to servers: authinfo and DefaultAuthInfo.

pub mod accounts;
pub mod application;
pub mod client;
pub mod cram_md5;
pub mod credentials;
pub mod digest_md5;
pub mod encoding;
pub mod login;
pub mod mechanism;
pub mod outcome;
pub mod plain;
pub mod saslauthd;
pub mod sasldb;
pub mod scram;
pub mod secret;
pub mod server;

pub use accounts::{Accounts, SaslAccounts};
pub use client::{ClientExchange, ClientFault};
pub use credentials::Credentials;
pub use mechanism::{Mechanism, Policy};
pub use outcome::{Failure, Identity};
pub use secret::Secret;
pub use server::{Reaction, ServerExchange, ServerFacts};
