"""Chapter 2: who holds the weights, who waits for whom, and how machines are wired."""
