"""Chapter 4: collectives from send and receive."""
