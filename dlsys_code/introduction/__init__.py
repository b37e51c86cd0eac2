"""Chapter 1: why one machine is not enough."""
