use image::RgbImage;

use super::*;

/// A run that learns, with the rate divided at some epochs.
fn history(n_points: usize, divided_at: &[usize]) -> Vec<EpochPoint> {
    let mut rate = 0.01;
    let point = |idx: usize| {
        if divided_at.contains(&idx) {
            rate /= 10.0;
        }
        let left = (-(idx as f64) / 30.0).exp();
        EpochPoint {
            epoch: (idx + 1) as f64,
            train_loss: 1.0 + 5.5 * left,
            train_top1: 0.3 + 0.6 * left,
            val_loss: 2.0 + 5.0 * left,
            val_top1: 0.4 + 0.58 * left,
            val_top5: 0.1 + 0.5 * left,
            rate,
        }
    };
    (0..n_points).map(point).collect()
}

fn draw(history: &[EpochPoint]) -> RgbImage {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("curves.png");
    curves(history, "a run", &path).unwrap();
    let image = image::open(&path).unwrap().to_rgb8();
    assert_eq!(image.dimensions(), (WIDTH, HEIGHT));
    image
}

fn count(image: &RgbImage, color: Rgb<u8>, left: u32) -> usize {
    let inside = image.enumerate_pixels().filter(|it| (left..left + PLOT_WIDTH).contains(&it.0));
    inside.filter(|it| *it.2 == color).count()
}

#[test]
fn every_line_is_drawn() {
    for n_points in [1, 2, 90, 500] {
        let image = draw(&history(n_points, &[]));
        for left in PLOT_LEFT {
            assert!(count(&image, BLUE, left) > 10, "{n_points} points");
            assert!(count(&image, VERMILLION, left) > 10, "{n_points} points");
        }
        assert_eq!(count(&image, GREEN, PLOT_LEFT[0]), 0);
        assert!(count(&image, GREEN, PLOT_LEFT[1]) > 10, "{n_points} points");
    }
}

#[test]
fn lines_pass_through_their_points() {
    let history = history(40, &[]);
    let image = draw(&history);
    let panels = panels(&history, Axis::for_epochs(1.0, 40.0), PLOT_TOP);
    for panel in &panels {
        let training = &panel.series[0];
        for point in &training.points[2..30] {
            let (x, y) = panel.place(*point);
            // The pixel may be on the edge of the line, and a little lighter.
            let pixel = image.get_pixel(x as u32, y as u32);
            assert!(pixel.0[0] < 60 && pixel.0[2] > 170, "{point:?}: {pixel:?}");
        }
    }
}

#[test]
fn values_that_are_not_finite_are_skipped() {
    let mut with_gaps = history(20, &[5]);
    with_gaps[3].train_loss = f64::NAN;
    with_gaps[7].val_loss = f64::INFINITY;
    with_gaps[8].rate = f64::NAN;
    with_gaps[9].epoch = f64::NAN;
    for point in &mut with_gaps {
        point.val_top5 = f64::NAN;
    }
    let image = draw(&with_gaps);
    assert_eq!(count(&image, GREEN, PLOT_LEFT[1]), 0);
    assert!(count(&image, BLUE, PLOT_LEFT[0]) > 20);

    let nothing = [f64::NAN; 7];
    let [epoch, train_loss, train_top1, val_loss, val_top1, val_top5, rate] = nothing;
    let nothing = EpochPoint { epoch, train_loss, train_top1, val_loss, val_top1, val_top5, rate };
    draw(&[nothing]);
    draw(&[nothing, EpochPoint { epoch: 1.0, ..nothing }]);
}

#[test]
fn extreme_values_are_drawn() {
    for value in [0.0, 1.0, 1e-300, 1e29, f64::MAX, -3.0] {
        let mut points = history(3, &[]);
        points[1].train_loss = value;
        points[1].val_top1 = value;
        points[1].epoch = value;
        points[1].rate = value;
        draw(&points);
        draw(&points[1..2]);
    }
}

#[test]
fn the_order_of_the_points_does_not_matter() {
    let sorted = history(30, &[10, 20]);
    let mut reversed = sorted.clone();
    reversed.reverse();
    assert!(draw(&sorted) == draw(&reversed));
}

#[test]
fn rate_changes_are_found() {
    let changes = rate_changes(&history(90, &[30, 60]));
    let changes: Vec<_> = changes.iter().map(|it| format!("{} from {}", short(it.rate), it.epoch)).collect();
    assert_eq!(changes, ["0.01 from -inf", "0.001 from 30", "0.0001 from 60"]);
    let mut smooth = history(90, &[]);
    for (idx, point) in smooth.iter_mut().enumerate() {
        point.rate = 0.01 * (1.0 - idx as f64 / 100.0);
    }
    assert!(rate_changes(&smooth).is_empty());
    let every_epoch: Vec<_> = (0..90).collect();
    assert!(rate_changes(&history(90, &every_epoch)).is_empty());
}

#[test]
fn wrong_input_is_refused() {
    let path = Path::new("missing/curves.png");
    assert!(matches!(curves(&[], "", path), Err(Error::Empty { .. })));
    let error = curves(&history(2, &[]), "", path).unwrap_err();
    assert!(matches!(error, Error::Write { .. }));
    assert!(error.to_string().contains("missing/curves.png"));
}

#[test]
fn rate_labels_and_their_lines_do_not_cross() {
    let change = |it: &f64| RateChange { epoch: *it, rate: 0.01 / (1.0 + it) };
    for epochs in [&[0.0, 300.0, 400.0][..], &[0.0, 50.0, 80.0, 120.0, 125.0, 130.0, 500.0], &[0.0; 9]] {
        let changes: Vec<_> = epochs.iter().map(change).collect();
        let labels = labels::place_rates(&changes, |it| it as f32);
        let texts: Vec<_> = labels.iter().filter_map(labels::RateLabel::area).collect();
        assert!(texts.len() >= 3, "{epochs:?}");
        for (idx, (left, right, middle)) in texts.iter().enumerate() {
            for label in &labels {
                let crossed = (left..right).contains(&&label.x) && label.line_top(0) < *middle;
                assert!(!crossed, "{epochs:?}: the line at {} crosses text {idx}", label.x);
            }
            for other in &texts[idx + 1..] {
                assert!(other.2 != *middle || other.0 > *right, "{epochs:?}: {idx} is covered");
            }
        }
    }
}

#[test]
fn names_do_not_cover_each_other() {
    for value in [0.0, 0.5, 0.99, 1.0] {
        let mut equal = history(90, &[]);
        for point in &mut equal {
            (point.train_top1, point.val_top1, point.val_top5) = (value, value, value);
        }
        equal[0].val_top1 = 1.0;
        equal[1].val_top1 = 0.0;
        let panels = panels(&equal, Axis::for_epochs(1.0, 90.0), PLOT_TOP);
        let mut above = PLOT_TOP as f32 - 1.0;
        let areas = labels::name_areas(&panels[1]);
        assert_eq!(areas.len(), 3);
        for (top, bottom) in areas {
            assert!(top > above && bottom < PLOT_BOTTOM as f32 + 12.0, "{value}: {top} {bottom}");
            above = bottom;
        }
    }
}
