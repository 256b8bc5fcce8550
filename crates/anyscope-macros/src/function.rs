//! The `async fn` under an attribute.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Result, ReturnType, Safety, Signature, Token, Type, Visibility, token};

/// An `async fn`, whose body is left as it is: what is wrong in it, the compiler tells better.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenTree,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let words = [
            input.peek(Token![fn]),
            input.peek(Token![async]),
            input.peek(Token![const]) && !input.peek3(Token![:]),
            input.peek(Token![unsafe]),
            input.peek(Token![extern]),
        ];
        if !words.contains(&true) {
            return Err(input.error("this attribute goes on an `async fn`"));
        }
        let signature = input.parse()?;
        if !input.peek(token::Brace) {
            return Err(input.error("this attribute goes on an `async fn` with a body"));
        }
        Ok(Self { attributes, visibility, signature, body: input.parse()? })
    }
}

impl Function {
    /// Checks that it is an `async fn` that can be called with nothing; `what` it is to be is for the message.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let signature = &self.signature;
        let mut errors: Vec<Error> = self.check_async(what).err().into_iter().collect();
        if let Some(first) = signature.constness {
            errors.push(Error::new(first.span, format!("{what} can't be `const`: remove it")));
        }
        if let Safety::Unsafe(first) = signature.safety {
            errors.push(Error::new(first.span, format!("{what} can't be `unsafe`: remove it")));
        }
        if let Some(abi) = &signature.abi {
            errors.push(Error::new_spanned(abi, format!("{what} can't be `extern`: remove it")));
        }
        if !signature.inputs.is_empty() {
            let message = format!("{what} takes no arguments: nobody is there to give it any");
            errors.push(Error::new_spanned(&signature.inputs, message));
        }
        if !signature.generics.params.is_empty() {
            let message = format!("{what} can't be generic: nobody is there to choose a type");
            errors.push(Error::new_spanned(&signature.generics.params, message));
        }
        if let Some(bounds) = &signature.generics.where_clause {
            errors.push(Error::new_spanned(bounds, format!("{what} can't be generic: remove the bounds")));
        }
        all(errors)
    }

    pub(crate) fn check_async(&self, what: &str) -> Result<()> {
        let message = || format!("{what} is an `async fn` here: write `async fn`, or leave the attribute out");
        let fn_token = self.signature.fn_token;
        self.signature.asyncness.map(|_| ()).ok_or_else(|| Error::new(fn_token.span, message()))
    }

    /// The function as it was written, without attributes and visibility: for a place inside of another.
    pub(crate) fn bare(&self) -> TokenStream {
        let Self { signature, body, .. } = self;
        quote!(#signature #body)
    }

    pub(crate) fn returns_something(&self) -> bool {
        match &self.signature.output {
            ReturnType::Default => false,
            ReturnType::Type(_, returned) => !matches!(&**returned, Type::Tuple(tuple) if tuple.elems.is_empty()),
        }
    }

    /// What is left of a `main` whose attribute can't be expanded: the body is still checked, and `main` is there, so
    /// that the one error isn't followed by others.
    pub(crate) fn remains_of_main(&self) -> TokenStream {
        let Self { attributes, visibility, signature, .. } = self;
        if signature.asyncness.is_none() || !signature.generics.params.is_empty() {
            let bare = self.bare();
            return quote!(#(#attributes)* #visibility #bare);
        }
        let (name, output, bare) = (&signature.ident, &signature.output, self.bare());
        quote! {
            #(#attributes)*
            #visibility fn #name() #output {
                #[allow(dead_code)]
                #bare
                ::core::unreachable!()
            }
        }
    }

    /// What is left of a test whose attribute can't be expanded.
    pub(crate) fn remains_of_test(&self) -> TokenStream {
        let bare = self.bare();
        quote!(#[allow(dead_code)] #bare)
    }
}

/// Makes one error of many.
fn all(errors: Vec<Error>) -> Result<()> {
    let mut errors = errors.into_iter();
    let Some(mut first) = errors.next() else { return Ok(()) };
    first.extend(errors);
    Err(first)
}
