"""What runs on the accelerator: SigLIP, Gemma-2, point map, fusion."""
