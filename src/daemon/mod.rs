//! The daemon: threads and channels.
