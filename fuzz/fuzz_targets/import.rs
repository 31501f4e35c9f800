//! Networks of other programs: `.caffemodel`, `.pth`, `.safetensors`, and Caffe's mean images.
#![no_main]

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use alexnet::import;
use libfuzzer_sys::fuzz_target;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What the first byte says of the others: a file, the pickle of a `.pth`, a mean image of 2 x 2 pixels.
const FILE: u8 = 0;
const PICKLE: u8 = 1;
const MEAN: u8 = 2;

static PATH: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/import");
    fs::create_dir_all(&corpus).expect("a folder for seeds");
    let table = br#"{"features.0.weight":{"dtype":"F32","shape":[1,3,1,1],"data_offsets":[0,12]}}"#;
    let safetensors = [&(table.len() as u64).to_le_bytes(), &table[..], &[0; 12]].concat();
    for (name, which, bytes) in [
        ("caffemodel", FILE, caffemodel()),
        ("pth", FILE, archive(&pickle())),
        ("safetensors", FILE, safetensors),
        ("pickle", PICKLE, pickle()),
        ("mean", MEAN, [&[8, 1, 16, 3, 24, 2, 32, 2][..], &field(5, &[0; 48])].concat()),
    ] {
        fs::write(corpus.join(format!("seed-{name}")), [&[which], &bytes[..]].concat()).expect("a seed");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("network");
    (dir, path)
});

/// A field of a protocol buffer with fewer than 128 bytes, or a larger one of fewer than 16,384.
fn field(number: u16, content: &[u8]) -> Vec<u8> {
    let varint = |value: u16| if value < 128 { vec![value as u8] } else { vec![value as u8 | 128, (value >> 7) as u8] };
    [&varint(number << 3 | 2)[..], &varint(content.len() as u16), content].concat()
}

/// Two layers of after 2014 and one of before.
fn caffemodel() -> Vec<u8> {
    let blob = |dims: &[u8]| {
        let numbers: u8 = dims.iter().product();
        [field(5, &vec![0; usize::from(numbers) * 4]), field(7, &field(1, dims))].concat()
    };
    let conv1 = [field(1, b"conv1"), field(7, &blob(&[2, 3, 1, 1])), field(7, &blob(&[2]))].concat();
    let norm1 = [field(1, b"norm1"), field(2, b"LRN")].concat();
    let fc8 = [&field(4, b"fc8")[..], &[40, 14], &field(6, &blob(&[1, 1, 2, 2])), &field(6, &blob(&[2]))].concat();
    [field(100, &conv1), field(100, &norm1), field(2, &fc8)].concat()
}

/// `{"features.0.weight": tensor}` as PyTorch describes it, with a storage of six floats.
fn pickle() -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    [
        &b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("[..],
        &text("features.0.weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((",
        &text("storage"),
        b"ctorch\nFloatStorage\n",
        &text("0"),
        &text("cpu"),
        b"K\x06tQK\x02(K\x02K\x02tq\x02K\x02K\x01\x86\x89h\x00)RtRu}(",
        &text("_metadata"),
        b"}ub.",
    ]
    .concat()
}

/// The archive that PyTorch writes around a pickle, its checksums right.
fn archive(pickle: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &[0; 24])] {
        zip.start_file(name, SimpleFileOptions::default()).expect("an entry");
        zip.write_all(bytes).expect("an entry");
    }
    zip.finish().expect("an archive").into_inner()
}

fuzz_target!(init: { LazyLock::force(&PATH); }, |bytes: &[u8]| {
    let Some((&which, content)) = bytes.split_first() else { return };
    let path = &PATH.1;
    let written = if which == PICKLE { archive(content) } else { content.to_vec() };
    fs::write(path, written).expect("a file");
    if which == MEAN {
        let _ = import::read_mean(path, 2);
    } else {
        // No network of so few bytes is whole.
        assert!(import::read(path).is_err());
    }
});
