//! What the operating system says of the files: which they are, where they lie, and who has them open.

use std::fs::File;
use std::io;
use std::path::Path;

/// What makes two paths the same file, and when it was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) identity: Identity,
    /// Size and times of change.
    pub(super) stamp: Stamp,
}

/// What makes two paths the same file: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::store::sqlite) struct Identity(u64, u64);

/// Size and times of change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    len: u64,
    times: [i64; 4],
}

/// The file at a path, without opening it: `None` when there is none.
pub(super) fn stat(path: &Path) -> io::Result<Option<Stat>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(stat_of(&metadata))),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
pub(super) fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    use std::os::unix::fs::MetadataExt as _;
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    Stat { identity: Identity(metadata.dev(), metadata.ino()), stamp: Stamp { len: metadata.len(), times } }
}

/// Without numbers for files nothing tells an exchanged one.
#[cfg(not(unix))]
pub(super) fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    Stat { identity: Identity(0, 0), stamp: Stamp { len: metadata.len(), times: [0; 4] } }
}

/// Reads at a place of the file; fewer bytes than asked for are an error.
pub(super) fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, buffer, at);
    #[cfg(not(unix))]
    {
        use std::io::{Read as _, Seek as _};
        let mut file = file;
        file.seek(io::SeekFrom::Start(at))?;
        file.read_exact(buffer)
    }
}

/// Writes at a place of the file.
pub(super) fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::write_all_at(file, bytes, at);
    #[cfg(not(unix))]
    {
        use std::io::{Seek as _, Write as _};
        let mut file = file;
        file.seek(io::SeekFrom::Start(at))?;
        file.write_all(bytes)
    }
}

/// How many names the file has.
#[cfg(unix)]
pub(super) fn names(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::nlink(metadata)
}

#[cfg(not(unix))]
pub(super) fn names(_: &std::fs::Metadata) -> u64 {
    1
}

/// Whether something is mounted at this very path, so that the files beside it are those of another folder than
/// the ones beside the file itself. Linux tells since 5.8.
pub(super) fn is_mount_point(path: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
        let told = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
        match told {
            Ok(told) => Ok(told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
            Err(rustix::io::Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Ok(false)
    }
}

/// A process that has the store open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its id; `None` when it is in another process namespace, such as that of another container.
    pub(super) process: Option<u32>,
}

/// Another process that holds one of the engine's locks on the store: every connection does, from its first look
/// at the file until it is closed. Own locks are not seen.
pub(super) fn holder(store: &File) -> io::Result<Option<Holder>> {
    lock_in(store, STORE_LOCKS)
}

/// Another process that uses this shared memory: each one holds a lock on it for as long as it does.
pub(super) fn user_of_index(index: &File) -> io::Result<Option<Holder>> {
    lock_in(index, INDEX_LOCK)
}

#[cfg(unix)]
fn lock_in(file: &File, bytes: std::ops::Range<u64>) -> io::Result<Option<Holder>> {
    use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};
    let asked = Flock {
        start: bytes.start,
        length: bytes.end - bytes.start,
        pid: None,
        // Conflicts with every other lock.
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let found = fcntl_getlk(file, &asked)?;
    Ok(found.map(|lock| Holder { process: lock.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs()) }))
}

#[cfg(not(unix))]
fn lock_in(_: &File, _: std::ops::Range<u64>) -> io::Result<Option<Holder>> {
    Ok(None)
}

/// The bytes of the file that the engine locks ("File Locking And Concurrency"): pending, reserved, shared.
const STORE_LOCKS: std::ops::Range<u64> = 0x4000_0000..0x4000_0200;
/// The byte of the shared memory that whoever uses it has locked ("WAL-mode File Format", dead-man switch).
const INDEX_LOCK: std::ops::Range<u64> = 128..129;

/// The name of the network file system that a folder lies in, or of another one whose locks or shared memory do
/// not reach all who have a file open.
pub(in crate::store::sqlite) fn network_file_system(folder: &Path) -> io::Result<Option<&'static str>> {
    #[cfg(target_os = "linux")]
    {
        let told = rustix::fs::statfs(folder)?;
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a magic number of 32 bits")]
        Ok(network_name(told.f_type as u32))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        Ok(None)
    }
}

/// File systems by their numbers (`statfs(2)`, `linux/magic.h`). FUSE is among them: sshfs, s3fs, GlusterFS and
/// the shared folders of virtual machines answer with its number, and nothing tells them from those that are local.
#[cfg(any(target_os = "linux", test))]
fn network_name(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x00c3_6400 => "Ceph",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x0116_1970 => "GFS2",
        0x7461_636f => "OCFS2",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x1983_0326 => "BeeGFS",
        0x7375_7245 => "Coda",
        0x0000_564c => "NCP",
        0x786f_4256 => "VirtualBox shared folders",
        0xbacb_acbc => "VMware shared folders",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        for (magic, name) in [(0x6969, "NFS"), (0xfe53_4d42, "SMB"), (0x0102_1997, "9p"), (0x6573_5546, "FUSE")] {
            assert_eq!(network_name(magic), Some(name));
        }
        // ext4, XFS, Btrfs, ZFS, tmpfs, overlayfs.
        for magic in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1, 0x0102_1994, 0x794c_7630] {
            assert_eq!(network_name(magic), None);
        }
    }

    /// The call itself, on folders whose file systems are known.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked_for_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let number = |path: &Path| rustix::fs::statfs(path).unwrap().f_type;
        assert_eq!(number(Path::new("/proc")), 0x9fa0, "procfs");
        assert_eq!(network_file_system(Path::new("/proc")).unwrap(), None);
        assert_eq!(network_file_system(folder.path()).unwrap(), None, "tests need a local folder");
        assert!(network_file_system(&folder.path().join("missing")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mount_point_is_told_from_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_mount_point(Path::new("/proc")).unwrap());
        assert!(!is_mount_point(Path::new("/proc/version")).unwrap());
        assert!(!is_mount_point(folder.path()).unwrap());
    }
}
