//! Which files may be trusted.
