//! Logins, on a real store.
