//! The SMTP client.
