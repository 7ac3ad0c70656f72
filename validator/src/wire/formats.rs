//! The binary form of key formats.

use alloc::vec::Vec;

use super::LayoutError;
use super::bytes::{Reader, Sink, Texts};
use crate::environment::is_environment;
use crate::key_format::{
    Checksum, FormatMatch, FormatParts, KeyFormat, MAX_BODY_LEN, MAX_FORMAT_ENVIRONMENTS, MAX_FORMATS, MIN_BODY_LEN,
    Separator, is_prefix,
};

const LAYOUT: u8 = 1;

/// A list of formats that holds none, as [`encode_formats`] writes it.
///
/// ```
/// use keystile_validator::wire::{NO_FORMATS, encode_formats};
/// let mut bytes = Vec::new();
/// encode_formats(&[], &mut bytes)?;
/// assert_eq!(bytes, NO_FORMATS);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub const NO_FORMATS: &[u8] = &[1, 0];

/// Appends the binary form of these formats.
///
/// # Errors
/// [`LayoutError`] when there are more than [`MAX_FORMATS`](crate::bounds::MAX_FORMATS).
pub fn encode_formats(formats: &[KeyFormat], out: &mut Vec<u8>) -> Result<(), LayoutError> {
    if formats.len() > MAX_FORMATS {
        return Err(LayoutError);
    }
    out.put_u8(LAYOUT)?;
    out.put_len(formats.len())?;
    for format in formats {
        out.put_text(format.prefix())?;
        out.put_u8(format.separator().as_byte())?;
        out.put_len(format.body_len())?;
        out.put_u8(match format.checksum() {
            Checksum::None => 0,
            Checksum::Crc32 => 1,
        })?;
        out.put_len(format.environments().len())?;
        for environment in format.environments() {
            out.put_text(environment.as_str())?;
        }
    }
    Ok(())
}

/// Key formats in their binary form. They are read only when a credential has no record, so the
/// common path pays nothing for them.
pub(crate) struct FormatsView<'a> {
    count: u8,
    formats: Reader<'a>,
}

impl<'a> FormatsView<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<FormatsView<'a>, LayoutError> {
        let mut reader = Reader::new(bytes);
        let (layout, count) = (reader.u8()?, reader.u8()?);
        if layout != LAYOUT || usize::from(count) > MAX_FORMATS {
            return Err(LayoutError);
        }
        let formats = reader;
        for _ in 0..count {
            read_format(&mut reader)?;
        }
        reader.end()?;
        Ok(FormatsView { count, formats })
    }

    /// The best that any format says of this credential.
    pub(crate) fn read_credential(&self, credential: &[u8]) -> FormatMatch {
        let mut reader = self.formats;
        (0..self.count)
            .map_while(|_| read_format(&mut reader).ok())
            .map(|format| format.read(credential))
            .max()
            .unwrap_or(FormatMatch::NoMatch)
    }
}

fn read_format<'a>(
    reader: &mut Reader<'a>,
) -> Result<FormatParts<'a, impl Iterator<Item = &'a [u8]> + Clone + use<'a>>, LayoutError> {
    let prefix = reader.short_text()?;
    let separator = reader.u8()?;
    let body_len = usize::from(reader.u8()?);
    let checksum = match reader.u8()? {
        0 => Checksum::None,
        1 => Checksum::Crc32,
        _ => return Err(LayoutError),
    };
    let environment_count = usize::from(reader.u8()?);
    let environments = Texts::read(reader, environment_count, is_environment)?;
    let in_bounds = is_prefix(prefix)
        && Separator::from_byte(separator).is_some()
        && (MIN_BODY_LEN..=MAX_BODY_LEN).contains(&body_len)
        && (1..=MAX_FORMAT_ENVIRONMENTS).contains(&environment_count);
    if !in_bounds {
        return Err(LayoutError);
    }
    Ok(FormatParts { prefix, separator, body_len, checksum, environments: environments.iter() })
}
