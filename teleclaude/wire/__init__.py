"""JSON to typed commands and back. One set of models validates every surface and describes it."""
