//! Copies between cards, on streams of their own.
//!
//! A copy comes behind all that its sender was given when it starts, and its receiver, where that used the memory; it runs
//! in the receiver's copy stream. Both cards go on at once; each waits for the copy, by an event, when [`Shard::settle`]
//! says so.

use std::collections::VecDeque;
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
    /// Each recorded behind a copy; as many as were under way at once.
    arrived: Vec<Arc<Event>>,
    /// Of copies that this card takes part in, and that its stream does not wait for yet: for each receiver, oldest first.
    under_way: Vec<VecDeque<Arc<Event>>>,
    context: Context,
}

impl Exchanges {
    pub(super) fn new(context: &Context) -> Result<Exchanges, Error> {
        Ok(Exchanges {
            copies: Stream::new(context)?,
            given: Event::new(context)?,
            arrived: Vec::new(),
            under_way: Vec::new(),
            context: context.clone(),
        })
    }

    /// A copy to the card that has shard `receiver` has begun.
    fn note(&mut self, receiver: usize, arrived: Arc<Event>) {
        if self.under_way.len() <= receiver {
            self.under_way.resize_with(receiver + 1, VecDeque::new);
        }
        self.under_way[receiver].push_back(arrived);
    }

    /// An event that no card is going to wait for.
    fn free(&mut self) -> Result<Arc<Event>, Error> {
        if let Some(event) = self.arrived.iter().find(|event| Arc::strong_count(event) == 1) {
            return Ok(Arc::clone(event));
        }
        let event = Arc::new(Event::new(&self.context)?);
        self.arrived.push(Arc::clone(&event));
        Ok(event)
    }
}

impl Drop for Exchanges {
    fn drop(&mut self) {
        for copy in self.under_way.iter().flatten() {
            // What fails here has failed for the card, too, whose next call reports it.
            let _ = copy.synchronize();
        }
    }
}

impl Cuda {
    /// Starts a copy from another card, behind the event there and, if `behind`, what this card was given.
    fn receive(&mut self, given: &Event, from: Part<'_>, to: Span, behind: bool) -> Result<Arc<Event>, Error> {
        let own = &mut self.exchanges;
        let arrived = own.free()?;
        own.copies.wait(given)?;
        if behind {
            self.stream.record(&own.given)?;
            own.copies.wait(&own.given)?;
        }
        let precision = self.memory.precision_of(to.region).bytes();
        let part = self.memory.part(Exchange::NAME, to, from.len() / precision)?;
        // SAFETY: the sender keeps its memory until it has waited for the copy: its stream does when it is settled,
        // before memory moves, and until then the copy is among those that its end waits for.
        unsafe { own.copies.copy_peer(from, part) }?;
        own.copies.record(&arrived)?;
        own.note(to.shard, Arc::clone(&arrived));
        Ok(arrived)
    }
}

impl Shard for Cuda {
    /// What was compared by the simulator's clock are one slice and three; other numbers were not tried.
    const SLICES: usize = 3;

    fn send(
        &mut self,
        from: Span,
        receiver: &mut Cuda,
        to: Span,
        len: usize,
        behind_receiver: bool,
    ) -> Result<(), Error> {
        let from = self.memory.part(Exchange::NAME, from, len)?;
        self.blamed(self.stream.record(&self.exchanges.given), None)?;
        let copy = receiver.receive(&self.exchanges.given, from, to, behind_receiver);
        let arrived = receiver.blamed(copy, None)?;
        self.exchanges.note(to.shard, arrived);
        Ok(())
    }

    fn settle(&mut self, receiver: usize, left: usize) -> Result<(), Error> {
        let Some(copies) = self.exchanges.under_way.get_mut(receiver) else { return Ok(()) };
        // They ran one behind the other.
        let last = copies.drain(..copies.len().saturating_sub(left)).next_back();
        self.blamed(last.map_or(Ok(()), |copy| self.stream.wait(&copy)), None)
    }

    fn wait_for_list(&mut self) -> Result<bool, Error> {
        let waited = self.progress.wait();
        self.blamed(waited, None)
    }
}
