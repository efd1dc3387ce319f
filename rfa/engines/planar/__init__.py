"""The planar engine: d = 2; a neuron is active on one arc of the samples."""
