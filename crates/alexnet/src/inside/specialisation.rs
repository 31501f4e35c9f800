//! What the towers' first kernels have become: the paper found (section 6.1) that with its connectivity one tower's are
//! largely without colour, the other's with it, whatever the initial weights.

use anyhow::Result;
use convnet::net::{Kind, Net};
use convnet::plan::Parameter;

/// The share of colour in the first layer's kernels, for each tower; none where there are not several towers that look
/// at pixels. `read` gives the numbers of a parameter.
///
/// # Errors
/// Those of `read`.
pub fn colours(
    net: &Net,
    parameters: &[Parameter],
    read: impl Fn(&Parameter) -> Result<Vec<f32>>,
) -> Result<Option<Vec<f64>>> {
    let first = &net.layers[0];
    if !matches!(first.kind, Kind::Conv { .. }) || first.output.towers < 2 {
        return Ok(None);
    }
    let weights = parameters.iter().filter(|parameter| parameter.layer == first.name && !parameter.bias);
    let share = |parameter: &Parameter| Ok(share_of_colour(&read(parameter)?, parameter.dims[2], parameter.dims[3]));
    weights.map(share).collect::<Result<Vec<_>>>().map(Some)
}

/// The part of the kernels' sum of squares that is left when at each pixel the mean of its channels is taken away:
/// 0 for grey kernels, 2/3 on average for random ones. Kernels are `[pixels, channels, filters]`.
fn share_of_colour(kernels: &[f32], channels: usize, filters: usize) -> f64 {
    let (mut all, mut colour) = (0.0, 0.0);
    for pixel in kernels.chunks(channels * filters) {
        for filter in 0..filters {
            let value = |channel: usize| f64::from(pixel[channel * filters + filter]);
            let mean = (0..channels).map(value).sum::<f64>() / channels as f64;
            all += (0..channels).map(|channel| value(channel).powi(2)).sum::<f64>();
            colour += (0..channels).map(|channel| (value(channel) - mean).powi(2)).sum::<f64>();
        }
    }
    if all > 0.0 { colour / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use convnet::philox;

    #[test]
    fn grey_has_no_colour_and_noise_has_two_thirds() {
        // Two filters of one pixel: grey, and red against green.
        assert_eq!(share_of_colour(&[1.0, 1.0, 1.0, -1.0, 1.0, 0.0], 3, 2), 2.0 / 5.0);
        assert_eq!(share_of_colour(&[2.0; 27], 3, 1), 0.0);
        assert_eq!(share_of_colour(&[0.0; 27], 3, 1), 0.0);
        let noise = (0..3000).flat_map(|i| philox::normals(philox::words(1, 0, 0, 0, i)).map(|x| x as f32));
        let share = share_of_colour(&noise.collect::<Vec<_>>(), 3, 40);
        assert!((share - 2.0 / 3.0).abs() < 0.02, "{share}");
    }
}
