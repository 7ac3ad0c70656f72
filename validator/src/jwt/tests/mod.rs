//! The rules for tokens, each by its name; attacks; advisories; an independent library as oracle.

mod advisories;
mod attacks;
mod cache;
mod issuers;
mod keys;
mod mutations;
mod oracle;
mod rules;
mod support;
mod vectors;
