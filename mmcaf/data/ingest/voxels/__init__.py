"""What voxels prove, whatever headers say: slices by neighbours, stacks by what a chest is."""
