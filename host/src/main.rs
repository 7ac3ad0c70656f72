//! The `keystile` command.

fn main() -> std::process::ExitCode {
    keystile::cli::main()
}
