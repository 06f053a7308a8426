//! What is known of remote hosts.
