//! Constants that a function of some return type could return in place of what it computes.

use syn::{
    AngleBracketedGenericArguments, GenericArgument, PathArguments, PathSegment, ReturnType, Type, TypeParamBound,
    TypePath, TypeReference,
};

/// More constants than this for one type, as a tuple of many parts has, are cut off.
const VALUES_MAX: usize = 8;

/// Expressions of a function's return type. There are none for a function that never returns.
pub fn of_return(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => words(&["()"]),
        ReturnType::Type(_, ty) => of_type(ty),
    }
}

/// Expressions of this type, the plainest first.
fn of_type(ty: &Type) -> Vec<String> {
    let mut values = match ty {
        Type::Path(path) => of_path(path),
        Type::Paren(inner) => of_type(&inner.elem),
        Type::Group(inner) => of_type(&inner.elem),
        Type::Tuple(tuple) if tuple.elems.is_empty() => words(&["()"]),
        Type::Tuple(tuple) => of_tuple(tuple.elems.iter().map(of_type).collect()),
        Type::Array(array) => {
            let length = quoted(&array.len);
            of_type(&array.elem).into_iter().map(|value| format!("[{value}; {length}]")).collect()
        }
        Type::Reference(reference) => of_reference(reference),
        Type::ImplTrait(bounds) => bounds.bounds.iter().flat_map(of_bound).collect(),
        Type::Never(_) => Vec::new(),
        _ => words(&["Default::default()"]),
    };
    values.truncate(VALUES_MAX);
    values
}

fn of_path(path: &TypePath) -> Vec<String> {
    let Some(segment) = path.path.segments.last() else { return Vec::new() };
    let name = segment.ident.to_string();
    let inner = |nth: usize| arguments(segment).nth(nth).map_or_else(|| words(&["Default::default()"]), of_type);
    match name.as_str() {
        "bool" => words(&["true", "false"]),
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => words(&["0", "1"]),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => words(&["0", "1", "-1"]),
        "f32" | "f64" => words(&["0.0", "1.0", "-1.0"]),
        "String" => words(&["String::new()", "\"xyzzy\".into()"]),
        "Result" => each(inner(0), |value| format!("Ok({value})")),
        "Option" => {
            let some = each(inner(0), |value| format!("Some({value})"));
            ["None".to_owned()].into_iter().chain(some).collect()
        }
        "Vec" => {
            let one = each(inner(0), |value| format!("vec![{value}]"));
            ["vec![]".to_owned()].into_iter().chain(one).collect()
        }
        "Box" | "Arc" | "Rc" | "Cell" | "RefCell" | "Mutex" => each(inner(0), |value| format!("{name}::new({value})")),
        "BTreeSet" | "HashSet" | "VecDeque" | "BinaryHeap" | "LinkedList" => {
            let one = each(inner(0), |value| format!("{name}::from_iter([{value}])"));
            [format!("{name}::new()")].into_iter().chain(one).collect()
        }
        "BTreeMap" | "HashMap" => {
            let one = of_tuple(vec![inner(0), inner(1)]);
            let one = each(one, |value| format!("{name}::from_iter([{value}])"));
            [format!("{name}::new()")].into_iter().chain(one).collect()
        }
        "Cow" => {
            let owned = each(inner(0), |value| format!("Cow::Owned({value}.to_owned())"));
            each(inner(0), |value| format!("Cow::Borrowed({value})")).into_iter().chain(owned).collect()
        }
        _ if name.starts_with("NonZero") => words(&["1.try_into().unwrap()"]),
        _ => words(&["Default::default()"]),
    }
}

fn of_reference(reference: &TypeReference) -> Vec<String> {
    let is_mutable = reference.mutability.is_some();
    match &*reference.elem {
        Type::Slice(slice) => {
            let one = each(of_type(&slice.elem), |value| format!("Vec::leak(vec![{value}])"));
            ["Vec::leak(Vec::new())".to_owned()].into_iter().chain(one).collect()
        }
        Type::Path(path) if path.path.is_ident("str") && !is_mutable => words(&["\"\"", "\"xyzzy\""]),
        elem => each(of_type(elem), |value| format!("Box::leak(Box::new({value}))")),
    }
}

/// An iterator is empty, or has one element.
fn of_bound(bound: &TypeParamBound) -> Vec<String> {
    let TypeParamBound::Trait(bound) = bound else { return Vec::new() };
    let Some(segment) = bound.path.segments.last() else { return Vec::new() };
    let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) = &segment.arguments else {
        return Vec::new();
    };
    let item = args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(named) if named.ident == "Item" => Some(&named.ty),
        _ => None,
    });
    let Some(item) = item.filter(|_| segment.ident.to_string().ends_with("Iterator")) else { return Vec::new() };
    let one = each(of_type(item), |value| format!("::std::iter::once({value})"));
    ["::std::iter::empty()".to_owned()].into_iter().chain(one).collect()
}

/// All tuples of one value for each place.
fn of_tuple(places: Vec<Vec<String>>) -> Vec<String> {
    let mut tuples = vec![Vec::new()];
    for values in places {
        let longer = tuples.iter().flat_map(|tuple: &Vec<String>| {
            values.iter().map(move |value| tuple.iter().chain([value]).cloned().collect::<Vec<String>>())
        });
        tuples = longer.take(VALUES_MAX).collect();
    }
    let shown = |tuple: Vec<String>| match &tuple[..] {
        [only] => format!("({only},)"),
        several => format!("({})", several.join(", ")),
    };
    tuples.into_iter().map(shown).collect()
}

/// The types among the generic arguments.
fn arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn each(values: Vec<String>, change: impl Fn(&str) -> String) -> Vec<String> {
    values.iter().map(|value| change(value)).collect()
}

fn words(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// The source of an expression.
fn quoted(expression: &syn::Expr) -> String {
    use syn::spanned::Spanned;
    expression.span().source_text().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_each_kind_of_type_is_known() {
        let mut shown = String::new();
        for text in [
            "()",
            "bool",
            "u64",
            "i8",
            "f64",
            "String",
            "&str",
            "Term",
            "!",
            "Result<bool, Error>",
            "Option<u8>",
            "io::Result<()>",
            "Vec<bool>",
            "Box<Store>",
            "Arc<[u8; 4]>",
            "&[bool]",
            "&mut [u8]",
            "&Log<C>",
            "(bool, u8)",
            "(u8,)",
            "Option<(Index, Term)>",
            "BTreeSet<u8>",
            "BTreeMap<u8, bool>",
            "Cow<'_, str>",
            "impl Iterator<Item = &u8> + '_",
            "impl Fn() -> u8",
            "NonZeroU32",
        ] {
            let values = of_type(&syn::parse_str(text).expect("a type"));
            shown += &format!("{text}: {}\n", values.join(" | "));
        }
        insta::assert_snapshot!(shown);
    }
}
