//! Copies between cards, on streams of their own.
//!
//! A copy comes behind all that both cards were given when it starts, and runs in the receiver's copy stream. Both cards
//! go on at once; each waits for the copy, by an event, when [`Shard::settle`] says so.

use std::sync::Arc;

use super::Cuda;
use crate::Error;
use crate::device::{Context, Event, Part, Stream};
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

impl Cuda {
    /// Starts a copy from another card, behind the event there and what this card was given.
    fn receive(&mut self, given: &Event, from: Part<'_>, to: Span) -> Result<Arc<Event>, Error> {
        let own = &mut self.exchanges;
        own.copies.wait(given)?;
        self.stream.record(&own.given)?;
        own.copies.wait(&own.given)?;
        let precision = self.memory.precision_of(to.region).bytes();
        let to = self.memory.part(Exchange::NAME, to, from.len() / precision)?;
        // SAFETY: the sender keeps its memory until it has waited for the copy: its stream does when it is settled,
        // before memory moves, and until then the copy is among those that its end waits for.
        unsafe { own.copies.copy_peer(from, to) }?;
        own.copies.record(&own.arrived)?;
        own.under_way.push(Arc::clone(&own.arrived));
        Ok(Arc::clone(&own.arrived))
    }
}

impl Shard for Cuda {
    fn send(&mut self, from: Span, receiver: &mut Cuda, to: Span, len: usize) -> Result<(), Error> {
        let from = self.memory.part(Exchange::NAME, from, len)?;
        self.blamed(self.stream.record(&self.exchanges.given), None)?;
        let copy = receiver.receive(&self.exchanges.given, from, to);
        self.exchanges.under_way.push(receiver.blamed(copy, None)?);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Error> {
        let copies = std::mem::take(&mut self.exchanges.under_way);
        self.blamed(copies.iter().try_for_each(|copy| self.stream.wait(copy)), None)
    }

    fn wait_for_list(&mut self) -> Result<bool, Error> {
        let waited = self.progress.wait();
        self.blamed(waited, None)
    }
}
