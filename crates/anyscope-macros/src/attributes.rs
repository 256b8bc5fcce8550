//! The attributes below `#[anyscope::test]`: which of them belong to the function, and which to the tests made of it.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Meta, Result, Token};

/// Where the attributes of a test go.
#[derive(Default)]
pub(crate) struct Placed {
    /// The conditions under which there is a test at all; they're among those of the function and the module as well.
    pub(crate) conditions: Vec<TokenStream>,
    pub(crate) on_function: Vec<TokenStream>,
    pub(crate) on_module: Vec<TokenStream>,
    pub(crate) on_tests: Vec<TokenStream>,
    /// Where it says so.
    pub(crate) should_panic: Option<Span>,
}

pub(crate) fn place(attributes: &[Attribute]) -> Result<Placed> {
    let mut placed = Placed::default();
    for attribute in attributes {
        place_one(&attribute.meta, &|meta| quote!(#[#meta]), &mut placed)?;
    }
    Ok(placed)
}

/// Places one; `written` makes an attribute of it again, with the conditions that were around it.
fn place_one(meta: &Meta, written: &dyn Fn(TokenStream) -> TokenStream, placed: &mut Placed) -> Result<()> {
    let path = meta.path();
    let is = |name: &str| path.is_ident(name);
    if is("cfg_attr") {
        let mut inside =
            meta.require_list()?.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?.into_iter();
        let Some(condition) = inside.next() else { return Ok(()) };
        for meta in inside {
            place_one(&meta, &|meta| written(quote!(cfg_attr(#condition, #meta))), placed)?;
        }
    } else if is("should_panic") || is("ignore") {
        if is("should_panic") {
            placed.should_panic = Some(path.span());
        }
        placed.on_tests.push(written(quote!(#meta)));
    } else if is("cfg") {
        placed.conditions.push(written(quote!(#meta)));
        placed.on_function.push(written(quote!(#meta)));
        placed.on_module.push(written(quote!(#meta)));
    } else if is("allow") || is("expect") {
        // The module has the function's name, so what is said of that is said of it as well. An expectation of something
        // else would not be met there.
        placed.on_function.push(written(quote!(#meta)));
        let lints = &meta.require_list()?.tokens;
        placed.on_module.push(written(quote!(allow(#lints))));
    } else if path.segments.last().is_some_and(|last| last.ident == "test") {
        let message = "each runtime has its own `#[test]` already: remove this one";
        return Err(Error::new_spanned(meta, message));
    } else {
        placed.on_function.push(written(quote!(#meta)));
    }
    Ok(())
}
