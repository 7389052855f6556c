"""The tasks of the papers on the models that they used."""
