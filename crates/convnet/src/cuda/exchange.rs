//! Copies between cards, on streams of their own.
//!
//! A copy comes behind all that both cards were given when it starts, and runs in the receiver's copy stream. Both cards
//! go on at once; each waits for the copy, by an event, when [`Shard::settle`] says so.

use std::sync::Arc;

use super::Cuda;
use crate::Error;
use crate::device::{Context, Event, Stream};
use crate::ops::{Exchange, Operation, Span};
use crate::shards::Shard;

/// A card's part in copies between cards.
pub(super) struct Exchanges {
    /// Brings what other cards send.
    copies: Stream,
    /// Recorded behind what the card was given when a copy starts.
    given: Event,
    /// Recorded behind what was brought.
    arrived: Arc<Event>,
    /// Of copies that this card takes part in, and that its stream does not wait for yet.
    under_way: Vec<Arc<Event>>,
}

impl Exchanges {
    pub(super) fn new(context: &Context) -> Result<Exchanges, Error> {
        Ok(Exchanges {
            copies: Stream::new(context)?,
            given: Event::new(context)?,
            arrived: Arc::new(Event::new(context)?),
            under_way: Vec::new(),
        })
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        for copy in &self.under_way {
            // What fails here has failed for the card, too, whose next call reports it.
            let _ = copy.synchronize();
        }
    }
}

impl Shard for Cuda {
    fn send(&mut self, from: Span, receiver: &mut Cuda, to: Span, len: usize) -> Result<(), Error> {
        let from = self.memory.part(Exchange::NAME, from, len)?;
        let to = receiver.memory.part(Exchange::NAME, to, len)?;
        let own = &mut receiver.exchanges;
        for (stream, given) in [(&self.stream, &self.exchanges.given), (&receiver.stream, &own.given)] {
            stream.record(given)?;
            own.copies.wait(given)?;
        }
        // SAFETY: the sender keeps its memory until it has waited for the copy: its stream does when it is settled,
        // before memory moves, and until then the copy is among those that its end waits for.
        unsafe { own.copies.copy_peer(from, to) }?;
        own.copies.record(&own.arrived)?;
        for under_way in [&mut self.exchanges.under_way, &mut own.under_way] {
            under_way.push(Arc::clone(&own.arrived));
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Error> {
        for copy in self.exchanges.under_way.drain(..) {
            self.stream.wait(&copy)?;
        }
        Ok(())
    }
}
