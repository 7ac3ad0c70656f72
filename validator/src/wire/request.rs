//! The binary form of a request.

use core::net::IpAddr;

use alloc::vec::Vec;

use super::LayoutError;
use super::bytes::{Reader, Sink, Texts, flags};
use super::record::read_address;
use crate::environment::is_environment;
use crate::request::{MAX_REQUEST_SCOPES, Request, Usage};
use crate::scope::is_scope;
use crate::time::Timestamp;

const LAYOUT: u8 = 1;
const ENVIRONMENT: u8 = 1;
const ADDRESS: u8 = 2;
const USAGE: u8 = 4;
const ALL_FLAGS: u8 = ENVIRONMENT | ADDRESS | USAGE;

/// Appends the binary form of a request.
///
/// # Errors
/// [`LayoutError`] when a bound of [`Request`] is broken; nothing is appended then.
pub fn encode_request(request: &Request, out: &mut Vec<u8>) -> Result<(), LayoutError> {
    put_request(request, out)
}

/// Writes the binary form of a request.
pub(super) fn put_request(request: &Request, out: &mut impl Sink) -> Result<(), LayoutError> {
    request.validate().map_err(|_| LayoutError)?;
    let environment = request.environment.as_ref().map_or("", |environment| environment.as_str());
    let flags = flags([
        (request.environment.is_some(), ENVIRONMENT),
        (request.address.is_some(), ADDRESS),
        (request.usage.is_some(), USAGE),
    ]);
    let short = |len: usize| u8::try_from(len).map_err(|_| LayoutError);
    let family = match request.address {
        None => 0,
        Some(IpAddr::V4(_)) => 4,
        Some(IpAddr::V6(_)) => 6,
    };
    let (all_of, any_of) = (short(request.all_of.len())?, short(request.any_of.len())?);
    out.put(&[LAYOUT, flags, all_of, any_of, short(environment.len())?, family, 0, 0])?;
    out.put_u64(request.now.unix())?;
    if let Some(usage) = request.usage {
        out.put_u32(usage.used)?;
        out.put_u64(usage.resets_at.unix())?;
    }
    out.put(environment.as_bytes())?;
    match request.address {
        None => {}
        Some(IpAddr::V4(v4)) => out.put(&v4.octets())?,
        Some(IpAddr::V6(v6)) => out.put(&v6.octets())?,
    }
    request.all_of.iter().chain(&request.any_of).try_for_each(|scope| out.put_text(scope.as_str()))
}

/// A request in its binary form, every length checked.
pub(crate) struct RequestView<'a> {
    pub(crate) now: Timestamp,
    pub(crate) environment: Option<&'a [u8]>,
    pub(crate) address: Option<IpAddr>,
    pub(crate) usage: Option<Usage>,
    all_of: Texts<'a>,
    any_of: Texts<'a>,
}

impl<'a> RequestView<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<RequestView<'a>, LayoutError> {
        let mut reader = Reader::new(bytes);
        let [layout, flags, all_of_count, any_of_count, environment_len, family] = *reader.array()?;
        let reserved = reader.u16()?;
        let in_bounds = layout == LAYOUT
            && flags & !ALL_FLAGS == 0
            && reserved == 0
            && usize::from(all_of_count.max(any_of_count)) <= MAX_REQUEST_SCOPES
            && (flags & ENVIRONMENT != 0) == (environment_len != 0)
            && (flags & ADDRESS != 0) == (family != 0);
        if !in_bounds {
            return Err(LayoutError);
        }
        let now = reader.time()?;
        let usage =
            reader.when(flags & USAGE != 0, |reader| Ok(Usage { used: reader.u32()?, resets_at: reader.time()? }))?;
        let environment = reader.when(flags & ENVIRONMENT != 0, |reader| reader.take(usize::from(environment_len)))?;
        if !environment.is_none_or(is_environment) {
            return Err(LayoutError);
        }
        let address = reader.when(flags & ADDRESS != 0, |reader| read_address(reader, family))?;
        let all_of = Texts::read(&mut reader, usize::from(all_of_count), is_scope)?;
        let any_of = Texts::read(&mut reader, usize::from(any_of_count), is_scope)?;
        reader.end()?;
        Ok(RequestView { now, environment, address, usage, all_of, any_of })
    }

    /// Whether a credential has the scopes that are asked for: all of the ones, and one of the others, where
    /// there are any.
    pub(crate) fn is_granted(&self, has: impl Fn(&[u8]) -> bool) -> bool {
        let mut any_of = self.any_of.iter().peekable();
        self.all_of.iter().all(&has) && (any_of.peek().is_none() || any_of.any(has))
    }
}
