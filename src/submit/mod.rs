//! Messages from standard input.
