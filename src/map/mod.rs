//! Maps: the K lines and their classes.
