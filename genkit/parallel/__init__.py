"""Training by several processes: the group that torchrun starts, and the state that all its members share.

Every process has the same weights and takes its own rows of each batch. Its random numbers are those of the whole
batch, sums over the batch are added up over the processes, and batch normalization sees the whole batch. The result is
that of one process, except that each process has its own dropout masks.
"""
