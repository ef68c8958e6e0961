"""PocketSphinx for Voxray: an offline recogniser, free or with a grammar."""
