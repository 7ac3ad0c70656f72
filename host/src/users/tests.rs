//! Users, on a real store.
