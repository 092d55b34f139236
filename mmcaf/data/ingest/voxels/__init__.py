<<<<<<< HEAD
"""What voxels prove, whatever headers say: of slices by neighbours, of stacks by a chest."""
=======
"""What voxels prove, whatever headers say: slices by neighbours, stacks by what a chest is."""
>>>>>>> neighbours
