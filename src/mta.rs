//! The shared handles made from one configuration.
