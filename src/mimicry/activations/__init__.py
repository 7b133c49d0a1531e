"""What a model's layer emits for stimuli: loading models, tapping layers, keeping the results."""
