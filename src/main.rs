//! `v1shim`: InfluxDB v1 in front of a v2 or v3 server, or of a store of its own.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use v1shim::server::{StartError, check, run};

/// A proxy's request is some forty small pieces of memory, taken and given back on one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// sysexits.h's EX_CONFIG: service managers tell a mistake in a file from a crash by it, and don't try again.
const BAD_CONFIGURATION: u8 = 78;

/// InfluxDB v1 in front of a v2 or v3 server, or of a store of its own.
///
/// Without a configuration it serves v1 on 127.0.0.1:8086 from the store in ./data.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; `proxy.toml` in the source tree documents every key.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what is wrong with the configuration, and start nothing.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.check {
        return match check(arguments.config.as_deref()) {
            Ok(_) => {
                println!("the configuration is fine");
                ExitCode::SUCCESS
            }
            Err(problems) => fail(&arguments, &StartError::Config(problems)),
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&arguments, &StartError::Other("can't start threads".to_owned(), error.into())),
    };
    match runtime.block_on(run(arguments.config.clone())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&arguments, &error),
    }
}

fn fail(arguments: &Arguments, error: &StartError) -> ExitCode {
    match error {
        StartError::Config(problems) => {
            let file = arguments.config.as_ref().map_or_else(|| "configuration".into(), |path| path.display().to_string());
            for problem in &problems.0 {
                eprintln!("{file}: {problem}");
            }
            ExitCode::from(BAD_CONFIGURATION)
        }
        StartError::Other(..) => {
            eprintln!("v1shim: {error}");
            ExitCode::FAILURE
        }
    }
}
