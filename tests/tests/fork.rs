//! `fork`, as servers do it that load an application first and make their workers from it.
//!
//! Each test runs in a process of its own, which opens a store, starts threads, and forks.

#![cfg(unix)]

use std::io::Read as _;
use std::os::fd::FromRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keystile::sandbox::{Sandbox, SandboxFailure, SandboxOptions};
use keystile::{
    AuditReport, ChangeStateError, Code, CreateKeyError, ExplainError, KeyQuery, Keystile, ListKeysError, LoginError,
    NewKey, NewStore, NewUser, OpenError, Password, RestoreError, RevokeReason, StoreError,
};
use keystile_tests::keystile;

use crate::own_process::in_own_process;

/// After so long a child hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Forks, and has the child do this; what it says went wrong, or that it panics or hangs.
#[allow(unsafe_code, reason = "there is no safe fork")]
fn child(work: impl FnOnce() -> Result<(), String>) {
    let mut pipe = [0; 2];
    // SAFETY: `pipe` has room for two descriptors.
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    // SAFETY: the child runs what this test is about, and ends by `_exit`: nothing of the parent's is dropped there.
    let process = unsafe { libc::fork() };
    assert!(process >= 0);
    if process == 0 {
        let result = catch_unwind(AssertUnwindSafe(work));
        let said = match &result {
            Ok(Ok(())) => String::new(),
            Ok(Err(said)) => said.clone(),
            Err(_) => "it panicked".to_owned(),
        };
        // SAFETY: the buffer is alive, and nobody else has this descriptor here.
        unsafe { libc::write(pipe[1], said.as_ptr().cast(), said.len()) };
        // SAFETY: it ends the process.
        unsafe { libc::_exit(i32::from(!said.is_empty())) };
    }
    // SAFETY: both descriptors are ours, and each is closed once.
    let (mut read, written) = unsafe { (std::fs::File::from_raw_fd(pipe[0]), std::fs::File::from_raw_fd(pipe[1])) };
    drop(written);
    let started = Instant::now();
    let mut status = 0;
    // SAFETY: `status` is alive, and the process is a child of this one.
    while unsafe { libc::waitpid(process, &mut status, libc::WNOHANG) } == 0 {
        if started.elapsed() > HANGS {
            // SAFETY: the process is a child of this one that was not waited for.
            unsafe { libc::kill(process, libc::SIGKILL) };
            panic!("the child hangs");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut said = String::new();
    read.read_to_string(&mut said).unwrap();
    assert!(status == 0, "status {status}: {said}");
}

fn expect(fits: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if fits { Ok(()) } else { Err(what()) }
}

fn new_store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keystile.db");
    Keystile::create(&path, NewStore::default()).unwrap();
    (folder, path)
}

fn new_key(keystile: &Keystile) -> (keystile::KeyId, String) {
    let created = keystile.keys().create(NewKey { name: "worker".into(), ..NewKey::default() }).unwrap();
    (created.key.id, created.secret.expose_secret().to_owned())
}

/// Every verdict is `unavailable`, and everything else fails with the reason.
fn assert_of_no_use(keystile: &Keystile, path: &Path, (id, secret): &(keystile::KeyId, String)) -> Result<(), String> {
    let request = keystile.request();
    let verdicts = [
        keystile.verify(secret, &request),
        keystile.preview(secret, &request),
        keystile.verify("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", &request),
        keystile.verify("no key", &request),
    ];
    let batch = keystile.verify_batch(&[secret, secret], &request);
    for verdict in verdicts.into_iter().chain(batch) {
        expect(verdict.code() == Some(Code::Unavailable), || format!("{verdict:?}"))?;
    }
    macro_rules! forked {
        ($result:expr, $pattern:pat) => {
            match $result {
                Err($pattern) => {}
                other => return Err(format!("{}: {:?}", stringify!($result), other.map(drop))),
            }
        };
    }
    forked!(keystile.ready(), StoreError::Forked);
    forked!(keystile.flush(), StoreError::Forked);
    forked!(keystile.explain(secret, &request), ExplainError::Store(StoreError::Forked));
    forked!(keystile.audit(None, 0, 1), StoreError::Forked);
    forked!(keystile.doctor(path), StoreError::Forked);
    forked!(keystile.backup(path.with_extension("copy")), StoreError::Forked);
    forked!(keystile.settings(), StoreError::Forked);
    forked!(
        keystile.keys().create(NewKey { name: "child".into(), ..NewKey::default() }),
        CreateKeyError::Store(StoreError::Forked)
    );
    forked!(keystile.keys().list(&KeyQuery::default()), ListKeysError::Store(StoreError::Forked));
    forked!(
        keystile.keys().revoke(*id, RevokeReason::KeyCompromise, None),
        ChangeStateError::Store(StoreError::Forked)
    );
    let password = Password::new("correct horse battery staple".to_owned()).unwrap();
    let login = keystile::Login { email: "ada@example.com", password: &password, client: keystile::Client::default() };
    forked!(keystile.login(&login), LoginError::Store(StoreError::Forked));
    // SQLite would believe that this process has the locks of its parent.
    forked!(Keystile::open(path), OpenError::Store(StoreError::Forked));
    forked!(Keystile::options().on_demand(true).read_only(true).open(path), OpenError::Store(StoreError::Forked));
    forked!(Keystile::restore(path, path.with_extension("new"), "child"), RestoreError::Store(StoreError::Forked));
    let message = StoreError::Forked.to_string();
    expect(message.contains(" · open the store after the fork"), || message)?;
    expect(keystile.sandbox_counters() == Default::default(), || "counters".to_owned())?;
    let _ = (keystile.secrets_in_memory(), format!("{keystile:?}"), keystile.clone());
    Ok(())
}

#[test]
fn a_child_is_denied_from_its_first_verdict_on() {
    if let Some(status) = in_own_process("fork::a_child_is_denied_from_its_first_verdict_on") {
        assert!(status.success(), "{status}");
        return;
    }
    for on_demand in [false, true] {
        let (_folder, path) = new_store();
        let parent = Keystile::options().on_demand(on_demand).open(&path).unwrap();
        let password = Password::new("correct horse battery staple".to_owned()).unwrap();
        let new = NewUser { password: Some(password), ..NewUser::new("ada@example.com".parse().unwrap()) };
        parent.users().create(new).unwrap();
        let (id, secret) = new_key(&parent);
        assert!(parent.verify(&secret, &parent.request()).is_allow());
        let mut handle = Some(parent.clone());
        let mine = parent.clone();
        let mut kept = Some(parent);
        let files = || {
            ["", "-wal", "-shm"].map(|suffix| {
                use std::os::unix::fs::MetadataExt as _;
                std::fs::metadata(format!("{}{suffix}", path.display())).map(|file| file.ino()).ok()
            })
        };
        let before = files();
        // The closure has both handles: the child drops the last one, the parent none.
        child(|| {
            let first = mine.verify(&secret, &mine.request());
            expect(first.code() == Some(Code::Unavailable), || format!("{first:?}"))?;
            assert_of_no_use(&mine, &path, &(id, secret.clone()))?;
            drop((handle.take(), kept.take(), mine));
            Ok(())
        });
        let parent = kept.or(handle).expect("the parent has its handles");
        assert_eq!(files(), before, "the child has touched no file");
        assert!(parent.verify(&secret, &parent.request()).is_allow(), "the parent goes on");
        let revoked = keystile(&path).args(["keys", "revoke", &id.to_string()]).output().unwrap();
        assert!(revoked.status.success(), "{revoked:?}");
        let started = Instant::now();
        while parent.verify(&secret, &parent.request()).is_allow() {
            assert!(started.elapsed() < HANGS, "the revoke was never seen");
        }
        assert!(matches!(parent.verify_audit(None).unwrap(), AuditReport::Intact { .. }));
        // A child that dies without dropping anything leaves the parent alone, too.
        child(|| Ok(()));
        new_key(&parent);
    }
}

#[test]
fn a_fork_at_any_moment_hangs_nowhere() {
    const CHILDREN: usize = 100;
    if let Some(status) = in_own_process("fork::a_fork_at_any_moment_hangs_nowhere") {
        assert!(status.success(), "{status}");
        return;
    }
    let (_folder, path) = new_store();
    let parent = Keystile::options().flush_interval(Duration::from_millis(1)).open(&path).unwrap();
    let key = new_key(&parent);
    let ended = AtomicBool::new(false);
    // Whatever this process has locked at the moment of a fork stays locked in the child.
    std::thread::scope(|scope| {
        let work = |work: fn(&Keystile, &str)| {
            let (parent, secret, ended) = (&parent, &key.1, &ended);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    work(parent, secret);
                }
            });
        };
        work(|parent, secret| drop(parent.verify(secret, &parent.request())));
        work(|parent, _| drop(parent.verify("eyJhbGciOiJIUzI1NiJ9.e30.AAAA", &parent.request())));
        work(|parent, _| drop(new_key(parent)));
        work(|parent, _| drop(parent.keys().list(&KeyQuery::default()).unwrap()));
        work(|parent, _| parent.flush().unwrap());
        let done = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..CHILDREN {
                let mut handle = Some(parent.clone());
                child(|| {
                    let handle = handle.take().unwrap();
                    assert_of_no_use(&handle, &path, &key)?;
                    drop(handle);
                    Ok(())
                });
            }
        }));
        ended.store(true, Ordering::Relaxed);
        done.unwrap();
    });
    println!("{CHILDREN} children of a process with many threads at work");
}

#[test]
fn a_child_may_open_what_its_parent_has_not() {
    if let Some(status) = in_own_process("fork::a_child_may_open_what_its_parent_has_not") {
        assert!(status.success(), "{status}");
        return;
    }
    let (_folder, path) = new_store();
    let parent = Keystile::open(&path).unwrap();
    let (id, secret) = new_key(&parent);
    drop(parent);
    child(|| {
        let opened = Keystile::open(&path).map_err(|error| error.to_string())?;
        expect(opened.verify(&secret, &opened.request()).is_allow(), || "it is denied".to_owned())?;
        opened.keys().revoke(id, RevokeReason::KeyCompromise, None).map_err(|error| error.to_string())?;
        let verdict = opened.verify(&secret, &opened.request());
        expect(verdict.code() == Some(Code::Revoked), || format!("{verdict:?}"))
    });
    let parent = Keystile::open(&path).unwrap();
    assert_eq!(parent.verify(&secret, &parent.request()).code(), Some(Code::Revoked));
}

#[test]
fn a_sandbox_alone_is_of_no_use_in_a_child() {
    if let Some(status) = in_own_process("fork::a_sandbox_alone_is_of_no_use_in_a_child") {
        assert!(status.success(), "{status}");
        return;
    }
    let mut sandbox = Some(Sandbox::new(SandboxOptions::default()).unwrap());
    child(|| {
        let sandbox = sandbox.take().unwrap();
        let checked = sandbox.check_jws("me", b"eyJhbGciOiJIUzI1NiJ9.aGk.AAAA");
        expect(checked == Err(SandboxFailure::Forked), || format!("{checked:?}"))?;
        let fresh = Sandbox::new(SandboxOptions::default()).map_err(|error| error.to_string())?;
        let checked = fresh.check_jws("me", b"eyJhbGciOiJIUzI1NiJ9.aGk.AAAA");
        expect(checked == Ok(Err(Code::UnknownIssuer)), || format!("{checked:?}"))?;
        drop((sandbox, fresh));
        Ok(())
    });
}
