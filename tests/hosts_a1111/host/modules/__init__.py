"""A stand-in for the WebUI's `modules`: the few parts that the extension touches, behaving as the real ones do.

Written from how WebUI 1.10.1 behaves: it swallows and logs exceptions of scripts and callbacks, makes a new model
wrapper for each sampler, counts evaluations in `denoiser.step`, and works out callables in the metadata per picture.
"""
