//! Stored hashes, in the PHC string format: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, both in
//! base64 without padding.

use std::fmt;
use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// What hashing costs: memory in KiB, passes, lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cost {
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// What new hashes cost: 19 MiB, two passes, one lane (OWASP's first choice for Argon2id). A stored
    /// hash of another cost is made anew when its password is next seen.
    pub(super) const CURRENT: Cost = Cost { memory: 19 * 1024, passes: 2, lanes: 1 };

    /// Refuses what no Keystile writes: a damaged store must not make this process hash for hours.
    fn new(memory: u32, passes: u32, lanes: u32) -> Option<Cost> {
        let fits = memory <= MAX_MEMORY && (1..=MAX_PASSES).contains(&passes) && (1..=MAX_LANES).contains(&lanes);
        (fits && memory >= 8 * lanes).then_some(Cost { memory, passes, lanes })
    }

    /// Blocks of 1 KiB that it takes.
    pub(super) const fn blocks(self) -> usize {
        self.memory as usize
    }

    /// The hash of a password, computed in this memory, which is wiped.
    fn hash(
        self,
        password: &str,
        salt: &[u8],
        memory: &mut Memory,
    ) -> Result<Zeroizing<[u8; HASH_LEN]>, argon2::Error> {
        let params = Params::new(self.memory, self.passes, self.lanes, Some(HASH_LEN))?;
        let blocks = params.block_count();
        memory.try_reserve_exact(blocks).map_err(|_| argon2::Error::OutOfMemory)?;
        memory.resize(blocks, Block::default());
        let mut hash = Zeroizing::new([0; HASH_LEN]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let done = argon2.hash_password_into_with_memory(password.as_bytes(), salt, hash.as_mut(), &mut memory[..]);
        memory.fill(Block::default());
        done.map(|()| hash)
    }
}

/// What a hash is computed in. Empty at first; kept for the next one.
pub(super) type Memory = Vec<Block>;

/// A stored hash.
pub(super) struct StoredHash {
    pub(super) cost: Cost,
    salt: [u8; SALT_LEN],
    hash: [u8; HASH_LEN],
}

impl StoredHash {
    /// Hashes a new password.
    pub(super) fn new(password: &str, salt: [u8; SALT_LEN], memory: &mut Memory) -> Result<StoredHash, argon2::Error> {
        let cost = Cost::CURRENT;
        Ok(StoredHash { cost, salt, hash: *cost.hash(password, &salt, memory)? })
    }

    /// Whether this is the hash of the password; one hash, and a comparison in constant time.
    pub(super) fn matches(&self, password: &str, memory: &mut Memory) -> Result<bool, argon2::Error> {
        let hash = self.cost.hash(password, &self.salt, memory)?;
        Ok(hash.ct_eq(&self.hash).into())
    }
}

impl fmt::Display for StoredHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cost { memory, passes, lanes } = self.cost;
        let (salt, hash) = (STANDARD_NO_PAD.encode(self.salt), STANDARD_NO_PAD.encode(self.hash));
        write!(f, "{START}m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

impl FromStr for StoredHash {
    type Err = ();

    fn from_str(text: &str) -> Result<StoredHash, ()> {
        read(text).ok_or(())
    }
}

fn read(text: &str) -> Option<StoredHash> {
    let mut parts = text.strip_prefix(START)?.split('$');
    let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let mut numbers = cost.split(',').zip(["m=", "t=", "p="]).map(|(part, name)| part.strip_prefix(name)?.parse().ok());
    let cost = Cost::new(numbers.next()??, numbers.next()??, numbers.next()??)?;
    let stored = StoredHash {
        cost,
        salt: STANDARD_NO_PAD.decode(salt).ok()?.try_into().ok()?,
        hash: STANDARD_NO_PAD.decode(hash).ok()?.try_into().ok()?,
    };
    // One hash has one text: no signs, no leading zeros, nothing more.
    (stored.to_string() == text).then_some(stored)
}

/// Argon2id, version 1.3.
const START: &str = "$argon2id$v=19$";
/// Length of a salt, in bytes.
pub(super) const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
/// The largest memory that a stored hash may ask for, in KiB: 128 MiB, so that two at once stay below
/// 300 MB.
const MAX_MEMORY: u32 = 128 * 1024;
const MAX_PASSES: u32 = 16;
const MAX_LANES: u32 = 4;

/// A stored hash of a smaller cost, as an older version could have written it.
#[cfg(test)]
pub(super) fn with_cost(password: &str, memory: u32, passes: u32) -> String {
    let cost = Cost::new(memory, passes, 1).unwrap();
    let salt = [9; SALT_LEN];
    StoredHash { cost, salt, hash: *cost.hash(password, &salt, &mut Memory::new()).unwrap() }.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_read_as_they_were_written() {
        let memory = &mut Memory::new();
        let stored = StoredHash::new("correct horse", [7; SALT_LEN], memory).unwrap();
        let text = stored.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"), "{text}");
        let read: StoredHash = text.parse().unwrap();
        assert_eq!(read.to_string(), text);
        assert_eq!(read.matches("correct horse", memory), Ok(true));
        assert_eq!(read.matches("correct horsf", memory), Ok(false));
        assert_eq!(read.matches("", memory), Ok(false));
    }

    #[test]
    fn what_no_keystile_writes_is_refused() {
        let salt = STANDARD_NO_PAD.encode([1; SALT_LEN]);
        let hash = STANDARD_NO_PAD.encode([2; HASH_LEN]);
        let good = format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}");
        assert!(good.parse::<StoredHash>().is_ok());
        for bad in [
            String::new(),
            "x".to_owned(),
            good.replace("argon2id", "argon2i"),
            good.replace("v=19", "v=16"),
            good.replace("t=2", "t=0"),
            good.replace("t=2", "t=+2"),
            good.replace("t=2", "t=02"),
            good.replace("t=2", "t=4294967296"),
            good.replace("m=19456", "m=4294967295"),
            good.replace("m=19456", "m=7"),
            good.replace("p=1", "p=255"),
            good.replace(",p=1", ""),
            good.replace(",p=1", ",p=1,x=1"),
            good.replace(&salt, "AQEB"),
            good.replace(&hash, ""),
            format!("{good}$"),
            format!("{good}="),
            format!(" {good}"),
        ] {
            assert!(bad.parse::<StoredHash>().is_err(), "{bad}");
        }
    }
}
