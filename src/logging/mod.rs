//! Mail records, debug flags, and what -v prints.
