//! Programs that come with sendmail.
