//! Host names, addresses and mail exchangers.
