//! What one embeds: the node that owns the clock and runs the machines of `primer-core`.
