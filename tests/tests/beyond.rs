//! Nothing of a credential is looked at beyond its bound: what lies there cannot be read, and whoever reads it dies.

#![cfg(unix)]

use keystile::bounds::MAX_CREDENTIAL_LEN;
use keystile::sandbox::{Sandbox, SandboxOptions};
use keystile::{Client, Code, Email, Keystile, Login, LoginError, NewStore, Password, Refresh, UnverifiedToken};
use keystile_validator::jwt::{UnverifiedJwt, looks_like_jws};
use keystile_validator::{KeyFormat, Request, Timestamp, check};

use crate::own_process::in_own_process;

/// A gibibyte, of which only the start can be read: as much as a credential may be, and the page that the bound is in.
struct Endless(*mut libc::c_void);

const LEN: usize = 1 << 30;

impl Endless {
    #[allow(unsafe_code, reason = "memory that cannot be read has no safe form")]
    fn new(filled_with: &[u8]) -> Endless {
        let page = 4_096_usize.max(
            usize::try_from(
                // SAFETY: it asks for a number.
                unsafe { libc::sysconf(libc::_SC_PAGESIZE) },
            )
            .unwrap(),
        );
        let readable = (MAX_CREDENTIAL_LEN + 1).next_multiple_of(page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping of our own, at an address that the system chooses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the start of that mapping.
        assert_eq!(unsafe { libc::mprotect(start, readable, libc::PROT_READ | libc::PROT_WRITE) }, 0);
        // SAFETY: that much can be written, and nobody else has it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start.cast::<u8>(), readable) };
        bytes.iter_mut().zip(filled_with.iter().cycle()).for_each(|(byte, fill)| *byte = *fill);
        Endless(start)
    }

    #[allow(unsafe_code, reason = "see above")]
    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long and lives as long as this. Reading past its start ends the process, which
        // is what the test is for.
        unsafe { std::slice::from_raw_parts(self.0.cast::<u8>(), LEN) }
    }

    #[allow(unsafe_code, reason = "see above")]
    fn text(&self) -> &str {
        // SAFETY: all that can be read is ASCII.
        unsafe { std::str::from_utf8_unchecked(self.bytes()) }
    }
}

/// The test is of use only if reading there ends the process.
#[test]
fn memory_beyond_the_bound_cannot_be_read() {
    if let Some(status) = in_own_process("beyond::memory_beyond_the_bound_cannot_be_read") {
        use std::os::unix::process::ExitStatusExt as _;
        assert!(matches!(status.signal(), Some(libc::SIGSEGV | libc::SIGBUS)), "{status}");
        return;
    }
    let endless = Endless::new(b"a");
    std::hint::black_box(endless.bytes().iter().filter(|byte| **byte == b'.').count());
}

#[test]
fn nothing_looks_at_a_credential_beyond_its_bound() {
    if let Some(status) = in_own_process("beyond::nothing_looks_at_a_credential_beyond_its_bound") {
        assert!(status.success(), "{status}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    let sandbox = Sandbox::new(SandboxOptions::default()).unwrap();
    let password = Password::new("correct horse battery staple".to_owned()).unwrap();
    for on_demand in [false, true] {
        let keystile = Keystile::options().on_demand(on_demand).open(&path).unwrap();
        let request = keystile.request();
        // Nothing to find, something to skip, and what keys, tokens and refresh tokens begin with.
        let prefix = format!("ks_live_{}", "a".repeat(8_184));
        for fill in [b"a".as_slice(), b" ", b"eyJhbGciOiJIUzI1NiJ9.", b"ksr_", b"a@", prefix.as_bytes(), b"\n", b"."] {
            let endless = Endless::new(fill);
            let (bytes, text) = (endless.bytes(), endless.text());
            let shown = String::from_utf8_lossy(fill.get(..8).unwrap_or(fill)).into_owned();
            for verdict in [keystile.verify(bytes, &request), keystile.preview(bytes, &request)] {
                assert_eq!(verdict.code(), Some(Code::Malformed), "{shown}");
            }
            let batch = keystile.verify_batch(&[bytes, b"hello".as_slice(), bytes], &request);
            assert!(batch.iter().all(|verdict| verdict.code() == Some(Code::Malformed)), "{shown}");
            assert_eq!(keystile.explain(bytes, &request).unwrap().verdict.code(), Some(Code::Malformed), "{shown}");
            let refused = keystile.login_with_key(bytes, Client::default());
            assert!(matches!(refused, Err(LoginError::InvalidCredentials)), "{shown}");
            assert!(keystile.refresh(text, &Refresh::default()).is_err());
            assert!(keystile.logout(text).is_err());
            assert!(keystile.tokens().revoke(text).is_err());
            assert!(UnverifiedToken::read(text).is_err());
            assert!(text.parse::<Email>().is_err());
            // A login is refused or slowed down; its name is not looked through.
            let login = Login { email: text, password: &password, client: Client::default() };
            assert!(keystile.login(&login).is_err());
            assert!(!matches!(sandbox.check_jws("me", bytes), Ok(Ok(()))), "{shown}");
            // The validator as a Rust library.
            looks_like_jws(bytes);
            assert!(UnverifiedJwt::parse(bytes).is_err());
            let formats = [KeyFormat::with_defaults("ks").unwrap()];
            let at = Request::at(Timestamp::from_unix(0).unwrap());
            assert_eq!(check(bytes, None, &at, &formats).code(), Some(Code::Malformed), "{shown}");
        }
    }
}
