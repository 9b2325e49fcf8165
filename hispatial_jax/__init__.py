"""HiSpatial in JAX: metric 3-D question answering from one image.

Import what you need by module, e.g. `from hispatial_jax import predict`.
Importing the package alone starts no device and loads neither TensorFlow nor
torch.
"""

__version__ = "0.1.0"
