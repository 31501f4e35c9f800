//! A run that is saved and read again.

use convnet::cpu::Cpu;
use std::fs;

use super::*;
use crate::{fuzz, nets};

fn state() -> State {
    let (net, _) = nets::source("mini").unwrap();
    let classes = Dataset::demo().classes;
    let record = EpochRecord {
        train_loss: 0.1 + 0.2,
        train_top1: 1.0 / 3.0,
        val_loss: 5e-324,
        val_top1: 1.0,
        val_top5: 0.1,
        rate: 0.02,
    };
    State {
        net,
        classes,
        data: DataId {
            name: "demo".to_string(),
            folder: Some("a \"b\"/c".into()),
            train: 8000,
            val: 2000,
            names: Some(7),
        },
        settings: Settings {
            seed: u64::MAX,
            batch: 4,
            epochs: 20,
            schedule: "short".to_string(),
            rate: Some(0.1),
            precision: Precision::Bf16,
        },
        position: Position {
            epoch: 3,
            step: 7,
            steps: 6007,
            images: 24_028,
            sums: Sums { images: 28, loss: 64.123_456_789_012_34, top1: 3, top5: 15 },
        },
        history: vec![record; 3],
    }
}

fn statistics() -> Statistics {
    Statistics {
        side: 32,
        images: 8000,
        mean: (0..32 * 32 * 3).map(|i| i as f32 / 7.0).collect(),
        covariance: [[3.0, 0.1, 0.2], [0.1, 2.0, 0.3], [0.2, 0.3, 1.0]],
        eigenvalues: [3.1, 2.0 / 3.0, 0.0],
        eigenvectors: [[1.0, 0.0, 0.0], [0.0, 0.6, 0.8], [0.0, -0.8, 0.6]],
    }
}

fn network(seed: u64) -> Network<Cpu> {
    let net = nets::load("mini", None).unwrap();
    let mut network = Network::for_training(&net, 4, Cpu::new(1).unwrap()).unwrap();
    network.initialise(seed).unwrap();
    for parameter in network.parameters().to_vec() {
        let values: Vec<f32> = (0..parameter.value.len).map(|i| (i as f32).sin() * seed as f32).collect();
        network.write(parameter.velocity(), &values).unwrap();
    }
    network
}

fn all_bits(network: &Network<Cpu>) -> Vec<u32> {
    let spans = network.parameters().iter().flat_map(|it| [it.value, it.velocity()]);
    spans.flat_map(|span| network.read(span).unwrap()).map(f32::to_bits).collect()
}

#[test]
fn a_run_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let saved = network(1);
    save(&path, &state(), &statistics(), &saved).unwrap();
    let checkpoint = Checkpoint::read(&path).unwrap();
    assert_eq!(checkpoint.state, state());
    assert_eq!(checkpoint.statistics, statistics());
    let mut restored = network(2);
    assert_ne!(all_bits(&saved), all_bits(&restored));
    checkpoint.restore(&mut restored, true).unwrap();
    assert_eq!(all_bits(&saved), all_bits(&restored));
    // The same run gives the same file.
    let again = folder.path().join("b.safetensors");
    save(&again, &state(), &statistics(), &restored).unwrap();
    assert!(fs::read(&path).unwrap() == fs::read(&again).unwrap());
}

#[test]
fn a_state_that_no_run_has_is_refused() {
    assert_eq!(state().validate(), Ok(()));
    type Change = fn(&mut State);
    let changes: [(&str, Change); 21] = [
        ("classes", |state| state.classes.truncate(1)),
        ("classes", |state| state.classes = vec![String::new(); 65_537]),
        ("training images", |state| state.data.train = 0),
        ("training images", |state| state.data.train = usize::MAX),
        ("batch", |state| state.settings.batch = 0),
        ("batch", |state| state.settings.batch = usize::MAX),
        ("epochs", |state| state.settings.epochs = 0),
        ("epochs", |state| state.settings.epochs = usize::MAX),
        ("rate", |state| state.settings.rate = Some(f64::NAN)),
        ("epoch 5 with 3", |state| state.position.epoch = 4),
        ("epoch 4 with 0", |state| state.history.clear()),
        ("steps of the epoch", |state| state.position.step = 2001),
        ("steps of the epoch", |state| state.position.step = usize::MAX),
        ("6007", |state| state.position.steps = usize::MAX),
        ("images of the epoch", |state| state.position.sums.images = 29),
        ("hits", |state| state.position.sums.top1 = 29),
        ("top-5 hits", |state| state.position.sums.top5 = usize::MAX),
        ("27 images", |state| state.position.images = 27),
        ("images in 6007 steps", |state| state.position.images = u64::MAX),
        ("loss", |state| state.position.sums.loss = f64::INFINITY),
        ("epoch 2", |state| state.history[1].val_top1 = f64::MAX),
    ];
    for (words, change) in changes {
        let mut state = state();
        change(&mut state);
        let why = state.validate().unwrap_err();
        assert!(why.contains(words), "{words}: {why}");
    }
    // A file says it as it says that it is something else.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let mut bad = state();
    bad.settings.batch = 0;
    save(&path, &bad, &statistics(), &network(1)).unwrap();
    let error = Checkpoint::read(&path).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(ReadError::Foreign { .. })), "{error}");
    assert!(error.to_string().contains("batch"), "{error}");
}

#[test]
fn data_is_known_by_labels_and_names() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a");
    for file in ["train/x/1.png", "train/x/2.png", "train/y/1.png", "val/x/1.png"] {
        fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
        fs::write(folder.join(file), "").unwrap();
    }
    let id = |folder: &Path| DataId::of(&Dataset::folder(folder, 8).unwrap(), Some(folder)).names.unwrap();
    let first = id(&folder);
    let moved = parent.path().join("b");
    fs::rename(&folder, &moved).unwrap();
    assert_eq!([id(&moved), id(&moved.join("")), id(&moved.join("../b/."))], [first; 3]);
    fs::rename(moved.join("train/x/2.png"), moved.join("train/x/3.png")).unwrap();
    let renamed = id(&moved);
    assert_ne!(renamed, first);
    // The same names in another order of labels.
    fs::rename(moved.join("train/x/3.png"), moved.join("train/y/3.png")).unwrap();
    assert!(![first, renamed].contains(&id(&moved)));
}

#[test]
fn a_checkpoint_without_the_names_of_its_data_can_be_read() {
    let id = serde_json::from_str::<DataId>(r#"{"name":"demo","folder":null,"train":8000,"val":2000}"#).unwrap();
    assert_eq!(id.names, None);
}

#[test]
fn settings_without_a_precision_are_those_of_f32() {
    let read = |precision: &str| {
        let text = format!(r#"{{"seed":1,"batch":4,"epochs":2,"schedule":"short","rate":null{precision}}}"#);
        serde_json::from_str::<Settings>(&text)
    };
    assert_eq!(read("").unwrap().precision, Precision::F32);
    assert_eq!(read(r#","precision":"bf16""#).unwrap().precision, Precision::Bf16);
    let error = read(r#","precision":"f16""#).unwrap_err().to_string();
    assert!(error.starts_with(r#"precision "f16", expected f32 or bf16"#), "{error}");
}

#[test]
fn a_damaged_checkpoint_names_a_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("epoch-0001.safetensors");
    let last = folder.path().join("last.safetensors");
    save(&good, &state(), &statistics(), &network(1)).unwrap();
    fs::write(folder.path().join("epoch-0002.safetensors"), "short").unwrap();
    let raw = fs::read(&good).unwrap();
    for len in [0, 7, 8, 500, 5_000, raw.len() / 2, raw.len() - 1] {
        fs::write(&last, &raw[..len]).unwrap();
        let error = format!("{:#}", Checkpoint::read(&last).unwrap_err());
        assert!(error.contains("damaged") && error.contains("epoch-0001.safetensors"), "{len}: {error}");
    }
    fs::remove_file(&good).unwrap();
    let error = format!("{:#}", Checkpoint::read(&last).unwrap_err());
    assert!(error.contains("no complete checkpoint"), "{error}");
}

#[test]
fn damage_that_the_checksum_does_not_tell_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    save(&path, &state(), &statistics(), &network(1)).unwrap();
    let whole = fs::read(&path).unwrap();
    let header_len = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let (header, data) = (&whole[8..8 + header_len], &whole[8 + header_len..]);
    fuzz::repeat("checkpoints", 60, |random| {
        let mut text = String::from_utf8(header.to_vec()).unwrap();
        match random.below(3) {
            0 => fuzz::replace_odd(&mut text, random),
            1 => {
                let mut bytes = text.into_bytes();
                fuzz::damage(&mut bytes, random);
                text = String::from_utf8_lossy(&bytes).into_owned();
            }
            _ => {
                // The net is a text within the text.
                let (mut net, escaped) = (state().net, |net: &str| serde_json::to_string(net).unwrap());
                let before = escaped(&net);
                fuzz::damage_text(&mut net, random);
                text = text.replacen(&before, &escaped(&net), 1);
            }
        }
        let mut file = [&(text.len() as u64).to_le_bytes(), text.as_bytes(), data].concat();
        file::seal(&mut file);
        fs::write(&path, &file).unwrap();
        // A name or a rate may change without anybody noticing; the numbers must fit or be refused.
        if let Ok(checkpoint) = Checkpoint::read_alone(&path)
            && checkpoint.net.parameters() < 1 << 22
        {
            let batch = checkpoint.state.settings.batch.min(4);
            let mut network = Network::for_training(&checkpoint.net, batch, Cpu::new(1).unwrap()).unwrap();
            let _ = checkpoint.restore(&mut network, true);
        }
    });
}

#[test]
fn another_net_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    save(&path, &state(), &statistics(), &network(1)).unwrap();
    let text = nets::source("mini").unwrap().0.replacen("filters = 32", "filters = 16", 1);
    let net = Net::parse(&text, "test", None).unwrap();
    let mut network = Network::for_inference(&net, 1, Cpu::new(1).unwrap()).unwrap();
    let error = Checkpoint::read(&path).unwrap().restore(&mut network, false).unwrap_err().to_string();
    assert!(error.contains("conv1.tower0.weight0") && error.contains("[5, 5, 3, 16]"), "{error}");
}

#[test]
fn statistics_are_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    save_statistics(&path, &statistics()).unwrap();
    let error = Checkpoint::read(&path).unwrap_err().to_string();
    assert!(error.contains("no checkpoint") && error.contains("alexnet statistics"), "{error}");
}

#[test]
fn a_copy_is_whole_and_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [last, best] = ["last", "best"].map(|name| folder.path().join(name));
    fs::write(&last, "one").unwrap();
    copy(&last, &best).unwrap();
    fs::write(&last, "two").unwrap();
    assert_eq!(fs::read(&best).unwrap(), b"one");
    assert!(copy(&folder.path().join("nothing"), &best).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
