//! `#[anyscope::main]`.

use crate::function::Function;
use crate::options::{Options, Setting};
use crate::runtime::{Enabled, Runtime, cargo_line, list, not_enabled};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Path, Result, parse_quote};

const KNOWN: [&str; 2] = ["runtime", "crate"];

pub(crate) fn expand(arguments: TokenStream, item: TokenStream, enabled: Enabled) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    let chosen = function.check("`main`").and_then(|()| read(arguments, enabled));
    match chosen {
        Ok((runtime, anyscope)) => start(&function, &runtime.value(&anyscope), &anyscope),
        Err(error) => [function.remains_of_main(), error.into_compile_error()].into_iter().collect(),
    }
}

/// The `async fn` inside a plain one of the same name: its body is typed by its own signature, so what the compiler says of
/// it points at what was written.
fn start(function: &Function, runtime: &TokenStream, anyscope: &Path) -> TokenStream {
    let Function { attributes, visibility, signature, .. } = function;
    let (name, output, bare) = (&signature.ident, &signature.output, function.bare());
    quote! {
        #(#attributes)*
        #visibility fn #name() #output {
            #[allow(clippy::unused_async)]
            #bare
            #anyscope::run(#runtime, #name())
        }
    }
}

fn read(arguments: TokenStream, enabled: Enabled) -> Result<(Runtime, Path)> {
    let Options(settings) = syn::parse2(arguments)?;
    let (mut runtime, mut anyscope) = (None, parse_quote!(::anyscope));
    for setting in settings {
        match setting.name.to_string().as_str() {
            "runtime" => runtime = Some(named(&setting, enabled)?),
            "crate" => anyscope = setting.path()?,
            _ => return Err(setting.unknown(&KNOWN)),
        }
    }
    match runtime {
        Some(runtime) => Ok((runtime, anyscope)),
        None => Ok((only(enabled)?, anyscope)),
    }
}

fn named(setting: &Setting, enabled: Enabled) -> Result<Runtime> {
    let name = setting.text("runtime = \"tokio\"")?;
    match Runtime::named(&name.value()) {
        Some(runtime) if enabled.has(runtime) => Ok(runtime),
        Some(runtime) => Err(Error::new(name.span(), not_enabled(runtime))),
        None => {
            let message = format!("unknown runtime `{}`: there are {}", name.value(), list(Runtime::ALL));
            Err(Error::new(name.span(), message))
        }
    }
}

/// The runtime of a program that names none: the one that there is.
///
/// Where there are more, none of them is chosen: another package of the same build may have enabled a feature, and a
/// program isn't to change its runtime without a word. The simulator is for tests, so it is chosen by its name alone.
fn only(enabled: Enabled) -> Result<Runtime> {
    let mut found = enabled.all().filter(|runtime| !matches!(runtime, Runtime::TokioCurrentThread | Runtime::Sim));
    let message = match (found.next(), found.next()) {
        (Some(runtime), None) => return Ok(runtime),
        (Some(first), Some(_)) => format!(
            "more than one runtime is compiled in: name one, as in `#[anyscope::main(runtime = \"{}\")]`; there are {}",
            first.name(),
            list(enabled.all()),
        ),
        (None, _) if enabled.sim => format!(
            "no runtime but the simulator is compiled in: enable one in Cargo.toml, as in `{}`; or name the simulator, as in \
             `#[anyscope::main(runtime = \"sim\")]`",
            cargo_line(&["tokio"]),
        ),
        (None, _) => format!(
            "no runtime is compiled in: enable one in Cargo.toml, as in `{}`; there are the features `tokio`, `smol` and \
             `async-std`",
            cargo_line(&["tokio"]),
        ),
    };
    Err(Error::new(Span::call_site(), message))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Enabled = Enabled { tokio: false, smol: false, async_std: false, sim: false };

    fn chosen(arguments: &str, enabled: Enabled) -> std::result::Result<Runtime, String> {
        let chosen = read(arguments.parse().unwrap(), enabled);
        chosen.map(|(runtime, _)| runtime).map_err(|error| error.to_string())
    }

    #[test]
    fn a_program_that_names_no_runtime_has_the_only_one() {
        assert_eq!(chosen("", Enabled { tokio: true, ..NONE }), Ok(Runtime::Tokio));
        assert_eq!(chosen("", Enabled { smol: true, sim: true, ..NONE }), Ok(Runtime::Smol));
        assert_eq!(chosen("", Enabled { async_std: true, ..NONE }), Ok(Runtime::AsyncStd));
    }

    #[test]
    fn where_there_are_more_runtimes_none_is_chosen() {
        let message = chosen("", Enabled { tokio: true, smol: true, ..NONE }).unwrap_err();
        assert!(message.contains("#[anyscope::main(runtime = \"tokio\")]"), "{message}");
        assert!(message.ends_with("there are `tokio`, `tokio_current_thread`, `smol`"), "{message}");
    }

    #[test]
    fn the_simulator_is_chosen_by_its_name_alone() {
        let only = Enabled { sim: true, ..NONE };
        assert_eq!(chosen("runtime = \"sim\"", only), Ok(Runtime::Sim));
        let message = chosen("", only).unwrap_err();
        assert!(message.contains("#[anyscope::main(runtime = \"sim\")]"), "{message}");
    }

    #[test]
    fn a_runtime_that_is_not_compiled_in_is_told_with_the_line_that_adds_it() {
        let line = |feature| format!("`anyscope = {{ version = \"0.1\", features = [\"{feature}\"] }}`");
        let message = chosen("", NONE).unwrap_err();
        assert!(message.contains(&line("tokio")), "{message}");
        for (name, feature) in
            [("tokio-current-thread", "tokio"), ("smol", "smol"), ("async_std", "async-std"), ("sim", "sim")]
        {
            let message = chosen(&format!("runtime = \"{name}\""), NONE).unwrap_err();
            assert!(message.ends_with(&line(feature)), "{message}");
        }
    }
}
