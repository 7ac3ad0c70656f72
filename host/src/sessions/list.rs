//! Listing and showing sessions.

use super::{EndSessionError, ListSessionsError, Sessions};
use crate::ids::SessionId;
use crate::query::MAX_PAGE;
use crate::session::{Session, SessionPage, SessionQuery};

impl Sessions<'_> {
    /// A page of sessions, newest first.
    ///
    /// # Errors
    /// [`ListSessionsError`] when the query breaks a bound, or the store refuses.
    pub fn list(&self, query: &SessionQuery) -> Result<SessionPage, ListSessionsError> {
        if query.limit == 0 || query.limit > MAX_PAGE {
            return Err(ListSessionsError::Limit { given: query.limit });
        }
        Ok(self.inner.store().read()?.sessions(query, self.inner.now())?)
    }

    /// A session.
    ///
    /// # Errors
    /// [`EndSessionError::NotFound`] when there is no such session, or the store refuses.
    pub fn show(&self, id: SessionId) -> Result<Session, EndSessionError> {
        let row = self.inner.store().read()?.session(id)?;
        row.map(|row| row.session).ok_or(EndSessionError::NotFound { id })
    }
}
