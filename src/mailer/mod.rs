//! Mailer definitions: the M lines.
