"""The gram engine: n up to several d; pre-activations are stepped by the Gram matrix."""
