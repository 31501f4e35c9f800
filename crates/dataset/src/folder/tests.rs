//! Folders as they should be and as they are.

use image::RgbImage;
use tempfile::TempDir;

use super::*;

/// A folder with the given files; names that end in `/` become empty folders.
fn folder_with(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        let path = dir.path().join(file);
        if file.ends_with('/') {
            fs::create_dir_all(path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if is_image(path.file_name().unwrap()) {
            // Told apart by their grey value: the number in the name.
            let digits: String = file.chars().filter(char::is_ascii_digit).collect();
            let value = digits.parse().unwrap_or(0);
            let image = RgbImage::from_pixel(6, 4, image::Rgb([value; 3]));
            image.save_with_format(path, image::ImageFormat::Png).unwrap();
        } else {
            fs::write(path, "text").unwrap();
        }
    }
    dir
}

fn error(files: &[&str]) -> String {
    let dir = folder_with(files);
    let message = Dataset::folder(dir.path(), 4).unwrap_err().to_string();
    assert!(message.contains(&*dir.path().to_string_lossy()), "names the folder: {message}");
    assert!(!message.ends_with('.') && !message.contains('\n'), "{message}");
    println!("{message}");
    message
}

const GOOD: [&str; 4] = ["train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg"];

/// The good folder and more.
fn good_and(more: &[&'static str]) -> Vec<&'static str> {
    GOOD.iter().chain(more).copied().collect()
}

#[test]
fn classes_and_images_are_sorted_and_read() {
    let dir = folder_with(&[
        "train/zebra/7.png",
        "train/ant/12.JPEG",
        "train/ant/11.JPG",
        "train/ant/more/10.webp",
        "train/ant/notes.txt",
        "train/ant/.13.jpg",
        "train/.cache/14.jpg",
        "train/Bee/5.jpeg",
        "train/readme.md",
        "test/zebra/9.jpg",
        "test/ant/8.jpg",
        "other/15.jpg",
    ]);
    let data = Dataset::folder(dir.path(), 4).unwrap();
    assert_eq!(data.classes, ["Bee", "ant", "zebra"]);
    assert_eq!(data.name, dir.path().file_name().unwrap().to_string_lossy());
    let read = |split: &Arc<dyn Images>| -> Vec<(u32, u8)> {
        let mut rgb = [0; 48];
        let mut image = |index| {
            split.read(index, &mut rgb).unwrap();
            (split.label(index), rgb[0])
        };
        (0..split.len()).map(&mut image).collect()
    };
    assert_eq!(read(&data.train), [(0, 5), (1, 11), (1, 12), (1, 10), (2, 7)]);
    assert_eq!(read(&data.val), [(1, 8), (2, 9)]);
    assert!(data.train.name(1).ends_with("train/ant/11.JPG"));
    assert!(data.train.name(1).starts_with(&*dir.path().to_string_lossy()));
}

#[test]
fn val_comes_before_test() {
    let dir = folder_with(&good_and(&["test/a/5.jpg", "test/unknown/6.jpg"]));
    let data = Dataset::folder(dir.path(), 4).unwrap();
    assert_eq!(data.val.len(), 2);
    assert!(data.val.name(0).contains("/val/"));
}

#[test]
fn an_unreadable_image_is_found_when_read() {
    let dir = folder_with(&good_and(&[]));
    fs::write(dir.path().join("train/a/0.jpg"), "not an image").unwrap();
    let data = Dataset::folder(dir.path(), 4).unwrap();
    let message = data.train.read(0, &mut [0; 48]).unwrap_err().to_string();
    assert!(message.contains("train/a/0.jpg: the content is not an image"), "{message}");
    data.train.read(1, &mut [0; 48]).unwrap();
}

#[test]
fn not_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("nothing here");
    let message = Dataset::folder(&missing, 4).unwrap_err().to_string();
    assert!(message.contains("nothing here does not exist; give a folder that holds train/CLASS"));
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let message = Dataset::folder(&file, 4).unwrap_err().to_string();
    assert!(message.contains("file is not a folder; give a folder"), "{message}");
    let message = Dataset::folder(&file.join("below"), 4).unwrap_err().to_string();
    assert!(message.contains("below is not a folder"), "{message}");
}

#[test]
fn missing_splits() {
    let message = error(&["train/a/1.jpg", "train/b/2.jpg"]);
    assert!(message.contains("has no folder val (it holds train); expected train/CLASS"));
    let message = error(&["a/1.jpg", "b/1.jpg", "c/", "d/", "e/", "f/", "g/"]);
    assert!(message.contains("no folder train (it holds a, b, c, d, e and 2 more)"), "{message}");
    assert!(error(&[]).contains("no folder train (it holds nothing)"));
}

#[test]
fn missing_classes() {
    let message = error(&["train/1.jpg", "train/2.jpg", "val/a/3.jpg"]);
    assert!(message.contains("train has no class folders (it holds 1.jpg, 2.jpg)"), "{message}");
    assert!(error(&["train/a/1.jpg", "train/b/2.jpg", "val/"]).contains("val has no class folders"));
    assert!(error(&["train/a/1.jpg", "val/a/3.jpg"]).contains("one class folder, a; there is"));
    let message = error(&good_and(&["train/c/"]));
    assert!(message.contains("train/c has no .jpg, .jpeg, .png or .webp images (it holds nothing)"));
    let message = error(&good_and(&["train/c/x.gif", "train/c/y.gif"]));
    assert!(message.contains("(it holds x.gif, y.gif); add or convert images"), "{message}");
    let message = error(&["train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/"]);
    assert!(message.contains("val/b has no"), "{message}");
}

#[test]
fn classes_of_val_must_be_known() {
    let message = error(&good_and(&["val/B/5.jpg", "val/c/6.jpg"]));
    assert!(message.contains("lacks: B, c; both need the same classes"), "{message}");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_followed_and_circles_end() {
        let dir = folder_with(&["store/one/1.jpg", "train/b/2.jpg", "val/b/3.jpg"]);
        symlink(dir.path().join("store/one"), dir.path().join("train/a")).unwrap();
        symlink(dir.path().join("train/b"), dir.path().join("train/b/again")).unwrap();
        symlink(dir.path().join("gone.jpg"), dir.path().join("train/b/gone.jpg")).unwrap();
        let data = Dataset::folder(dir.path(), 4).unwrap();
        assert_eq!(data.classes, ["a", "b"]);
        let gone = (0..data.train.len()).find(|&i| data.train.name(i).ends_with("b/gone.jpg"));
        let message = data.train.read(gone.unwrap(), &mut [0; 48]).unwrap_err().to_string();
        assert!(message.contains("gone.jpg: No such file"), "{message}");
    }

    #[test]
    fn an_unreadable_folder_is_named() {
        let dir = folder_with(&good_and(&[]));
        let closed = dir.path().join("train/b");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read_dir(&closed).is_ok() {
            eprintln!("SKIPPED an_unreadable_folder_is_named: this user may read every folder");
            return;
        }
        let message = Dataset::folder(dir.path(), 4).unwrap_err().to_string();
        assert!(message.contains("cannot read folder") && message.contains("train/b: Perm"));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
