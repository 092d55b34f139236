"""What voxels prove, whatever headers say: of slices by neighbours, of stacks by a chest."""
