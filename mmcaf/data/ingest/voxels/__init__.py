"""What the voxels of a stack prove, whatever its headers say: slices by slices, stacks by bodies."""
