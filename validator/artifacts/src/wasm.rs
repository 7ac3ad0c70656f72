//! Just enough of the WebAssembly binary format to check imports and trim exports.
//!
//! A module is a header and sections of `id, size, content`; sizes and counts are LEB128.

use crate::error::BuildError;

/// The module with these exports and no others; all of them must be there, and no import.
///
/// # Errors
///
/// [`BuildError::NotAModule`], [`BuildError::HasImports`] or [`BuildError::MissingExport`].
pub(crate) fn with_exports_only(module: &[u8], names: &'static [&'static str]) -> Result<Vec<u8>, BuildError> {
    let mut reader = Reader(module);
    let header = reader.take(HEADER.len()).ok_or(BuildError::NotAModule)?;
    if header != HEADER {
        return Err(BuildError::NotAModule);
    }
    let mut trimmed = header.to_vec();
    let mut found = Vec::new();
    while !reader.0.is_empty() {
        let (id, content) = reader.section().ok_or(BuildError::NotAModule)?;
        match id {
            IMPORTS => return Err(BuildError::HasImports),
            EXPORTS => {
                let exports = Reader(content).exports().ok_or(BuildError::NotAModule)?;
                let kept: Vec<_> = exports
                    .into_iter()
                    .filter(|export| names.iter().any(|name| name.as_bytes() == export.name))
                    .collect();
                let mut content = Vec::new();
                write_number(&mut content, kept.len());
                for export in &kept {
                    content.extend_from_slice(export.bytes);
                }
                write_section(&mut trimmed, id, &content);
                found.extend(kept.iter().map(|export| export.name));
            }
            _ => write_section(&mut trimmed, id, content),
        }
    }
    match names.iter().find(|name| !found.contains(&name.as_bytes())) {
        Some(name) => Err(BuildError::MissingExport { name }),
        None => Ok(trimmed),
    }
}

/// An entry of the export section, and its encoding.
struct Export<'a> {
    name: &'a [u8],
    bytes: &'a [u8],
}

/// What is left to read. Every method answers `None` at the end of the bytes.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn section(&mut self) -> Option<(u8, &'a [u8])> {
        let id = *self.take(1)?.first()?;
        let size = self.number()?;
        Some((id, self.take(size)?))
    }

    fn exports(mut self) -> Option<Vec<Export<'a>>> {
        let count = self.number()?;
        let mut exports = Vec::new();
        for _ in 0..count {
            let start = self.0;
            let length = self.number()?;
            let name = self.take(length)?;
            let _kind = self.take(1)?;
            let _index = self.number()?;
            let bytes = start.get(..start.len() - self.0.len())?;
            exports.push(Export { name, bytes });
        }
        self.0.is_empty().then_some(exports)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// An unsigned LEB128 number of at most 32 bits.
    fn number(&mut self) -> Option<usize> {
        let mut number = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok()?.try_into().ok();
            }
        }
        None
    }
}

fn write_section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    write_number(module, content.len());
    module.extend_from_slice(content);
}

fn write_number(bytes: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

const HEADER: &[u8] = b"\0asm\x01\0\0\0";
const IMPORTS: u8 = 2;
const EXPORTS: u8 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    /// A memory (index 0) exported as `memory`, a global exported as `__heap_base`, a custom
    /// section at the end.
    fn module() -> Vec<u8> {
        let mut module = HEADER.to_vec();
        write_section(&mut module, 5, &[1, 0, 1]);
        write_section(&mut module, 6, &[1, 0x7f, 0, 0x41, 0, 0x0b]);
        let mut exports = vec![2, 6];
        exports.extend_from_slice(b"memory\x02\0");
        exports.push(11);
        exports.extend_from_slice(b"__heap_base\x03\0");
        write_section(&mut module, EXPORTS, &exports);
        write_section(&mut module, 0, &[4, b'n', b'o', b't', b'e']);
        module
    }

    #[test]
    fn other_exports_are_dropped_and_the_rest_is_untouched() {
        let trimmed = with_exports_only(&module(), &["memory"]).unwrap();
        let mut expected = HEADER.to_vec();
        write_section(&mut expected, 5, &[1, 0, 1]);
        write_section(&mut expected, 6, &[1, 0x7f, 0, 0x41, 0, 0x0b]);
        write_section(&mut expected, EXPORTS, b"\x01\x06memory\x02\0");
        write_section(&mut expected, 0, &[4, b'n', b'o', b't', b'e']);
        assert_eq!(trimmed, expected);
    }

    #[test]
    fn a_missing_export_is_named() {
        let error = with_exports_only(&module(), &["memory", "keystile_check"]).unwrap_err();
        assert!(matches!(error, BuildError::MissingExport { name: "keystile_check" }));
    }

    #[test]
    fn an_import_is_refused() {
        let mut importing = HEADER.to_vec();
        write_section(&mut importing, IMPORTS, &[1, 1, b'a', 1, b'b', 0, 0]);
        assert!(matches!(with_exports_only(&importing, &[]), Err(BuildError::HasImports)));
    }

    #[test]
    fn every_truncation_is_refused() {
        let module = module();
        for length in 0..HEADER.len() {
            assert!(with_exports_only(&module[..length], &["memory"]).is_err());
        }
        for length in HEADER.len()..module.len() {
            // A cut between two sections is a module, but one without its last sections.
            let cut = with_exports_only(&module[..length], &["memory", "__heap_base"]);
            assert!(cut.is_err() || length >= module.len() - 7, "{length}");
        }
    }

    #[test]
    fn numbers_are_at_most_32_bits() {
        for number in [0usize, 127, 128, 300, 0xffff_ffff] {
            let mut bytes = Vec::new();
            write_number(&mut bytes, number);
            assert_eq!(Reader(&bytes).number(), Some(number));
        }
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0xff, 0x1f]).number(), None);
        assert_eq!(Reader(&[0x80; 6]).number(), None);
        assert_eq!(Reader(&[0x80]).number(), None);
    }
}
