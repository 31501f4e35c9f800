"""Prints the scalars that TensorBoard finds in a run's folder: {tag: [[step, value], ...]}."""

import json
import sys

from tensorboard.backend.event_processing import event_accumulator

events = event_accumulator.EventAccumulator(sys.argv[1], size_guidance={event_accumulator.SCALARS: 0})
events.Reload()
print(json.dumps({tag: [[it.step, it.value] for it in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
