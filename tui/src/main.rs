//! The `keystile-tui` command.

fn main() -> std::process::ExitCode {
    keystile_tui::main()
}
