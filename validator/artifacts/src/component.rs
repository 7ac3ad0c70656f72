//! The component: the core module of `validator/component`, wrapped.

use wit_component::ComponentEncoder;

use crate::cargo::Cargo;
use crate::error::BuildError;

/// Builds the core module, which carries its world in a custom section, and wraps it. Without an
/// adapter a component has no imports but those of its world, and ours has none.
pub(crate) fn build(cargo: &Cargo) -> Result<Vec<u8>, BuildError> {
    let module = cargo.build("keystile-validator-component", "keystile_validator_component.wasm")?;
    let mut encoder = ComponentEncoder::default();
    let component = encoder.validate(true).module(&module).and_then(ComponentEncoder::encode);
    component.map_err(|error| BuildError::Component { reason: format!("{error:#}") })
}
