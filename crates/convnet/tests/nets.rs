//! What a wrong net file is told: the layer, the key, the value, what is allowed.
#![allow(clippy::unwrap_used, reason = "this is how a test fails")]

use convnet::net::Net;

const HEAD: &str = "name = 'test'\ntowers = 2\nclasses = 4\n[augment]\nimage = 32\ncrop = 28\n";
const CONV: &str = "[[layer]]\nname = 'conv1'\ntype = 'conv'\nreads = 'all'\nfilters = 8\nsize = 3\n";
const END: &str =
    "[[layer]]\nname = 'fc2'\ntype = 'fc'\nreads = 'all'\ntowers = 1\n[[layer]]\nname = 'softmax'\ntype = 'softmax'\n";

fn refusal(text: &str) -> String {
    Net::parse(text, "file.toml", None).unwrap_err().to_string()
}

#[test]
fn a_correct_net_is_read() {
    let net = Net::parse(&format!("{HEAD}{CONV}{END}"), "file.toml", None).unwrap();
    assert_eq!(net.layers[0].output.width, 26);
    assert_eq!(net.parameters(), 2 * 4 * (27 + 1) + 4 * (26 * 26 * 8 + 1));
}

#[test]
fn wrong_values_are_named_with_what_is_allowed() {
    for (wrong, expected) in [
        (
            "stride = 0",
            "file.toml: layer \"conv1\", key \"stride\": 0 is not allowed; expected a whole number from 1 to",
        ),
        ("stride = 'two'", "key \"stride\": \"two\" is not allowed; expected a whole number"),
        ("pad = 3", "key \"pad\": 3 is not allowed; expected a whole number from 0 to 2"),
        ("rounding = 'up'", "key \"rounding\": \"up\" is not allowed; expected \"ceil\" or \"floor\""),
        ("towers = 3", "key \"towers\": 3 is not allowed; expected a whole number from 1 to 2"),
        ("init_std = -1", "key \"init_std\": -1 is not allowed; expected a number from 0 to"),
        ("strides = 2", "key \"strides\": unknown (value 2); known keys are name, type, reads"),
    ] {
        let message = refusal(&format!("{HEAD}{CONV}{wrong}\n{END}"));
        assert!(message.contains(expected), "{wrong}: {message}");
    }
}

#[test]
fn nets_that_do_not_fit_together_are_refused() {
    let conv = |from: &str, to: &str| CONV.replace(from, to);
    for (text, expected) in [
        (
            format!("{HEAD}{}{END}", conv("filters = 8", "filters = 7")),
            "7 is not allowed; expected a multiple of the 2",
        ),
        (format!("{HEAD}{}{END}", conv("size = 3", "size = 29")), "29 is not allowed; the padded input is only 28"),
        (
            format!("{HEAD}{}{END}", conv("type = 'conv'", "type = 'cnov'")),
            "\"cnov\" is not allowed; expected \"conv\"",
        ),
        (format!("{HEAD}{}{END}", conv("filters = 8", "")), "layer \"conv1\", key \"filters\": missing"),
        (format!("{HEAD}{CONV}{CONV}{END}"), "\"conv1\" is taken by another layer"),
        (format!("{HEAD}{CONV}{}", END.replace("towers = 1", "")), "expected 4 classes in one tower"),
        (format!("{HEAD}{CONV}"), "the last layer is no softmax"),
        (HEAD.to_string(), "needs at least a [[layer]]"),
        (format!("{HEAD}{CONV}{}", END.replace("reads = 'all'", "")), "\"own\" would leave 1 of 2 towers unread"),
        (
            HEAD.replace("crop = 28", "crop = 33"),
            "[augment], key \"crop\": 33 is not allowed; expected a whole number from 1",
        ),
        ("name = ".to_string(), "file.toml: line 1: "),
    ] {
        let message = refusal(&text);
        assert!(message.contains(expected), "expected {expected:?} in {message:?}");
    }
}

#[test]
fn sizes_beyond_any_machine_are_refused() {
    let huge = "[[layer]]\nname = 'a'\ntype = 'conv'\nreads = 'all'\nfilters = 65536\nsize = 1023\npad = 1000\n\
                [[layer]]\nname = 'b'\ntype = 'conv'\nfilters = 65536\nsize = 1023\npad = 1000\n";
    let message = refusal(&format!("{HEAD}{huge}{END}"));
    assert!(message.contains("layer \"a\" has") && message.contains("too many"), "{message}");
    for classes in [0, 1, 65_537] {
        assert!(Net::parse(&format!("{HEAD}{CONV}{END}"), "file.toml", Some(classes)).is_err());
    }
}
