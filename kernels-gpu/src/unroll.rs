//! Loops with compile-time indexes.

/// Repeats a block with a `const` index. An array that is indexed by constants alone stays in
/// registers; a `for` loop that the compiler does not unroll would put it into local memory.
macro_rules! unroll {
    ($index:ident in 2 $body:block) => { unroll!(@ $index [0 1] $body) };
    ($index:ident in 4 $body:block) => { unroll!(@ $index [0 1 2 3] $body) };
    ($index:ident in 8 $body:block) => { unroll!(@ $index [0 1 2 3 4 5 6 7] $body) };
    ($index:ident in 16 $body:block) => { unroll!(@ $index [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] $body) };
    (@ $index:ident [$($value:literal)*] $body:block) => {
        $({
            const $index: usize = $value;
            $body
        })*
    };
}
