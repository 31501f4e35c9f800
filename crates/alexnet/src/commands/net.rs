//! `alexnet net`: the layers and settings of a net.

mod placement;

use anyhow::Result;
use convnet::net::Net;
use convnet::plan::{Mode, Plan};

use crate::cli::NetArgs;
use crate::console::{say, thousands};
use crate::{describe, nets};

/// Runs the command.
///
/// # Errors
/// When there is no such net or it is not valid.
pub fn run(args: &NetArgs) -> Result<()> {
    let Some(name) = &args.net else { return list() };
    let net = nets::load(name, None)?;
    if args.plan || args.placement.is_some() {
        let batch = args.batch.unwrap_or(net.training.batch);
        let plan = Plan::compile_for(&net, args.placement.unwrap_or(1), batch, Mode::Train)?;
        if args.plan {
            say(format_args!("a training step of {batch} images; > marks what an operation writes"));
            say(plan.to_string().trim_end());
        } else {
            placement::show(&net, &plan);
        }
        return Ok(());
    }
    show(&net);
    Ok(())
}

fn list() -> Result<()> {
    say(format_args!("{:<18} {:>11} {:>15}  description", "net", "parameters", "multiply-adds"));
    for (name, _) in nets::BUILT_IN {
        let net = nets::load(name, None)?;
        let (parameters, products) = (thousands(net.parameters()), thousands(net.multiply_adds()));
        say(format_args!("{name:<18} {parameters:>11} {products:>15}  {}", net.description));
    }
    Ok(())
}

fn show(net: &Net) {
    let input = net.input_of(0);
    say(format_args!("net {}: {}", net.name, net.description));
    say(format_args!(
        "input {}x{}x{}, {} tower{}, {} classes\n",
        input.height,
        input.width,
        input.channels,
        net.towers,
        if net.towers == 1 { "" } else { "s" },
        net.classes
    ));
    table(&describe::table(net));

    say("\nweights       initial deviation, bias; factors of rate, bias rate, decay, bias decay");
    for layer in &net.layers {
        if let Some(it) = layer.kind.learning() {
            let factors = [it.rate, it.bias_rate, it.decay, it.bias_decay].map(|factor| factor.to_string());
            say(format_args!("  {:<11} {:<6} {:<4} {}", layer.name, it.init_std, it.bias, factors.join(" ")));
        }
    }
    section("layers", net.layers.iter().filter_map(describe::layer));
    section("images", describe::augmentation(&net.augment));
    section("training", describe::training(net));
    for schedule in &net.training.schedules {
        say("");
        describe::schedule(schedule).iter().for_each(say);
    }
}

fn section(title: &str, lines: impl IntoIterator<Item = String>) {
    let lines: Vec<String> = lines.into_iter().collect();
    if !lines.is_empty() {
        say(format_args!("\n{title}"));
        lines.iter().for_each(|line| say(format_args!("  {line}")));
    }
}

/// Prints columns as wide as they need to be: the last two to the right.
fn table(rows: &[[String; 9]]) {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| match column {
            7.. => format!("{cell:>width$}", width = width(column)),
            _ => format!("{cell:<width$}", width = width(column)),
        });
        say(cells.collect::<Vec<_>>().join("  "));
    }
}
