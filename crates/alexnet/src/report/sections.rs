//! The parts of a report as HTML.

use anyhow::Result;
use convnet::net::Net;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage};
use serde_json::Value;

use super::{Neighbours, Picture, Report};
use crate::console::{percent, thousands};
use crate::describe;
use crate::inside::Confusion;
use crate::markup::{data_uri, escape};
use crate::pictures::{Filter, Prediction, png};

/// Mistakes that are listed.
const MISTAKES: usize = 10;
/// Up to this side images are kept as they are, with their pixels visible; larger ones become JPEG of this quality.
const TINY: usize = 64;
const QUALITY: u8 = 90;

pub(super) fn head(report: &Report, title: &str) -> String {
    let Report { state, net, outcome, history, .. } = report;
    let figure = |name: &str, value: String, unit: &str| {
        format!("<div><dt>{name}</dt><dd>{value}<small>{unit}</small></dd></div>\n")
    };
    let figures = [
        figure("top-1 error", percent(outcome.top1_error()), " %"),
        figure("top-5 error", percent(outcome.top5_error()), " %"),
        figure("loss", format!("{:.3}", outcome.mean_loss()), ""),
        figure("epochs done", history.len().to_string(), &format!(" of {}", state.settings.epochs)),
        figure("parameters", thousands(net.parameters()), ""),
        figure("multiply-adds an image", thousands(net.multiply_adds()), ""),
    ];
    let links = ["curves", "network", "kernels", "predictions", "confusion", "neighbours", "settings"];
    let links: Vec<String> = links.iter().map(|name| format!("<a href=\"#{name}\">{name}</a>")).collect();
    format!(
        "<header>\n<h1>{title}</h1>\n<p>{}: the network after {} epochs and {} steps, centre crops of {} validation \
         images</p>\n<dl class=\"figures\">\n{}</dl>\n</header>\n<nav>{}</nav>\n",
        escape(&report.run),
        state.position.epoch,
        thousands(state.position.steps),
        thousands(outcome.images),
        figures.concat(),
        links.join(" "),
    )
}

fn section(id: &str, title: &str, note: &str, body: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{note}</p>\n") };
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{note}{body}</section>\n")
}

/// Empty figures, which the script fills.
pub(super) fn curves() -> String {
    let figures =
        ["loss", "error", "steps", "rate", "speed", "wait"].map(|id| format!("<figure id=\"{id}\"></figure>\n"));
    let note = "Point at a curve, or give it the focus and use the arrow keys, to read its values.";
    section("curves", "Curves", note, &format!("<div class=\"charts\">\n{}</div>\n", figures.concat()))
}

pub(super) fn network(net: &Net) -> String {
    let rows = describe::table(net);
    let row = |row: &[String; 9], tag: &str| {
        let cells = row.iter().enumerate().map(|(column, text)| {
            let class = if column >= 7 { " class=\"number\"" } else { "" };
            format!("<{tag}{class}>{}</{tag}>", escape(text))
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let body: String = rows[1..].iter().map(|it| row(it, "td")).collect();
    let words: Vec<String> = net.layers.iter().filter_map(describe::layer).map(|line| escape(&line)).collect();
    let table = format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n\
         <pre>{}</pre>\n",
        row(&rows[0], "th"),
        words.join("\n")
    );
    section("network", "Network", &escape(&net.description), &table)
}

pub(super) fn filters(towers: Option<&[Vec<Filter>]>) -> Result<String> {
    let Some(towers) = towers else {
        return Ok(section("kernels", "Kernels", "The first layer is no convolution of colours.", ""));
    };
    let mut body = String::new();
    for (index, tower) in towers.iter().enumerate() {
        body += &format!("<h3>tower {}</h3>\n<div class=\"kernels\">\n", index + 1);
        for (filter_idx, filter) in tower.iter().enumerate() {
            let uri = data_uri("image/png", &png(&filter.image())?);
            let name = format!("kernel {} of tower {}", filter_idx + 1, index + 1);
            body += &format!("<img src=\"{uri}\" alt=\"{name}\" title=\"{name}\">\n");
        }
        body += "</div>\n";
    }
    let note = "The first layer's kernels, each on its own scale: zero is mid grey (figure 3 of the paper).";
    Ok(section("kernels", "Kernels", note, &body))
}

pub(super) fn predictions(items: &[Prediction]) -> Result<String> {
    let mut body = String::from("<div class=\"cards\">\n");
    for item in items {
        let truth = item.truth.as_deref().unwrap_or_default();
        body += &format!("<figure>{}<figcaption>{}</figcaption>\n", image(&item.rgb, item.side)?, escape(truth));
        for (label, probability) in &item.top {
            let class = if label == truth { "bar true" } else { "bar" };
            // A style attribute, so that a width needs no script.
            body += &format!(
                "<div class=\"{class}\"><i style=\"width:{:.2}%\"></i><span>{}</span><b>{}</b></div>\n",
                probability * 100.0,
                escape(label),
                percent(f64::from(*probability))
            );
        }
        body += "</figure>\n";
    }
    body += "</div>\n";
    let note = "Validation images with their five most probable labels, in percent; the true one is marked (figure 4 \
                of the paper, left).";
    Ok(section("predictions", "Predictions", note, &body))
}

pub(super) fn confusion(confusion: &Confusion) -> String {
    let name = |class: usize| escape(&confusion.classes[class]);
    let rows = confusion.mistakes(MISTAKES).into_iter().map(|it| {
        let images: u32 = confusion.row(it.truth).iter().sum();
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"number\">{} of {images}</td><td class=\"number\">{} %</td></tr>\n",
            name(it.truth),
            name(it.taken_for),
            it.count,
            percent(f64::from(it.count) / f64::from(images))
        )
    });
    let body = format!(
        "<div class=\"beside\">\n<div class=\"matrix\"><canvas></canvas><p class=\"readout\" aria-live=\"polite\"></p></div>\n\
         <div class=\"scroll\"><h3>most frequent mistakes</h3>\n<table>\n<thead><tr><th>class</th><th>taken for</th>\
         <th class=\"number\">images</th><th class=\"number\">of the class</th></tr></thead>\n<tbody>\n{}</tbody>\n\
         </table></div>\n</div>\n",
        rows.collect::<String>()
    );
    section("confusion", "Confusion", "Rows are true classes, columns the most probable ones.", &body)
}

pub(super) fn neighbours(neighbours: &Neighbours) -> Result<String> {
    if neighbours.rows.is_empty() {
        return Ok(section("neighbours", "Neighbours", "The net has no hidden layer to compare images in.", ""));
    }
    let mut body = String::from("<div class=\"scroll\">\n");
    for row in &neighbours.rows {
        body += "<div class=\"neighbours\">\n";
        for picture in row {
            let Picture { rgb, side, class, distance } = picture;
            let distance = distance.map_or(String::new(), |it| format!("<small>{it:.1}</small>"));
            let same = if *class == row[0].class { " class=\"same\"" } else { "" };
            body += &format!(
                "<figure{same}>{}<figcaption>{} {distance}</figcaption></figure>\n",
                image(rgb, *side)?,
                escape(class)
            );
        }
        body += "</div>\n";
    }
    body += "</div>\n";
    let (looked_at, all) = neighbours.looked_at;
    let note = format!(
        "Validation images, and the nearest of {} of the {} training images by the Euclidean distance of the last \
         hidden layer (figure 4 of the paper, right).",
        thousands(looked_at),
        thousands(all)
    );
    Ok(section("neighbours", "Neighbours", &note, &body))
}

pub(super) fn settings(report: &Report) -> String {
    let Report { state, net, log, .. } = report;
    let settings = &state.settings;
    let rate = settings.rate.unwrap_or(net.training.rate);
    let mut rows = vec![
        (
            "data",
            format!(
                "{}, {} training and {} validation images, {} classes",
                state.data.name,
                thousands(state.data.train),
                thousands(state.data.val),
                thousands(state.classes.len())
            ),
        ),
        ("seed", settings.seed.to_string()),
        ("batch", settings.batch.to_string()),
        ("epochs", settings.epochs.to_string()),
        ("schedule", settings.schedule.clone()),
        ("first rate", rate.to_string()),
        ("precision", settings.precision.to_string()),
        ("momentum, decay", format!("{}, {}", net.training.momentum, net.training.decay)),
    ];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    for start in &log.starts {
        rows.push(("from step", text(&start["steps"])));
        rows.push(("program", text(&start["program"])));
        rows.push(("device", text(&start["device"])));
        for key in ["system", "processor", "processors"] {
            let value = &start["environment"][key];
            if !value.is_null() {
                rows.push((key, text(value)));
            }
        }
    }
    let table: String =
        rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value))).collect();
    let lines = describe::augmentation(&net.augment);
    let body = format!(
        "<div class=\"scroll\"><table class=\"facts\">\n{table}</table></div>\n<h3>images</h3>\n<pre>{}</pre>\n\
         <details><summary>the net's file</summary>\n<pre>{}</pre></details>\n",
        escape(&lines.join("\n")),
        escape(&state.net)
    );
    section("settings", "Settings and environment", "", &body)
}

/// An image of the page.
fn image(rgb: &[u8], side: usize) -> Result<String> {
    let extent = side as u32;
    let tiny = side <= TINY;
    let uri = if tiny {
        let image = RgbImage::from_raw(extent, extent, rgb.to_vec()).unwrap_or_default();
        data_uri("image/png", &png(&image)?)
    } else {
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, QUALITY).write_image(rgb, extent, extent, ExtendedColorType::Rgb8)?;
        data_uri("image/jpeg", &jpeg)
    };
    let class = if tiny { " class=\"tiny\"" } else { "" };
    Ok(format!("<img{class} src=\"{uri}\" alt=\"\">"))
}
