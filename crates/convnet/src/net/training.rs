//! The rules of a profile beside its layers: augmentation, batch, rates, schedules.

/// How stored images become inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct AugmentRule {
    /// Side of a stored image: shorter side scaled to this, then the centre.
    pub image: usize,
    /// Side of the input.
    pub crop: usize,
    /// Offsets along each axis that a random crop chooses from: 33 in the 2012 code (`randint(0,33)`), 32 in the
    /// paper's count ("a factor of 2048" is 32 x 32 x 2).
    pub positions: usize,
    /// Consecutive images that share one crop and flip: 32 in the 2012 code (`crop_chunk`), 1 in the paper.
    pub chunk: usize,
    /// Whether crops are mirrored half of the time.
    pub flip: bool,
    /// What is subtracted.
    pub mean: MeanKind,
    /// Standard deviation of the colour noise's three factors; 0 turns it off.
    pub colour_noise: f64,
    /// What the factors multiply.
    pub colour_basis: ColourBasis,
    /// What an image with colour noise is divided by: 1.1 in the 2012 code.
    pub colour_divide: f64,
}

/// What is subtracted from the pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeanKind {
    /// The centre of the mean image, from every crop (2012).
    Image,
    /// One number, the mean of all (`--scalar-mean`, 2012).
    Scalar,
}

/// What the factors of the colour noise multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourBasis {
    /// Square roots of the covariance's eigenvalues (2012 code).
    Deviation,
    /// The eigenvalues themselves (paper's text), of pixels on a scale of 0..1: on 0..255 one standard deviation
    /// would be 1480 levels.
    Eigenvalue,
}

/// How a net is trained by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Images in a step.
    pub batch: usize,
    /// Factor of the last step's velocity.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// First learning rate of weights.
    pub rate: f64,
    /// First learning rate of biases. The plateau rule divides both; events name them apart, since the 2012 diaries
    /// lower the weights' rate only.
    pub bias_rate: f64,
    /// Epochs.
    pub epochs: usize,
    /// The schedule used unless another is asked for: `plateau`, `constant`, or one of `schedules`.
    pub schedule: String,
    /// Epochs without a better validation error before the plateau rule divides the rate.
    pub patience: usize,
    /// Schedules made of events.
    pub schedules: Vec<Schedule>,
}

/// A schedule: events at epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// The length that the events' epochs refer to; a longer or shorter run scales them.
    pub epochs: usize,
    /// In order of epochs.
    pub events: Vec<Event>,
}

/// A change at the start of an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The epoch, counted from 0.
    pub epoch: f64,
    /// The new learning rate of weights.
    pub rate: Option<f64>,
    /// The new learning rate of biases.
    pub bias_rate: Option<f64>,
    /// The layer whose rates they are, from then on deaf to events without a layer; the other layers if `None`.
    pub layer: Option<String>,
    /// The new standard deviation of the colour noise.
    pub colour_noise: Option<f64>,
}
