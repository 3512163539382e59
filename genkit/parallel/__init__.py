"""Training by several processes: the group that torchrun starts, and what has to be the same for every member of it.

Every process has the same weights and takes its own rows of each batch. Its random numbers are those of the whole
batch, sums over the batch are added up over the processes, and batch normalization sees the whole batch. What comes
out is what one process gives; dropout masks alone are each process's own.
"""
