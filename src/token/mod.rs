//! Tokens, the currency of rewriting.
