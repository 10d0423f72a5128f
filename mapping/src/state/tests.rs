//! State against a model.
