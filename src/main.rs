//! The `sendmail` program.

fn main() {}
