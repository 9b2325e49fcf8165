"""Package metadata; pyproject.toml holds only the build system and tools."""

import pathlib
import re

import setuptools

_ROOT = pathlib.Path(__file__).parent
_INIT = (_ROOT / "hispatial_jax" / "__init__.py").read_text()
_VERSION = re.search(r'__version__ = "([^"]+)"', _INIT).group(1)

# What training, decoding and answering need: neither TensorFlow nor torch.
_CORE = [
  "jax>=0.10",
  "flax>=0.12.6",
  "optax>=0.2.8",
  "orbax-checkpoint>=0.12",
  "grain>=0.2.18",
  "ml_collections>=1.1",
  "numpy>=2.1",
  "sentencepiece>=0.2.1",
  "opencv-python-headless>=4.11",
  "etils[epath]>=1.12",
  "absl-py>=2.1",
  "tqdm>=4.66",
]
_EXTRAS = {
  "tpu": ["jax[tpu]"],
  "cuda": ["jax[cuda13]"],
  # gs:// paths: etils goes by gcsfs, orbax asks google-cloud-storage;
  # TensorStore needs neither.
  "gcs": ["gcsfs>=2025.9", "google-cloud-storage>=2.18"],
  # Records are defined and written by TFDS and Beam, without TensorFlow;
  # trimesh and embreex cast the rays of the toy world.
  "data": [
    "tensorflow-datasets>=4.9.10",
    "array_record>=0.8.1",
    "apache-beam>=2.77",
    "importlib_resources",
    "trimesh>=4.5",
    "embreex>=2.17",
  ],
  "convert": ["safetensors>=0.6", "torch>=2.6"],
  # The benchmarks' own files; parquet, as the hub has them.
  "eval": ["pyarrow>=17"],
  "log": ["tensorboardX>=2.6"],
  "wandb": ["wandb>=0.19"],
  # Models behind OpenAI-compatible endpoints, and judges.
  "api": ["openai>=1.60"],
  "demo": [
    "matplotlib>=3.9",
    "plotly>=6",
    "jinja2>=3.1",
    # Clouds and meshes of `hispatial points`.
    "trimesh>=4.5",
    "pillow>=10",
  ],
  "dev": [
    # The release that the reference numbers were made with.
    "torch==2.13.0",
    "pytest>=8",
    "pytest-xdist>=3.7",
    "hypothesis>=6.100",
    "pillow>=10",
    "ruff>=0.12",
    "nbclient>=0.10",
    "ipykernel>=6",
    "transformers>=4.56,<5",
  ],
}

setuptools.setup(
  name="hispatial_jax",
  version=_VERSION,
  description="Metric 3-D question answering from one image, in JAX",
  long_description=(_ROOT / "README.md").read_text(),
  long_description_content_type="text/markdown",
  license="Apache-2.0",
  python_requires=">=3.11",
  packages=setuptools.find_packages(include=["hispatial_jax*"]),
  install_requires=_CORE,
  extras_require=_EXTRAS,
  entry_points={"console_scripts": ["hispatial=hispatial_jax.cli:main"]},
)
