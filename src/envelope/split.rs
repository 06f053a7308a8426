//! One envelope into several.
