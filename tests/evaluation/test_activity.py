import torch

from genkit.evaluation.activity import Activity
from genkit.evaluation.figures import ACTIVE


def test_batches_of_any_size_give_the_count_of_the_variance_over_all_data():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.0, 0.05, 0.098, 0.103, 2.0])  # the variance of the third and the fourth is near 0.01
    means = torch.randn(4000, 5, generator=generator)
    means = (means - means.mean(0)) / means.std(0, correction=0) * scales + 100.0
    activity = Activity(torch.float64)
    for batch in means.double().split([1, 999, 3000]):
        activity.add(batch.view(-1, 5, 1))
    expected = int((means.double().var(0, correction=0) > ACTIVE).sum())
    assert activity.active() == expected == 2


def test_nothing_is_known_of_no_latents():
    assert Activity(torch.float64).active() is None
