"""Structured 3D latents from the command line: see `trellis --help`, or the same verbs in `trellis_cli.stages`."""

__version__ = "0.1.0"
