//! `tests/fixtures/meta*.mat`, which SciPy wrote, whole and changed.

use proptest::prelude::*;

use super::*;

const COMPRESSED_FILE: &[u8] = include_bytes!("../../../tests/fixtures/meta.mat");
const PLAIN_FILE: &[u8] = include_bytes!("../../../tests/fixtures/meta-plain.mat");

#[test]
fn synsets_are_read() {
    let expected = [
        (1, "n02119789", "kit fox, Vulpes macrotis"),
        (2, "n02100735", "English setter"),
        (3, "n01440764", "tench, Tinca tinca"),
        (1001, "n02075296", "carnivore"),
    ];
    let expected = expected.map(|(id, wnid, words)| Synset { id, wnid: wnid.to_owned(), words: words.to_owned() });
    assert_eq!(synsets(COMPRESSED_FILE).unwrap(), expected);
    assert_eq!(synsets(PLAIN_FILE).unwrap(), expected);
}

#[test]
fn other_files_are_refused() {
    for (file, says) in [
        (&b"MATLAB"[..], "too short"),
        (&[b' '; 200], "not a MATLAB file of level 5"),
        (&PLAIN_FILE[..128], "no array of structures"),
        (&PLAIN_FILE[..1000], "cut off"),
        (&COMPRESSED_FILE[..400], "cut off"),
    ] {
        let problem = synsets(file).unwrap_err();
        assert!(problem.contains(says), "{problem}");
    }
}

proptest! {
    #[test]
    fn whatever_is_changed_it_ends(changes: Vec<(u16, u8)>, cut: u16) {
        let mut file = PLAIN_FILE.to_vec();
        for (at, value) in changes {
            let at = 128 + usize::from(at) % (file.len() - 128);
            file[at] = value;
        }
        file.truncate(usize::from(cut).max(500));
        if let Ok(found) = synsets(&file) {
            prop_assert!(found.len() <= file.len() / 8);
        }
    }
}
