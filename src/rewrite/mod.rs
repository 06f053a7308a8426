//! Rulesets: matching, rewriting, resolving.
