//! The message in hand.
