//! Moving mail out.
