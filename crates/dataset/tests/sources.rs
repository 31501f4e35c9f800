//! What a preparation can begin with: the tars of ILSVRC, folders without a split, shards of other programs.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{CLASSES, Ilsvrc, TRUTH, class_of, picture, tar, val_name, write_picture};
use dataset::{Dataset, Encoding, Images, prepare};

const SIDE: usize = 8;

/// Checks that every picture has the label of its colour; gives the names.
fn checked(images: &dyn Images) -> Vec<String> {
    let mut rgb = vec![0; SIDE * SIDE * 3];
    let check = |index| {
        images.read(index, &mut rgb).unwrap();
        assert_eq!(images.label(index) as usize, class_of(&rgb), "{}", images.name(index));
        assert!(images.fetch(index).unwrap() > 50);
        images.name(index)
    };
    (0..images.len()).map(check).collect()
}

fn refusal(place: &Ilsvrc, names: &[&str], val_fraction: Option<f64>) -> String {
    let message = Dataset::sources(&place.paths(names), SIDE, val_fraction).unwrap_err().to_string();
    assert!(!message.ends_with('.') && !message.contains('\n'), "{message}");
    message
}

#[test]
fn ilsvrc_is_read_as_distributed() {
    let place = Ilsvrc::new();
    for kit in ["kit.tar.gz", "kit.tar"] {
        let data = Dataset::sources(&place.paths(&[kit, "val.tar", "train.tar"]), SIDE, None).unwrap();
        let names = ["n01440764 tench, Tinca tinca", "n02100735 English setter", "n02119789 kit fox, Vulpes macrotis"];
        assert_eq!(data.classes, names);
        let train = checked(data.train.as_ref());
        assert_eq!(
            (train.len(), &train[0][..], &train[35][..]),
            (36, "train/n01440764/n01440764_10.JPEG", "train/n02119789/n02119789_9.JPEG")
        );
        let val = checked(data.val.as_ref());
        assert_eq!(val, (0..TRUTH.len()).map(|i| format!("val/{}", val_name(i))).collect::<Vec<_>>());
    }
}

/// As ILSVRC 2010 was: the numbers have another name in the kit, and images lie in folders of their tars.
#[test]
fn ilsvrc_2010_is_read_as_distributed() {
    let place = Ilsvrc::new();
    let (old, new) = (b"ILSVRC2012_ID", b"ILSVRC2010_ID");
    let mut meta = include_bytes!("fixtures/meta-plain.mat").to_vec();
    let at = meta.windows(old.len()).position(|window| window == old).unwrap();
    meta[at..at + new.len()].copy_from_slice(new);
    let truth: String = TRUTH.iter().map(|&class| format!("{}\n", CLASSES[class].2)).collect();
    let kit = [
        ("devkit-1.0/readme.txt".to_owned(), b"a kit".to_vec()),
        ("devkit-1.0/data/meta.mat".to_owned(), meta),
        ("devkit-1.0/data/ILSVRC2010_validation_ground_truth.txt".to_owned(), truth.into_bytes()),
    ];
    place.write("kit.tar", &tar(&kit));
    let train = CLASSES.map(|(class, colour, _)| {
        let images: Vec<_> = (1..=4).map(|i| (format!("{class}_{i}.JPEG"), picture(colour))).collect();
        (format!("train/{class}.tar"), tar(&images))
    });
    place.write("train.tar", &tar(&train));
    let name = |i: usize| format!("ILSVRC2010_val_{:08}.JPEG", i + 1);
    let val = TRUTH.iter().enumerate().map(|(i, &class)| (format!("val/{}", name(i)), picture(CLASSES[class].1)));
    place.write("val.tar", &tar(&val.collect::<Vec<_>>()));
    let data = Dataset::sources(&place.paths(&["train.tar", "val.tar", "kit.tar"]), SIDE, None).unwrap();
    assert_eq!(data.classes[0], "n01440764 tench, Tinca tinca");
    assert_eq!(checked(data.train.as_ref()).len(), 12);
    let names: Vec<String> = (0..TRUTH.len()).map(|i| format!("val/{}", name(i))).collect();
    assert_eq!(checked(data.val.as_ref()), names);
    let prepared = prepare(&data, place.dir.path(), &place.path("out"), Encoding::Jpeg, 2, &|_| true);
    let prepared = prepared.unwrap().unwrap();
    assert_eq!((prepared.train, prepared.val, prepared.skipped), (12, 7, 0));
}

#[test]
fn labels_come_from_text_files_too() {
    let place = Ilsvrc::new();
    let lines = |line: &dyn Fn(usize, usize) -> String| -> String {
        TRUTH.iter().enumerate().map(|(i, &class)| line(i, class) + "\n").collect()
    };
    place.write("words.txt", b"n01440764 tench\nn02100735 setter\nn02119789 fox\nn09999999 nothing\n");
    for (labels, others) in [
        (lines(&|_, class| CLASSES[class].0.to_owned()), &["words.txt"][..]),
        (lines(&|i, class| format!("val/{} {}", val_name(i), CLASSES[class].0)), &["words.txt"]),
        (lines(&|i, class| format!("{} {class}", val_name(i))), &["words.txt"]),
        // The kit's own labels are not asked then.
        (lines(&|_, class| CLASSES[class].2.to_string()), &["kit.tar", "words.txt"]),
    ] {
        place.write("labels.txt", labels.as_bytes());
        let names = [&["train.tar", "val.tar", "labels.txt"], others].concat();
        let data = Dataset::sources(&place.paths(&names), SIDE, None).unwrap();
        assert_eq!(data.classes[1], if others.len() == 1 { "n02100735 setter" } else { "n02100735 English setter" });
        checked(data.val.as_ref());
    }
}

#[test]
fn sources_that_do_not_fit_are_refused() {
    let place = Ilsvrc::new();
    place.write("numbers.txt", b"1\n2\n3\n1\n2\n3\n1\n");
    place.write("few.txt", b"n01440764\n");
    place.write("other.txt", "n07777777\n".repeat(7).as_bytes());
    place.write("junk", &[0xFF; 2000]);
    place.write("bomb.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0");
    place.write("one.tar", &tar(&[("n01.tar".to_owned(), tar(&[("a.JPEG".to_owned(), picture([9; 3]))]))]));
    place.write("readme.tar", &tar(&[("readme.txt".to_owned(), b"hello".to_vec())]));
    let whole = fs::read(place.path("train.tar")).unwrap();
    place.write("cut.tar", &whole[..whole.len() / 2]);
    for (sources, says) in [
        (&["train.tar"][..], "no validation images; add the validation tar"),
        (&["train.tar", "val.tar"], "have no labels; add the development kit"),
        (&["val.tar", "kit.tar"], "no training images"),
        (&["train.tar", "val.tar", "numbers.txt"], "label number 1 of the development kit, which is none of the 3"),
        (&["train.tar", "val.tar", "few.txt"], "it labels 1 of the 7 validation images"),
        (&["train.tar", "val.tar", "other.txt"], "other.txt: it has the label n07777777"),
        (&["train.tar", "train.tar"], "a second source of training images"),
        (&["cut.tar", "val.tar", "kit.tar"], "cut.tar: "),
        (&["one.tar"], "one class folder, n01"),
        (&["readme.tar"], "readme.tar: a tar without tars, images or labels"),
        (&["junk"], "junk: neither a tar nor text"),
        (&["bomb.gz"], "bomb.gz: it ends after 0 members"),
        (&["nothing.tar"], "cannot read"),
    ] {
        let message = refusal(&place, sources, None);
        assert!(message.contains(says), "{sources:?}: {message}");
    }
    let message = refusal(&place, &["train.tar", "val.tar", "kit.tar"], Some(0.1));
    assert!(message.contains("val.tar has validation images already"), "{message}");
    write_picture(&place.path("folder/a/1.png"), [1; 3]);
    assert!(refusal(&place, &["folder", "train.tar"], None).contains("give one of these"));
}

#[test]
fn a_training_tar_is_split_by_names() {
    let place = Ilsvrc::new();
    let data = Dataset::sources(&place.paths(&["train.tar", "kit.tar.gz"]), SIDE, Some(0.3)).unwrap();
    let (train, val) = (checked(data.train.as_ref()), checked(data.val.as_ref()));
    assert_eq!(train.len() + val.len(), 36);
    assert!(!val.is_empty() && val.iter().all(|name| !train.contains(name)));
}

#[test]
fn a_folder_is_split_by_names_wherever_it_lies() {
    let place = Ilsvrc::new();
    let add = |folder: &str, n: usize| {
        for (class, colour, _) in CLASSES {
            (0..n).for_each(|i| write_picture(&place.path(&format!("{folder}/{class}/{i:03}.png")), colour));
        }
    };
    let val = |folder: &str| -> BTreeSet<String> {
        let data = Dataset::sources(&place.paths(&[folder]), SIDE, Some(0.2)).unwrap();
        assert_eq!(checked(data.train.as_ref()).len() + data.val.len(), if folder == "more" { 120 } else { 60 });
        let below = |name: &String| Path::new(name).strip_prefix(place.path(folder)).unwrap().display().to_string();
        checked(data.val.as_ref()).iter().map(below).collect()
    };
    add("flowers", 20);
    add("more", 40);
    add("with/train", 20);
    assert!(val("flowers").is_subset(&val("more")), "an image keeps its side when others come");
    let with_train: BTreeSet<String> = val("flowers").iter().map(|name| format!("train/{name}")).collect();
    assert_eq!(val("with"), with_train);
    // Without a fraction the message says that there is one.
    assert!(refusal(&place, &["with"], None).contains("--val-fraction"));
    let message = refusal(&place, &["flowers"], Some(0.9999));
    assert!(message.contains("class n01440764 none is left for training"), "{message}");
    let message = refusal(&place, &["flowers"], Some(1e-9));
    assert!(message.contains("none is left for validation"), "{message}");
    write_picture(&place.path("with/val/n01440764/1.png"), [1; 3]);
    assert!(refusal(&place, &["with"], Some(0.2)).contains("has validation images already"));
}

#[test]
fn names_in_tars_lead_nowhere() {
    let place = Ilsvrc::new();
    let hostile = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = [header.as_bytes(), content].concat();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let class = |images: &[&str], colour| {
        let mut bytes: Vec<u8> = images.iter().flat_map(|name| hostile(name, &picture(colour))).collect();
        bytes.extend([0; 1024]);
        bytes
    };
    let link = |kind, name: &str, to: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_link_name_literal(to).unwrap();
        header.set_size(0);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let train = [
        link(tar::EntryType::Symlink, "n09999999.tar", "../../../etc/passwd"),
        link(tar::EntryType::Link, "inside/out/train-00000.tar", "/etc/passwd"),
        hostile("../../n01440764.tar", &class(&["../../../escaped.JPEG", "/escaped/absolute.JPEG"], CLASSES[0].1)),
        hostile("/n02100735.tar", &class(&["..JPEG", "a\n../b.JPEG"], CLASSES[1].1)),
        vec![0; 1024],
    ];
    place.write("train.tar", &train.concat());
    fs::create_dir(place.path("inside")).unwrap();
    let before = fs::read_dir(place.dir.path()).unwrap().count();
    let data = Dataset::sources(&place.paths(&["train.tar"]), SIDE, Some(0.4)).unwrap();
    let out = place.path("inside/out");
    prepare(&data, place.dir.path(), &out, Encoding::Raw, 1, &|_| true).unwrap().unwrap();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), before);
    assert_eq!(fs::read_dir(place.path("inside")).unwrap().count(), 1);
    for entry in fs::read_dir(&out).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            ["train-", "val-", "dataset.json", "mean.npy", "skipped.txt"].iter().any(|it| name.starts_with(it)),
            "{name}"
        );
    }
}

/// Writes a shard of the images `from..to` as other programs do.
fn write_shard(place: &Ilsvrc, name: &str, from: usize, to: usize) {
    let members = (from..to).flat_map(|i| {
        let (_, colour, _) = CLASSES[i % 3];
        let files = [("cls", format!("{}\n", i % 3).into_bytes()), ("json", b"{}".to_vec()), ("png", picture(colour))];
        files.map(|(extension, content)| (format!("some/{i:04}.{extension}"), content))
    });
    place.write(name, &tar(&members.collect::<Vec<_>>()));
}

#[test]
fn shards_of_other_programs_are_read() {
    let place = Ilsvrc::new();
    fs::create_dir_all(place.path("set")).unwrap();
    write_shard(&place, "set/train-000000.tar", 0, 9);
    write_shard(&place, "set/train-000001.tar", 9, 18);
    write_shard(&place, "set/val-000000.tar", 18, 24);
    place.write("set/classes.txt", b"tench\nEnglish setter\nkit fox\n");
    place.write("list.txt", b"# three shards\nset/val-000000.tar\nset/train-000001.tar\n\nset/train-000000.tar\n");
    for name in ["set", "list.txt"] {
        let data = Dataset::open(&place.path(name), SIDE).unwrap();
        assert_eq!(data.classes, ["tench", "English setter", "kit fox"]);
        assert_eq!(checked(data.train.as_ref()).len(), 18);
        assert_eq!(checked(data.val.as_ref())[5], "val-000000.tar/some/0023.png");
    }
    // They can be packed, and what was packed can be read as any shard.
    let data = Dataset::sources(&place.paths(&["set"]), SIDE, None).unwrap();
    prepare(&data, place.dir.path(), &place.path("packed"), Encoding::Jpeg, 1, &|_| true).unwrap().unwrap();
    place.write("list.txt", b"packed/train-00000.tar\npacked/val-00000.tar\n");
    let data = Dataset::open(&place.path("list.txt"), SIDE).unwrap();
    assert_eq!((data.train.len(), data.val.len(), &data.classes[..]), (18, 6, &["0", "1", "2"].map(str::to_owned)[..]));

    for (text, says) in
        [("# nothing\n", "lists no shards"), ("packed/train-00000.tar\nhello\n", "/hello, which is no file")]
    {
        place.write("list.txt", text.as_bytes());
        let message = Dataset::open(&place.path("list.txt"), SIDE).unwrap_err().to_string();
        assert!(message.contains("list.txt: it") && message.contains(says), "{message}");
    }

    fs::remove_file(place.path("set/val-000000.tar")).unwrap();
    let message = Dataset::open(&place.path("set"), SIDE).unwrap_err().to_string();
    assert!(message.contains("no validation images"), "{message}");
    place.write("set/val-000000.tar", &tar(&[("1.png".to_owned(), picture([1; 3]))]));
    let message = Dataset::open(&place.path("set"), SIDE).unwrap_err().to_string();
    assert!(message.contains("1.png has no label; expected 1.cls"), "{message}");
}

#[test]
fn parts_are_disjoint_and_complete() {
    let place = Ilsvrc::new();
    let whole = Dataset::sources(&place.paths(&["train.tar", "val.tar", "kit.tar"]), SIDE, None).unwrap();
    let mut names: Vec<String> = Vec::new();
    for part in 0..5 {
        let data = whole.clone().part(part, 5);
        assert!((7..=8).contains(&data.train.len()));
        names.extend(checked(data.train.as_ref()));
        names.extend(checked(data.val.as_ref()));
    }
    names.sort();
    let mut expected = [checked(whole.train.as_ref()), checked(whole.val.as_ref())].concat();
    expected.sort();
    assert_eq!(names, expected);
}
