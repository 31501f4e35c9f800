//! `alexnet show specialisation`: how much colour each tower's first kernels have.

use anyhow::{Context, Result};
use convnet::plan::{Mode, Plan};
use serde_json::json;

use crate::cli::ShowSpecialisationArgs;
use crate::commands::{model, train};
use crate::console::say;
use crate::inside;
use crate::output::{check_place, write_whole};

/// Says it, and writes the JSON file that was asked for.
pub(super) fn run(args: &ShowSpecialisationArgs) -> Result<()> {
    args.json.as_deref().map_or(Ok(()), check_place)?;
    let checkpoint = model::checkpoint(args.model.as_deref())?;
    let net = &checkpoint.net;
    let plan = Plan::compile(net, 1, Mode::Infer);
    let shares = inside::colours(net, &plan.parameters, |parameter| checkpoint.parameter(parameter))?;
    let shares = shares.with_context(|| {
        format!(
            "net {} has one tower at its first layer, or no kernels there: towers cannot part; expected two or more",
            net.name
        )
    })?;
    train::say_colours(&shares);
    if let Some(path) = &args.json {
        let answer = json!({
            "model": checkpoint.path.display().to_string(),
            "net": net.name,
            "layer": net.layers[0].name,
            "colour": shares,
        });
        write_whole(path, &serde_json::to_vec_pretty(&answer)?)?;
        say(format_args!("shares: {}", path.display()));
    }
    Ok(())
}
