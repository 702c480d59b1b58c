"""Redis or Valkey as a cache and a counter: never the truth, and never in the way while it is away."""
