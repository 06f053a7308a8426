//! Bytes, intervals and dates.
