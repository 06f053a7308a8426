//! The words of RFC 5321, used by server and client alike.
