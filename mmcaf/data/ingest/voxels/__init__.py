"""What voxels prove, whatever headers say: slices by their neighbours, stacks by what a chest is."""
