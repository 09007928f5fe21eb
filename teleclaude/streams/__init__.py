"""The log is the truth: recorded streams, their offsets, gaps, followers and retention."""
