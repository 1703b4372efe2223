"""Loads an encoder with its channel contract and turns a batch of pixels into vectors.

`registry` describes an encoder from its name, `loading` loads what was described, `forward` computes its vectors, and
`engine` pins what computes them: the processor, or the GPU that `accelerator` finds. Only what loads or describes a
backbone imports torch, so that metadata can be read without it.
"""
