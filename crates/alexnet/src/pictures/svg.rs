//! From a drawing to SVG. Images are part of the file; text stays text.

use std::fmt::Write;

use image::{ImageError, Rgb};

use super::drawing::{Drawing, Shape};
use super::output;
use super::text::{Align, Weight};

/// Fonts as wide as the one that texts are measured with.
const FONTS: &str = "DejaVu Sans, Bitstream Vera Sans, Verdana, sans-serif";

/// The picture as one `svg` element.
pub(super) fn render(drawing: &Drawing) -> Result<String, ImageError> {
    let (width, height) = (drawing.width, drawing.height);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"{FONTS}\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for shape in &drawing.shapes {
        let element = element(shape)?;
        // Writing to a string does not fail.
        let _ = writeln!(svg, "{element}");
    }
    svg += "</svg>\n";
    Ok(svg)
}

fn element(shape: &Shape) -> Result<String, ImageError> {
    Ok(match shape {
        Shape::Rect { corner: (x, y), extent: (width, height), color } => {
            format!("<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{}\"/>", hex(*color))
        }
        Shape::Line { points, width, color } => {
            let points: Vec<String> = points.iter().map(|it| format!("{:.2},{:.2}", it.0, it.1)).collect();
            format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\" \
                 stroke-linecap=\"round\" stroke-linejoin=\"round\"/>",
                points.join(" "),
                hex(*color)
            )
        }
        Shape::Circle { center: (x, y), radius, stroke, color } => {
            let paint = match stroke {
                None => format!("fill=\"{}\"", hex(*color)),
                Some(width) => format!("fill=\"none\" stroke=\"{}\" stroke-width=\"{width}\"", hex(*color)),
            };
            format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" {paint}/>")
        }
        Shape::Text { text, at: (x, y), align, style } => {
            let anchor = match align {
                Align::Left => "start",
                Align::Center => "middle",
                Align::Right => "end",
            };
            let weight = if style.weight == Weight::Bold { " font-weight=\"bold\"" } else { "" };
            format!(
                "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{}\"{weight} text-anchor=\"{anchor}\" fill=\"{}\">{}</text>",
                style.size,
                hex(style.color),
                crate::markup::escape(text)
            )
        }
        Shape::Image { image, corner: (x, y), extent: (width, height), sharp } => {
            let rendering = if *sharp { " style=\"image-rendering:pixelated\"" } else { "" };
            format!(
                "<image x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\"{rendering} \
                 href=\"{}\"/>",
                crate::markup::data_uri("image/png", &output::png(image)?)
            )
        }
    })
}

fn hex(color: Rgb<u8>) -> String {
    let [red, green, blue] = color.0;
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::RgbImage;

    use super::super::text::Style;
    use super::super::{BLUE, INK};
    use super::*;

    #[test]
    fn every_shape_is_an_element() {
        let mut drawing = Drawing::new(40, 30, Path::new("a.svg")).unwrap();
        drawing.rect((-1, 2), (3, 4), BLUE);
        drawing.text("R&D <b>\u{7}", (5.0, 6.5), Align::Right, Style::bold(12.0, INK));
        drawing.image(RgbImage::new(1, 1), (7, 8), (9, 10), true);
        drawing.shapes.push(Shape::Line { points: vec![(0.0, 1.0), (2.5, 3.0)], width: 2.0, color: BLUE });
        drawing.shapes.push(Shape::Circle { center: (4.0, 5.0), radius: 3.0, stroke: None, color: BLUE });
        drawing.shapes.push(Shape::Circle { center: (4.0, 5.0), radius: 3.0, stroke: Some(1.5), color: INK });
        let svg = render(&drawing).unwrap();
        for expected in [
            "viewBox=\"0 0 40 30\"",
            "<rect x=\"-1\" y=\"2\" width=\"3\" height=\"4\" fill=\"#0072b2\"/>",
            "<text x=\"5.00\" y=\"6.50\" font-size=\"12\" font-weight=\"bold\" text-anchor=\"end\" fill=\"#222222\">\
             R&amp;D &lt;b&gt; </text>",
            "href=\"data:image/png;base64,iVBORw0KGgo",
            "points=\"0.00,1.00 2.50,3.00\"",
            "r=\"3\" fill=\"#0072b2\"/>",
            "fill=\"none\" stroke=\"#222222\" stroke-width=\"1.5\"/>",
        ] {
            assert!(svg.contains(expected), "{expected}\n{svg}");
        }
        assert_eq!(svg.lines().count(), 9);
    }
}
