"""The program `voxray`."""
