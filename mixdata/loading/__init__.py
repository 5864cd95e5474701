"""Reading a dataset in a training loop: which crops, where they lie, how they become batches. `mixdata.torch` has the public names."""
