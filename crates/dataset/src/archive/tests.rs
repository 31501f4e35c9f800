//! Tar files as other programs write them, and as nobody should.

use proptest::prelude::*;
use tar::Builder;

use super::*;

/// A tar file of `members`.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for &(name, content) in members {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A header whose name is taken as it is, which `Builder` refuses.
fn raw_header(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn names(bytes: &[u8]) -> Vec<String> {
    list_bytes(bytes).unwrap().into_iter().map(|member| member.name).collect()
}

#[test]
fn members_lie_where_they_say() {
    let long = "a/".repeat(90) + "long.jpg"; // needs an extension header
    let bytes = tar(&[("one.jpg", b"first"), (&long, &[7; 513]), ("empty", b"")]);
    let members = list_bytes(&bytes).unwrap();
    let content = |member: &Member| &bytes[member.offset as usize..][..member.length as usize];
    assert_eq!(members.iter().map(|member| &member.name[..]).collect::<Vec<_>>(), ["one.jpg", &long, "empty"]);
    assert_eq!(members.iter().map(content).collect::<Vec<_>>(), [&b"first"[..], &[7; 513], b""]);
    assert_eq!(members[1].base(), "long.jpg");
}

#[test]
fn pax_attributes_give_name_and_size() {
    let attributes = b"24 path=pax/name-\xc3\xa9.jpg\n12 size=600\n";
    let padded = |bytes: &[u8]| [bytes, &vec![0; bytes.len().next_multiple_of(512) - bytes.len()]].concat();
    let bytes = [
        raw_header(EntryType::XHeader, "x", attributes.len() as u64),
        padded(attributes),
        raw_header(EntryType::Regular, "short", 3),
        padded(&[1; 600]),
        raw_header(EntryType::Regular, "next", 0),
        vec![0; 1024],
    ]
    .concat();
    let members = list_bytes(&bytes).unwrap();
    assert_eq!((&members[0].name[..], members[0].length), ("pax/name-é.jpg", 600));
    assert_eq!((&members[1].name[..], members[1].length), ("next", 0));
}

#[test]
fn links_folders_and_devices_are_no_members() {
    let kinds = [EntryType::Link, EntryType::Symlink, EntryType::Directory, EntryType::Char, EntryType::Fifo];
    let mut bytes: Vec<u8> = kinds.iter().flat_map(|&kind| raw_header(kind, "../../etc/passwd", 0)).collect();
    bytes.extend(raw_header(EntryType::Regular, "/abs\x1b[2J\n.jpg", 0));
    bytes.extend([0; 1024]);
    assert_eq!(names(&bytes), ["/abs\u{FFFD}[2J\u{FFFD}.jpg"]);
}

#[test]
fn a_cut_or_damaged_tar_says_where() {
    let whole = tar(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 700])]);
    assert_eq!(names(&whole), ["a.jpg", "b.jpg"]);
    let problem = |bytes: &[u8]| list_bytes(bytes).unwrap_err();
    assert_eq!(
        problem(&whole[..2000]),
        "it ends after 1 members without the empty block that closes a tar: it is cut off"
    );
    assert_eq!(problem(&whole[..2600]), "b.jpg has 700 bytes and the tar ends after 552: it is cut off");
    assert!(problem(&whole[..3072]).contains("after 2 members"));
    assert!(problem(b"").contains("after 0 members"));
    let mut damaged = whole.clone();
    damaged[1536 + 20] ^= 1;
    assert_eq!(problem(&damaged), "there is no tar header at byte 1536, where one is expected");
    let huge = [raw_header(EntryType::GNULongName, "x", 1 << 20), vec![b'a'; 1 << 20]].concat();
    assert!(problem(&huge).contains("1048576 bytes, expected at most 65536"));
}

proptest! {
    #[test]
    fn whatever_is_changed_members_lie_inside(changes: Vec<(u16, u8)>, cut: u16, fix: bool) {
        let mut bytes = tar(&[("a.jpg", &[1; 700]), (&"long/".repeat(40), b"x"), ("b.cls", b"12")]);
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if fix {
            // With right sums the changes get further.
            for block in bytes.as_chunks_mut::<512>().0 {
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(block);
                header.set_cksum();
                if block != &[0; 512] {
                    block.copy_from_slice(header.as_bytes());
                }
            }
        }
        bytes.truncate(usize::from(cut).max(bytes.len() / 2));
        if let Ok(members) = list_bytes(&bytes) {
            prop_assert!(members.len() <= bytes.len() / 512);
            for member in members {
                prop_assert!(member.offset + member.length <= bytes.len() as u64);
            }
        }
    }
}
