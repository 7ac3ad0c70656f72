//! The built artifacts: they import nothing, export what the ABI says, and nothing else is in them.

use keystile_tests::artifacts;
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module};

/// The largest a core module may grow to before somebody has to say why, in bytes.
const MAX_CORE_MODULE: usize = 640 * 1024;

const EXPORTS: [&str; 10] = [
    "keystile_abi_version",
    "keystile_check",
    "keystile_check_jws",
    "keystile_forget_issuers",
    "keystile_input",
    "keystile_input_size",
    "keystile_output",
    "keystile_output_size",
    "keystile_put_issuer",
    "memory",
];

fn core_module(file: &str) -> (Vec<u8>, Module) {
    let bytes = std::fs::read(artifacts().join(file)).unwrap();
    let engine = Engine::new(Config::new().wasm_wide_arithmetic(true)).unwrap();
    let module = Module::new(&engine, &bytes).unwrap();
    (bytes, module)
}

#[test]
fn the_core_modules_import_nothing_and_export_the_abi() {
    for file in ["baseline.wasm", "wide.wasm"] {
        let (bytes, module) = core_module(file);
        assert_eq!(module.imports().count(), 0, "{file}");
        let mut exports: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
        exports.sort();
        assert_eq!(exports, EXPORTS, "{file}");
        println!("{file}: {} bytes", bytes.len());
        assert!(bytes.len() <= MAX_CORE_MODULE, "{file} has grown to {} bytes", bytes.len());
    }
}

/// No path of the machine that built them, and nothing that only tests would use.
#[test]
fn the_core_modules_tell_nothing_of_where_they_were_built() {
    for file in ["baseline.wasm", "wide.wasm"] {
        let (bytes, _) = core_module(file);
        let text = String::from_utf8_lossy(&bytes);
        for word in ["/home/", "/root/", ".cargo", "registry/src", "proptest", "test_"] {
            assert!(!text.contains(word), "{file} holds {word:?}");
        }
    }
}

#[test]
fn the_component_imports_nothing() {
    let engine = Engine::default();
    let component = Component::from_file(&engine, artifacts().join("component.wasm")).unwrap();
    assert_eq!(component.component_type().imports(&engine).count(), 0);
}

#[test]
fn the_javascript_package_is_whole() {
    let folder = artifacts().join("javascript");
    let manifest: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("package.json")).unwrap()).unwrap();
    assert_eq!(manifest["type"], "module");
    let types = std::fs::read_to_string(folder.join("keystile_validator.d.ts")).unwrap();
    assert!(types.contains("export function check("), "{types}");
    // Once, as we have written it, and not as it would be generated.
    assert_eq!(types.matches("class Validator").count(), 1, "{types}");
    for name in ["KeyRecord", "TokenRecord", "Request", "KeyFormat", "Issuer", "Verdict", "JwtPrincipal"] {
        assert!(types.contains(&format!(" {name} ")), "no type {name}");
    }
}
