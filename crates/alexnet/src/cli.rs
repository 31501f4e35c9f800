//! The command line.
//!
//! Long: one place for the arguments of all commands.

mod experiment;
mod show;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use convnet::cuda::Precision;

use crate::checkpoint::{MAX_BATCH, MAX_EPOCHS};
use crate::device::Choice;
use crate::pictures;

pub use experiment::ExperimentArgs;
pub use show::{
    ReportArgs, Show, ShowArgs, ShowAugmentationArgs, ShowCheckpointArgs, ShowImagesArgs, ShowSpecialisationArgs,
};

const EXAMPLES: &str = "\
Examples:
  alexnet train                         learn ten kinds of clothes in a minute or two, no data needed
  alexnet train --data DIR              learn the classes of DIR/train/CLASS/*.jpg with the 2012 network
  alexnet train --resume runs/mini-1    go on where a run stopped
  alexnet eval --crops 10               measure the newest run as the paper does
  alexnet predict photo.jpg             five labels for a picture
  alexnet report                        the newest run as one HTML file
  alexnet export                        the newest network as ONNX
  alexnet prepare DIR --out data/mine   pack DIR/train and DIR/val for fast training
  alexnet net nips2012                  the layers of the 2012 network";

/// The 2012 ImageNet network as a complete system.
#[derive(Debug, Parser)]
#[command(name = "alexnet", version, about, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network, or go on with a run
    Train(TrainArgs),
    /// Measure a trained network on validation images
    Eval(EvalArgs),
    /// Name what is in pictures
    Predict(PredictArgs),
    /// Write what a layer gives to each image
    Features(FeaturesArgs),
    /// Find the training images that are nearest to pictures in the last hidden layer
    Similar(SimilarArgs),
    /// Draw what a network has learnt: kernels, curves, predictions, confusion
    Show(ShowArgs),
    /// Write a run as one HTML file: curves, kernels, predictions, confusion, neighbours, settings
    Report(ReportArgs),
    /// Average what several networks say
    Ensemble(EnsembleArgs),
    /// Write a contest's text file: five labels for each image
    Submit(SubmitArgs),
    /// Write a trained network for other tools: ONNX, or safetensors with PyTorch's layouts
    Export(ExportArgs),
    /// Read a trained network of another program: a .caffemodel, or torchvision's alexnet
    Import(ImportArgs),
    /// Pack images into a data set that training reads fast
    Prepare(PrepareArgs),
    /// Look at a data set: classes, colours, mean image, a sheet of pictures
    Data(DataArgs),
    /// Repeat one of the paper's experiments: two nets that differ in one setting, several seeds
    Experiment(ExperimentArgs),
    /// Measure how fast something is
    Bench(BenchArgs),
    /// Show the layers and settings of a net, or list the built-in nets
    Net(NetArgs),
    /// Write what a shell needs to complete these commands
    Completions(CompletionsArgs),
    /// Write a manual page for each command
    Man(ManArgs),
}

/// Arguments of `alexnet prepare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet prepare ~/imagenette --out data/imagenette
  alexnet prepare ~/flowers --val-fraction 0.05 --out data/flowers --size 128 --raw
  alexnet prepare ILSVRC2012_img_train.tar ILSVRC2012_img_val.tar ILSVRC2012_devkit_t12.tar.gz --out data/imagenet
  alexnet train --data data/imagenette

SOURCE is a folder with train/CLASS/*.jpg and val/CLASS/*.jpg; or one of CLASS/*.jpg, with --val-fraction; or
the tars of ILSVRC 2010 or 2012 as distributed, with the development kit or a text file for the labels of the
validation images: ILSVRC2012_val_00000001.JPEG n01751748 on a line, or the number of the class in sorted
order, from 0, or n01751748 alone in the order of the images; or WebDataset shards. A text file of
n01440764 tench, Tinca tinca names the classes of any of these. What a file is, its content says.

The shorter side is scaled to --size and the centre cut out, as the paper did. DIR then holds WebDataset
shards (tar), dataset.json (classes, counts, checksums, colours), mean.npy, and skipped.txt: the images
that could not be read. Interrupted, killed or out of disk: the same command goes on.")]
pub struct PrepareArgs {
    /// A folder of images, or tars; and files with labels and names
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// The data set's folder: new, empty, or of the same preparation
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Width and height of the packed images
    #[arg(long, value_name = "PIXELS", default_value = "256", value_parser = side)]
    pub size: usize,
    /// Store pixels uncompressed instead of JPEG of quality 95: faster to read, six times the size
    #[arg(long)]
    pub raw: bool,
    /// Set this part of the images aside for validation, chosen by their names, where the source has no val
    #[arg(long, value_name = "PART", value_parser = fraction)]
    pub val_fraction: Option<f64>,
    /// Threads; the result does not depend on it [default: all processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
}

/// Arguments of `alexnet data`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet data data/imagenette
  alexnet data ~/flowers --out flowers.png")]
pub struct DataArgs {
    /// A folder with train/CLASS and val/CLASS, or a packed set
    pub data: PathBuf,
    /// The picture with the mean image and training images
    #[arg(long, value_name = "PNG|SVG", default_value = "data.png", value_parser = picture)]
    pub out: PathBuf,
}

/// Arguments of `alexnet completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet completions bash > ~/.local/share/bash-completion/completions/alexnet
  alexnet completions zsh > ~/.zfunc/_alexnet
  alexnet completions fish > ~/.config/fish/completions/alexnet.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `alexnet man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet man ~/.local/share/man/man1
  man alexnet-train")]
pub struct ManArgs {
    /// The folder of the pages; it is made where it is not there
    pub out: PathBuf,
}

/// Arguments of `alexnet bench`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet bench data data/imagenette")]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub what: Bench,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Reading images: how fast each stage is, and what training at a given speed needs
    Data(BenchDataArgs),
    /// A training step on the processor: every operation beside its floor, and whole steps
    Step(BenchStepArgs),
}

/// Arguments of `alexnet bench step`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet bench step
  alexnet bench step --net mini --batch 64 --threads 1

A floor is the longer of multiply-adds at the speed that this machine is measured to have (as a direct sum:
Winograd's algorithm may go below it) and of memory traffic at its measured bandwidth, each operand once.")]
pub struct BenchStepArgs {
    /// A built-in net or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "nips2012")]
    pub net: String,
    /// Images in a step [default: the net's]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch: Option<usize>,
    /// Threads [default: all processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
}

/// Arguments of `alexnet bench data`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet bench data ~/flowers
  alexnet bench data data/imagenette --images 10000 --target 8000")]
pub struct BenchDataArgs {
    /// A folder with train/CLASS and val/CLASS, or a packed set
    pub data: PathBuf,
    /// Training images to read, in random order; all of a smaller set
    #[arg(long, value_name = "N", default_value = "4096", value_parser = positive)]
    pub images: usize,
    /// Images/s that a GPU asks for
    #[arg(long, value_name = "N", default_value = "5000", value_parser = positive)]
    pub target: usize,
    /// Threads that decode [default: all processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Read part I of N, counted from 1, as one of several readers does
    #[arg(long, value_name = "I/N", value_parser = part)]
    pub shard_of: Option<(usize, usize)>,
}

/// Arguments of `alexnet net`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet net                           the built-in nets
  alexnet net nips2012                  layers, settings and schedules of one
  alexnet net my-net.toml               the same for a file
  alexnet net mini --plan --batch 64    memory and operations of a training step")]
pub struct NetArgs {
    /// A built-in net or a TOML file
    pub net: Option<String>,
    /// Print what a training step does: memory and operations in order
    #[arg(long, requires = "net")]
    pub plan: bool,
    /// Place the towers on N devices: with --plan show that plan, else what is exchanged between them
    #[arg(long, value_name = "N", value_parser = positive)]
    pub placement: Option<usize>,
    /// Images of the step that --plan and --placement show [default: the net's]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
}

/// What every command that runs a network asks for.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda:N, or sim:N for a simulated GPU (very slow); the towers of a net on several
    /// devices: cuda:0,1, sim:0,1, or cpu:N for N parts of the processor
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: Choice,
    /// Let copies between GPUs go through the host
    #[arg(long)]
    pub no_peer: bool,
    /// f32, or bf16: factors of products of 16 bits, on a GPU all activations, too; weights and sums of 32 [default: f32;
    /// that of a resumed run]
    #[arg(long, value_name = "f32|bf16")]
    pub precision: Option<Precision>,
    /// Threads to compute with; the result does not depend on it [default: all processors]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
}

/// Arguments of `alexnet train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet train
  alexnet train --data ~/imagenette --epochs 30
  alexnet train --data ~/imagenet --schedule ilsvrc2012
  alexnet train --net my-net.toml --lr 0.005 --seed 7 --out runs/slow
  alexnet train --resume runs/slow --epochs 40

A run folder holds last.safetensors and best.safetensors (checkpoints), log.jsonl, events for TensorBoard,
curves.png, filters.png and predictions.png. Ctrl-C saves and stops; --resume goes on bit for bit.")]
pub struct TrainArgs {
    /// Folder with train/CLASS/*.jpg and val/CLASS/*.jpg, what prepare made of it, or CIFAR-10's binary files
    /// [default: the embedded demo set]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A built-in net or a TOML file [default: nips2012 with --data, mini without]
    #[arg(long, value_name = "NAME|FILE")]
    pub net: Option<String>,
    /// Epochs; schedules made for another length are scaled [default: those of --schedule, or the net's]
    #[arg(long, value_name = "N", value_parser = epochs)]
    pub epochs: Option<usize>,
    /// Save and stop after this many steps, counted over the whole run
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_steps: Option<usize>,
    /// Images in a step [default: the net's]
    #[arg(long, value_name = "N", value_parser = batch, conflicts_with = "resume")]
    pub batch: Option<usize>,
    /// First learning rate of weights; the net's other rates are scaled with it [default: the net's]
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "resume")]
    pub lr: Option<f64>,
    /// plateau, constant, or a schedule of the net [default: the net's]
    #[arg(long, value_name = "NAME", conflicts_with = "resume")]
    pub schedule: Option<String>,
    /// Chooses initial weights, order, crops, colours and dropout [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub seed: Option<u64>,
    /// The run's folder: new, empty, or of a run that was killed before its first checkpoint [default:
    /// runs/NET-NUMBER, a number that is free]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run: its folder, or one of its checkpoints
    #[arg(long, value_name = "PATH")]
    pub resume: Option<PathBuf>,
    /// Save every N steps too; in any case every epoch, every five minutes, and when stopped
    #[arg(long, value_name = "N", value_parser = positive)]
    pub save_every: Option<usize>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Which trained network.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A run's folder (its best checkpoint) or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// Views per image: the centre, or the paper's ten (corners, centre, mirrored) averaged
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = crops)]
    pub crops: usize,
}

/// Arguments of `alexnet eval`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet eval
  alexnet eval --crops 10
  alexnet eval --model runs/mini-1/last.safetensors --data ~/imagenette
  alexnet eval --model runs/mini-1 --save-probabilities a.probabilities")]
pub struct EvalArgs {
    /// Which network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Folder or packed set with the same classes; its val is measured [default: that of the training]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Images computed at a time [default: the training batch]
    #[arg(long, value_name = "N", value_parser = batch)]
    pub batch: Option<usize>,
    /// Keep what the network says about each image, for `ensemble` and `submit`
    #[arg(long, value_name = "FILE")]
    pub save_probabilities: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// A split of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// The training images
    Train,
    /// The validation images
    Val,
}

/// Arguments of `alexnet features`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet features
  alexnet features --layer pool5 --data ~/imagenette --split val --out pool5.npy

FILE is a NumPy array [images, values] of 16-bit floats, towers one after the other. The first line of FILE.jsonl says
of which layer, net and model it is; then comes a line for each row: the image's number in the split, class and name.")]
pub struct FeaturesArgs {
    /// The layer; an activation behind it is part of it [default: the last hidden one]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// A run's folder (its best checkpoint) or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// Folder with train/CLASS and val/CLASS [default: that of the training]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Which images
    #[arg(long, value_enum, default_value = "train")]
    pub split: SplitName,
    /// The array
    #[arg(long, value_name = "FILE", default_value = "features.npy")]
    pub out: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `alexnet similar`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet features
  alexnet similar photo.jpg --features features.npy
  alexnet similar *.png --features features.npy --json neighbours.json")]
pub struct SimilarArgs {
    /// Pictures: JPEG, PNG or WebP
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// The training images' features: what `alexnet features` writes for the same model, data and layer
    #[arg(long, value_name = "FILE", default_value = "features.npy")]
    pub features: PathBuf,
    /// A run's folder (its best checkpoint) or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// Folder with train/CLASS and val/CLASS [default: that of the training]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Write the neighbours as JSON, too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The picture: each image, and its neighbours
    #[arg(long, value_name = "PNG|SVG", default_value = "similar.png", value_parser = picture)]
    pub out: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// Arguments of `alexnet ensemble`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet ensemble a.probabilities b.probabilities
  alexnet ensemble a.probabilities b.probabilities --search --out both.probabilities")]
pub struct EnsembleArgs {
    /// Files of `eval --save-probabilities`, for the same images
    #[arg(required = true, value_name = "PROBABILITIES")]
    pub files: Vec<PathBuf>,
    /// Search the coefficients with the lowest loss instead of taking equal ones
    #[arg(long)]
    pub search: bool,
    /// Keep the averaged probabilities
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `alexnet submit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet submit a.probabilities
  alexnet submit both.probabilities --classes map_clsloc.txt --out submission.txt

One line for each image, in the order of the images' file names. Without --classes a class has the number of its
place among the sorted names; the ILSVRC development kit counts otherwise, so give its list.")]
pub struct SubmitArgs {
    /// A file of `eval --save-probabilities` or `ensemble --out`
    #[arg(value_name = "PROBABILITIES")]
    pub probabilities: PathBuf,
    /// A text file whose line N begins with the name of class N
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// The text file
    #[arg(long, value_name = "FILE", default_value = "submission.txt")]
    pub out: PathBuf,
}

/// Arguments of `alexnet predict`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet predict photo.jpg
  alexnet predict *.png --model runs/mini-1 --crops 10 --out answer.png")]
pub struct PredictArgs {
    /// Pictures: JPEG, PNG or WebP
    #[arg(required = true, value_name = "IMAGE")]
    pub images: Vec<PathBuf>,
    /// Which network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The picture with images and labels
    #[arg(long, value_name = "PNG|SVG", default_value = "predictions.png", value_parser = picture)]
    pub out: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
}

/// What `alexnet export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A graph that onnxruntime and others run
    Onnx,
    /// Weights with PyTorch's names and layouts
    Safetensors,
}

/// Arguments of `alexnet export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet export
  alexnet export --model runs/mini-1 --format safetensors --out mini.safetensors

The input of the exported network are pixels from 0 to 255, red, green, blue, [N, 3, crop, crop]; the mean is
subtracted inside (ONNX) or a tensor of its own (safetensors). Dropout's factor is part of the weights.")]
pub struct ExportArgs {
    /// A run's folder (its best checkpoint) or a checkpoint [default: the newest run in runs/]
    #[arg(long, value_name = "PATH|RUN")]
    pub model: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value = "onnx")]
    pub format: ExportFormat,
    /// The file [default: NET.onnx or NET.safetensors]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Arguments of `alexnet import`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  alexnet import bvlc_alexnet.caffemodel --mean imagenet_mean.binaryproto --classes synsets.txt
  alexnet import alexnet.pth --classes synsets.txt --out torchvision.safetensors
  alexnet predict photo.jpg --model torchvision.safetensors

Read are bvlc_alexnet and bvlc_reference_caffenet (.caffemodel), and the state dict of torchvision's alexnet (.pth or
.safetensors). The checkpoint that is written is one like those of training, for every command.")]
pub struct ImportArgs {
    /// The trained network
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Caffe's mean image, a .binaryproto [default: the mean pixel of ILSVRC-2012]
    #[arg(long, value_name = "FILE")]
    pub mean: Option<PathBuf>,
    /// A text file with the name of class N on line N [default: names that are numbers]
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// The checkpoint [default: NET.imported.safetensors]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// A picture's file; the end of its name is its format.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match pictures::Format::of(&path) {
        Some(_) => Ok(path),
        None => Err("expected a name that ends in .png or .svg".to_string()),
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number from 1".to_string()),
    }
}

fn side(text: &str) -> Result<usize, String> {
    up_to(dataset::MAX_SIDE, text)
}

fn batch(text: &str) -> Result<usize, String> {
    up_to(MAX_BATCH, text)
}

fn epochs(text: &str) -> Result<usize, String> {
    up_to(MAX_EPOCHS, text)
}

fn up_to(most: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from 1 to {most}")),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 100.0 => Ok(number),
        _ => Err("expected a number above 0, at most 100".to_string()),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(part) if part > 0.0 && part < 1.0 => Ok(part),
        _ => Err("expected a number between 0 and 1, as 0.05".to_string()),
    }
}

/// Number, from 0, and count of parts.
fn part(text: &str) -> Result<(usize, usize), String> {
    let numbers = text.split_once('/').and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)));
    match numbers {
        Some((part, parts)) if (1..=parts).contains(&part) => Ok((part - 1, parts)),
        _ => Err("expected a part and their number, as 2/4".to_string()),
    }
}

fn crops(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "10" => Ok(10),
        _ => Err("expected 1 or 10".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  alexnet "), "{}: {help}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn every_example_is_a_command() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in help.lines().filter_map(|line| line.strip_prefix("  alexnet ")) {
                // What comes after it is a comment, or where its output goes.
                let words = example.split("  ").next().unwrap().split(" > ").next().unwrap();
                let parsed = Cli::try_parse_from(["alexnet"].into_iter().chain(words.split(' ')));
                assert!(parsed.is_ok(), "{}: alexnet {example}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
