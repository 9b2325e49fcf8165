"""Ray-cast rooms with exact geometry: default data and ground truth."""
