//! Reports compared with what the reference wrote.
