//! A device's memory laid out for a test: random operands with guard gaps between them.

use std::collections::HashMap;

use convnet::cuda::Precision;
use convnet::naive::Naive;
use convnet::ops::{Access, Device, Op, Region, Span, Step};
use convnet::philox;
use half::bf16;

/// Fills the gaps between operands: a NaN, so that reading it shows too; one that bf16 has as well.
const GUARD: f32 = f32::from_bits(0x7fca_0000);
/// Fills outputs, and what follows the step's images in a span.
const POISON: f32 = f32::from_bits(0x7fcb_0000);

/// Random contents of an operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fill {
    /// Normal numbers.
    Signed,
    /// Normal numbers with the negative ones at zero: many equal values.
    Relu,
    /// Normal numbers rounded to halves: many equal values.
    Halves,
}

/// The contents of each region, in the order of [`Region::ALL`].
pub type Contents = [Vec<f32>; Region::ALL.len()];

/// Operands in regions.
#[derive(Clone, Debug)]
pub struct Memory {
    contents: Contents,
    /// How many floats of each span belong to the step's images.
    live: HashMap<Span, usize>,
    seed: u64,
    used: u32,
}

impl Memory {
    /// No operands yet; `seed` selects the random numbers. With an odd one operands begin at multiples of four elements,
    /// or eight, as a plan's do: a device may take another path there.
    pub fn new(seed: u64) -> Memory {
        Memory { contents: Contents::default(), live: HashMap::new(), seed, used: 0 }
    }

    /// An operand whose length is part of the shape.
    pub fn exact(&mut self, region: Region, len: usize, fill: Fill) -> Span {
        self.place(region, len, 0, fill)
    }

    /// An operand in the working memory that holds `images` images and may have room for more.
    pub fn images(&mut self, images: usize, len: usize, fill: Fill) -> Span {
        self.images_in(Region::Work, images, len, fill)
    }

    /// As [`Memory::images`], in another region.
    pub fn images_in(&mut self, region: Region, images: usize, len: usize, fill: Fill) -> Span {
        let spare = self.below(3) * len + self.below(2);
        self.place(region, images * len, spare, fill)
    }

    fn place(&mut self, region: Region, live: usize, spare: usize, fill: Fill) -> Span {
        let least = 1 + self.below(17);
        let align = [1, 8, 1, 4][(self.seed % 4) as usize];
        let values: Vec<f32> = (0..live.div_ceil(4)).flat_map(|_| self.normals()).map(|x| fill.apply(x)).collect();
        let contents = &mut self.contents[region as usize];
        contents.resize((contents.len() + least).next_multiple_of(align), GUARD);
        let span = Span::new(region, contents.len(), live + spare);
        contents.extend(&values[..live]);
        contents.extend(std::iter::repeat_n(POISON, spare));
        self.live.insert(span, live);
        span
    }

    /// The part of a span that belongs to the step's images.
    pub fn live(&self, span: Span) -> Span {
        Span { len: self.live[&span], ..span }
    }

    /// The spans that an operation writes, each cut to its images.
    pub fn outputs(&self, op: &Op) -> Vec<Span> {
        op.operands()
            .into_iter()
            .filter(|(access, _)| *access != Access::Read)
            .map(|(_, span)| self.live(span))
            .collect()
    }

    /// What a device holds before it runs the operation: its outputs are NaN.
    pub fn before(&self, op: &Op) -> Contents {
        let spans = op.operands();
        let mut contents = self.contents.clone();
        for (_, output) in spans.iter().filter(|(access, _)| *access == Access::Write) {
            let in_place = spans.iter().any(|(access, span)| *access == Access::Read && span == output);
            if !in_place {
                contents[output.region as usize][output.start..output.end()].fill(POISON);
            }
        }
        contents.iter_mut().for_each(|region| region.extend([GUARD; 16]));
        contents
    }

    /// The same with all that a device of this precision keeps rounded, and the weights that its products read.
    pub fn rounded(&self, precision: Precision) -> Memory {
        let mut memory = self.clone();
        if precision == Precision::Bf16 {
            for region in [Region::Work, Region::Weights] {
                memory.contents[region as usize].iter_mut().for_each(|x| *x = bf16::from_f32(*x).to_f32());
            }
        }
        memory
    }

    /// Floats of each region.
    pub fn lens(&self) -> [usize; Region::ALL.len()] {
        self.contents.each_ref().map(Vec::len)
    }

    /// Adds `len` guard floats behind a region.
    pub fn extend(&mut self, region: Region, len: usize) {
        self.contents[region as usize].extend(std::iter::repeat_n(GUARD, len));
    }

    /// Copies the memory to a device as it stands.
    pub fn load(&self, device: &mut dyn Device) {
        load(&self.contents, device);
    }

    /// Runs one operation on a device that starts with [`Memory::before`], and returns what it holds afterwards.
    pub fn run(&self, device: &mut dyn Device, op: &Op, step: &Step) -> Contents {
        load(&self.before(op), device);
        device.begin(&mut step.clone()).unwrap();
        device.run(op).unwrap();
        Region::ALL.map(|region| {
            let mut data = vec![0.0; self.contents[region as usize].len() + 16];
            device.read(Span::new(region, 0, data.len()), &mut data).unwrap();
            data
        })
    }

    fn normals(&mut self) -> [f32; 4] {
        philox::normals(self.words()).map(|x| x as f32)
    }

    fn below(&mut self, n: u32) -> usize {
        philox::below(self.words()[0], n) as usize
    }

    fn words(&mut self) -> [u32; 4] {
        self.used += 1;
        philox::words(self.seed, 0, 0, 100, self.used)
    }
}

impl Fill {
    fn apply(self, x: f32) -> f32 {
        match self {
            Fill::Signed => x,
            Fill::Relu => x.max(0.0),
            Fill::Halves => (x * 2.0).round() / 2.0,
        }
    }
}

/// The f64 contents of a span.
pub fn read(device: &Naive, span: Span) -> Vec<f64> {
    let mut data = vec![0.0; span.len];
    device.read_f64(span, &mut data).unwrap();
    data
}

fn load(contents: &Contents, device: &mut dyn Device) {
    for (&region, data) in Region::ALL.iter().zip(contents) {
        device.reserve(Span::new(region, 0, data.len())).unwrap();
        device.write(Span::new(region, 0, data.len()), data).unwrap();
    }
}
