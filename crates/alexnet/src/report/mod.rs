//! A run as one HTML file: it needs nothing beside it, and a policy in its head forbids it to ask the network.

mod log;
mod sections;

use anyhow::Result;
use convnet::net::Net;
use convnet::run::Outcome;
use serde_json::json;

use crate::checkpoint::{EpochRecord, State};
use crate::inside::Confusion;
use crate::markup::escape;
use crate::pictures::{Filter, Prediction};

pub use log::Log;

/// Points of the curve over steps.
const STEP_POINTS: usize = 1000;

/// What a report shows.
pub struct Report<'a> {
    /// Where the run is, as it was named.
    pub run: String,
    /// The net.
    pub net: &'a Net,
    /// The network that is shown: settings, classes, and the epoch it is from.
    pub state: &'a State,
    /// All epochs of the run.
    pub history: &'a [EpochRecord],
    /// Its log.
    pub log: &'a Log,
    /// Losses and hits on all validation images.
    pub outcome: Outcome,
    /// Which of their classes are taken for which.
    pub confusion: &'a Confusion,
    /// The first layer's kernels, tower by tower, if it has some.
    pub filters: Option<&'a [Vec<Filter>]>,
    /// Validation images with their labels.
    pub predictions: &'a [Prediction],
    /// Validation images with the training images nearest to them.
    pub neighbours: &'a Neighbours,
}

/// Images and the training images nearest to them.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Training images that were looked at, and all of them.
    pub looked_at: (usize, usize),
    /// Images, each before its neighbours.
    pub rows: Vec<Vec<Picture>>,
}

/// An image with its class.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The image, `[side, side, 3]`: red, green, blue.
    pub rgb: Vec<u8>,
    /// Rows and columns.
    pub side: usize,
    /// The name of its class.
    pub class: String,
    /// The distance from the image whose neighbour it is.
    pub distance: Option<f32>,
}

impl Report<'_> {
    /// The HTML file.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    pub fn page(&self) -> Result<String> {
        let title = escape(&format!("{} on {}", self.net.name, self.state.data.name));
        // A tag in a name must not end the script.
        let data = self.data().to_string().replace('<', "\\u003c");
        let sections = [
            sections::head(self, &title),
            sections::curves(),
            sections::network(self.net),
            sections::filters(self.filters)?,
            sections::predictions(self.predictions)?,
            sections::confusion(self.confusion),
            sections::neighbours(self.neighbours)?,
            sections::settings(self),
        ];
        Ok(format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n{}\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n<script>\n{}</script>\n</body>\n</html>\n",
            include_str!("page.css"),
            sections.concat(),
            include_str!("page.js"),
        ))
    }

    /// What the script draws from.
    fn data(&self) -> serde_json::Value {
        let rows: Vec<Vec<(usize, u32)>> = (0..self.confusion.classes.len())
            .map(|truth| self.confusion.row(truth).iter().copied().enumerate().filter(|it| it.1 > 0).collect())
            .collect();
        json!({
            "epochs": self.history,
            "losses": self.log.losses(STEP_POINTS),
            "speeds": self.log.of_epochs("images_per_second"),
            "waits": self.log.of_epochs("data_wait"),
            "classes": self.confusion.classes,
            "confusion": rows,
        })
    }
}
