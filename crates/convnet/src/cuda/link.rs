//! Links between cards, before a network uses them: access, a copy that is compared, its rate. There are links that
//! corrupt what they carry.

use std::time::Duration;

use super::Cuda;
use crate::Error;
use crate::device::{Buffer, Context, Event, Stream};
use crate::philox::words;
use crate::shards::Shard;

/// Bytes of the copy that is compared.
const BYTES: usize = 4 << 20;
/// Copies that are timed.
const REPEATS: u32 = 8;
/// Bytes per second from which on slices are predicted to cost more than they hide: by the simulator's clock, three save
/// 74 us of a step of AlexNet on 128 images in bf16 at 50 GB/s, and cost 69 us at 450; this lies between, as what they
/// hide falls with the rate.
const FAST: f64 = 90e9;

/// One direction between two cards.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The number of the card that sends.
    pub from: u32,
    /// The number of the card that receives.
    pub to: u32,
    /// Whether copies go from card to card, or else through the host: the driver stages them.
    pub direct: bool,
    /// Bytes per second, where the driver has a clock.
    pub rate: Option<f64>,
}

/// Prepares every link between cards: gives both access to each other, if `direct` and they can have it, copies a
/// pattern each way and compares it.
///
/// # Errors
/// [`Error::CorruptLink`], and those of the driver.
pub fn connect(cards: &[Cuda], direct: bool) -> Result<Vec<Link>, Error> {
    let mut links = Vec::new();
    for (index, card) in cards.iter().enumerate() {
        for other in &cards[..index] {
            let (first, second) = (&other.context, &card.context);
            let direct = direct && first.can_access(second)? && second.can_access(first)?;
            if direct {
                first.enable_access(second)?;
                second.enable_access(first)?;
            }
            for (from, to) in [(first, second), (second, first)] {
                let rate = verify(from, to)?;
                links.push(Link { from: from.ordinal(), to: to.ordinal(), direct, rate });
            }
        }
    }
    Ok(links)
}

/// Into how many slices exchanges over these links are cut, for [`crate::shards::Shards::in_slices`].
pub fn slices(links: &[Link]) -> usize {
    let slowest = links.iter().filter_map(|link| link.rate).reduce(f64::min);
    if slowest.is_some_and(|rate| rate > FAST) { 1 } else { Cuda::SLICES }
}

/// Copies a pattern, compares it, and gives the rate.
fn verify(from: &Context, to: &Context) -> Result<Option<f64>, Error> {
    let seed = u64::from(from.ordinal()) << 32 | u64::from(to.ordinal());
    let pattern: Vec<u32> = (0..BYTES as u32 / 16).flat_map(|i| words(seed, 0, 0, 0, i)).collect();
    let (mut source, target) = (Buffer::zeroed(from, BYTES)?, Buffer::zeroed(to, BYTES)?);
    source.write(0, &pattern)?;
    let stream = Stream::new(to)?;
    let (start, end) = (Event::timed(to)?, Event::timed(to)?);
    // The first copy sets up what later ones find.
    for repeat in 0..=REPEATS {
        if repeat == 1 {
            stream.record(&start)?;
        }
        // SAFETY: the source lives until the stream is done, below; where the driver fails, its end waits for the card.
        unsafe { stream.copy_peer(source.part(0..BYTES), target.part(0..BYTES)) }?;
    }
    stream.record(&end)?;
    stream.synchronize()?;
    let mut arrived = vec![0_u32; pattern.len()];
    target.read(0, &mut arrived)?;
    let wrong = pattern.iter().zip(&arrived).filter(|(sent, got)| sent != got).count();
    if wrong > 0 {
        let (from, to) = (from.ordinal(), to.ordinal());
        return Err(Error::CorruptLink { from, to, wrong, words: pattern.len() });
    }
    // A driver without a clock is no reason to stop.
    let time = end.elapsed_since(&start).ok().filter(|time| *time > Duration::ZERO);
    Ok(time.map(|time| f64::from(REPEATS) * BYTES as f64 / time.as_secs_f64()))
}
