//! Every operator on small sources: which mutants there are, and how they are written.

use seedbed_mutate::places::{Edit, places};
use seedbed_mutate::splice::splice;

/// The mutants of a source, in words, and the source with all of them.
fn mutated(source: &str) -> String {
    let places = places(source).expect("Rust");
    let numbered: Vec<(u32, &Edit)> = (1..).zip(places.iter().map(|place| &place.edit)).collect();
    let mut shown = String::new();
    for ((number, _), place) in numbered.iter().zip(&places) {
        let again = if place.occurrence == 0 { String::new() } else { format!(" ({})", place.occurrence + 1) };
        shown += &format!("{number}. line {}, {}: {}{again}\n", place.line, place.function, place.change);
    }
    let text = splice(source, &numbered).text.replace("crate::mutation::is_active", "active");
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    format!("{shown}\n{text}")
}

/// The words only.
fn changes(source: &str) -> Vec<String> {
    places(source).expect("Rust").into_iter().map(|place| place.change).collect()
}

#[test]
fn a_body_is_replaced_by_constants_of_its_type() {
    insta::assert_snapshot!(mutated(
        "impl Log {
    pub fn is_full(&self) -> bool {
        // What a comment says stays.
        let len = self.len();
        len == 7
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn first(&self) -> Option<u64> {
        self.0.first().copied()
    }
}
"
    ));
}

#[test]
fn an_operator_is_replaced_by_others_also_inside_another_one() {
    insta::assert_snapshot!(mutated("fn f(a: u8, b: u8) -> Kind { g(a < b && a + 1 != 2 * b) }\n"));
}

#[test]
fn an_assignment_with_an_operator_is_one_with_another() {
    insta::assert_snapshot!(mutated("fn f(mut a: u8) {\n    a += 1;\n    a <<= 2;\n    a |= 4\n}\n"));
}

#[test]
fn a_sign_is_deleted() {
    insta::assert_snapshot!(mutated("fn f(a: bool, b: i8) -> Kind { if !a { -b } else { *c } }\n"));
}

#[test]
fn an_arm_before_a_wildcard_is_deleted_and_a_guard_is_constant() {
    insta::assert_snapshot!(mutated(
        "fn f(a: Kind) {
    match a {
        Kind::A | Kind::B(_) => a(),
        Kind::C { x } if x > 3 => b(),
        _ => {}
    }
    match b {
        true => a(),
        false => b(),
    }
}
"
    ));
}

#[test]
fn a_field_is_deleted_if_there_is_a_base() {
    insta::assert_snapshot!(mutated("fn f() -> Kind { g(A { x: 1, y, ..A::new() }, B { x: 1 }) }\n"));
}

#[test]
fn what_cannot_be_chosen_at_run_time_or_is_no_code_of_the_program_is_left_alone() {
    for source in [
        "const A: u8 = 1 + 2; static B: u8 = 1 + 2; enum E { A = 1 + 2 }",
        "const fn f(a: u8) -> u8 { a + 1 }",
        "fn f() -> ! { const A: u8 = 1 + 2; let a: [u8; 1 + 2] = b; const { 1 + 2 } }",
        "unsafe fn f() -> bool { true }",
        "impl fmt::Debug for A { fn fmt(&self) -> bool { 1 < 2 } }",
        "impl Display for A { fn fmt(&self) -> bool { 1 < 2 } }",
        "#[test] fn f() { g(1 + 2) }",
        "#[cfg(test)] mod tests { fn f() { g(1 + 2) } }",
        "#[cfg(all(test, unix))] impl A { fn f() { g(1 + 2) } }",
        "#![cfg(test)] fn f() { g(1 + 2) }",
        "mod a { trait T { fn f(&self) -> bool; } }",
        "fn f() {}",
        "fn f() -> ! { loop {} }",
        "fn f() -> bool { true }\nfn g() -> bool { false }",
    ] {
        let kept = changes(source);
        let constants = ["replace the body with true", "replace the body with false"];
        assert!(kept.iter().all(|change| source.contains("fn g") && constants.contains(&change.as_str())), "{kept:?}");
    }
    assert_eq!(changes("fn f(a: A) -> ! { debug_assert!(a < 3); matches!(a, 1); g(-1) }"), ["delete -"]);
    let default = "impl Default for A { fn default() -> A { A::new(7) } }\nimpl A { fn new(a: u8) -> A { A(a) } }";
    assert_eq!(changes(default), [""; 0], "it would call itself for ever");
}

#[test]
fn the_conditions_of_a_let_chain_are_changed_but_not_the_chain() {
    let source = "fn f() -> ! { if let Some(a) = b && a < 3 && !c { g() } else { h(a || b) } }";
    assert_eq!(
        changes(source),
        ["replace < with ==", "replace < with >", "replace < with <=", "delete !", "replace || with &&"]
    );
    let _ = mutated(source);
}

#[test]
fn a_place_knows_its_function_and_equal_changes_are_counted() {
    let source = "impl<C> Log<C> { fn f(&self) -> ! { a - b - c } }\nimpl From<A> for B { fn g() -> ! { (-1) } }";
    let shown: Vec<String> = places(source)
        .expect("Rust")
        .iter()
        .map(|place| format!("{} {} {}", place.function, place.change, place.occurrence))
        .collect();
    let minus = |with, nth| format!("Log::f replace - with {with} {nth}");
    assert_eq!(
        shown,
        [minus("+", 0), minus("/", 0), minus("+", 1), minus("/", 1), "<B as From>::g delete - 0".to_owned()]
    );
}

#[test]
fn an_error_of_the_compiler_is_about_the_mutant_whose_text_it_is_in_or_else_about_the_innermost_choice() {
    let source = "fn f() -> u8 { a(b + c) }";
    let places = places(source).expect("Rust");
    let numbered: Vec<(u32, &Edit)> = (1..).zip(places.iter().map(|place| &place.edit)).collect();
    let spliced = splice(source, &numbered);
    let about = |words: &str| {
        let start = spliced.text.find(words).unwrap_or_else(|| panic!("{words}: {}", spliced.text));
        spliced.about(&(start..start + words.len()))
    };
    assert_eq!(about("return 1"), [2]);
    assert_eq!(about("b * c"), [4]);
    assert_eq!(about("b + c"), [3, 4], "the original, with both choices around it");
    assert_eq!(about("a("), [1, 2], "all of the body");
    assert_eq!(about("fn f"), [0; 0]);
}
