//! tokio's own attributes, for programs that are moved over to anyscope. Everything that they start is anyscope's.

use crate::function::Function;
use crate::options::Options;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Path, Result, parse_quote};

const KNOWN: [&str; 4] = ["flavor", "worker_threads", "start_paused", "crate"];

pub(crate) fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    // Like tokio's, it goes on any function; only the program's is called by nobody who could give it something.
    let is_main = function.signature.ident == "main";
    let checked = if is_main { function.check("`main`") } else { function.check_async("this function") };
    match checked.and_then(|()| read(arguments, Kind::Main)) {
        Ok(asked) => {
            let Function { attributes, visibility, signature, body } = &function;
            let mut signature = signature.clone();
            signature.asyncness = None;
            let future = if is_main { inside(&function) } else { quote!(async move #body) };
            let run = asked.run();
            quote! {
                #(#attributes)*
                #visibility #signature {
                    #run(#future)
                }
            }
        }
        Err(error) => [function.remains_of_main(), error.into_compile_error()].into_iter().collect(),
    }
}

pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: Function = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => return [item, error.into_compile_error()].into_iter().collect(),
    };
    match function.check("a test").and_then(|()| read(arguments, Kind::Test)) {
        Ok(asked) => {
            let Function { attributes, visibility, signature, .. } = &function;
            let (name, output, future) = (&signature.ident, &signature.output, inside(&function));
            let run = asked.run();
            quote! {
                #[::core::prelude::v1::test]
                #(#attributes)*
                #visibility fn #name() #output {
                    #run(#future)
                }
            }
        }
        Err(error) => [function.remains_of_test(), error.into_compile_error()].into_iter().collect(),
    }
}

/// The function's future. Its body is typed by its own signature, so what the compiler says of it points at what was
/// written.
fn inside(function: &Function) -> TokenStream {
    let (name, bare) = (&function.signature.ident, function.bare());
    quote!({ #[allow(clippy::unused_async)] #bare #name() })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Main,
    Test,
}

/// What stands in the brackets, as far as it matters.
struct Asked {
    many_threads: bool,
    anyscope: Path,
}

impl Asked {
    /// The function that runs it.
    fn run(&self) -> TokenStream {
        let anyscope = &self.anyscope;
        if self.many_threads {
            quote!(#anyscope::compat::tokio::__private::on_many_threads)
        } else {
            quote!(#anyscope::compat::tokio::__private::on_one_thread)
        }
    }
}

/// Reads tokio's options. How many threads exactly is the runtime's affair: that number is checked, and no more.
fn read(arguments: TokenStream, kind: Kind) -> Result<Asked> {
    let Options(settings) = syn::parse2(arguments)?;
    let mut anyscope = parse_quote!(::anyscope);
    let (mut many_threads, mut workers) = (kind == Kind::Main, None);
    for setting in settings {
        match setting.name.to_string().as_str() {
            "flavor" => {
                let flavor = setting.text("flavor = \"multi_thread\"")?;
                many_threads = match flavor.value().as_str() {
                    "multi_thread" => true,
                    "current_thread" => false,
                    other => {
                        let message =
                            format!("unknown flavor `{other}`: there are `current_thread` and `multi_thread`");
                        return Err(Error::new(flavor.span(), message));
                    }
                };
            }
            "worker_threads" => {
                let (threads, number) = setting.number("worker_threads = 2")?;
                if threads == 0 {
                    return Err(Error::new(number.span(), "a runtime has one worker thread at least"));
                }
                workers = Some(setting.name);
            }
            "start_paused" => {
                if setting.truth("start_paused = true")? {
                    let message = "no clock can be paused here: for virtual time, test on the simulator, as in \
                                   `#[anyscope::test(runtimes(sim))]`, with the feature `sim` of `anyscope`";
                    return Err(Error::new(setting.name.span(), message));
                }
            }
            "crate" => anyscope = setting.path()?,
            _ => return Err(setting.unknown(&KNOWN)),
        }
    }
    match workers {
        Some(workers) if !many_threads => {
            let message = "`worker_threads` goes with `flavor = \"multi_thread\"`: there is one thread otherwise";
            Err(Error::new(workers.span(), message))
        }
        _ => Ok(Asked { many_threads, anyscope }),
    }
}
