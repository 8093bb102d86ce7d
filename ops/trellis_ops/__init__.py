"""The kernels of structured latents: one folder an op, each with a contract, a reference and fast backends.

Import an op from its folder, `from trellis_ops.splat import splat`, so that nothing else is paid for.
"""
