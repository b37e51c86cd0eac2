"""Chapter 3: what a byte costs."""
