//! Aliases, :include: lists and .forward files.
