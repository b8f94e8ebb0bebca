"""Training deep classifiers when labels are wrong, in JAX: Gradient Rescaling and its field."""

__version__ = "0.2.0"
