"""Chapter 5: what a framework does with collectives."""
