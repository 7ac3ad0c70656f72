//! Requests: what a caller asks for.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::environment::Environment;
use crate::scope::Scope;
use crate::time::Timestamp;

/// Most scopes a request can ask for, of each kind.
pub const MAX_REQUEST_SCOPES: usize = 32;

/// What a caller asks for, and when.
///
/// ```
/// use keystile_validator::{Request, Scope, Timestamp};
/// let mut request = Request::at(Timestamp::from_unix(1_700_000_000)?);
/// request.all_of.push(Scope::new("invoices:read")?);
/// assert_eq!(request.validate(), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The time of the call.
    pub now: Timestamp,
    /// Scopes of which the key must have every one; at most [`MAX_REQUEST_SCOPES`].
    pub all_of: Vec<Scope>,
    /// Scopes of which the key must have one; empty: no such demand; at most [`MAX_REQUEST_SCOPES`].
    pub any_of: Vec<Scope>,
    /// The environment that is called; `None`: any.
    pub environment: Option<Environment>,
    /// The address of the client. A key with address ranges is denied when it is not known.
    pub address: Option<IpAddr>,
    /// How often the key was used in the current window, as counted by the host.
    pub usage: Option<Usage>,
}

/// Calls that a key has made in its current rate window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Calls that were allowed in this window.
    pub used: u32,
    /// The second at which the window ends and the next one starts from 0.
    pub resets_at: Timestamp,
}

impl Request {
    /// A request at this time that asks for nothing in particular.
    pub const fn at(now: Timestamp) -> Request {
        Request { now, all_of: Vec::new(), any_of: Vec::new(), environment: None, address: None, usage: None }
    }

    /// Whether every bound holds.
    ///
    /// # Errors
    /// [`RequestError`] when there are too many scopes.
    pub fn validate(&self) -> Result<(), RequestError> {
        let given = self.all_of.len().max(self.any_of.len());
        if given > MAX_REQUEST_SCOPES { Err(RequestError::Scopes { given }) } else { Ok(()) }
    }
}

/// Why a request cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// Too many scopes of one kind.
    Scopes {
        /// How many there are.
        given: usize,
    },
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Scopes { given } => {
                write!(f, "a request for {given} scopes is too large · ask for at most {MAX_REQUEST_SCOPES}")
            }
        }
    }
}

impl core::error::Error for RequestError {}
