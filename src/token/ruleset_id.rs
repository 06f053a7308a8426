//! The number of a ruleset.

/// Number of a ruleset, 0 to [`RulesetId::LIMIT`] exclusive.
///
/// Lives here and not beside the rules because mailers name rulesets too
/// (`S=` and `R=`) and lie below the rules in the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulesetId(u16);

impl RulesetId {
    /// Most rulesets a configuration can have (MAXRWSETS, guide 6.2).
    pub const LIMIT: u16 = 200;

    /// Makes the id of ruleset `number`, if that is below [`RulesetId::LIMIT`].
    pub fn new(number: u16) -> Option<RulesetId> {
        (number < Self::LIMIT).then_some(RulesetId(number))
    }

    /// Ruleset 0, which resolves an address to a mailer triple.
    pub const PARSE: RulesetId = RulesetId(0);
    /// Ruleset 1, common to all senders.
    pub const SENDER: RulesetId = RulesetId(1);
    /// Ruleset 2, common to all recipients.
    pub const RECIPIENT: RulesetId = RulesetId(2);
    /// Ruleset 3, which every address goes through first.
    pub const CANONIFY: RulesetId = RulesetId(3);
    /// Ruleset 4, which every rewritten address goes through last.
    pub const FINAL: RulesetId = RulesetId(4);
    /// Ruleset 5, for local addresses that are no alias.
    pub const LOCAL_ADDRESS: RulesetId = RulesetId(5);

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.0
    }
}
