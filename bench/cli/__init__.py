"""Commands of `bench`, one file each."""
