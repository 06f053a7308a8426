//! Macros and the templates they are expanded in.
