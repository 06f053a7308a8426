//! Result codes and the words for them.
//!
//! Codes from zero up come from the server (RFC 4511 appendix A); those below are what a client
//! says of itself. The words are those of the C library that the reference is linked with.
//! Observed: 8.17.1.9.

/// All is well.
pub const SUCCESS: i32 = 0;
/// The server gave what it has and names others; only in version 2 of the protocol.
pub const PARTIAL_RESULTS: i32 = 9;
/// Another server has what was asked for.
pub const REFERRAL: i32 = 10;
/// The server cannot be reached, or went away.
pub const SERVER_DOWN: i32 = -1;
/// What the server sent cannot be read.
pub const DECODING_ERROR: i32 = -4;
/// The server took too long.
pub const TIMEOUT: i32 = -5;
/// The filter cannot be read.
pub const FILTER_ERROR: i32 = -7;
/// A referral leads back.
pub const CLIENT_LOOP: i32 = -16;
/// Referrals lead on and on.
pub const REFERRAL_LIMIT_EXCEEDED: i32 = -17;

const WORDS: &[(i32, &str)] = &[
    (SUCCESS, "Success"),
    (1, "Operations error"),
    (2, "Protocol error"),
    (3, "Time limit exceeded"),
    (4, "Size limit exceeded"),
    (5, "Compare False"),
    (6, "Compare True"),
    (7, "Authentication method not supported"),
    (8, "Strong(er) authentication required"),
    (PARTIAL_RESULTS, "Partial results and referral received"),
    (REFERRAL, "Referral"),
    (11, "Administrative limit exceeded"),
    (12, "Critical extension is unavailable"),
    (13, "Confidentiality required"),
    (14, "SASL bind in progress"),
    (16, "No such attribute"),
    (17, "Undefined attribute type"),
    (18, "Inappropriate matching"),
    (19, "Constraint violation"),
    (20, "Type or value exists"),
    (21, "Invalid syntax"),
    (32, "No such object"),
    (33, "Alias problem"),
    (34, "Invalid DN syntax"),
    (35, "Entry is a leaf"),
    (36, "Alias dereferencing problem"),
    (48, "Inappropriate authentication"),
    (49, "Invalid credentials"),
    (50, "Insufficient access"),
    (51, "Server is busy"),
    (52, "Server is unavailable"),
    (53, "Server is unwilling to perform"),
    (54, "Loop detected"),
    (64, "Naming violation"),
    (65, "Object class violation"),
    (66, "Operation not allowed on non-leaf"),
    (67, "Operation not allowed on RDN"),
    (68, "Already exists"),
    (69, "Cannot modify object class"),
    (70, "Results too large"),
    (71, "Operation affects multiple DSAs"),
    (80, "Other (e.g., implementation specific) error"),
    (SERVER_DOWN, "Can't contact LDAP server"),
    (-2, "Local error"),
    (-3, "Encoding error"),
    (DECODING_ERROR, "Decoding error"),
    (TIMEOUT, "Timed out"),
    (FILTER_ERROR, "Bad search filter"),
    (CLIENT_LOOP, "Client Loop"),
    (REFERRAL_LIMIT_EXCEEDED, "Referral Limit Exceeded"),
];

/// Returns the words for a result code.
pub fn words(code: i32) -> &'static str {
    WORDS
        .iter()
        .find(|&&(known, _)| known == code)
        .map_or("Unknown error", |&(_, words)| words)
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_codes_have_words() {
        assert_eq!(super::words(32), "No such object");
        assert_eq!(super::words(-1), "Can't contact LDAP server");
        assert_eq!(super::words(i32::MIN), "Unknown error");
    }
}
