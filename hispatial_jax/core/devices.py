"""Where devices stand in a mesh, and what their compiler is told."""

from collections.abc import Iterable, Sequence

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import Mesh


def arrange(shape: Sequence[int], devices: Sequence) -> np.ndarray:
  """Devices as an array of this shape, neighbours of a pod side by side.

  Args:
    shape: axes from the slowest links to the fastest, the first over slices.
    devices: as many as the array has places.

  Raises:
    ValueError: the first axis is not the number of slices.
  """
  groups = {}
  for device in devices:
    number = getattr(device, "slice_index", None) or 0
    groups.setdefault(number, []).append(device)
  if len(groups) == 1:
    return _within_slice(tuple(shape), devices)
  if shape[0] != len(groups):
    raise ValueError(
      f"mesh.dcn={shape[0]}, but the devices are of {len(groups)} slices: "
      f"expected mesh.dcn={len(groups)}"
    )
  inner = (1, *shape[1:])
  return np.concatenate([_within_slice(inner, groups[n]) for n in groups])


def _within_slice(shape, devices):
  names = tuple(map(str, range(len(shape))))
  try:
    return jax.make_mesh(shape, names, devices=devices).devices
  except NotImplementedError:
    # No whole axes of the pod multiply to these sizes: an axis is cut.
    return mesh_utils.create_device_mesh(
      shape, devices, allow_split_physical_axes=True
    )


def processes(devices: np.ndarray) -> np.ndarray:
  """Which process each device belongs to, in the array's shape."""
  flat = [device.process_index for device in devices.flat]
  return np.array(flat).reshape(devices.shape)


def compiler_options(pairs: Iterable, grid: Mesh) -> dict[str, str] | None:
  """A recipe's tpu_options for jit; None where the mesh is of other devices."""
  return dict(pairs) if grid.devices.flat[0].platform == "tpu" else None
