//! What a store keeps of security events.

use keystile_validator::Timestamp;

use super::StoreError;
use crate::ids::UserId;
use crate::security_events::{AccountHash, NewSecurityEvent, SecurityEvent, SecurityEventPage, SecurityEventQuery};

/// A security event that was counted, and what must be known to take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CountedEvent {
    /// The id of its row.
    pub(crate) id: u64,
    /// The count of the row with this event in it.
    pub(crate) count: u64,
    /// When the row was last counted up before; `None`: the event made it.
    pub(crate) before: Option<Timestamp>,
}

/// The part of a view of a store that is about security events.
pub(crate) trait ReadSecurityEvents {
    /// A page of security events, newest first. Those from before `kept_since` are left out.
    fn security_events(
        &self,
        query: &SecurityEventQuery,
        kept_since: Timestamp,
    ) -> Result<SecurityEventPage, StoreError>;
}

/// The part of a write that is about security events.
pub(crate) trait WriteSecurityEvents: ReadSecurityEvents {
    /// Counts a security event: in the row of those that tell the same and began in the same hour, else in a new one.
    /// Of each kind the oldest rows go beyond [`MAX_EVENTS_OF_A_KIND`](crate::bounds::MAX_EVENTS_OF_A_KIND).
    fn count_security_event(&mut self, event: &NewSecurityEvent, now: Timestamp) -> Result<CountedEvent, StoreError>;

    /// Takes an event back that turned out to be none.
    fn take_back_security_event(&mut self, event: CountedEvent) -> Result<(), StoreError>;

    /// Forgets the events that began before this time.
    fn forget_security_events(&mut self, before: Timestamp) -> Result<(), StoreError>;

    /// Forgets the events of a user, and those of its account from when it was none.
    fn forget_security_events_of(&mut self, user: UserId, account: Option<AccountHash>) -> Result<(), StoreError>;

    /// Writes these events, oldest first, in place of all that are there.
    fn replace_security_events(&mut self, events: &[SecurityEvent]) -> Result<(), StoreError>;
}
