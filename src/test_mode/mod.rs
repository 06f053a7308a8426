//! Address test mode, -bt.
