//! Files with keys: a JWK, or a JWK Set. They may hold secrets, so what was read is wiped.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::failure::{Exit, Failure, PAIR};
use keystile::KeySetProblem;
use keystile::bounds::MAX_JWKS_LEN;

/// All of a file, which must not be larger than a key set may be.
pub(super) fn read_keys(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unreadable = |error: &std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::Conflict } else { Exit::CannotSay };
        let message = format!("{} cannot be read: {error}{PAIR}check the path", path.display());
        Failure::new(exit, "unreadable_keys", message)
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    // Of its final size from the start: growing would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_JWKS_LEN.saturating_add(2)));
    let most = (MAX_JWKS_LEN as u64).saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() > MAX_JWKS_LEN {
        return Err(KeySetProblem::TooLarge.into());
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(KeySetProblem::Malformed.into()),
    }
}
